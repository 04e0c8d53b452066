//! What is done about tokens now and then: it is written down when they were last used, and what is
//! left of those that ended long ago is removed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use keyward_keyring::store::StoreError;
use serde::{Deserialize, Serialize};

use super::record::{self, TokenRecord};
use super::{TokenError, Tokens};
use crate::app::App;
use crate::clock;

/// How long a token that ended is kept, so that whoever presents it is told so, and its name stays
/// on the list.
const KEPT: Duration = Duration::from_hours(24 * 30);
/// How often it is looked for what can be removed: every token is read.
const SWEEP: Duration = Duration::from_hours(24);
/// Longest the last flush may take.
const LAST_FLUSH: Duration = Duration::from_secs(5);

#[derive(Deserialize, Serialize)]
struct Use {
    /// Unix time in ms.
    at: u64,
}

pub(super) fn read_use(bytes: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Use>(bytes).ok().map(|it| it.at)
}

/// Does so for as long as the application lives. Any number of hosts may.
pub(crate) fn start(app: &Arc<App>, flush: Duration) {
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        let (mut since_sweep, mut is_failing) = (SWEEP, false);
        loop {
            let Some(app) = app.upgrade() else { return };
            if app.readiness.waiting().is_none() {
                if since_sweep >= SWEEP {
                    match app.tokens.sweep(clock::unix_ms()).await {
                        Ok(()) => since_sweep = Duration::ZERO,
                        Err(error) => {
                            tracing::warn!(%error, "tokens that ended could not be removed");
                        }
                    }
                }
                match app.tokens.flush_uses().await {
                    Ok(()) => is_failing = false,
                    // Each outage is told once.
                    Err(error) if !is_failing => {
                        tracing::warn!(%error, "the last uses of tokens could not be stored");
                        is_failing = true;
                    }
                    Err(_) => {}
                }
            }
            drop(app);
            tokio::time::sleep(flush).await;
            since_sweep = since_sweep.saturating_add(flush);
        }
    });
}

/// Writes down what is not yet, if the store takes it.
pub(crate) async fn last_flush(app: &App) {
    let flushed = tokio::time::timeout(LAST_FLUSH, app.tokens.flush_uses()).await;
    if !matches!(flushed, Ok(Ok(()))) {
        tracing::warn!("the last uses of some tokens could not be stored in time");
    }
}

impl Tokens {
    /// Writes down when tokens were last used here. What fails is lost, unless the token is used
    /// again: it is a hint to people, and worth no more.
    pub(crate) async fn flush_uses(&self) -> Result<(), TokenError> {
        for (id, at) in self.verified.take_uses() {
            self.write_use(&id, at).await?;
        }
        Ok(())
    }

