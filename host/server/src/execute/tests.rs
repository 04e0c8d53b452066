use std::collections::BTreeMap;

use keyward_keyring::store::memory::MemoryStore;
use keyward_keyring::{CacheConfig, Edit, KeyEdit};
use keyward_policy_host::{Algorithm as PlanAlgorithm, Obligation};

use super::*;

struct World {
    keyring: Keyring,
    tenant: TenantName,
}

impl World {
    async fn new() -> Self {
        let keyring = Keyring::new(Arc::new(MemoryStore::default()), CacheConfig::default());
        let tenant: TenantName = "acme".parse().unwrap();
        keyring.create_tenant(&tenant).await.unwrap();
        for (name, algorithm) in [
            ("orders", Algorithm::XAes256Gcm),
            ("lookup", Algorithm::Aes256Siv),
            ("tags", Algorithm::HmacSha256),
        ] {
            let name = name.parse().unwrap();
            keyring.create_key(&tenant, &name, algorithm, BTreeMap::new(), "tests").await.unwrap();
        }
        Self { keyring, tenant }
    }

    async fn key(&self, name: &str) -> Arc<Key> {
        self.keyring.key(&self.tenant, &name.parse().unwrap()).await.unwrap()
    }

    async fn seal(&self, requested: Option<&str>, plan: Plan) -> Result<Vec<u8>, Problem> {
        let sealer = Sealer::prepare(&self.keyring, &self.tenant, requested, plan).await?;
        sealer.seal(b"context", b"plaintext")
    }

    async fn open(&self, plan: Plan, ciphertext: &[u8]) -> Result<u32, Problem> {
        let header = Header::parse(ciphertext).unwrap();
        let opener = Opener::prepare(self.key("orders").await, plan)?;
        let (plaintext, version) =
            opener.open(&self.keyring, &header, b"context", ciphertext).await?;
        assert_eq!(plaintext.as_slice(), b"plaintext");
        Ok(version)
    }
}

fn plan() -> Plan {
    Plan {
        key: None,
        version: None,
        suite: None,
        authenticated_data: Vec::new(),
        obligations: Vec::new(),
    }
}

fn obliged(name: &str, value: &str) -> Plan {
    Plan { obligations: vec![Obligation { name: name.into(), value: value.into() }], ..plan() }
}

#[tokio::test]
async fn the_plan_decides_key_version_suite_and_authenticated_data() {
    let world = World::new().await;
    world.keyring.rotate(&world.tenant, &"orders".parse().unwrap(), "tests").await.unwrap();
    let chosen = Plan {
        key: Some("orders".into()),
        version: Some(1),
        suite: Some(PlanAlgorithm::Aes256Gcm),
        authenticated_data: b"purpose".to_vec(),
        obligations: Vec::new(),
    };
    let sealed = world.seal(Some("lookup"), chosen).await.unwrap();
    let header = Header::parse(&sealed).unwrap();
    assert_eq!((header.suite, header.key_version), (Suite::Aes256Gcm, 1));
    assert_eq!(header.key_id, world.key("orders").await.id());
    let bound = Plan { authenticated_data: b"purpose".to_vec(), ..plan() };
    assert_eq!(world.open(bound.clone(), &sealed).await, Ok(1));
    let invalid = Err(Problem::ciphertext_invalid());
    assert_eq!(world.open(plan(), &sealed).await, invalid);
    assert_eq!(world.open(Plan { version: Some(2), ..bound.clone() }, &sealed).await, invalid);
    assert_eq!(world.open(Plan { version: Some(1), ..bound.clone() }, &sealed).await, Ok(1));
    assert_eq!(world.open(Plan { key: Some("lookup".into()), ..bound }, &sealed).await, invalid);
}

#[tokio::test]
async fn whoever_named_the_key_is_to_blame() {
    let world = World::new().await;
    let named = |key: &str| Plan { key: Some(key.into()), ..plan() };
    for (requested, plan, code) in [
        (None, plan(), Code::KeyRequired),
        (Some("none"), plan(), Code::KeyNotFound),
        (Some("a/b"), plan(), Code::InvalidName),
        (Some("tags"), plan(), Code::KeyUnsuitable),
        (Some("none"), named("none"), Code::KeyNotFound),
        (Some("orders"), named("none"), Code::PolicyBadPlan),
        (Some("orders"), named("../x"), Code::PolicyBadPlan),
        (Some("orders"), named(&"k".repeat(100_000)), Code::PolicyBadPlan),
        (Some("orders"), named("tags"), Code::PolicyBadPlan),
        (Some("orders"), Plan { version: Some(9), ..plan() }, Code::PolicyBadPlan),
    ] {
        let problem = world.seal(requested, plan).await.unwrap_err();
        assert!(problem.detail.len() < 500);
        assert_eq!(problem.code, code, "{requested:?}: {}", problem.detail);
        let blames_key = problem.field.as_deref() == Some("/key");
        assert_eq!(blames_key, code != Code::PolicyBadPlan);
    }
}

