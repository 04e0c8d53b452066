//! Logs whose entries are sealed to auditors.

use std::collections::BTreeSet;
use std::io;

use keyward_crypto::at_rest;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

/// An auditor with a secret that both sides know here; who they really are is not this crate's.
#[derive(Clone, Copy)]
struct Auditor(u8);

impl Auditor {
    fn key(self) -> RootKey {
        RootKey::from_bytes(&[self.0; 32]).unwrap()
    }

    fn open(self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        at_rest::open(&self.key(), b"", sealed).ok()
    }
}

impl Auditors for Auditor {
    fn names(&self) -> Vec<String> {
        vec![format!("auditor-{}", self.0)]
    }

    fn seal(&self, keys: &[u8]) -> io::Result<Vec<u8>> {
        at_rest::seal(&self.key(), b"", keys).map_err(io::Error::other)
    }
}

const ANNA: Auditor = Auditor(1);
const BERT: Auditor = Auditor(2);

fn open_log(settings: &Settings) -> Audit {
    Audit::open(settings, &key_of, Some(Box::new(ANNA))).unwrap()
}

/// A sealed log of these entries.
async fn sealed(change: impl Fn(&mut Settings), entries: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    change(&mut settings);
    let audit = open_log(&settings);
    add(&audit, 0..entries).await;
    audit.close().await;
    dir
}

fn look(dir: &Path, sight: Sight<'_>, change: impl Fn(&mut Query)) -> (Vec<Value>, u64) {
    let mut asked = Query { limit: 5, ..Query::default() };
    change(&mut asked);
    let (mut all, mut unseen) = (Vec::new(), 0);
    loop {
        let page = query(dir, &asked, sight).unwrap();
        all.extend(
            page.entries.iter().map(|entry| serde_json::from_str::<Value>(entry.get()).unwrap()),
        );
        unseen += page.unseen;
        match page.next {
            Some(next) => asked.after = next,
            None => return (all, unseen),
        }
    }
}

/// What entries say, but for what differs between two logs.
fn said(entries: &[Value]) -> Vec<Value> {
    let said = entries.iter().filter(|entry| entry["kind"] == "request").cloned();
    said.map(|mut entry| {
        let fields = entry.as_object_mut().unwrap();
        fields.retain(|name, _| !["seq", "hash"].contains(&name.as_str()));
        entry
    })
    .collect()
}

#[tokio::test]
async fn who_did_what_is_for_the_auditor_alone_and_is_found_all_the_same() {
    let dir = sealed(in_small_files, 60).await;
    assert!(verified(dir.path()).files > 5);
    for line in lines(dir.path()) {
        let text = line.to_string();
        for private in ["acme", "billing", "main", "127.0.0.1"] {
            assert!(!text.contains(&format!("\"{private}\"")), "{text}");
        }
    }
    let clear = written(in_small_files, 60).await;
    let (clear, _) = look(clear.path(), Sight::Nothing, |_| {});
    let unseal = |keys: &[u8]| ANNA.open(keys);
    let (opened, unseen) = look(dir.path(), Sight::Fields(&unseal), |_| {});
    assert_eq!((said(&opened), unseen), (said(&clear), 0));

    let text = |text: &str| Some(text.to_owned());
    let audit = open_log(&settings(dir.path()));
    let term = |field| audit.index().term(field, "acme");
    assert_ne!(
        term("tenant"),
        term("subject"),
        "the same name elsewhere is not seen to be the same"
    );
    for sight in [Sight::Terms(audit.index()), Sight::Fields(&unseal)] {
        let count = |change: &dyn Fn(&mut Query)| look(dir.path(), sight, change).0.len();
        assert_eq!(count(&|query| query.tenant = text("acme")), 60);
        assert_eq!(count(&|query| query.subject = text("billing")), 60);
        assert_eq!(count(&|query| query.key = text("main")), 60);
        assert_eq!(count(&|query| query.key = text("acme")), 0);
        assert_eq!(count(&|query| query.subject = text("billin")), 0);
        assert_eq!(count(&|query| query.credential = text("billing")), 0);
        let refused = |query: &mut Query| {
            query.tenant = text("acme");
            query.outcome = Outcome::read("403");
        };
        assert_eq!(count(&refused), 20);
        assert_eq!(count(&|query| query.request_id = text("request-7")), 1);
    }
    let (found, unseen) = look(dir.path(), Sight::Terms(audit.index()), |query| {
        query.tenant = text("acme");
    });
    assert!(unseen == 0 && found.iter().all(|entry| entry["sealed"].is_string()));
}

