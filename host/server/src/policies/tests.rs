use super::*;
use crate::app::App;
use crate::testing;

fn record(digest: &str) -> PolicyRecord {
    PolicyRecord::new(Activation {
        digest: digest.into(),
        activated_at: 1,
        activated_by: "test".into(),
        why: Why::Upload,
    })
}

#[tokio::test]
async fn a_policy_that_does_not_load_shuts_its_tenant_alone() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<TenantName> =
        ["lost", "changed", "garbled", "fresh"].iter().map(|name| name.parse().unwrap()).collect();
    {
        let app = App::build(testing::config(dir.path())).await.unwrap();
        let records = [
            record(&format!("sha256:{}", "a".repeat(64))).to_bytes(),
            record(&format!("sha256:{}", "b".repeat(64))).to_bytes(),
            b"not json".to_vec(),
        ];
        for (index, name) in names.iter().enumerate() {
            app.keyring.create_tenant(name).await.unwrap();
            if let Some(bytes) = records.get(index) {
                app.keyring.store().create(&record::path(name), bytes).await.unwrap();
            }
        }
    }
    let changed = dir.path().join(format!("policies/{}.wasm", "b".repeat(64)));
    std::fs::write(changed, b"something else").unwrap();
    let app = App::build(testing::config(dir.path())).await.unwrap();
    assert_eq!(app.policies.failed(), 3);
    for name in &names[..3] {
        let problem = app.policies.active(name).err().unwrap();
        assert_eq!(problem.code, Code::PolicyUnusable, "{name}");
    }
    let problem = app.policies.active(&names[3]).err().unwrap();
    assert_eq!(problem.code, Code::PolicyMissing);
}

#[tokio::test]
async fn concurrent_writers_of_the_record_all_come_through() {
    let (app, _dir) = testing::app().await;
    let tenant: TenantName = "acme".parse().unwrap();
    app.keyring.create_tenant(&tenant).await.unwrap();
    let writers = (0..4).map(|n| {
        let (app, tenant) = (Arc::clone(&app), tenant.clone());
        async move {
            let next = record(&n.to_string());
            let change = |old: Option<PolicyRecord>| {
                Ok(old.map_or(next.clone(), |old| old.followed_by(next.active.clone())))
            };
            app.policies.change(&tenant, change).await
        }
    });
    for written in futures_util::future::join_all(writers).await {
        assert!(written.is_ok(), "{written:?}");
    }
    let last = app.policies.record(&tenant).await.unwrap().unwrap();
    assert_eq!(last.history().count(), 4, "none is lost");
}
