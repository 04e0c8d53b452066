//! How often each version of a key was used, and when it last was.
//!
//! Whoever uses a version holds its [`Meter`] and counts on it: a few relaxed atomic operations on
//! one cache line, no lock and no allocation. What was counted stays in memory until a flush adds
//! it to the key's record in the store, `tenants/<t>/keys/<k>/usage`: one record for each key,
//! the sum over all hosts, changed by compare-and-set.
//!
//! One sum rather than a record for each host: what has to be known (is the budget spent, is the
//! version still in use) is one read, hosts that come and go leave nothing behind to be folded
//! together, and hosts seldom race, since each writes once in a period. A sum must not count a batch twice
//! when the answer to its write was lost; so batches are numbered, and the record says which was the
//! last of each host.

mod meter;
mod meters;
mod record;
mod tally;

pub(crate) use self::meter::KeyMeter;
pub use self::meter::Meter;
pub(crate) use self::meters::{Meters, Owner};
pub(crate) use self::record::UsageRecord;
pub use self::tally::{KeyUsage, Span, VersionUsage};
