//! Receipts of destruction over Vault.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn every_destruction_has_a_receipt_and_leaves_no_material() {
    let (server, root) = server();
    crate::keyring::tests::receipts::live(Arc::new(store(&server, PREFIX))).await;
    for gone in 1..=6 {
        let path = format!("secret/metadata/e2ee/tenants/demo/keys/orders/versions/{gone}");
        assert_eq!(root.get(&path).status, 404);
    }
    let receipts = root.list("secret/metadata/e2ee/tenants/demo/receipts/orders");
    assert_eq!(receipts.len(), 4);
}
