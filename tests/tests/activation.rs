//! Policies replaced a thousand times under load: no request is lost, and none is decided by one
//! policy and executed by another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Client, Server, b64, unb64};
use serde_json::{Value, json};

const ACTIVATIONS: usize = 1_000;
const CLIENTS: usize = 8;
/// Items of a batch, which one policy decides.
const ITEMS: usize = 3;

/// What one client saw.
#[derive(Default)]
struct Seen {
    /// Ciphertexts of each batch.
    batches: Vec<Vec<String>>,
    /// How often each policy executed.
    executed: BTreeMap<String, usize>,
}

fn load(app: &Client, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let item = json!({ "key": "main", "plaintext": b64("x") });
    let batch = json!({ "items": vec![item; ITEMS] });
    while !over.load(Ordering::Relaxed) {
        let text = app.send("POST", "/invoke/which", &[], b"").expect(200).text();
        let (decided, executed) = text.split_once(' ').unwrap();
        assert_eq!(decided, executed, "decided by one, executed by another");
        *seen.executed.entry(executed.to_owned()).or_default() += 1;
        let answer = app.post("/encrypt", &batch).expect(200).json();
        let ciphertexts = answer["items"].as_array().unwrap().iter();
        let ciphertexts = ciphertexts.map(|it| it["ciphertext"].as_str().unwrap().to_owned());
        seen.batches.push(ciphertexts.collect());
    }
    seen
}

/// Whether each ciphertext opens under the policy that is active.
fn opens(app: &Client, ciphertexts: &[String]) -> Vec<bool> {
    let mut opened = Vec::new();
    for some in ciphertexts.chunks(500) {
        let items: Vec<Value> = some.iter().map(|it| json!({ "ciphertext": it })).collect();
        let answer = app.post("/decrypt", &json!({ "items": items })).expect(200).json();
        opened.extend(answer["items"].as_array().unwrap().iter().map(|item| {
            let plaintext = item["plaintext"].as_str().map(unb64);
            assert!(plaintext.is_none_or(|plaintext| plaintext == b"x"), "{item}");
            item.get("error").is_none()
        }));
    }
    opened
}

#[test]
fn a_thousand_activations_under_load_lose_and_mix_nothing() {
    let server = Server::serve("");
    let tenant = server.tenant("acme");
    tenant.key("main");
    let put = |number| tenant.admin.put_policy(&stamped(number)).expect(200).str("/digest");
    let digests = [put(1), put(2)];
    let over = AtomicBool::new(false);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (app, over) = (tenant.app.clone(), &over);
                scope.spawn(move || load(&app, over))
            })
            .collect();
        // Also when one of these fails, so that the failure is seen.
        let changing = scope.spawn(|| {
            for round in 0..ACTIVATIONS {
                let next = &digests[round % 2];
                let answer = if round % 3 == 0 {
                    tenant.admin.send("POST", "/policy/rollback", &[], b"")
                } else {
                    tenant.admin.post("/policy/activate", &json!({ "digest": next }))
                };
                let active = answer.expect(200).str("/digest");
                // What the answer says holds for the next request.
                let stamps = [stamp(1), stamp(2)];
                let stamp = &stamps[usize::from(active == digests[1])];
                let which = tenant.app.send("POST", "/invoke/which", &[], b"").expect(200).text();
                assert_eq!(which, format!("{stamp} {stamp}"));
            }
        });
        let done = changing.join();
        over.store(true, Ordering::Relaxed);
        assert!(done.is_ok(), "a change failed");
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let batches: Vec<Vec<String>> = seen.iter().flat_map(|seen| seen.batches.clone()).collect();
    let all: Vec<String> = batches.iter().flatten().cloned().collect();
    let by = [1, 2].map(|number| {
        let executed = seen.iter().filter_map(|seen| seen.executed.get(&stamp(number)));
        executed.sum::<usize>()
    });
    println!("{} requests, executed by each policy: {by:?}", batches.len() * 2);
    assert!(by.iter().all(|count| *count > 0), "{by:?}");
    let opened = [1, 2].map(|number| {
        let body = json!({ "digest": digests[number - 1] });
        tenant.admin.post("/policy/activate", &body).expect(200);
        opens(&tenant.app, &all)
    });
    for (index, _) in all.iter().enumerate() {
        assert_ne!(opened[0][index], opened[1][index], "opens under exactly one of the two");
    }
    for opened in opened[0].chunks(ITEMS) {
        assert!(opened.iter().all(|it| *it == opened[0]), "one batch, decided by two policies");
    }
    let history = tenant.admin.get("/policy/history").expect(200).json();
    assert_eq!(history["history"].as_array().unwrap().len(), 100);
}
