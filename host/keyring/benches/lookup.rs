//! What a cached look-up costs: a key and its current version by name, as encrypt does, and by id,
//! as decrypt does; alone, and with two threads at once.
//!
//! `cargo bench -p keyward-keyring --bench lookup`.

#![allow(missing_docs)] // what the criterion macros define

mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keyward_crypto::{Algorithm, KeyId};
use keyward_keyring::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};
use support::CountingStore;
use tokio::runtime::Runtime;

const KEYS: usize = 1_000;

struct World {
    ring: Keyring,
    store: Arc<CountingStore>,
    tenant: TenantName,
    keys: Vec<(KeyName, KeyId)>,
}

async fn world() -> Result<World, KeyringError> {
    let store = Arc::new(CountingStore::default());
    let ring = Keyring::new(store.clone(), CacheConfig::default());
    let tenant: TenantName = "demo".parse()?;
    ring.create_tenant(&tenant).await?;
    let mut keys = Vec::new();
    for n in 0..KEYS {
        let name: KeyName = format!("customer-data-{n}").parse()?;
        let key =
            ring.create_key(&tenant, &name, Algorithm::default(), BTreeMap::new(), "bench").await?;
        ring.key_by_id(&tenant, key.id()).await?;
        ring.version(&key, 1).await?;
        keys.push((name, key.id()));
    }
    Ok(World { ring, store, tenant, keys })
}

impl World {
    async fn by_name(&self, n: usize) -> Result<(), KeyringError> {
        let (name, _) = &self.keys[n % KEYS];
        let key = self.ring.key(&self.tenant, name).await?;
        black_box(self.ring.version(&key, key.current_version()).await?);
        Ok(())
    }

    async fn by_id(&self, n: usize) -> Result<(), KeyringError> {
        let (_, id) = &self.keys[n % KEYS];
        let key = self.ring.key_by_id(&self.tenant, *id).await?;
        black_box(self.ring.version(&key, 1).await?);
        Ok(())
    }

    /// How long `count` look-ups by name take.
    async fn many(&self, count: u64) -> Duration {
        let begun = Instant::now();
        for n in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let _ = black_box(self.by_name(n).await);
        }
        begun.elapsed()
    }

    async fn many_by_id(&self, count: u64) -> Duration {
        let begun = Instant::now();
        for n in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let _ = black_box(self.by_id(n).await);
        }
        begun.elapsed()
    }
}

fn percentiles(runtime: &Runtime, world: &World) {
    const COUNT: usize = 1_000_000;
    let mut nanos: Vec<u128> = runtime.block_on(async {
        let mut nanos = Vec::with_capacity(COUNT);
        for n in 0..COUNT {
            let begun = Instant::now();
            let _ = black_box(world.by_name(n).await);
            nanos.push(begun.elapsed().as_nanos());
        }
        nanos
    });
    nanos.sort_unstable();
    let at = |share: f64| {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let place = (COUNT as f64 * share) as usize;
        nanos.get(place).copied().unwrap_or_default()
    };
    println!(
        "key and version by name, one by one with the clock read around each: p50 {} ns, p99 {} \
         ns, p99.9 {} ns",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

fn bench(criterion: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let world = match runtime.block_on(world()) {
        Ok(world) => Arc::new(world),
        Err(error) => {
            eprintln!("{error}");
            return;
        }
    };
    let reads = world.store.reads();
    percentiles(&runtime, &world);
    assert_eq!(world.store.reads(), reads, "what is measured was not cached");
    let mut group = criterion.benchmark_group("lookup");
    group.bench_function("key and version by name", |bencher| {
        bencher.iter_custom(|count| runtime.block_on(world.many(count)));
    });
    group.bench_function("key and version by id", |bencher| {
        bencher.iter_custom(|count| runtime.block_on(world.many_by_id(count)));
    });
    group.bench_function("key and version by name, two threads", |bencher| {
        bencher.iter_custom(|count| {
            runtime.block_on(async {
                let other = tokio::spawn({
                    let world = world.clone();
                    async move { world.many(count).await }
                });
                let mine = tokio::spawn({
                    let world = world.clone();
                    async move { world.many(count).await }
                });
                let (mine, other) = (mine.await, other.await);
                mine.unwrap_or_default().max(other.unwrap_or_default())
            })
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = bench
}
criterion_main!(benches);
