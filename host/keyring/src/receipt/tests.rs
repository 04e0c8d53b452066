use serde_json::{Value, json};

use super::*;
use crate::store::memory::MemoryStore;

async fn key() -> StoreKey {
    StoreKey::of(&MemoryStore::default(), &PURPOSE).await.unwrap()
}

fn destroyed() -> Destroyed {
    let version = |version, fingerprint: Option<&str>| DestroyedVersion {
        version,
        fingerprint: fingerprint.map(str::to_owned),
    };
    Destroyed {
        extent: Extent::Key,
        tenant: "demo".parse().unwrap(),
        key: "orders".parse().unwrap(),
        id: KeyId(0x0123_4567_89ab_cdef),
        algorithm: "xaes-256-gcm".to_owned(),
        versions: vec![version(1, None), version(3, Some("sha256:00"))],
        at: 1_764_212_345_678,
        by: "alice".to_owned(),
        reason: Some("no longer needed".to_owned()),
    }
}

fn read(json: &Value) -> Result<Receipt, ReceiptError> {
    Receipt::from_json(json.to_string().as_bytes())
}

/// A receipt made with the seed of 32 bytes 0x07, as `docs/keys.md` lays it out: written down
/// with Python's `cryptography`.
#[tokio::test]
async fn the_bytes_are_as_documented() {
    let store = MemoryStore::default();
    let record = [&[1][..], &[7; 32]].concat();
    crate::store::Store::create(&store, "receipt-key", &record).await.unwrap();
    let key = StoreKey::of(&store, &PURPOSE).await.unwrap();
    let receipt = Receipt::sign(destroyed(), &key);
    let expected = json!({
        "format": 1,
        "extent": "key",
        "tenant": "demo",
        "key": "orders",
        "key_id": "0123456789abcdef",
        "algorithm": "xaes-256-gcm",
        "versions": [{ "version": 1 }, { "version": 3, "fingerprint": "sha256:00" }],
        "destroyed_at_ms": 1_764_212_345_678_u64,
        "destroyed_by": "alice",
        "reason": "no longer needed",
        "receipt_key": "324be2dea8bc44461b0233e51fa48902",
        "signature": "RrwPLLPOsHz+rfmHNp9rJ2Ezx9Oq0uPvMqKzbRJA6PquWaMlLiACSjNSWqc5YOcZYksVg0aKkkD05zOvWXBzAw==",
    });
    assert_eq!(serde_json::to_value(&receipt).unwrap(), expected);
    assert_eq!(read(&expected).unwrap(), receipt);
}

#[tokio::test]
async fn a_receipt_verifies_with_the_key_it_names_and_no_other() {
    let (key, other) = (key().await, key().await);
    let (mine, theirs) = (ReceiptKey::of(&key), ReceiptKey::of(&other));
    let receipt = Receipt::sign(destroyed(), &key);
    receipt.verify(&mine).unwrap();
    assert_eq!(receipt.verify(&theirs).unwrap_err().code(), "receipt-other-key");
    // One that says another key's name does not get away with it.
    let renamed = Receipt { signed_by: theirs.id(), ..receipt.clone() };
    assert_eq!(renamed.verify(&theirs), Err(ReceiptError::Forged));
    let forged = Receipt { signed_by: mine.id(), ..Receipt::sign(destroyed(), &other) };
    assert_eq!(forged.verify(&mine), Err(ReceiptError::Forged));
}

