//! Several messages sealed with one key version, for less than one by one.
//!
//! For a short message the dearest parts of XAES-256-GCM are the call of the operating system for
//! its nonce and the derivation of its AES key. A batch pays for both once: its nonces have their
//! first half, from which the key is derived, in common, and count in the second from a random
//! start. Within a batch no nonce repeats; two batches share one only if 96 random bits collide and
//! their ranges of another 96 overlap, which is as improbable as for random nonces. The format is
//! the same, and what it shows is which ciphertexts come from one batch, and in what order.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::provider::{self, Provider};
use crate::random::random_bytes;
use crate::xaes::{NONCE_LEN, Xaes};
use crate::{CryptoError, KeyId};

/// Bytes of a nonce that the AES key is derived from.
const DERIVED_FROM: usize = 12;

/// What messages of one batch have in common. For messages that are all at hand when it is begun:
/// a copy of the process made later, such as a restored snapshot, then seals the same messages with
/// the same nonces, which tells nobody anything. For the same reason there is no way to copy it.
pub struct Batch<P: Provider = provider::Default> {
    key_id: KeyId,
    version: u32,
    /// Nonces begin with this, but for their last four bytes.
    start: [u8; NONCE_LEN],
    /// How many messages it may have, and has had.
    messages: u32,
    taken: AtomicU32,
    pub(crate) key: P::Aes256Gcm,
}

impl<P: Provider> Batch<P> {
    pub(crate) fn begin(
        key_id: KeyId,
        version: u32,
        xaes: &Xaes<P>,
        messages: usize,
    ) -> Result<Self, CryptoError> {
        let mut start = [0; NONCE_LEN];
        random_bytes(&mut start)?;
        let (key, _) = xaes.derive(&start)?;
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        Ok(Self { key_id, version, start, messages, taken: AtomicU32::new(0), key })
    }

    pub(crate) fn is_of(&self, key_id: KeyId, version: u32) -> bool {
        self.key_id == key_id && self.version == version
    }

    /// The next message's nonce; none when there have been as many messages as there were to be.
    pub(crate) fn next_nonce(&self) -> Option<[u8; NONCE_LEN]> {
        // Stops at the end: a number that only grew would wrap around, and nonces repeat.
        let next = |taken: u32| taken.checked_add(1).filter(|taken| *taken <= self.messages);
        let count = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let mut nonce = self.start;
        if let Some(last) = nonce.last_chunk_mut() {
            *last = u32::from_be_bytes(*last).wrapping_add(count).to_be_bytes();
        }
        Some(nonce)
    }
}

/// The AES key of the ciphertext that was opened last. Those sealed in one [`Batch`] have it in
/// common, and are often opened together.
pub struct OpeningBatch<P: Provider = provider::Default>(Mutex<Option<Derived<P>>>);

struct Derived<P: Provider> {
    key_id: KeyId,
    version: u32,
    /// What the key was derived from.
    start: [u8; DERIVED_FROM],
    key: P::Aes256Gcm,
}

impl<P: Provider> Default for OpeningBatch<P> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<P: Provider> OpeningBatch<P> {
    /// Passes to `open` the key of messages with such a nonce, derived unless it was the last one's.
    pub(crate) fn with_key(
        &self,
        key_id: KeyId,
        version: u32,
        xaes: &Xaes<P>,
        nonce: &[u8; NONCE_LEN],
        open: impl FnOnce(&P::Aes256Gcm) -> Result<(), CryptoError>,
    ) -> Result<(), CryptoError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(last)
                if (last.key_id, last.version) == (key_id, version)
                    && nonce.starts_with(&last.start) =>
            {
                open(&last.key)
            }
            _ => {
                let (key, _) = xaes.derive(nonce)?;
                let mut start = [0; DERIVED_FROM];
                start.copy_from_slice(&nonce[..DERIVED_FROM]);
                open(&last.insert(Derived { key_id, version, start, key }).key)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Algorithm, Binding, Channel, KeyMaterial, KeyVersion, Suite};

