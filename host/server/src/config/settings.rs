//! The table of settings.

use std::fmt::Write;

use super::kind::Kind;
use super::reload::is_reloaded;

/// One setting.
pub struct Setting {
    /// Its dotted key in keyward.toml; `None` for what only the environment may hold.
    pub key: Option<&'static str>,
    /// Its environment variable, which wins over the file.
    pub env: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default as it would be written; `None`: unset.
    pub default: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
}

impl Setting {
    /// What to call it in a message.
    pub fn name(&self) -> &'static str {
        self.key.unwrap_or(self.env)
    }
}

macro_rules! settings {
    ($($name:ident: $key:expr, $env:literal, $kind:expr, $default:expr, $about:literal;)*) => {
        $(
            #[doc = $about]
            pub static $name: Setting =
                Setting { key: $key, env: $env, kind: $kind, default: $default, about: $about };
        )*
        /// Every setting, in the order of the documentation.
        pub static ALL: &[&Setting] = &[$(&$name,)*];
    };
}

const JWT_SIGNATURES: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

settings! {
    LISTEN: Some("listen"), "KEYWARD_LISTEN", Kind::Address, Some("127.0.0.1:8480"),
        "Address and port to listen on. Port 0 takes a free one.";
    DATA_DIR: Some("data_dir"), "KEYWARD_DATA_DIR", Kind::Path, Some("keyward-data"),
        "Directory of the embedded store, policies and compiled artefacts. One process at a time; hosts that share a Vault each have their own.";
    INSECURE_HTTP: Some("insecure_http"), "KEYWARD_INSECURE_HTTP", Kind::Switch, Some("false"),
        "Allow plain HTTP on an address other than loopback, for instance behind a proxy that ends TLS.";
    HARDENING: Some("hardening"), "KEYWARD_HARDENING", Kind::Choice(&["on", "required", "off"]), Some("on"),
        "What the process gives up before it serves: core dumps, privileges, files it has no business with, system calls no server needs; keys are locked into memory. `on`: as far as the system permits, and what it does not is logged; `required`: all of it, or it does not start. Linux.";
    POLICIES_DIR: Some("policies_dir"), "KEYWARD_POLICIES_DIR", Kind::Path, None,
        "Where `keyward dev` finds the policies built by `cargo xtask policies`. Unset: `policies` beside the executable's directory.";
    ROOT_KEY_FILE: Some("root_key.file"), "KEYWARD_ROOT_KEY_FILE", Kind::Path, None,
        "File of the root key that seals the store (mode 0600; created when the store is new). Unset, and no other source given: `root.key` in the data directory.";
    ROOT_KEY: None, "KEYWARD_ROOT_KEY", Kind::Secret, None,
        "The root key itself, 32 bytes in standard base64. Instead of a file.";
    ROOT_PASSPHRASE: None, "KEYWARD_ROOT_PASSPHRASE", Kind::Secret, None,
        "A passphrase the root key is derived from by Argon2id. Instead of a file.";
    TLS_CERT: Some("tls.cert"), "KEYWARD_TLS_CERT", Kind::Path, None,
        "PEM file of the certificate chain, leaf first. With `tls.key`: serve HTTPS.";
    TLS_KEY: Some("tls.key"), "KEYWARD_TLS_KEY", Kind::Path, None,
        "PEM file of the certificate's private key.";
    TLS_MIN_VERSION: Some("tls.min_version"), "KEYWARD_TLS_MIN_VERSION", Kind::Choice(&["1.2", "1.3"]), Some("1.2"),
        "The oldest version of TLS that is spoken; the newest is 1.3.";
    TLS_RELOAD: Some("tls.reload"), "KEYWARD_TLS_RELOAD", Kind::Duration(100, HOUR), Some("10s"),
        "How often it is looked whether the files of `tls` are new; they are then used for new connections. SIGHUP has them read at once.";
    TLS_CLIENT_CA: Some("tls.client_ca"), "KEYWARD_TLS_CLIENT_CA", Kind::Path, None,
        "PEM file of the certificate authorities whose client certificates are taken. With `tls.client_auth`.";
    TLS_CLIENT_AUTH: Some("tls.client_auth"), "KEYWARD_TLS_CLIENT_AUTH", Kind::Choice(&["off", "optional", "required"]), Some("off"),
        "Whether clients may or must show a certificate of `tls.client_ca`. Where they must, so must health checks.";
    MTLS_MAP: Some("mtls.map"), "KEYWARD_MTLS_MAP", Kind::List, None,
        "Whom client certificates speak for when no bearer token is sent: rules such as `spiffe://x/app=tenant:demo,role:application,subject:app` or `dns:*.ops.example=operator`. `*` is any text; the first rule for one of a certificate's names (URI, `dns:`, `email:`) counts.";
    MAX_BODY: Some("http.max_body"), "KEYWARD_HTTP_MAX_BODY", Kind::Bytes(KIB, 256 * MIB), Some("8MiB"),
        "Largest JSON body.";
    MAX_ITEMS: Some("http.max_items"), "KEYWARD_HTTP_MAX_ITEMS", Kind::Count(1, 100_000), Some("1000"),
        "Largest number of items in a batch.";
    MAX_INVOKE: Some("http.max_invoke"), "KEYWARD_HTTP_MAX_INVOKE", Kind::Bytes(KIB, 8 * MIB), Some("1MiB"),
        "Largest body of an invoke; the policy's memory must hold it.";
    HEADER_TIMEOUT: Some("http.header_timeout"), "KEYWARD_HTTP_HEADER_TIMEOUT", Kind::Duration(SECOND, HOUR), Some("30s"),
        "Time for a request's headers to arrive; also how long a connection may idle.";
    BODY_TIMEOUT: Some("http.body_timeout"), "KEYWARD_HTTP_BODY_TIMEOUT", Kind::Duration(SECOND, HOUR), Some("30s"),
        "Time for a request's body to arrive.";
    REQUEST_TIMEOUT: Some("http.request_timeout"), "KEYWARD_HTTP_REQUEST_TIMEOUT", Kind::Duration(SECOND, HOUR), Some("30s"),
        "Time for a request once its body is there.";
    DRAIN_TIMEOUT: Some("http.drain_timeout"), "KEYWARD_HTTP_DRAIN_TIMEOUT", Kind::Duration(0, HOUR), Some("10s"),
        "Time requests in flight have to finish at shutdown.";
    MAX_CONNECTIONS: Some("http.max_connections"), "KEYWARD_HTTP_MAX_CONNECTIONS", Kind::Count(1, 1_000_000), Some("10000"),
        "Largest number of connections at once; more wait to be accepted.";
    LIMITS_TOKEN: Some("limits.token"), "KEYWARD_LIMITS_TOKEN", Kind::Rate, None,
        "Requests of one token, or of one JWT or certificate. Unset: no bound.";
    LIMITS_TENANT: Some("limits.tenant"), "KEYWARD_LIMITS_TENANT", Kind::Rate, None,
        "Requests of one tenant, by whatever token. Unset: no bound.";
    LIMITS_ITEMS: Some("limits.items"), "KEYWARD_LIMITS_ITEMS", Kind::Rate, None,
        "Items of one tenant: a batch has as many as it has items, and lines as many as there are. Its burst bounds a batch. Unset: no bound.";
    LIMITS_OPERATIONS: Some("limits.operations"), "KEYWARD_LIMITS_OPERATIONS", Kind::List, None,
        "Requests of one tenant by their kind, such as `invoke=50/s` or `keys=60/m`. Kinds are the labels `route` of the metrics. Unset: no bound.";
    MAX_IN_FLIGHT: Some("limits.max_in_flight"), "KEYWARD_LIMITS_MAX_IN_FLIGHT", Kind::Count(16, 1_000_000), Some("2048"),
        "Requests under way at once; more are refused with `overloaded`. From half of it on, each tenant is held to its share. Management has 64 more.";
    MAX_WAIT: Some("limits.max_wait"), "KEYWARD_LIMITS_MAX_WAIT", Kind::Duration(1, MINUTE), Some("1s"),
        "How long a request of a tenant above its share of the processors waits for its turn before it is refused with `overloaded`.";
    POOL_SIZE: Some("policy.pool_size"), "KEYWARD_POLICY_POOL_SIZE", Kind::Count(1, 10_000), Some("1000"),
        "Policy instances at once, over all tenants. Each reserves about 17 MiB of address space, not memory.";
    PER_TENANT: Some("policy.per_tenant"), "KEYWARD_POLICY_PER_TENANT", Kind::Count(1, 10_000), Some("250"),
        "Policy instances at once of one tenant; not more than `policy.pool_size`.";
    MEMORY: Some("policy.memory"), "KEYWARD_POLICY_MEMORY", Kind::Bytes(64 * KIB, 16 * MIB), Some("16MiB"),
        "Largest memory of one instance. A policy that starts with more is run as `policy.image.…` says.";
    CPU: Some("policy.cpu"), "KEYWARD_POLICY_CPU", Kind::Duration(1, 60 * SECOND), Some("100ms"),
        "CPU time of one run, in whole milliseconds.";
    WALL: Some("policy.wall"), "KEYWARD_POLICY_WALL", Kind::Duration(1, 300 * SECOND), Some("2s"),
        "Time of one run from start to end, waits included.";
    HOST_CALLS: Some("policy.host_calls"), "KEYWARD_POLICY_HOST_CALLS", Kind::Count(1, 10_000_000), Some("10000"),
        "Host calls of one run.";
    STATE_CALLS: Some("policy.state_calls"), "KEYWARD_POLICY_STATE_CALLS", Kind::Count(0, 10_000), Some("32"),
        "Calls of `state` of one run, each of which asks the key store.";
    STATE_BYTES: Some("policy.state_bytes"), "KEYWARD_POLICY_STATE_BYTES", Kind::Bytes(64 * KIB, 8 * MIB), Some("1MiB"),
        "Most that the policies of one tenant remember, as it is kept, in 16 records of the key store.";
    HOST_CALL_BYTES: Some("policy.host_call_bytes"), "KEYWARD_POLICY_HOST_CALL_BYTES", Kind::Bytes(KIB, 64 * MIB), Some("4MiB"),
        "Bytes one host call or result may pass.";
    LOG_BYTES: Some("policy.log_bytes"), "KEYWARD_POLICY_LOG_BYTES", Kind::Bytes(0, MIB), Some("16KiB"),
        "Bytes one run may log; what exceeds it is dropped and counted.";
    MAX_COMPONENT: Some("policy.max_component"), "KEYWARD_POLICY_MAX_COMPONENT", Kind::Bytes(KIB, 64 * MIB), Some("16MiB"),
        "Largest component accepted, unless it needs what only policies with an interpreter are given: see `policy.image.max_component`.";
    IMAGE_POOL_SIZE: Some("policy.image.pool_size"), "KEYWARD_POLICY_IMAGE_POOL_SIZE", Kind::Count(0, 1_000), Some("64"),
        "Instances at once, over all tenants, of policies that bring along an interpreter, such as those in JavaScript and Python. Each reserves about 129 MiB of address space, not memory. 0: such policies are refused.";
    IMAGE_PER_TENANT: Some("policy.image.per_tenant"), "KEYWARD_POLICY_IMAGE_PER_TENANT", Kind::Count(1, 1_000), Some("32"),
        "Such instances at once of one tenant; not more than `policy.image.pool_size`.";
    IMAGE_MEMORY: Some("policy.image.memory"), "KEYWARD_POLICY_IMAGE_MEMORY", Kind::Bytes(MIB, 128 * MIB), Some("64MiB"),
        "Largest memory of one such instance. JavaScript and Python start with 10 to 13 MiB, most of it shared with the other instances of the policy.";
    IMAGE_CPU: Some("policy.image.cpu"), "KEYWARD_POLICY_IMAGE_CPU", Kind::Duration(1, 60 * SECOND), Some("500ms"),
        "CPU time of one run of such a policy, in whole milliseconds.";
    IMAGE_MAX_COMPONENT: Some("policy.image.max_component"), "KEYWARD_POLICY_IMAGE_MAX_COMPONENT", Kind::Bytes(KIB, 256 * MIB), Some("48MiB"),
        "Largest component accepted for such a policy.";
    COMPILE_TIMEOUT: Some("policy.compile_timeout"), "KEYWARD_POLICY_COMPILE_TIMEOUT", Kind::Duration(SECOND, HOUR), Some("2m"),
        "How long compiling a component may take. A policy in JavaScript or Python takes 20 to 40 s of CPU time, shared by all cores.";
    ALLOW_UNSIGNED: Some("policy.allow_unsigned"), "KEYWARD_POLICY_ALLOW_UNSIGNED", Kind::Switch, None,
        "Whether a policy without a trusted signature can be pushed and activated. What an operator sets for a tenant goes before it. Unset: `false` for `keyward serve`, `true` for `keyward dev`.";
    RECORD: Some("policy.record"), "KEYWARD_POLICY_RECORD", Kind::Switch, Some("false"),
        "Whether a tenant-admin may record a run of a policy with the tenant's keys. A recording has everything that crossed the policy's boundary, what it decrypted included, in clear.";
    MAX_KEPT: Some("policy.max_kept"), "KEYWARD_POLICY_MAX_KEPT", Kind::Count(2, 1000), Some("50"),
        "Most policies that one tenant keeps, the active one included.";
    STORE_URL: Some("policy.store.url"), "KEYWARD_POLICY_STORE_URL", Kind::Bucket, None,
        "The bucket that policies' components are kept in, for all hosts over one key store and for no others. Credentials come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), a web identity token, or the metadata of container or machine. Unset: the data directory, and the key store where hosts share one.";
    STORE_ENDPOINT: Some("policy.store.endpoint"), "KEYWARD_POLICY_STORE_ENDPOINT", Kind::Url, None,
        "Where S3's protocol is spoken. Unset: `AWS_ENDPOINT_URL`, else AWS itself.";
    STORE_REGION: Some("policy.store.region"), "KEYWARD_POLICY_STORE_REGION", Kind::Word, None,
        "The bucket's region. Unset: `AWS_REGION`, else `us-east-1`.";
    STORE_CA_CERT: Some("policy.store.ca_cert"), "KEYWARD_POLICY_STORE_CA_CERT", Kind::Path, None,
        "PEM file of the certificate authorities that the bucket's certificate is checked against, instead of the system's.";
    REGISTRY_ALLOW: Some("policy.registry.allow"), "KEYWARD_POLICY_REGISTRY_ALLOW", Kind::List, None,
        "OCI registries that this server pulls policies from, at a tenant-admin's request: hosts, or hosts and what repositories begin with, such as `registry.example/policies/{tenant}`, where `{tenant}` is the tenant's name. `http://` before one has it spoken to without TLS. Unset: none.";
    REGISTRY_AUTH_FILE: Some("policy.registry.auth_file"), "KEYWARD_POLICY_REGISTRY_AUTH_FILE", Kind::Path, None,
        "File with the server's credentials for registries, as Docker writes it (`config.json`), read anew for each pull. Programs that it names are not run. Unset: nobody's.";
    REGISTRY_CA_CERT: Some("policy.registry.ca_cert"), "KEYWARD_POLICY_REGISTRY_CA_CERT", Kind::Path, None,
        "PEM file of the certificate authorities that registries' certificates are checked against, instead of the system's.";
    CACHE_TTL: Some("cache.ttl"), "KEYWARD_CACHE_TTL", Kind::Duration(SECOND, 24 * HOUR), Some("15m"),
        "How long a loaded key or a verified token is used without asking the store.";
    CACHE_SWEEP: Some("cache.sweep"), "KEYWARD_CACHE_SWEEP", Kind::Duration(10, HOUR), Some("5m"),
        "How often expired entries are removed from memory and wiped.";
    CACHE_MAX_BYTES: Some("cache.max_bytes"), "KEYWARD_CACHE_MAX_BYTES", Kind::Bytes(64 * KIB, 64 * GIB), Some("64MiB"),
        "Most memory that cached keys take; the least used leave first.";
    CACHE_OUTAGE: Some("cache.outage"), "KEYWARD_CACHE_OUTAGE", Kind::Outage, Some("fail-closed"),
        "What happens to a cached key past `cache.ttl` while the store does not answer: refused, or served for so much longer. A tenant may have a contract of its own.";
    TOKEN_USES: Some("tokens.last_used"), "KEYWARD_TOKENS_LAST_USED", Kind::Duration(SECOND, 24 * HOUR), Some("10m"),
        "How often it is written to the store when tokens were last used: one write for each token used since. A crash loses what was not written.";
    USAGE_FLUSH: Some("usage.flush"), "KEYWARD_USAGE_FLUSH", Kind::Duration(10, HOUR), Some("10s"),
        "How often it is written to the store how much each key version was used, and checked whether it is used up. A crash loses what was counted since.";
    ROTATION_CHECK: Some("rotation.check"), "KEYWARD_ROTATION_CHECK", Kind::Duration(10, 24 * HOUR), Some("10m"),
        "How often it is looked for keys that are to be rotated; a key is rotated at most so long after its time. Reads every key's metadata.";
    ROTATION_MIN_EVERY: Some("rotation.min_every"), "KEYWARD_ROTATION_MIN_EVERY", Kind::Duration(SECOND, 720 * HOUR), Some("1h"),
        "The shortest schedule that a key may be given.";
    AUDIT_ENABLED: Some("audit.enabled"), "KEYWARD_AUDIT_ENABLED", Kind::Switch, Some("true"),
        "Keep an audit log of every request but health checks and `/metrics`.";
    AUDIT_DIR: Some("audit.dir"), "KEYWARD_AUDIT_DIR", Kind::Path, None,
        "Where the audit log is. Unset: `audit` in the data directory. One server to a directory.";
    AUDIT_ROTATE_BYTES: Some("audit.rotate_bytes"), "KEYWARD_AUDIT_ROTATE_BYTES", Kind::Bytes(4 * KIB, 64 * GIB), Some("256MiB"),
        "A file of the audit log that is so large is followed by a new one.";
    AUDIT_ROTATE_SECONDS: Some("audit.rotate_seconds"), "KEYWARD_AUDIT_ROTATE_SECONDS", Kind::Count(1, 31_536_000), Some("86400"),
        "A file of the audit log that is so old is followed by a new one.";
    AUDIT_CHECKPOINT_SECONDS: Some("audit.checkpoint_seconds"), "KEYWARD_AUDIT_CHECKPOINT_SECONDS", Kind::Count(1, 86_400), Some("60"),
        "How long an entry stays unsigned at most.";
    AUDIT_CHECKPOINT_ENTRIES: Some("audit.checkpoint_entries"), "KEYWARD_AUDIT_CHECKPOINT_ENTRIES", Kind::Count(1, 1_000_000_000), Some("100000"),
        "How many entries stay unsigned at most.";
    AUDIT_ON_STALL: Some("audit.on_stall"), "KEYWARD_AUDIT_ON_STALL", Kind::Choice(&["block", "shed"]), Some("block"),
        "What requests meet when the audit log cannot be written and `audit.queue` is full: they wait for `audit.stall_timeout` and are refused with `audit_unavailable`, or are served without an entry and counted.";
    AUDIT_STALL_TIMEOUT: Some("audit.stall_timeout"), "KEYWARD_AUDIT_STALL_TIMEOUT", Kind::Duration(1, MINUTE), Some("1s"),
        "How long a request waits for the audit log.";
    AUDIT_QUEUE: Some("audit.queue"), "KEYWARD_AUDIT_QUEUE", Kind::Count(16, 10_000_000), Some("32768"),
        "Most audit entries in memory, those of requests under way included. A crash loses what is in memory, unless `audit.strict`.";
    AUDIT_STRICT: Some("audit.strict"), "KEYWARD_AUDIT_STRICT", Kind::Switch, Some("false"),
        "Answer a request only when its audit entry is on disk. Not with `audit.on_stall` = `shed`.";
    AUDIT_ENCRYPT_TO: Some("audit.encrypt_to"), "KEYWARD_AUDIT_ENCRYPT_TO", Kind::List, None,
        "Seal what tells who did what with which key in the audit log to these auditors: what `age-keygen` prints as public key (`age1…`). Entries are still found by tenant, subject, credential and key.";
    AUDIT_STDOUT: Some("audit.stdout"), "KEYWARD_AUDIT_STDOUT", Kind::Switch, Some("false"),
        "Write audit entries to standard output as well. The log is on standard error.";
    AUDIT_SYSLOG: Some("audit.syslog"), "KEYWARD_AUDIT_SYSLOG", Kind::Word, None,
        "Send audit entries to syslog (RFC 5424) as well: `unix:/dev/log`, `udp://host:514` or `tcp://host:601`.";
    AUDIT_OTLP: Some("audit.otlp"), "KEYWARD_AUDIT_OTLP", Kind::Endpoint, None,
        "Send audit entries as log records to this OTLP/HTTP receiver as well, such as `http://collector:4318/v1/logs`.";
    AUDIT_OTLP_HEADERS: Some("audit.otlp_headers"), "KEYWARD_AUDIT_OTLP_HEADERS", Kind::Secret, None,
        "Headers to send with them: `name=value`, separated by `;`.";
    AUDIT_WEBHOOK: Some("audit.webhook"), "KEYWARD_AUDIT_WEBHOOK", Kind::Link, None,
        "Post audit entries (`application/x-ndjson`) to this address as well.";
    AUDIT_WEBHOOK_TOKEN: Some("audit.webhook_token"), "KEYWARD_AUDIT_WEBHOOK_TOKEN", Kind::Credential, None,
        "Bearer token to send with them.";
    AUDIT_CA_CERT: Some("audit.ca_cert"), "KEYWARD_AUDIT_CA_CERT", Kind::Path, None,
        "PEM file of the certificate authorities that certificates behind `audit.otlp` and `audit.webhook` are checked against, instead of the system's.";
    AUDIT_SINK_ON_STALL: Some("audit.sink_on_stall"), "KEYWARD_AUDIT_SINK_ON_STALL", Kind::Choice(&["shed", "block"]), Some("shed"),
        "What happens when such a sink is more than `audit.sink_max_lag` entries behind: it is not given the oldest, which is counted and recorded, or requests wait for it for `audit.stall_timeout` and are refused with `audit_unavailable`.";
    AUDIT_SINK_MAX_LAG: Some("audit.sink_max_lag"), "KEYWARD_AUDIT_SINK_MAX_LAG", Kind::Count(1, 1_000_000_000), Some("1000000"),
        "How many entries a sink may be behind the audit log. What it missed it is given from the log's files.";
    JWT_ISSUER: Some("jwt.issuer"), "KEYWARD_JWT_ISSUER", Kind::Text, None,
        "The identity provider whose JWTs are bearer tokens: their `iss`. Unset: no JWT is one. With `jwt.audience` and one of `jwt.jwks_url` and `jwt.jwks_file`.";
    JWT_AUDIENCE: Some("jwt.audience"), "KEYWARD_JWT_AUDIENCE", Kind::List, None,
        "What this server is called in `aud`; a JWT has to name one of these.";
    JWT_JWKS_URL: Some("jwt.jwks_url"), "KEYWARD_JWT_JWKS_URL", Kind::Link, None,
        "Where the provider publishes its keys (JWKS).";
    JWT_JWKS_FILE: Some("jwt.jwks_file"), "KEYWARD_JWT_JWKS_FILE", Kind::Path, None,
        "A file with the provider's keys (JWKS), read anew each `jwt.refresh`.";
    JWT_CA_CERT: Some("jwt.ca_cert"), "KEYWARD_JWT_CA_CERT", Kind::Path, None,
        "PEM file of the certificate authorities that the certificate behind `jwt.jwks_url` is checked against, instead of the system's.";
    JWT_ALGORITHMS: Some("jwt.algorithms"), "KEYWARD_JWT_ALGORITHMS", Kind::Choices(JWT_SIGNATURES), Some("RS256;PS256;ES256;ES384;EdDSA"),
        "Which signatures are taken.";
    JWT_LEEWAY: Some("jwt.leeway"), "KEYWARD_JWT_LEEWAY", Kind::Duration(0, 10 * MINUTE), Some("1m"),
        "How far the provider's clock and this one may be apart, for `exp` and `nbf`; whole seconds.";
    JWT_SUBJECT_CLAIM: Some("jwt.subject_claim"), "KEYWARD_JWT_SUBJECT_CLAIM", Kind::Text, Some("sub"),
        "The claim that is the caller's subject.";
    JWT_ROLES_CLAIM: Some("jwt.roles_claim"), "KEYWARD_JWT_ROLES_CLAIM", Kind::Text, Some("roles"),
        "The claim that lists the caller's roles: its name, or a path such as `realm_access.roles`.";
    JWT_TENANT_CLAIM: Some("jwt.tenant_claim"), "KEYWARD_JWT_TENANT_CLAIM", Kind::Text, Some("tenant"),
        "The claim that names the caller's tenant; who is no operator must have one.";
    JWT_ROLES: Some("jwt.roles"), "KEYWARD_JWT_ROLES", Kind::List, None,
        "What the provider's roles are called here, such as `idp-role=application`. `tenant-admin` comes by this alone; other roles are passed on as they are.";
    JWT_OPERATOR_ROLE: Some("jwt.operator_role"), "KEYWARD_JWT_OPERATOR_ROLE", Kind::Text, None,
        "The provider's role that makes its holder an operator. Unset: no JWT does.";
    JWT_CLAIMS: Some("jwt.claims"), "KEYWARD_JWT_CLAIMS", Kind::List, None,
        "The claims that policies see. Unset: all that are text, numbers, switches or lists of text, at most 64 values and 8 KiB.";
    JWT_REFRESH: Some("jwt.refresh"), "KEYWARD_JWT_REFRESH", Kind::Duration(SECOND, 24 * HOUR), Some("10m"),
        "How often the provider's keys are fetched; also when a JWT names another key, at most every 10 s.";
    JWT_MAX_STALE: Some("jwt.max_stale"), "KEYWARD_JWT_MAX_STALE", Kind::Duration(SECOND, 720 * HOUR), Some("24h"),
        "How long keys are used that cannot be fetched anew. Not shorter than `jwt.refresh`.";
    DEFAULT_TENANT: Some("tenant.default"), "KEYWARD_TENANT_DEFAULT", Kind::Name, Some("default"),
        "The tenant that `/api/v1/vault/keys/…` works on when the request names none.";
    VAULT_ADDR: Some("vault.addr"), "E2EE_VAULT_ADDR", Kind::Url, None,
        "Address of the Vault that keeps the keys. Unset: the embedded store.";
    VAULT_TOKEN: Some("vault.token"), "E2EE_VAULT_TOKEN", Kind::Credential, None,
        "A Vault token. Wins over every other login.";
    VAULT_TOKEN_FILE: Some("vault.token_file"), "E2EE_VAULT_TOKEN_FILE", Kind::Path, None,
        "File that holds a Vault token, such as the sink of a Vault Agent; read again when it changes. Wins over AppRole and Kubernetes.";
    VAULT_ROLE_ID: Some("vault.role_id"), "E2EE_VAULT_ROLE_ID", Kind::Word, None,
        "Role id for the login by AppRole. Wins over Kubernetes.";
    VAULT_SECRET_ID: Some("vault.secret_id"), "E2EE_VAULT_SECRET_ID", Kind::Credential, None,
        "Secret id for the login by AppRole.";
    VAULT_APPROLE_MOUNT: Some("vault.approle_mount"), "E2EE_VAULT_APPROLE_MOUNT", Kind::Word, Some("approle"),
        "Where the AppRole method is mounted, below `auth/`.";
    VAULT_K8S_ROLE: Some("vault.k8s_role"), "E2EE_VAULT_K8S_ROLE", Kind::Word, None,
        "Role for the login by a Kubernetes service account.";
    VAULT_K8S_JWT_FILE: Some("vault.k8s_jwt_file"), "E2EE_VAULT_K8S_JWT_FILE", Kind::Path, Some("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        "File that holds the service account's token.";
    VAULT_K8S_MOUNT: Some("vault.k8s_mount"), "E2EE_VAULT_K8S_MOUNT", Kind::Word, Some("kubernetes"),
        "Where the Kubernetes method is mounted, below `auth/`.";
    VAULT_NAMESPACE: Some("vault.namespace"), "E2EE_VAULT_NAMESPACE", Kind::Word, None,
        "Vault namespace, sent with every call.";
    VAULT_SECRET_PATH: Some("vault.secret_path"), "E2EE_VAULT_SECRET_PATH", Kind::SecretPath, Some("secret/data/e2ee"),
        "KV version 2 mount and the folder in it, with or without `data/` between them.";
    VAULT_TIMEOUT: Some("vault.timeout"), "E2EE_VAULT_TIMEOUT", Kind::Duration(10, 5 * MINUTE), Some("30s"),
        "Most time one operation on Vault may take, its retries included.";
    VAULT_MAX_RETRIES: Some("vault.max_retries"), "E2EE_VAULT_MAX_RETRIES", Kind::Count(0, 20), Some("3"),
        "How often a call that may safely be repeated is repeated.";
    VAULT_MAX_CONCURRENT: Some("vault.max_concurrent"), "E2EE_VAULT_MAX_CONCURRENT", Kind::Count(1, 10_000), Some("64"),
        "Calls to Vault at once; more wait.";
    VAULT_TLS_SKIP_VERIFY: Some("vault.tls_skip_verify"), "E2EE_VAULT_TLS_SKIP_VERIFY", Kind::Switch, Some("false"),
        "Accept any certificate of Vault's. Whoever sits between the two then reads every key: for experiments alone.";
    VAULT_CA_CERT: Some("vault.ca_cert"), "E2EE_VAULT_CA_CERT", Kind::Path, None,
        "PEM file of the certificate authorities that Vault's certificate is checked against, instead of the system's.";
    VAULT_CLIENT_CERT: Some("vault.client_cert"), "E2EE_VAULT_CLIENT_CERT", Kind::Path, None,
        "PEM file of the certificate chain shown to Vault. With `vault.client_key`.";
    VAULT_CLIENT_KEY: Some("vault.client_key"), "E2EE_VAULT_CLIENT_KEY", Kind::Path, None,
        "PEM file of that certificate's private key.";
    VAULT_HEALTH_PERIOD: Some("vault.health_period"), "E2EE_VAULT_HEALTH_PERIOD", Kind::Duration(100, HOUR), Some("30s"),
        "How often Vault's health and the token are checked.";
    VAULT_EXPIRY_WARNING: Some("vault.expiry_warning"), "E2EE_VAULT_EXPIRY_WARNING", Kind::Duration(0, 720 * HOUR), Some("1h"),
        "A token with less time than this that cannot be renewed is warned of.";
    VAULT_RENEW_INCREMENT: Some("vault.renew_increment"), "E2EE_VAULT_RENEW_INCREMENT", Kind::Duration(SECOND, 720 * HOUR), Some("1h"),
        "The time asked for at each renewal of the token; Vault may give less.";
    VAULT_POLL: Some("vault.poll"), "E2EE_VAULT_POLL", Kind::Duration(10, HOUR), Some("1s"),
        "How often changes made by other hosts are asked for: the longest a revocation elsewhere goes unnoticed.";
    VAULT_TRANSIT_KEY: Some("vault.transit_key"), "E2EE_VAULT_TRANSIT_KEY", Kind::Word, None,
        "Key of Vault's Transit engine that wraps key material once more before it is stored, so that reading KV alone reveals nothing. `keyward vault migrate` changes what is stored already.";
    VAULT_TRANSIT_MOUNT: Some("vault.transit_mount"), "E2EE_VAULT_TRANSIT_MOUNT", Kind::Word, Some("transit"),
        "Where the Transit engine is mounted.";
    LOG_FORMAT: Some("log.format"), "KEYWARD_LOG_FORMAT", Kind::Choice(&["text", "json"]), Some("text"),
        "Form of the log, which goes to standard error.";
    LOG_LEVEL: Some("log.level"), "KEYWARD_LOG_LEVEL", Kind::Text, Some("info"),
        "`error`, `warn`, `info`, `debug` (a line for every request), `trace`, or directives such as `info,keyward=debug`.";
    TRACES_OTLP: Some("traces.otlp"), "KEYWARD_TRACES_OTLP", Kind::Endpoint, None,
        "Where a receiver takes OTLP over HTTP (protobuf), such as `http://collector:4318/v1/traces`. Unset: nothing is traced.";
    TRACES_HEADERS: Some("traces.headers"), "KEYWARD_TRACES_HEADERS", Kind::Secret, None,
        "Headers for the receiver, separated by `;`, such as `authorization=Bearer …`.";
    TRACES_SAMPLE: Some("traces.sample"), "KEYWARD_TRACES_SAMPLE", Kind::Ratio, Some("0.01"),
        "The share of requests that are traced, of those whose caller has no trace (`traceparent`). Of the others those are whose caller's trace is sampled.";
    TRACES_SERVICE_NAME: Some("traces.service_name"), "KEYWARD_TRACES_SERVICE_NAME", Kind::Word, Some("keyward"),
        "What this service is called in traces.";
}

/// The table as Markdown: the text of docs/configuration.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         `keyward serve --config keyward.toml` reads the file, then the environment, then its \
         flags; the later wins. A dotted key is a table of the file: `http.max_body` stands as \
         `max_body` under `[http]`. Unknown keys and unusable values stop the start, each with a \
         line that names it and says what is meant. `keyward dev` takes the same environment \
         variables and no file. A file that holds a secret must be readable by its owner alone.\n\n\
         `keyward config check --config keyward.toml` tells whether a configuration can be used, \
         and `keyward config print --config keyward.toml` what is in force and where each value \
         comes from, secrets left out.\n\n\
         At SIGHUP a server reads its file again. Settings marked so below are taken for what comes \
         next; of any other that changed the log says that it needs a restart, and the value the \
         server started with stays. A file with a mistake changes nothing.\n\n\
         Sizes are written `65536`, `64KiB`, `8MiB`; durations `250ms`, `10s`, `15m`, `1h`.\n\n\
         | keyward.toml | environment | default | what |\n| --- | --- | --- | --- |\n",
    );
    for setting in ALL {
        let key = setting.key.map_or("(environment only)".into(), |key| format!("`{key}`"));
        let default = setting.default.map_or("unset".into(), |text| format!("`{text}`"));
        let (env, about, expects) = (setting.env, setting.about, setting.kind.expects());
        let sighup = if is_reloaded(setting) { " Read again at SIGHUP." } else { "" };
        let _ = writeln!(out, "| {key} | `{env}` | {default} | {about}{sighup} Takes {expects}. |");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rows_are_unique_and_defaults_valid() {
        let keys: HashSet<_> = ALL.iter().map(|setting| setting.name()).collect();
        let envs: HashSet<_> = ALL.iter().map(|setting| setting.env).collect();
        assert_eq!((keys.len(), envs.len()), (ALL.len(), ALL.len()));
        for setting in ALL {
            assert!(["KEYWARD_", "E2EE_VAULT_"].iter().any(|known| setting.env.starts_with(known)));
            if let Some(default) = setting.default {
                assert!(setting.kind.accepts(default), "{}", setting.name());
            }
        }
    }

    #[test]
    fn the_documentation_is_this_table() {
        crate::docs::assert_current("configuration.md", &markdown());
    }
}
