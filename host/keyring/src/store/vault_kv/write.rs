//! Writing over a known revision, once, whatever becomes of the answers.
//!
//! Vault refuses a write whose `cas` is not the secret's version. When an answer was lost and the
//! write is tried again, that refusal may mean that the first try was done. Every write carries a
//! name of its own ([`WriteId`]), so what the secret holds now tells the two apart.

use super::secret::{Found, Payload, WriteId, write_answer, write_body};
use super::wire::{Answer, Request};
use super::{VaultStore, refused};
use crate::store::StoreError;
use crate::vault::Operation;

/// How often a write that was refused although the secret is as it expects is tried again.
const ATTEMPTS: usize = 3;

/// The outcome of a write.
pub(super) enum Write {
    /// Done, as this revision.
    Done(u64),
    /// Not done: the secret is not at the revision named but so.
    Other(Found),
}

impl VaultStore {
    /// Writes over revision `cas`, where 0 stands for no secret.
    pub(super) async fn write_over(
        &self,
        path: &str,
        payload: &Payload,
        cas: u64,
    ) -> Result<Write, StoreError> {
        let write = WriteId::random()?;
        let request = Request::post_json(self.data_path(path), write_body(payload, &write, cas));
        let mut unheard = false;
        let mut attempt = 0;
        loop {
            let (answer, tries) = self.send_counted(Operation::KvWrite, &request).await?;
            unheard |= tries > 1;
            match answer {
                Answer::Ok(body) => return self.written(path, &body).map(Write::Done),
                Answer::NotFound(_) => return Err(self.not_kv2()),
                Answer::Refused => {}
            }
            let found = self.read(path).await?;
            if let Some(revision) = self.done_before(path, &found, cas, &write, unheard).await? {
                return Ok(Write::Done(revision));
            }
            if found.version() != cas {
                return Ok(Write::Other(found));
            }
            // Either the secret came to be at `cas` after the refusal, or the refusal has another
            // reason, which does not go away.
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(refused(&request));
            }
        }
    }

    fn written(&self, path: &str, body: &[u8]) -> Result<u64, StoreError> {
        let written = write_answer(body).ok_or_else(|| self.not_kv2())?;
        match written.deletes_at {
            None => Ok(written.version),
            Some(at) => Err(StoreError::Expires { path: path.to_owned(), at }),
        }
    }

    /// The revision that an earlier try of this write made, if one did.
    async fn done_before(
        &self,
        path: &str,
        found: &Found,
        cas: u64,
        write: &WriteId,
        unheard: bool,
    ) -> Result<Option<u64>, StoreError> {
        let revision = cas.saturating_add(1);
        if !unheard || found.version() < revision {
            return Ok(None);
        }
        let made = if found.version() == revision {
            found.made_by(write)
        } else {
            self.read_revision(path, revision).await?.made_by(write)
        };
        match made {
            Some(true) => Ok(Some(revision)),
            Some(false) => Ok(None),
            None => {
                let reason = format!(
                    "whether the record at {path:?} was written cannot be told: the answer was \
                     lost and the revision is gone"
                );
                Err(StoreError::Unavailable { reason })
            }
        }
    }
}

impl Found {
    /// The newest revision's number; 0 when there is none.
    fn version(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Deleted { version }
            | Self::Destroyed { version }
            | Self::Live { version, .. } => *version,
        }
    }

    /// Whether this write made the revision; `None` when its data is gone.
    fn made_by(&self, write: &WriteId) -> Option<bool> {
        match self {
            Self::Live { secret, .. } => Some(secret.write.as_ref() == Some(write)),
            Self::Nothing | Self::Deleted { .. } | Self::Destroyed { .. } => None,
        }
    }
}
