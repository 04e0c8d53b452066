//! How long the parts of requests take: policies' runs, cryptographic work, the store. Of this
//! process, whichever application in it did the work: so nothing has to be passed along.
//!
//! An observation is two relaxed additions: no lock, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quanta::Instant;

/// Upper bounds of the histograms, in seconds.
pub const BOUNDS: [f64; 16] = [
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.01,
    0.05,
    0.25,
    1.0,
    5.0,
];
/// The same in nanoseconds.
const BOUNDS_NANOS: [u64; BOUNDS.len()] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
];

/// Measures a time. Its clock is the processor's own: work with a key may take less than the system's
/// takes to read.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Up to now.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A histogram. Neighbours share no cache line.
#[repr(align(128))]
struct Timing {
    /// Not cumulative; the last is beyond every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What was observed of one kind of work.
pub struct Observed {
    /// Its label.
    pub operation: &'static str,
    /// Times up to each of [`BOUNDS`] and beyond, not cumulative.
    pub counts: Vec<u64>,
    /// Together, in seconds.
    pub sum: f64,
}

impl Timing {
    const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], nanos: AtomicU64::new(0) }
    }

    fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn read(&self, operation: &'static str) -> Observed {
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        Observed { operation, counts, sum }
    }
}

macro_rules! timings {
    ($(#[$doc:meta])* $name:ident $all:ident { $($(#[$of:meta])* $variant:ident $label:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        static $all: [Timing; [$($name::$variant),*].len()] =
            [const { Timing::new() }; [$($name::$variant),*].len()];

        impl $name {
            const LABELS: [&'static str; $all.len()] = [$($label),*];

            /// Its label.
            pub fn label(self) -> &'static str {
                Self::LABELS[self as usize]
            }

            /// Notes that it took so long.
            pub fn observe(self, time: Duration) {
                $all[self as usize].observe(time);
            }

            /// Does `work`, and notes how long it took.
            pub fn time<T>(self, work: impl FnOnce() -> T) -> T {
                let watch = Stopwatch::start();
                let done = work();
                self.observe(watch.elapsed());
                done
            }

            /// All that was observed, also what never was.
            pub fn all() -> impl Iterator<Item = Observed> {
                $all.iter().zip(Self::LABELS).map(|(timing, label)| timing.read(label))
            }
        }
    };
}

timings! {
    /// What a policy was asked for.
    PolicyRun POLICY {
        /// One decision, or those of a batch.
        Authorize "authorize"
        /// A decision, and the policy's own operation.
        Invoke "invoke"
    }
}

timings! {
    /// Work with a key.
    Crypto CRYPTO {
        /// One message.
        Encrypt "encrypt"
        /// One message.
        Decrypt "decrypt"
        /// A chunk of a stream, of 64 KiB at most.
        EncryptChunk "encrypt_chunk"
        /// A chunk of a stream, of 64 KiB at most.
        DecryptChunk "decrypt_chunk"
        /// A MAC.
        Mac "mac"
        /// A signature.
        Sign "sign"
        /// A signature or MAC, held against one version.
        Verify "verify"
        /// Derived bytes.
        Derive "derive"
        /// A term of a blind index.
        Index "index"
        /// Text to a token.
        Tokenize "tokenize"
        /// A token to text.
        Detokenize "detokenize"
        /// A key to be exported.
        WrapKey "wrap_key"
        /// A key to be imported.
        UnwrapKey "unwrap_key"
    }
}

timings! {
    /// What the key store was asked for.
    StoreCall STORE {
        /// A record.
        Read "read"
        /// To create, replace or delete a record.
        Write "write"
        /// The children of a folder.
        List "list"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        for (bound, nanos) in BOUNDS.iter().zip(BOUNDS_NANOS) {
            assert_eq!(Duration::from_secs_f64(*bound), Duration::from_nanos(nanos));
        }
        let timing = Timing::new();
        for nanos in [0, 1_000, 1_001, 5_000_000_000, 5_000_000_001] {
            timing.observe(Duration::from_nanos(nanos));
        }
        let Observed { counts, sum, .. } = timing.read("any");
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert!((sum - 10.000_002_002).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn every_kind_of_work_has_a_histogram_of_its_own() {
        let count = |at: usize| Crypto::all().nth(at).unwrap().counts.iter().sum::<u64>();
        let before = count(Crypto::UnwrapKey as usize);
        assert_eq!(Crypto::UnwrapKey.time(|| 7), 7);
        assert_eq!(count(Crypto::UnwrapKey as usize), before + 1);
        assert_eq!(Crypto::all().last().unwrap().operation, Crypto::UnwrapKey.label());
        assert_eq!(StoreCall::List.label(), "list");
        assert_eq!(PolicyRun::all().count(), 2);
    }
}
