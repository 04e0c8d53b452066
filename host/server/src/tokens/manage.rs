//! What is done with tokens after they were made: list, show, revoke, rotate. A token of somebody
//! else is as good as none.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use keyward_keyring::Change;
use keyward_keyring::store::StoreError;

use super::record::{self, TokenRecord};
use super::{Details, NewToken, Reach, Token, TokenError, Tokens, upkeep};
use crate::clock;

/// Records read at a time.
const CONCURRENCY: usize = 16;
/// How often a change is tried anew because another one came first.
const ATTEMPTS: usize = 5;

/// Some of a list of tokens.
pub struct Page {
    /// In the order of their identifiers.
    pub tokens: Vec<Details>,
    /// The identifier to go on after, if there may be more.
    pub next: Option<String>,
}

impl Tokens {
    /// The tokens of `reach` whose identifiers come after `after`, at most `limit`, ended ones
    /// included for as long as they are kept.
    pub async fn page(
        &self,
        reach: &Reach,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, TokenError> {
        let mut ids = self.store.list(&record::index(reach)).await?;
        ids.retain(|id| record::is_id(id) && after.is_none_or(|after| id.as_str() > after));
        ids.sort_unstable();
        let is_more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| is_more).cloned();
        let read = stream::iter(ids).map(|id| async move {
            match self.details(reach, &id).await {
                Ok(details) => Ok(Some(details)),
                // It was revoked meanwhile.
                Err(TokenError::NotFound) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let tokens = read.buffered(CONCURRENCY).try_filter_map(async |found| Ok(found));
        Ok(Page { tokens: tokens.try_collect().await?, next })
    }

    /// The token of this identifier, if it is of `reach`.
    pub async fn details(&self, reach: &Reach, id: &str) -> Result<Details, TokenError> {
        let (record, _) = self.stored(id).await?;
        let here = match record.hash() {
            Some(hash) => self.verified.last_use(&hash).await,
            None => None,
        };
        let mut details = owned(record, id, reach)?;
        details.last_used_at = here.max(self.last_use(id).await?);
        Ok(details)
    }

    /// Ends a token at once and for good, on other hosts as soon as they see the change. Gives
    /// what it was.
    pub async fn revoke(&self, reach: &Reach, id: &str) -> Result<Details, TokenError> {
        let details = self.details(reach, id).await?;
        self.remove(reach, id).await?;
        self.forget(id).await;
        self.keyring.announce(Change::Token(id.to_owned())).await;
        Ok(details)
    }

    /// Removes all that is kept of a token.
    pub(super) async fn remove(&self, reach: &Reach, id: &str) -> Result<(), TokenError> {
        self.store.delete(&record::path(id)).await?;
        self.store.delete(&format!("{}/{id}", record::index(reach))).await?;
        self.store.delete(&record::use_path(id)).await?;
        Ok(())
    }

    /// Puts a new token in the place of the one that `old` is of; that ends `overlap` from now, if
    /// not earlier.
    pub async fn rotate(
        &self,
        old: &Details,
        new: NewToken,
        overlap: Duration,
    ) -> Result<(Token, Details), TokenError> {
        // The new one first: what breaks off in between has taken nothing away.
        let (token, minted) = self.mint(new).await?;
        let overlap = u64::try_from(overlap.as_millis()).unwrap_or(u64::MAX);
        let end = clock::unix_ms().saturating_add(overlap);
        self.end(&old.id, end, &minted.id).await?;
        Ok((token, minted))
    }

    async fn end(&self, id: &str, at: u64, replaced_by: &str) -> Result<(), TokenError> {
        for _ in 0..ATTEMPTS {
            let (mut record, revision) = self.stored(id).await?;
            record.end(at, replaced_by);
            let (path, bytes) = (record::path(id), record.to_bytes());
            match self.store.replace(&path, &bytes, revision).await {
                Ok(_) => {
                    self.forget(id).await;
                    self.keyring.announce(Change::Token(id.to_owned())).await;
                    return Ok(());
                }
                Err(StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TokenError::Conflict)
    }

    /// A token's record and its revision.
    pub(super) async fn stored(&self, id: &str) -> Result<(TokenRecord, u64), TokenError> {
        if !record::is_id(id) {
            return Err(TokenError::NotFound);
        }
        let path = record::path(id);
        let stored = self.store.get(&path).await?.ok_or(TokenError::NotFound)?;
        Ok((TokenRecord::from_bytes(&stored.value, path)?, stored.revision))
    }

    async fn last_use(&self, id: &str) -> Result<Option<u64>, TokenError> {
        let stored = self.store.get(&record::use_path(id)).await?;
        Ok(stored.and_then(|stored| upkeep::read_use(&stored.value)))
    }
}

/// The details of a token of `reach`; another one's is none.
fn owned(record: TokenRecord, id: &str, reach: &Reach) -> Result<Details, TokenError> {
    let details = record.into_details(id.to_owned())?;
    if details.reach == *reach { Ok(details) } else { Err(TokenError::NotFound) }
}

#[cfg(test)]
mod tests {
    use keyward_policy_host::Caller;

    use super::*;
    use crate::testing;

    fn new(reach: Reach, name: &str) -> NewToken {
        let caller = Caller { subject: "s".into(), roles: vec![], claims: vec![] };
        NewToken { name: Some(name.into()), ..NewToken::of(reach, caller) }
    }

    fn tenant(name: &str) -> Reach {
        Reach::Tenant(name.parse().unwrap())
    }

    #[tokio::test]
    async fn pages_have_every_token_of_a_tenant_once_and_no_other() {
        let (app, _dir) = testing::app().await;
        let mut minted = Vec::new();
        for number in 0..7 {
            let (_, details) = app.tokens.mint(new(tenant("a"), "n")).await.unwrap();
            minted.push(details.id);
            if number < 3 {
                app.tokens.mint(new(tenant("ab"), "n")).await.unwrap();
                app.tokens.mint(new(Reach::Operator, "n")).await.unwrap();
            }
        }
        minted.sort_unstable();
        for limit in [1, 2, 3, 7, 8] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = app.tokens.page(&tenant("a"), after.as_deref(), limit).await.unwrap();
                assert!(page.tokens.len() <= limit);
                seen.extend(page.tokens.into_iter().map(|token| token.id));
                let Some(next) = page.next else { break };
                after = Some(next);
            }
            assert_eq!(seen, minted, "{limit}");
        }
    }

    #[tokio::test]
    async fn another_tenants_token_is_as_good_as_none() {
        let (app, _dir) = testing::app().await;
        let (token, details) = app.tokens.mint(new(tenant("a"), "n")).await.unwrap();
        for reach in [tenant("b"), Reach::Operator] {
            for result in [
                app.tokens.details(&reach, &details.id).await,
                app.tokens.revoke(&reach, &details.id).await,
            ] {
                assert!(matches!(result, Err(TokenError::NotFound)), "{result:?}");
            }
        }
        for id in ["..", "x", &"0".repeat(32)] {
            let result = app.tokens.details(&tenant("a"), id).await;
            assert!(matches!(result, Err(TokenError::NotFound)), "{id}");
        }
        assert!(app.tokens.verify(token.expose()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_revoked_token() {
        let (app, _dir) = testing::app().await;
        for reach in [tenant("a"), Reach::Operator] {
            let (token, details) = app.tokens.mint(new(reach.clone(), "n")).await.unwrap();
            assert!(app.tokens.verify(token.expose()).await.unwrap().is_some());
            app.tokens.flush_uses().await.unwrap();
            app.tokens.revoke(&reach, &details.id).await.unwrap();
            assert!(app.tokens.verify(token.expose()).await.unwrap().is_none());
            let again = app.tokens.revoke(&reach, &details.id).await;
            assert!(matches!(again, Err(TokenError::NotFound)), "{again:?}");
            let store = app.keyring.store();
            for folder in [record::TOKENS, record::USES, &record::index(&reach)] {
                assert_eq!(store.list(folder).await.unwrap(), Vec::<String>::new(), "{folder}");
            }
        }
    }

    #[tokio::test]
    async fn a_rotated_token_ends_after_the_overlap_and_never_later_than_before() {
        let (app, _dir) = testing::app().await;
        let reach = tenant("a");
        let (old, details) = app.tokens.mint(new(reach.clone(), "n")).await.unwrap();
        assert!(app.tokens.verify(old.expose()).await.unwrap().is_some());
        let overlap = Duration::from_millis(600);
        let rotated = app.tokens.rotate(&details, new(reach.clone(), "n"), overlap).await;
        let (fresh, minted) = rotated.unwrap();
        for token in [&old, &fresh] {
            assert!(app.tokens.verify(token.expose()).await.unwrap().is_some());
        }
        let seen = app.tokens.details(&reach, &details.id).await.unwrap();
        assert_eq!(seen.replaced_by.as_deref(), Some(minted.id.as_str()));
        let end = seen.expires_at.unwrap();
        let hour = Duration::from_hours(1);
        app.tokens.rotate(&details, new(reach.clone(), "n"), hour).await.unwrap();
        let seen = app.tokens.details(&reach, &details.id).await.unwrap();
        assert_eq!(seen.expires_at, Some(end), "an end is never put off");
        tokio::time::sleep(overlap).await;
        let ended = app.tokens.verify(old.expose()).await;
        assert!(matches!(ended, Err(TokenError::Expired)), "{ended:?}");
        assert!(app.tokens.verify(fresh.expose()).await.unwrap().is_some());
    }
}
