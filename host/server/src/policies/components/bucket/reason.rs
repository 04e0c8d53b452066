//! What is told of a bucket that fails. Its answers are not: they may repeat session tokens.

use std::error::Error as _;

use object_store::client::{HttpError, HttpErrorKind};

/// What went wrong, in words of our own: answers may repeat session tokens.
pub fn reason_of(error: &object_store::Error) -> String {
    if let Some(code) = code_of(error) {
        return format!("refuses ({code})");
    }
    match error {
        object_store::Error::PermissionDenied { .. } => {
            "refuses: the credentials may not do this".into()
        }
        object_store::Error::Unauthenticated { .. } => {
            "refuses: the credentials are not accepted".into()
        }
        error => match http_kind(error) {
            Some(kind) => format!("does not answer ({kind})"),
            None => {
                "cannot be asked: there are no credentials, or it answers with an error of its \
                     own"
                .into()
            }
        },
    }
}

/// How the connection failed, where it was that.
fn http_kind(error: &object_store::Error) -> Option<&'static str> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(match error.kind() {
                HttpErrorKind::Connect => "no connection",
                HttpErrorKind::Timeout => "timed out",
                HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection broke",
                _ => "not what S3 answers",
            });
        }
        source = error.source();
    }
    None
}

/// The code of S3's error, such as `AccessDenied`: the one part of its answer that is shown.
pub fn code_of(error: &object_store::Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_nothing_is_shown_but_its_code() {
        let answer = |text: &str| object_store::Error::Generic {
            store: "S3",
            source: format!("400 Bad Request: {text}").into(),
        };
        let token = "<Error><Code>ExpiredToken</Code><Token-0>hush</Token-0></Error>";
        assert_eq!(reason_of(&answer(token)), "refuses (ExpiredToken)");
        for odd in ["<Code>hush\nhush</Code>", "<Code></Code>", "<Code>hush", "hush"] {
            assert!(!reason_of(&answer(odd)).contains("hush"), "{odd}");
        }
    }
}
