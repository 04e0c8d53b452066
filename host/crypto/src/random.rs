//! Randomness: keys, ids and nonces.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::CryptoError;
use crate::xaes;

/// Fills `out` from the operating system's cryptographically secure generator, whichever provider
/// is in use: no generator state of our own that a fork or a restored snapshot could repeat.
/// [`CryptoError::Random`] when there is none; `out` must then not be used.
pub fn random_bytes(out: &mut [u8]) -> Result<(), CryptoError> {
    getrandom::fill(out).map_err(|_| CryptoError::Random)
}

/// Nonces for messages that are at hand, drawn together: a call of the operating system for each
/// costs a short message more than its encryption.
///
/// Only for messages that are all there when they are drawn. A copy of the process that was made
/// in between, such as a restored snapshot, then seals the same messages with them, which tells
/// nobody anything. For the same reason there is no way to copy them.
#[derive(Debug, Default)]
pub struct Nonces {
    bytes: Vec<u8>,
    taken: AtomicUsize,
}

impl Nonces {
    /// Most messages to draw for at once; the nonces of more are drawn one by one.
    const MAX: usize = 4_096;

    /// Draws for `messages` messages of any suite.
    pub fn draw(messages: usize) -> Result<Self, CryptoError> {
        let mut bytes = vec![0; messages.min(Self::MAX) * xaes::NONCE_LEN];
        random_bytes(&mut bytes)?;
        Ok(Self { bytes, taken: AtomicUsize::new(0) })
    }

    /// The next nonce. Each byte is given out once, whoever asks at the same time.
    pub(crate) fn fill(&self, nonce: &mut [u8]) -> Result<(), CryptoError> {
        // Stops at the end: a number that only grew could wrap around.
        let next =
            |taken: usize| taken.checked_add(nonce.len()).filter(|end| *end <= self.bytes.len());
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(start) => {
                nonce.copy_from_slice(&self.bytes[start..start + nonce.len()]);
                Ok(())
            }
            Err(_) => random_bytes(nonce),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_is_given_out_twice() {
        let nonces = Nonces::draw(100).unwrap();
        let all: Vec<[u8; 12]> = std::thread::scope(|scope| {
            let take = || {
                let nonce = || {
                    let mut nonce = [0; 12];
                    nonces.fill(&mut nonce).unwrap();
                    nonce
                };
                (0..150).map(|_| nonce()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.len(), 600);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 600);
        assert!(!all.contains(&[0; 12]));
        assert_eq!(nonces.taken.into_inner(), 2_400);
    }

    #[test]
    fn more_messages_than_were_drawn_for_have_nonces_too() {
        for nonces in [Nonces::default(), Nonces::draw(1).unwrap()] {
            let mut seen = HashSet::new();
            for _ in 0..3 {
                let mut nonce = [0; 24];
                nonces.fill(&mut nonce).unwrap();
                assert!(seen.insert(nonce));
            }
        }
        assert_eq!(Nonces::draw(1 << 40).unwrap().bytes.len(), Nonces::MAX * 24);
    }
}
