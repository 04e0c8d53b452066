//! Any sequence of what may be done to a key, against the model of it, over Vault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::keyring::tests::model::{action, follow, run};

/// Few, for each of some hundred calls is a request.
const CASES: u32 = 40;

#[test]
fn a_key_in_vault_is_as_the_model() {
    let (server, _) = server();
    let (turn, start) = (AtomicU32::new(0), std::time::Instant::now());
    let config = Config { cases: CASES, max_shrink_iters: 40, ..Config::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(action(), 1..25), |actions| {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        run(async {
            let store = store(&server, &format!("secret/data/model-{turn}"));
            follow(Arc::new(store), &actions).await;
        });
        Ok(())
    });
    println!("{} cases in {:?}", turn.into_inner(), start.elapsed());
    outcome.unwrap();
}
