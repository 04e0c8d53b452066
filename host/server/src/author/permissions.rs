//! Imports in words: what a component may do.

/// What an interface of the contract allows; none if it is not one of these.
pub fn in_words(import: &str) -> Option<&'static str> {
    let (interface, _version) = import.strip_prefix("keyward:policy/")?.split_once('@')?;
    Some(match interface {
        "types" => "nothing: types alone",
        "keys" => "open keys of its tenant; read their names, versions, algorithms, attributes",
        "sealing" => "encrypt with keys it opened",
        "opening" => "decrypt what a policy encrypted",
        "macs" => "make and check MACs",
        "signing" => "sign",
        "verifying" => "check signatures, read public keys",
        "index" => "make search terms for encrypted data",
        "recipients" => "encrypt to public keys of others",
        "tokens" => "make tokens of values, and values of tokens",
        "state" => "remember entries of its tenant between requests",
        "random" => "draw random bytes",
        "log" => "write log lines",
        _ => return None,
    })
}
