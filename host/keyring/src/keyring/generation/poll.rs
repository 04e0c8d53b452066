//! Hearing from others: the record is read, and what it names is dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::{Log, PATH};
use super::{Generation, Place};
use crate::change::Change;
use crate::error::KeyringError;
use crate::keyring::Inner;

impl Generation {
    /// What others changed between the place where this keyring is and the record as it was read,
    /// which is where it then is.
    fn advance(&self, log: Option<&Log>, begun: Instant) -> Vec<Change> {
        let everything = vec![Change::Everything];
        let mut progress = self.progress();
        progress.last_poll = Some(begun);
        let Some(log) = log else {
            let before = std::mem::replace(&mut progress.place, Place::Before);
            return if before == Place::Before { Vec::new() } else { everything };
        };
        let here = Place::At(log.incarnation.clone(), log.generation);
        let changes = match std::mem::replace(&mut progress.place, here) {
            Place::Before => log.after(0),
            Place::At(incarnation, seen) if incarnation == log.incarnation => log.after(seen),
            Place::Lost | Place::At(..) => None,
        };
        let Some(changes) = changes else { return everything };
        let own = |number| {
            progress.own.iter().any(|(of, mine)| *mine == number && *of == log.incarnation)
        };
        let mut named = Vec::new();
        for (number, change) in changes {
            if !own(number) && !named.contains(&change) {
                named.push(change);
            }
        }
        named
    }
}

impl Inner {
    pub(in crate::keyring) async fn poll(self: &Arc<Self>) -> Result<(), KeyringError> {
        if !self.generation.shared {
            return Ok(());
        }
        let inner = self.clone();
        let poll = self.generation.polls.join(&(), || ((), async move { inner.poll_once().await }));
        poll.await
    }

    async fn poll_once(self: &Arc<Self>) -> Result<(), KeyringError> {
        let generation = &self.generation;
        let begun = Instant::now();
        let found = self.store.get(PATH).await?;
        let log = match found.as_ref().map(|found| Log::parse(&found.value)).transpose() {
            Ok(log) => log,
            Err(error) => {
                let place = std::mem::replace(&mut generation.progress().place, Place::Lost);
                if place != Place::Lost {
                    self.apply(Change::Everything).await;
                }
                return Err(error);
            }
        };
        for change in generation.advance(log.as_ref(), begun) {
            self.apply(change).await;
        }
        Ok(())
    }

    async fn apply(self: &Arc<Self>, change: Change) {
        match &change {
            Change::Key { tenant, key } => self.caches.forget_key(tenant, key).await,
            Change::Tenant(tenant) => self.refresh_tenant(tenant).await,
            Change::Policy(_) | Change::Token(_) => {}
            Change::Everything => self.caches.clear().await,
        }
        // Nobody listening is no error.
        let _ = self.generation.events.send(change);
    }
}

/// Polls until `shutdown` resolves or the keyring is gone.
pub(in crate::keyring) fn start(
    inner: &Arc<Inner>,
    period: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    if !inner.generation.shared {
        return;
    }
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut is_failing = false;
        let polling = async {
            while let Some(inner) = weak.upgrade() {
                match inner.poll().await {
                    Ok(()) => {
                        if std::mem::take(&mut is_failing) {
                            tracing::info!("changes made by other hosts are seen again");
                        }
                    }
                    Err(error) => {
                        if !std::mem::replace(&mut is_failing, true) {
                            tracing::warn!(%error, "changes made by other hosts are not seen now");
                        }
                    }
                }
                drop(inner);
                tokio::time::sleep(period).await;
            }
        };
        tokio::select! {
            () = polling => {}
            () = shutdown => {}
        }
    });
}
