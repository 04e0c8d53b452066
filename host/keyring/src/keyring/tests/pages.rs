//! Lists of keys, page by page.

use proptest::prelude::*;

use super::probe::Probe;
use super::*;
use crate::keyring::KeyQuery;

fn query(deleted: bool, limit: usize) -> KeyQuery<'static> {
    KeyQuery { deleted, prefix: "", after: None, limit }
}

fn names(keys: &[Arc<Key>]) -> Vec<String> {
    keys.iter().map(|key| key.name().to_string()).collect()
}

async fn make(ring: &Keyring, name: &str) -> KeyName {
    let name: KeyName = name.parse().unwrap();
    ring.create_key(&tenant(), &name, Algorithm::default(), BTreeMap::new(), "x").await.unwrap();
    name
}

/// Every page, one after the other.
async fn walk(ring: &Keyring, deleted: bool, prefix: &str, limit: usize) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let query = KeyQuery { prefix, after: after.as_ref(), ..query(deleted, limit) };
        let page = ring.page_of_keys(&tenant(), &query).await.unwrap();
        assert!(page.keys.len() <= limit);
        all.extend(names(&page.keys));
        let Some(next) = page.next else { return all };
        assert!(after.as_ref().is_none_or(|after| *after < next), "it does not go on");
        after = Some(next);
    }
}

#[tokio::test]
async fn a_page_reads_the_records_it_needs() {
    let (store, ring) = ring().await;
    for n in 0..40 {
        make(&ring, &format!("k{n:02}")).await;
    }
    let probe = Arc::new(Probe::over(&store));
    let ring = over(probe.clone());
    let page = ring.page_of_keys(&tenant(), &query(false, 3)).await.unwrap();
    assert_eq!(names(&page.keys), ["k00", "k01", "k02"]);
    assert_eq!(page.next.as_ref().unwrap().as_str(), "k02");
    let further = KeyQuery { prefix: "k2", after: page.next.as_ref(), ..query(false, 2) };
    let page = ring.page_of_keys(&tenant(), &further).await.unwrap();
    assert_eq!(names(&page.keys), ["k20", "k21"]);
    let read = (0..40).filter(|n| probe.reads(&format!("tenants/demo/keys/k{n:02}")) > 0);
    assert_eq!(read.collect::<Vec<_>>(), [0, 1, 2, 20, 21]);
}

#[tokio::test]
async fn the_last_page_has_no_next_and_a_search_has_an_end() {
    let (_, ring) = ring().await;
    for name in ["a", "b"] {
        make(&ring, name).await;
    }
    let page = ring.page_of_keys(&tenant(), &query(false, 2)).await.unwrap();
    assert_eq!((page.keys.len(), page.next), (2, None));
    for n in 0..1100 {
        make(&ring, &format!("k{n:04}")).await;
    }
    let last = make(&ring, "z").await;
    ring.delete_key(&tenant(), &last, "x", Duration::from_hours(1)).await.unwrap();
    let page = ring.page_of_keys(&tenant(), &query(true, 5)).await.unwrap();
    assert!(page.keys.is_empty() && page.next.is_some());
    assert_eq!(walk(&ring, true, "", 5).await, ["z"]);
    let nobody = "nobody".parse().unwrap();
    let error = ring.page_of_keys(&nobody, &query(true, 5)).await.unwrap_err();
    assert_eq!(error.code(), "tenant-not-found");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn pages_together_are_the_whole_list(
        made in prop::collection::btree_map("[abAB]([ab.-]{0,3}[ab])?", 0_u8..4, 0..25),
        limit in 1_usize..7,
        prefix in "[aA]?",
    ) {
        let done = async {
            let (_, ring) = ring().await;
            for (name, fate) in &made {
                let name = make(&ring, name).await;
                match fate {
                    0 => drop(ring.delete_key(&tenant(), &name, "x", Duration::from_hours(1)).await),
                    1 => drop(ring.destroy_key(&tenant(), &name, "x").await),
                    _ => {}
                }
            }
            for deleted in [false, true] {
                let is_wanted = |fate: u8| if deleted { fate == 0 } else { fate > 1 };
                let expected = made.iter().filter(|(name, fate)| {
                    name.starts_with(&prefix) && is_wanted(**fate)
                });
                let expected: Vec<String> = expected.map(|(name, _)| name.clone()).collect();
                assert_eq!(walk(&ring, deleted, &prefix, limit).await, expected);
            }
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(done);
    }
}
