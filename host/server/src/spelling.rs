//! What somebody meant who wrote a name that there is not.

/// The known name that is nearest to what was written, if one is near: a third of its letters at
/// most differ.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances =
        known.into_iter().map(|name| (strsim::damerau_levenshtein(written, name), name));
    let (distance, name) = distances.min()?;
    (distance <= 1.max(name.len().max(written.len()) / 3)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_meant() {
        let known = ["listen", "data_dir", "tls.cert"];
        assert_eq!(nearest("lsiten", known), Some("listen"));
        assert_eq!(nearest("tls-cert", known), Some("tls.cert"));
        assert_eq!(nearest("nonsense", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("listen", []), None);
    }
}
