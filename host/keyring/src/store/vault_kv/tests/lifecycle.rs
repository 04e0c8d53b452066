//! Bounds, trimming and history over Vault.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn versions_are_bounded_and_trimmed_and_leave_no_revision() {
    let (server, root) = server();
    crate::keyring::tests::bounds::live(Arc::new(store(&server, PREFIX))).await;
    let folder = "tenants/demo/keys/orders/versions";
    for gone in [1, 2] {
        assert_eq!(root.get(&format!("secret/metadata/e2ee/{folder}/{gone}")).status, 404);
    }
    assert_eq!(revisions(&root, &format!("{folder}/3")).len(), 1);
}

#[tokio::test]
async fn wrapped_versions_are_bounded_and_trimmed() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    crate::keyring::tests::bounds::live(Arc::new(wrapping(&server, "wrapping"))).await;
}
