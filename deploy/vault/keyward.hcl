# What Keyward calls, for the secret path secret/data/e2ee.
path "secret/data/e2ee/*"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/e2ee/*" { capabilities = ["read", "list", "delete"] }
path "secret/destroy/e2ee/*"  { capabilities = ["update"] }

# With vault.transit_key = "keyward":
# path "transit/encrypt/keyward" { capabilities = ["update"] }
# path "transit/decrypt/keyward" { capabilities = ["update"] }
