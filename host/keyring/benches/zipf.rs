//! What the cache is good for: the hit rate, and how many reads of the store are left, when 10,000
//! keys are used with frequencies by Zipf's law, s = 1.0.
//!
//! `cargo bench -p keyward-keyring --bench zipf`. Each use looks up a key by name and its current
//! version: without a cache, two reads.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::Algorithm;
use keyward_keyring::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};
use support::CountingStore;

const KEYS: usize = 10_000;
const WARM_UP: usize = 200_000;
const USES: usize = 1_000_000;

/// Draws numbers below `KEYS`, the n-th with a probability in proportion to 1/(n+1).
struct Zipf {
    cumulative: Vec<f64>,
    random: fastrand::Rng,
}

#[allow(clippy::cast_precision_loss)]
impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=KEYS)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self { cumulative, random: fastrand::Rng::with_seed(1) }
    }

    fn draw(&mut self) -> usize {
        let at = self.random.f64() * self.cumulative.last().copied().unwrap_or_default();
        self.cumulative.partition_point(|sum| *sum <= at).min(KEYS - 1)
    }

    /// The share of uses that go to the `count` most used keys.
    fn share(&self, count: usize) -> f64 {
        let all = self.cumulative.last().copied().unwrap_or(1.0);
        self.cumulative.get(count.wrapping_sub(1)).copied().unwrap_or_default() / all
    }
}

async fn use_key(ring: &Keyring, tenant: &TenantName, name: &KeyName) -> Result<(), KeyringError> {
    let key = ring.key(tenant, name).await?;
    ring.version(&key, key.current_version()).await?;
    Ok(())
}

/// The bytes each key takes in the cache.
async fn bytes_per_key(
    store: &Arc<CountingStore>,
    tenant: &TenantName,
    names: &[KeyName],
) -> Result<u64, KeyringError> {
    let ring =
        Keyring::new(store.clone(), CacheConfig { max_bytes: 1 << 40, ..Default::default() });
    for name in names.iter().take(1000) {
        use_key(&ring, tenant, name).await?;
    }
    ring.sweep().await;
    Ok(ring.cache_statistics().bytes / 1000)
}

#[allow(clippy::cast_precision_loss)]
async fn measure() -> Result<(), KeyringError> {
    let store = Arc::new(CountingStore::default());
    let tenant: TenantName = "demo".parse()?;
    let maker = Keyring::new(store.clone(), CacheConfig::default());
    maker.create_tenant(&tenant).await?;
    let mut names = Vec::with_capacity(KEYS);
    for n in 0..KEYS {
        let name: KeyName = format!("key-{n}").parse()?;
        maker.create_key(&tenant, &name, Algorithm::default(), BTreeMap::new(), "bench").await?;
        names.push(name);
    }
    drop(maker);
    // Which keys are used most has nothing to do with their names.
    fastrand::Rng::with_seed(2).shuffle(&mut names);
    let each = bytes_per_key(&store, &tenant, &names).await?;
    println!("{KEYS} keys, Zipf s = 1.0, {USES} uses after {WARM_UP}; {each} bytes a key");

    for capacity in [2_000, KEYS] {
        // The cache gives the keys 27/32 of its bytes; the rest is for names and tenants.
        let max_bytes = each * capacity as u64 * 32 / 27 + 4096;
        let ring = Keyring::new(store.clone(), CacheConfig { max_bytes, ..Default::default() });
        let mut zipf = Zipf::new();
        for _ in 0..WARM_UP {
            use_key(&ring, &tenant, &names[zipf.draw()]).await?;
        }
        let (before, reads) = (ring.cache_statistics(), store.reads());
        for _ in 0..USES {
            use_key(&ring, &tenant, &names[zipf.draw()]).await?;
        }
        let (after, reads) = (ring.cache_statistics(), store.reads() - reads);
        let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
        println!(
            "cache for {capacity} keys ({} kept, {:.1} of {:.1} MiB): hit rate {:.2} %, {reads} \
             reads instead of {}, {:.2} % fewer (the {capacity} most used keys get {:.2} % of uses)",
            after.entries,
            after.bytes as f64 / f64::from(1 << 20),
            max_bytes as f64 / f64::from(1 << 20),
            100.0 * hits as f64 / (hits + misses) as f64,
            2 * USES,
            100.0 * (1.0 - reads as f64 / (2.0 * USES as f64)),
            100.0 * zipf.share(capacity),
        );
    }
    Ok(())
}

fn main() {
    let runtime = tokio::runtime::Runtime::new();
    let done = match &runtime {
        Ok(runtime) => runtime.block_on(measure()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
