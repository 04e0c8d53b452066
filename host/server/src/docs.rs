//! Keeps generated pages of docs/ in step with the tables they come from.

use std::path::PathBuf;

/// Fails unless docs/`name` is `text`. With KEYWARD_BLESS=1 in the environment it writes it.
pub(crate) fn assert_current(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("KEYWARD_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let on_disk = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == text,
        "docs/{name} is out of date: KEYWARD_BLESS=1 cargo test -p keyward --lib documentation"
    );
}
