//! Methods as logs and traces name them.

use axum::http::Method;

const KNOWN: [Method; 8] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
];

/// The method's name. One that a caller made up may say anything, and is `_OTHER`.
pub fn name(method: &Method) -> &'static str {
    KNOWN.iter().find(|known| *known == method).map_or("_OTHER", Method::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_not_repeated() {
        assert_eq!(name(&Method::PATCH), "PATCH");
        for made_up in ["get", "a-secret", "CONNECT"] {
            assert_eq!(name(&made_up.parse().unwrap()), "_OTHER");
        }
    }
}
