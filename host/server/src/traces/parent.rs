//! The trace that a request belongs to, as its caller says: W3C Trace Context, section 3.2.

use axum::http::HeaderMap;
use compact_str::CompactString;

/// What a well-formed `traceparent` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The trace's identifier: 32 hex digits in lower case.
    pub trace: CompactString,
    /// The caller's span.
    pub span: [u8; 8],
    /// Whether the caller keeps the trace.
    pub is_sampled: bool,
}

impl Parent {
    /// Of these headers; none unless there is one `traceparent` that is well-formed.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all("traceparent").iter();
        let text = given.next()?.to_str().ok()?;
        if given.next().is_some() {
            return None;
        }
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_good = is_hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && is_hex(trace, 32)
            && trace.bytes().any(|byte| byte != b'0')
            && is_hex(span, 16)
            && is_hex(flags, 2);
        let span = if is_good { u64::from_str_radix(span, 16).ok()? } else { 0 };
        let flags = u8::from_str_radix(flags, 16).unwrap_or(0);
        (span != 0).then(|| Self {
            trace: trace.into(),
            span: span.to_be_bytes(),
            is_sampled: flags & 1 == 1,
        })
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == length && text.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_taken() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let of = |text: String| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            Parent::of(&headers)
        };
        let span = [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
        let expected = |is_sampled| Some(Parent { trace: trace.into(), span, is_sampled });
        assert_eq!(of(format!("00-{trace}-b7ad6b7169203331-01")), expected(true));
        assert_eq!(of(format!("00-{trace}-b7ad6b7169203331-00")), expected(false));
        assert_eq!(of(format!("00-{trace}-b7ad6b7169203331-02")), expected(false));
        assert_eq!(of(format!("01-{trace}-b7ad6b7169203331-03-more")), expected(true));
        for bad in [
            String::new(),
            trace.to_owned(),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("00-{trace}-b7ad6b7169203331-1"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{trace}-b7ad6b716920333+-01"),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            headers
                .append("traceparent", format!("00-{trace}-b7ad6b7169203331-01").parse().unwrap());
        }
        assert_eq!(Parent::of(&headers), None, "there must be one");
    }
}