    const BINDING: Binding<'static> = Binding {
        channel: Channel::Payload,
        tenant: "acme",
        key_name: "main",
        policy_data: b"",
        context: b"row 17",
    };

    fn key(version: u32) -> KeyVersion {
        let material = KeyMaterial::generate(Algorithm::default()).unwrap();
        KeyVersion::new(Algorithm::default(), KeyId::random().unwrap(), version, &material).unwrap()
    }

    fn nonce(ciphertext: &[u8]) -> [u8; NONCE_LEN] {
        *ciphertext[crate::Header::LEN..].first_chunk().unwrap()
    }

    #[test]
    fn every_message_opens_and_no_nonce_repeats() {
        let key = key(1);
        let batch = key.begin_batch(None, 100).unwrap().unwrap();
        let seal = || key.seal_in(&batch, &BINDING, b"secret").unwrap();
        let all: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let seal = || (0..40).map(|_| seal()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(seal)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let nonces: HashSet<_> = all.iter().map(|sealed| nonce(sealed)).collect();
        assert_eq!(nonces.len(), 160);
        // As many as it was begun for share the key; the others have one of their own.
        let shared = nonces.iter().filter(|nonce| nonce[..12] == batch.start[..12]).count();
        assert_eq!(shared, 100);
        for sealed in all {
            assert_eq!(*key.open(&BINDING, &sealed).unwrap(), *b"secret");
        }
    }

    #[test]
    fn what_is_opened_together_opens_as_it_does_alone() {
        let (key, other) = (key(1), key(2));
        let seal = |key: &KeyVersion| {
            let batch = key.begin_batch(None, 3).unwrap().unwrap();
            (0..5).map(|_| key.seal_in(&batch, &BINDING, b"secret").unwrap()).collect::<Vec<_>>()
        };
        let (mine, others) = (seal(&key), seal(&other));
        let opening = OpeningBatch::default();
        for _ in 0..2 {
            for (mine, others) in mine.iter().zip(&others) {
                assert_eq!(*key.open_in(&opening, &BINDING, mine).unwrap(), *b"secret");
                assert_eq!(*other.open_in(&opening, &BINDING, others).unwrap(), *b"secret");
                assert!(key.open_in(&opening, &BINDING, others).is_err());
                for at in [14, 37, 40, 70, mine.len() - 1] {
                    let mut damaged = mine.clone();
                    damaged[at] ^= 1;
                    let error = key.open_in(&opening, &BINDING, &damaged).unwrap_err();
                    assert_eq!(error, CryptoError::CiphertextInvalid);
                }
                let elsewhere = Binding { context: b"row 18", ..BINDING };
                assert!(key.open_in(&opening, &elsewhere, mine).is_err());
            }
        }
        // The key that is kept is the one that was derived last, and no other's.
        let mut two = mine[0].clone();
        assert!(key.open_in(&opening, &BINDING, &two).is_ok());
        two[crate::Header::LEN] ^= 1;
        assert!(key.open_in(&opening, &BINDING, &two).is_err());
    }

    #[test]
    fn the_count_wraps_within_its_four_bytes() {
        let key = key(1);
        let mut batch = key.begin_batch(None, 2).unwrap().unwrap();
        batch.start[20..].fill(0xff);
        let nonces = [batch.next_nonce().unwrap(), batch.next_nonce().unwrap()];
        assert_eq!(
            (nonces[0][20..].to_vec(), nonces[1][20..].to_vec()),
            (vec![0xff; 4], vec![0; 4])
        );
        assert_eq!(nonces[0][..20], nonces[1][..20]);
        assert_eq!(batch.next_nonce(), None);
    }

    #[test]
    fn a_batch_of_another_key_is_not_used() {
        let (key, other) = (key(1), key(1));
        let batch = other.begin_batch(None, 100).unwrap().unwrap();
        let sealed = key.seal_in(&batch, &BINDING, b"secret").unwrap();
        assert_ne!(nonce(&sealed)[..12], batch.start[..12]);
        assert_eq!(*key.open(&BINDING, &sealed).unwrap(), *b"secret");
        assert!(other.open(&BINDING, &sealed).is_err());
    }

    #[test]
    fn only_the_default_suite_has_batches() {
        let key = key(1);
        assert!(key.begin_batch(Some(Suite::Aes256Gcm), 100).unwrap().is_none());
        let material = KeyMaterial::generate(Algorithm::Aes256Siv).unwrap();
        let siv = KeyVersion::<provider::Default>::new(
            Algorithm::Aes256Siv,
            KeyId::random().unwrap(),
            1,
            &material,
        );
        assert!(siv.unwrap().begin_batch(None, 100).unwrap().is_none());
    }
}
