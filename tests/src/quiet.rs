//! How long a tenant's requests take that asks now and then, while others do what they do.

use std::time::{Duration, Instant};

use crate::wire::Wire;

/// How many samples make a percentile.
const SAMPLES: usize = 100;

/// The 99th percentile of what its requests take, with a pause after each.
pub fn p99(quiet: &mut Wire, pause: Duration) -> Duration {
    let mut took: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            let took = once(quiet);
            std::thread::sleep(pause);
            took
        })
        .collect();
    took.sort();
    took[SAMPLES * 99 / 100 - 1]
}

/// How many items make a request that takes about `cost`; `wire` sends one with so many.
pub fn items_for(cost: Duration, wire: impl Fn(usize) -> Wire) -> usize {
    let mut items = 200;
    for _ in 0..3 {
        let mut wire = wire(items);
        let mut took: Vec<Duration> = (0..15).map(|_| once(&mut wire)).collect();
        took.sort();
        let scaled = items as u128 * cost.as_nanos() / took[7].as_nanos().max(1);
        items = usize::try_from(scaled).unwrap().clamp(1, 1_000);
    }
    items
}

fn once(wire: &mut Wire) -> Duration {
    let start = Instant::now();
    assert_eq!(wire.go(), 200);
    start.elapsed()
}