#[tokio::test]
async fn whatever_is_changed_is_noticed() {
    let key = key().await;
    let public = ReceiptKey::of(&key);
    let receipt = Receipt::sign(destroyed(), &key);
    let json = serde_json::to_value(&receipt).unwrap();
    let mut other = json["signature"].as_str().unwrap().to_owned();
    other.replace_range(..1, if other.starts_with('A') { "B" } else { "A" });
    let edits = [
        ("/extent", json!("versions")),
        ("/tenant", json!("demo2")),
        ("/key", json!("order")),
        ("/key_id", json!("0123456789abcdee")),
        ("/algorithm", json!("aes-256-gcm")),
        ("/versions", json!([])),
        ("/versions", json!([{ "version": 3, "fingerprint": "sha256:00" }])),
        ("/versions/0", json!({ "version": 1, "fingerprint": "sha256:00" })),
        ("/versions/0/version", json!(2)),
        ("/versions/1/fingerprint", json!("sha256:01")),
        ("/versions/1/fingerprint", json!(null)),
        ("/destroyed_at_ms", json!(1_764_212_345_679_u64)),
        ("/destroyed_by", json!("alicf")),
        ("/reason", json!("no longer neededx")),
        ("/reason", json!(null)),
        ("/signature", json!(other)),
    ];
    for (field, value) in edits {
        let mut edited = json.clone();
        *edited.pointer_mut(field).unwrap() = value;
        let edited = read(&edited).unwrap();
        assert_eq!(edited.verify(&public), Err(ReceiptError::Forged), "{field}");
    }
    // Text that moves from one field to the next.
    let mut moved = receipt.clone();
    moved.destroyed.by = "aliceno".to_owned();
    moved.destroyed.reason = Some(" longer needed".to_owned());
    assert_eq!(moved.verify(&public), Err(ReceiptError::Forged));
}

#[tokio::test]
async fn what_is_no_receipt_in_form_is_refused() {
    let json = serde_json::to_value(Receipt::sign(destroyed(), &key().await)).unwrap();
    let code = |json: &Value| read(json).map(drop).map_err(|error| error.code());
    for name in json.as_object().unwrap().keys().filter(|name| *name != "reason") {
        let mut lacking = json.clone();
        lacking.as_object_mut().unwrap().remove(name);
        assert_eq!(code(&lacking), Err("receipt-malformed"), "without {name}");
    }
    let id = json["receipt_key"].as_str().unwrap().to_uppercase();
    let signature = json["signature"].as_str().unwrap();
    for (name, value) in [
        ("format", json!(0)),
        ("extent", json!("all")),
        ("tenant", json!("De mo")),
        ("key", json!("../x")),
        ("key_id", json!("0123456789ABCDEF")),
        ("destroyed_at_ms", json!(-1)),
        ("reason", json!("")),
        ("receipt_key", json!(format!("{}g", &id[..31]))),
        ("receipt_key", json!(format!("+{}", &id[..31]))),
        ("signature", json!(signature.trim_end_matches('='))),
        ("signature", json!("AAAA")),
        ("verified", json!(true)),
    ] {
        let mut edited = json.clone();
        edited[name] = value;
        assert_eq!(code(&edited), Err("receipt-malformed"), "{name}");
    }
    let mut newer = json.clone();
    (newer["format"], newer["more"]) = (json!(2), json!(1));
    assert_eq!(code(&newer), Err("receipt-newer-format"));
    // The same field twice.
    let twice = json.to_string().replacen('{', "{\"key\":\"other\",", 1);
    assert_eq!(Receipt::from_json(twice.as_bytes()).unwrap_err().code(), "receipt-malformed");
}

#[tokio::test]
async fn public_keys_are_read_back_and_nothing_else_is() {
    let public = ReceiptKey::of(&key().await);
    assert_eq!(ReceiptKey::from_pem(&public.pem()), Ok(public));
    assert_eq!(public.id().to_string().parse(), Ok(public.id()));
    let rsa = keyward_crypto::KeyMaterial::generate(keyward_crypto::Algorithm::EcdsaP256).unwrap();
    let version =
        keyward_crypto::KeyVersion::new(keyward_crypto::Algorithm::EcdsaP256, KeyId(1), 1, &rsa);
    let other = version.unwrap().public_key().unwrap().pem();
    for bad in ["", "x", &public.pem()[30..], &(public.pem() + &public.pem()), &other] {
        assert_eq!(ReceiptKey::from_pem(bad), Err(ReceiptError::PublicKey), "{bad}");
    }
}