#[tokio::test]
async fn who_is_no_auditor_is_told_that_there_is_more() {
    let dir = sealed(|_| {}, 30).await;
    let other = |keys: &[u8]| BERT.open(keys);
    for sight in [Sight::Nothing, Sight::Fields(&other)] {
        let (shown, unseen) = look(dir.path(), sight, |_| {});
        let sealed = shown.iter().filter(|entry| entry["sealed"].is_string()).count();
        assert_eq!((sealed, unseen), (30, 30));
        let (found, unseen) = look(dir.path(), sight, |query| {
            query.tenant = Some("acme".into());
            query.outcome = Outcome::read("403");
        });
        assert_eq!((found.len(), unseen), (0, 10));
    }
}

#[tokio::test]
async fn each_start_has_keys_of_its_own_and_terms_stay() {
    let dir = sealed(|_| {}, 3).await;
    let clear = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
    add(&clear, 3..6).await;
    clear.close().await;
    let again = open_log(&settings(dir.path()));
    add(&again, 6..9).await;
    again.close().await;
    assert_eq!(verified(dir.path()).files, 1);
    let all = lines(dir.path());
    let of = |kind: &str, field: &str| {
        let lines = all.iter().filter(|line| line["kind"] == kind);
        lines.map(|line| line[field].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("keys", "to"), [r#"["auditor-1"]"#; 2]);
    assert_eq!(of("keys", "keys").iter().collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(of("request", "sealed").iter().collect::<BTreeSet<_>>().len(), 7);
    assert_eq!(of("request", "terms").iter().collect::<BTreeSet<_>>().len(), 2);

    let unseal = |keys: &[u8]| ANNA.open(keys);
    let tenant = |query: &mut Query| query.tenant = Some("acme".into());
    let (found, unseen) = look(dir.path(), Sight::Fields(&unseal), tenant);
    let numbers: Vec<_> = found.iter().map(|entry| entry["request_id"].clone()).collect();
    let expected: Vec<Value> = (0..9).map(|n| format!("request-{n}").into()).collect();
    assert_eq!((numbers, unseen), (expected, 0));
    assert!(found.iter().all(|entry| entry["subject"] == "billing"));
}

/// A chain that was made anew over them does not help who puts fields elsewhere.
#[tokio::test]
async fn sealed_fields_are_bound_to_their_entry() {
    let dir = sealed(|_| {}, 2).await;
    let part = crate::dir::parts(dir.path()).unwrap().remove(0);
    let text = fs::read_to_string(&part.path).unwrap();
    let fields: Vec<String> = lines(dir.path())
        .iter()
        .filter_map(|line| line["sealed"].as_str().map(str::to_owned))
        .collect();
    let unseal = |keys: &[u8]| ANNA.open(keys);
    let opened = |text: &str| {
        fs::write(&part.path, text).unwrap();
        let (entries, unseen) = look(dir.path(), Sight::Fields(&unseal), |_| {});
        (entries.iter().filter(|entry| entry["subject"] == "billing").count(), unseen)
    };
    assert_eq!(opened(&text), (2, 0));
    assert_eq!(opened(&text.replace(&fields[0], &fields[1])), (1, 1));
    assert_eq!(opened(&text.replace("\"status\":403", "\"status\":200")), (1, 1));
    assert_eq!(opened(&text.replace("keyward-audit/", "keyward-audit/f")), (0, 2));
}

fn name() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(proptest::string::string_regex("(?s).{0,40}").unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in an entry: opened, it is the line that it would have been.
    #[test]
    fn an_entry_comes_out_as_it_went_in(
        (tenant, subject, credential, purpose) in (name(), name(), name(), name()),
        keys in proptest::collection::vec((".{0,20}", proptest::option::of(0_u32..3)), 0..5),
    ) {
        let make = || {
            let compact = |text: &Option<String>| text.as_deref().map(Into::into);
            let mut entry = Box::new(Entry {
                time_ms: 1,
                request_id: "r".into(),
                tenant: compact(&tenant),
                subject: compact(&subject),
                credential: compact(&credential),
                purpose: compact(&purpose),
                operation: "encrypt".into(),
                status: 200,
                ..Entry::default()
            });
            for (key, version) in &keys {
                entry.uses(key, *version);
            }
            entry
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |auditors: Option<Box<dyn Auditors>>, sight: Sight<'_>| {
            let dir = tempfile::tempdir().unwrap();
            let audit = Audit::open(&settings(dir.path()), &key_of, auditors).unwrap();
            runtime.block_on(async {
                audit.reserve().await.unwrap().submit(make()).await.unwrap();
                audit.close().await;
            });
            said(&look(dir.path(), sight, |_| {}).0)
        };
        let unseal = |keys: &[u8]| ANNA.open(keys);
        let opened = run(Some(Box::new(ANNA)), Sight::Fields(&unseal));
        prop_assert_eq!(opened, run(None, Sight::Nothing));
    }
}