#[tokio::test]
async fn suites_stay_within_the_keys_family() {
    let world = World::new().await;
    for (key, suite) in [
        ("orders", PlanAlgorithm::Aes256Siv),
        ("lookup", PlanAlgorithm::Xaes256Gcm),
        ("orders", PlanAlgorithm::HmacSha256),
    ] {
        let problem = world.seal(Some(key), Plan { suite: Some(suite), ..plan() }).await;
        assert_eq!(problem.unwrap_err().code, Code::PolicyBadPlan);
    }
}

#[tokio::test]
async fn obligations_are_met_or_the_request_is_refused() {
    let world = World::new().await;
    let refused = |plan| async { world.seal(Some("orders"), plan).await.unwrap_err().code };
    assert_eq!(refused(obliged("shred", "")).await, Code::ObligationUnknown);
    assert_eq!(refused(obliged("max-bytes", "many")).await, Code::PolicyBadPlan);
    assert_eq!(refused(obliged("max-bytes", "8")).await, Code::PolicyMaxBytes);
    assert!(world.seal(Some("orders"), obliged("max-bytes", "9")).await.is_ok());
    assert!(world.seal(Some("orders"), obliged("note", "n")).await.is_ok());
}

async fn bound(world: &World, name: &str, edit: KeyEdit) {
    world.keyring.edit_key(&world.tenant, &name.parse().unwrap(), edit, "tests").await.unwrap();
}

#[tokio::test]
async fn a_plan_chooses_no_version_that_the_keys_bounds_forbid() {
    let world = World::new().await;
    for name in ["orders", "tags"] {
        for _ in 0..2 {
            let name = name.parse().unwrap();
            world.keyring.rotate(&world.tenant, &name, "tests").await.unwrap();
        }
    }
    let by = |version| Plan { version: Some(version), ..plan() };
    let [first, second] = [world.seal(Some("orders"), by(1)).await.unwrap(), {
        world.seal(Some("orders"), by(2)).await.unwrap()
    }];
    let (decrypt, encrypt) = (Edit::Set(2), Edit::Set(3));
    for name in ["orders", "tags"] {
        let edit = KeyEdit {
            min_decrypt_version: decrypt,
            min_encrypt_version: encrypt,
            ..KeyEdit::default()
        };
        bound(&world, name, edit).await;
    }
    let code = |problem: Problem| problem.code;
    let sealed = async |version| world.seal(Some("orders"), by(version)).await.map(drop);
    assert_eq!(sealed(1).await.map_err(code), Err(Code::KeyVersionBelowMinDecrypt));
    assert_eq!(sealed(2).await.map_err(code), Err(Code::KeyVersionBelowMinEncrypt));
    assert_eq!(sealed(3).await.map_err(code), Ok(()));
    assert_eq!(
        world.open(plan(), &first).await.map_err(code),
        Err(Code::KeyVersionBelowMinDecrypt)
    );
    assert_eq!(world.open(plan(), &second).await, Ok(2));

    let chosen = async |key: &'static str, version, wanted| {
        let (keyring, plan) = (&world.keyring, by(version));
        Chosen::prepare(keyring, &world.tenant, Some(key), &plan, wanted).await.map(drop)
    };
    let mac = chosen("tags", 2, Operation::Mac).await.map_err(code);
    assert_eq!(mac, Err(Code::KeyVersionBelowMinEncrypt));
    assert_eq!(chosen("tags", 3, Operation::Mac).await, Ok(()));
    // What was derived can be derived again for as long as the version decrypts.
    assert_eq!(chosen("orders", 2, Operation::Derive).await, Ok(()));
    let derived = chosen("orders", 1, Operation::Derive).await.map_err(code);
    assert_eq!(derived, Err(Code::KeyVersionBelowMinDecrypt));

    // "Not valid" would be an answer to a question that may not be asked.
    let verify = async |plan: Plan| {
        let (keyring, tenant) = (&world.keyring, &world.tenant);
        let ready = Verifier::prepare(keyring, tenant, Some("tags"), &plan, Operation::Mac).await?;
        ready.version_of(keyring, 0, None, |key| Ok(key.version() == 1), Problem::internal).await
    };
    assert_eq!(verify(by(1)).await.map_err(code), Err(Code::KeyVersionBelowMinDecrypt));
    assert_eq!(verify(plan()).await, Ok(None));
}
