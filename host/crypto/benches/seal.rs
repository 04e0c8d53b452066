//! Native seal and open per suite and provider: 64 B, 1 KiB, 64 KiB.
//!
//! `cargo bench -p keyward-crypto --features rustcrypto --bench seal`; for one line each, add
//! `-- --output-format bencher`.

#![allow(missing_docs)] // what the criterion macros define

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keyward_crypto::provider::Provider;
use keyward_crypto::{Algorithm, Binding, Channel, KeyId, KeyMaterial, KeyVersion, Suite};

const SIZES: [(usize, &str); 3] = [(64, "64 B"), (1 << 10, "1 KiB"), (64 << 10, "64 KiB")];

const BINDING: Binding<'static> = Binding {
    channel: Channel::Payload,
    tenant: "demo",
    key_name: "orders",
    policy_data: b"purpose=billing",
    context: b"order 17",
};

fn algorithm(suite: Suite) -> Algorithm {
    match suite {
        Suite::XAes256Gcm => Algorithm::XAes256Gcm,
        Suite::Aes256Gcm => Algorithm::Aes256Gcm,
        Suite::Aes256Siv => Algorithm::Aes256Siv,
        Suite::Aes256GcmSiv => Algorithm::Aes256GcmSiv,
        Suite::ChaCha20Poly1305 => Algorithm::ChaCha20Poly1305,
        Suite::XChaCha20Poly1305 => Algorithm::XChaCha20Poly1305,
        Suite::RsaOaep2048 => Algorithm::RsaOaep2048,
        Suite::RsaOaep3072 => Algorithm::RsaOaep3072,
        Suite::RsaOaep4096 => Algorithm::RsaOaep4096,
        Suite::HpkeX25519 => Algorithm::X25519,
        Suite::HpkeMlKem768 => Algorithm::MlKem768,
        Suite::HpkeXWing => Algorithm::X25519MlKem768,
    }
}

fn provider<P: Provider>(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        let Ok(material) = KeyMaterial::generate(algorithm(suite)) else { return };
        let key = KeyVersion::<P>::with_provider(algorithm(suite), KeyId(1), 1, &material);
        let Ok(key) = key else { return };
        for operation in ["seal", "open"] {
            let mut group = criterion.benchmark_group(format!("{operation} {suite}"));
            group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
            for (size, name) in SIZES {
                let plaintext = vec![0xa5; size];
                let Ok(sealed) = key.seal(Some(suite), &BINDING, &plaintext) else {
                    return;
                };
                group.throughput(Throughput::Bytes(size as u64));
                group.bench_function(BenchmarkId::new(P::NAME, name), |bench| match operation {
                    "seal" => {
                        bench.iter(|| key.seal(Some(suite), &BINDING, black_box(&plaintext)));
                    }
                    _ => bench.iter(|| key.open(&BINDING, black_box(&sealed))),
                });
            }
            group.finish();
        }
    }
}

fn seal(criterion: &mut Criterion) {
    #[cfg(feature = "aws-lc")]
    provider::<keyward_crypto::provider::AwsLc>(criterion);
    #[cfg(feature = "rustcrypto")]
    provider::<keyward_crypto::provider::RustCrypto>(criterion);
}

criterion_group!(benches, seal);
criterion_main!(benches);