    async fn write_use(&self, id: &str, at: u64) -> Result<(), TokenError> {
        let path = record::use_path(id);
        // A number alone: cannot fail.
        let bytes = serde_json::to_vec(&Use { at }).unwrap_or_default();
        let written = match self.store.get(&path).await? {
            Some(stored) if read_use(&stored.value).is_some_and(|before| before >= at) => Ok(0),
            Some(stored) => self.store.replace(&path, &bytes, stored.revision).await,
            None => self.store.create(&path, &bytes).await,
        };
        match written {
            // Another host did so at the same moment.
            Ok(_) | Err(StoreError::RevisionMismatch { .. } | StoreError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what ended long before `now`, in ms since 1970, and what is left of tokens that
    /// are gone; lists tokens that are on no list.
    pub(crate) async fn sweep(&self, now: u64) -> Result<(), TokenError> {
        // Before the tokens: what is listed and then not among them is gone.
        let mut listed = HashSet::new();
        for folder in self.indices().await? {
            for id in self.store.list(&folder).await? {
                listed.insert(format!("{folder}/{id}"));
            }
        }
        let used = self.store.list(record::USES).await?;
        let ids: HashSet<String> = self.store.list(record::TOKENS).await?.into_iter().collect();
        let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        for id in &ids {
            let path = record::path(id);
            let Some(stored) = self.store.get(&path).await? else { continue };
            let record = TokenRecord::from_bytes(&stored.value, path.clone());
            let details = match record.and_then(|record| record.into_details(id.clone())) {
                Ok(details) => details,
                Err(error) => {
                    tracing::warn!(%error, "a token cannot be read; it lets nobody in");
                    continue;
                }
            };
            if details.expires_at.is_some_and(|at| at.saturating_add(kept) <= now) {
                self.remove(&details.reach, id).await?;
                tracing::info!(id, "a token that ended long ago was removed");
            } else if !listed.contains(&format!("{}/{id}", record::index(&details.reach))) {
                let entry = format!("{}/{id}", record::index(&details.reach));
                match self.store.create(&entry, record::MARK).await {
                    Ok(_) | Err(StoreError::Exists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let of_token = |path: &str| path.rsplit('/').next().is_some_and(|id| ids.contains(id));
        for path in listed.iter().filter(|path| !of_token(path)) {
            self.store.delete(path).await?;
        }
        for id in used.iter().filter(|id| !ids.contains(*id)) {
            self.store.delete(&record::use_path(id)).await?;
        }
        Ok(())
    }

    /// Where tokens are listed.
    async fn indices(&self) -> Result<Vec<String>, StoreError> {
        let mut folders = vec![record::OPERATORS.to_owned()];
        for tenant in self.store.list("tenants").await? {
            if let Some(tenant) = tenant.strip_suffix('/') {
                folders.push(format!("tenants/{tenant}/tokens"));
            }
        }
        Ok(folders)
    }
}

#[cfg(test)]
mod tests {
    use keyward_policy_host::Caller;

    use super::super::{NewToken, Reach};
    use super::*;
    use crate::testing;

    fn new(expires_at: Option<u64>) -> NewToken {
        let caller = Caller { subject: "s".into(), roles: vec![], claims: vec![] };
        let reach = Reach::Tenant("acme".parse().unwrap());
        NewToken { expires_at, ..NewToken::of(reach, caller) }
    }

    #[tokio::test]
    async fn a_use_is_written_once_and_never_turned_back() {
        let (app, _dir) = testing::app().await;
        let (token, details) = app.tokens.mint(new(None)).await.unwrap();
        app.tokens.flush_uses().await.unwrap();
        let stored = async || {
            let stored = app.keyring.store().get(&record::use_path(&details.id)).await.unwrap();
            stored.map(|stored| (read_use(&stored.value).unwrap(), stored.revision))
        };
        assert_eq!(stored().await, None, "making a token is no use of it");
        for _ in 0..100 {
            app.tokens.verify(token.expose()).await.unwrap();
        }
        app.tokens.flush_uses().await.unwrap();
        let (at, revision) = stored().await.unwrap();
        assert!(clock::unix_ms() - at < 120_000 && at % 60_000 == 0);
        app.tokens.flush_uses().await.unwrap();
        assert_eq!(stored().await, Some((at, revision)));
        app.tokens.write_use(&details.id, at - 60_000).await.unwrap();
        assert_eq!(stored().await, Some((at, revision)), "of a host that was slower");
        app.tokens.write_use(&details.id, at + 60_000).await.unwrap();
        assert_eq!(stored().await.unwrap().0, at + 60_000);
        let seen = app.tokens.details(&details.reach, &details.id).await.unwrap();
        assert_eq!(seen.last_used_at, Some(at + 60_000), "of another host");
    }

    #[tokio::test]
    async fn what_ended_long_ago_goes_and_what_is_on_no_list_comes_back() {
        let (app, _dir) = testing::app().await;
        let now = clock::unix_ms();
        let (_, ended) = app.tokens.mint(new(Some(now))).await.unwrap();
        let (_, living) = app.tokens.mint(new(None)).await.unwrap();
        let store = app.keyring.store();
        let index = record::index(&living.reach);
        store.delete(&format!("{index}/{}", living.id)).await.unwrap();
        let gone = "0".repeat(32);
        store.create(&format!("{index}/{gone}"), record::MARK).await.unwrap();
        store.create(&record::use_path(&gone), b"{}").await.unwrap();
        let kept = u64::try_from(KEPT.as_millis()).unwrap();
        app.tokens.sweep(now + kept - 1).await.unwrap();
        let listed = async || store.list(&index).await.unwrap();
        assert_eq!(listed().await.len(), 2, "ended a moment less than a month ago");
        assert!(store.list(record::USES).await.unwrap().is_empty());
        app.tokens.sweep(now + kept).await.unwrap();
        assert_eq!(listed().await, std::slice::from_ref(&living.id));
        assert_eq!(store.list(record::TOKENS).await.unwrap(), [living.id]);
        let shown = app.tokens.details(&ended.reach, &ended.id).await;
        assert!(matches!(shown, Err(TokenError::NotFound)), "{shown:?}");
    }
}
