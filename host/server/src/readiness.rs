//! Whether what is needed to serve has been read from the key store, and why not yet.

use keyward_keyring::vault::Status;
use tokio::sync::watch;

use crate::errors::Code;

/// What a server that starts is waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The code that requests are answered with meanwhile.
    pub code: Code,
    /// In words, for whoever runs the server.
    pub reason: String,
}

impl Waiting {
    /// Why a Vault of this status cannot be used.
    pub fn of(status: &Status) -> Self {
        match &status.last_error {
            Some(error) => Self { code: Code::of(error.code), reason: error.message.clone() },
            None => Self {
                code: Code::NotReady,
                reason: format!("no answer yet; its state is {}", status.state.as_str()),
            },
        }
    }
}

/// Starting, then started for good. An outage afterwards is the store's, not the start's.
pub struct Readiness(watch::Sender<Option<Waiting>>);

impl Readiness {
    /// Started: everything was read before anything was served.
    pub fn started() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Starting: the store has not been asked yet.
    pub fn starting() -> Self {
        let reason = "the key store has not been asked yet".into();
        Self(watch::Sender::new(Some(Waiting { code: Code::NotReady, reason })))
    }

    /// What the start waits for; `None` once it is over.
    pub fn waiting(&self) -> Option<Waiting> {
        self.0.borrow().clone()
    }

    /// Notes what the start waits for now; says whether that is news.
    pub fn wait_for(&self, waiting: Waiting) -> bool {
        self.0.send_if_modified(|current| {
            let news = current.as_ref() != Some(&waiting);
            *current = Some(waiting);
            news
        })
    }

    /// The start is over.
    pub fn finish(&self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_news() {
        let readiness = Readiness::starting();
        let sealed = Waiting { code: Code::NotReady, reason: "sealed".into() };
        assert!(readiness.wait_for(sealed.clone()));
        assert!(!readiness.wait_for(sealed.clone()));
        assert_eq!(readiness.waiting(), Some(sealed));
        readiness.finish();
        assert_eq!(readiness.waiting(), None);
    }
}
