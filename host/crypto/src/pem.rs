//! Documents in text form (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `der` in text form: lines of 64 characters between `-----BEGIN label-----` and its end.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// The document in such a text, label `PUBLIC KEY`, one and no more.
pub(crate) fn public_key_der(pem: &str) -> Option<Vec<u8>> {
    let text = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let text = text.strip_suffix("-----END PUBLIC KEY-----")?;
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}
