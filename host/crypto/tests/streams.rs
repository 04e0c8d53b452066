//! Streams: what was sealed opens, and nothing else does.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy.toml's exemption does not reach

use keyward_crypto::stream::{
    CHUNK_LEN, SEALED_CHUNK_LEN, StreamHeader, StreamOpener, StreamSealer, chunk_span,
    plaintext_len, sealed_len,
};
use keyward_crypto::{
    Algorithm, Binding, Channel, CryptoError, Header, KeyId, KeyMaterial, KeyVersion, Operation,
};
use proptest::prelude::*;

const BINDING: Binding<'static> = Binding {
    channel: Channel::Payload,
    tenant: "acme",
    key_name: "archive",
    policy_data: b"",
    context: b"backup 3",
};

fn key(material: u8) -> KeyVersion {
    let material = KeyMaterial::from_bytes(Algorithm::XAes256Gcm, &[material; 32]).unwrap();
    KeyVersion::new(Algorithm::XAes256Gcm, KeyId(1), 1, &material).unwrap()
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i / 7 + i / CHUNK_LEN) % 251).unwrap()).collect()
}

fn seal(plaintext: &[u8]) -> Vec<u8> {
    let (header, mut sealer) = StreamSealer::new(&key(7), &BINDING).unwrap();
    let mut out = header.to_vec();
    let mut chunks = plaintext.chunks(CHUNK_LEN).peekable();
    if chunks.peek().is_none() {
        sealer.seal_chunk_into(&[], true, &mut out).unwrap();
    }
    while let Some(chunk) = chunks.next() {
        sealer.seal_chunk_into(chunk, chunks.peek().is_none(), &mut out).unwrap();
    }
    out
}

/// Reads as a consumer that knows where the stream ends does.
fn open_under(
    key: &KeyVersion,
    binding: &Binding<'_>,
    sealed: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let header = sealed.get(..StreamHeader::LEN).ok_or(CryptoError::CiphertextInvalid)?;
    let mut opener = StreamOpener::new(key, binding, header)?;
    let mut out = Vec::new();
    let mut chunks = sealed[StreamHeader::LEN..].chunks(SEALED_CHUNK_LEN).peekable();
    while let Some(chunk) = chunks.next() {
        assert!(!opener.is_complete());
        let mut chunk = chunk.to_vec();
        out.extend_from_slice(opener.open_chunk_in_place(&mut chunk, chunks.peek().is_none())?);
    }
    if opener.is_complete() { Ok(out) } else { Err(CryptoError::CiphertextInvalid) }
}

fn open(sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    open_under(&key(7), &BINDING, sealed)
}

const INVALID: CryptoError = CryptoError::CiphertextInvalid;

#[test]
fn streams_of_every_shape_read_back() {
    let c = CHUNK_LEN;
    for length in [0, 1, 100, c - 1, c, c + 1, 2 * c, 2 * c + 17] {
        let (plain, sealed) = (plaintext(length), seal(&plaintext(length)));
        assert_eq!(sealed_len(length as u64), Some(sealed.len() as u64));
        assert_eq!(plaintext_len(sealed.len() as u64), Some(length as u64));
        let header = StreamHeader { key_id: KeyId(1), key_version: 1 };
        assert_eq!(StreamHeader::parse(&sealed), Ok(header));
        assert_eq!(open(&sealed).unwrap(), plain);
        // It is no ciphertext, and no ciphertext is a stream.
        assert_eq!(Header::parse(&sealed), Err(INVALID));
        assert_eq!(key(7).open(&BINDING, &sealed), Err(INVALID));
    }
    let ciphertext = key(7).seal(None, &BINDING, b"x").unwrap();
    assert_eq!(StreamHeader::parse(&ciphertext), Err(INVALID));
}

#[test]
fn a_stream_cut_anywhere_does_not_open() {
    let sealed = seal(&plaintext(CHUNK_LEN + 40));
    let ends = StreamHeader::LEN..sealed.len();
    // Every length near a border, and some in between.
    let near = |end: usize| {
        [0, StreamHeader::LEN, StreamHeader::LEN + SEALED_CHUNK_LEN, sealed.len()]
            .iter()
            .any(|border| border.abs_diff(end) < 70)
    };
    for end in (0..sealed.len()).filter(|&end| near(end) || end % 9973 == 0) {
        assert_eq!(open(&sealed[..end]), Err(INVALID), "cut at {end} of {ends:?}");
    }
    for length in [0, 10] {
        let sealed = seal(&plaintext(length));
        for end in 0..sealed.len() {
            assert_eq!(open(&sealed[..end]), Err(INVALID));
        }
    }
}

#[test]
fn chunks_have_their_place() {
    let sealed = seal(&plaintext(3 * CHUNK_LEN + 9));
    let (header, body) = sealed.split_at(StreamHeader::LEN);
    let chunks: Vec<&[u8]> = body.chunks(SEALED_CHUNK_LEN).collect();
    let with = |order: &[usize]| {
        let body: Vec<u8> = order.iter().flat_map(|&i| chunks[i]).copied().collect();
        open(&[header, &body].concat())
    };
    assert!(with(&[0, 1, 2, 3]).is_ok());
    let wrong: [&[usize]; 9] = [
        &[1, 0, 2, 3],    // swapped
        &[0, 2, 1, 3],    // swapped
        &[0, 0, 1, 2, 3], // duplicated
        &[0, 1, 2, 2, 3], // duplicated
        &[0, 1, 2, 3, 3], // appended
        &[0, 2, 3],       // left out
        &[1, 2, 3],       // left out
        &[0, 1, 2],       // cut off
        &[3],             // the end alone
    ];
    for order in wrong {
        assert_eq!(with(order), Err(INVALID), "{order:?}");
    }
    // Those of another stream of the same key and binding do not fit.
    let other = seal(&plaintext(3 * CHUNK_LEN + 9));
    let at = StreamHeader::LEN + SEALED_CHUNK_LEN;
    assert_eq!(open(&[&sealed[..at], &other[at..]].concat()), Err(INVALID));
    assert_eq!(open(&[header, &other[StreamHeader::LEN..]].concat()), Err(INVALID));
    for appended in [&[0][..], &[0; 16], &[0; 17]] {
        assert_eq!(open(&[&sealed, appended].concat()), Err(INVALID));
    }
    assert_eq!(open(&[&seal(&plaintext(CHUNK_LEN))[..], &[0; 16]].concat()), Err(INVALID));
}

#[test]
fn it_opens_under_its_binding_only() {
    let sealed = seal(b"x");
    let elsewhere = [
        Binding { channel: Channel::Policy, ..BINDING },
        Binding { tenant: "acm", key_name: "earchive", ..BINDING },
        Binding { key_name: "other", ..BINDING },
        Binding { policy_data: b"x", ..BINDING },
        Binding { context: b"backup 4", ..BINDING },
    ];
    for binding in elsewhere {
        let header = &sealed[..StreamHeader::LEN];
        assert_eq!(StreamOpener::new(&key(7), &binding, header).err(), Some(INVALID));
    }
    assert_eq!(open_under(&key(8), &BINDING, &sealed), Err(INVALID));
}

#[test]
fn any_range_reads_alone() {
    let plain = plaintext(2 * CHUNK_LEN + 100);
    let sealed = seal(&plain);
    let opener = StreamOpener::new(&key(7), &BINDING, &sealed[..StreamHeader::LEN]).unwrap();
    let (c, end) = (CHUNK_LEN, plain.len());
    for range in [0..1, 0..end, c - 1..c + 1, c..2 * c, 2 * c..end, end - 1..end, 5..2 * c + 3] {
        let wanted = range.start as u64..range.end as u64;
        let span = chunk_span(wanted, plain.len() as u64).unwrap();
        let bytes =
            usize::try_from(span.sealed.start).unwrap()..usize::try_from(span.sealed.end).unwrap();
        let mut out = Vec::new();
        for (index, chunk) in span.chunks.clone().zip(sealed[bytes].chunks(SEALED_CHUNK_LEN)) {
            let last = span.reaches_end && index + 1 == span.chunks.end;
            let mut chunk = chunk.to_vec();
            out.extend_from_slice(opener.open_chunk_at(index, &mut chunk, last).unwrap());
            // Neither as another chunk nor with the other flag.
            let mut chunk = chunk.clone();
            assert_eq!(opener.open_chunk_at(index + 1, &mut chunk, last), Err(INVALID));
            assert_eq!(opener.open_chunk_at(index, &mut chunk, !last), Err(INVALID));
        }
        assert_eq!(out[span.skip..][..range.len()], plain[range]);
    }
    assert_eq!(opener.open_chunk_at(1 << 32, &mut [0; 20], true), Err(INVALID));
}

#[test]
fn misuse_is_told() {
    let (_, mut sealer) = StreamSealer::new(&key(7), &BINDING).unwrap();
    let mut out = Vec::new();
    for (length, last) in [(0, false), (CHUNK_LEN - 1, false), (CHUNK_LEN + 1, true)] {
        let error = sealer.seal_chunk_into(&vec![0; length], last, &mut out);
        assert_eq!(error, Err(CryptoError::ChunkLength));
    }
    assert!(out.is_empty());
    sealer.seal_chunk_into(&vec![0; CHUNK_LEN], false, &mut out).unwrap();
    assert_eq!(sealer.seal_chunk_into(&[], true, &mut out), Err(CryptoError::ChunkLength));
    sealer.seal_chunk_into(&[0], true, &mut out).unwrap();
    assert_eq!(sealer.seal_chunk_into(&[0], true, &mut out), Err(CryptoError::StreamEnded));

    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_asymmetric()) {
        let material = KeyMaterial::from_bytes(algorithm, &[7; 32]).unwrap();
        let key = KeyVersion::new(algorithm, KeyId(1), 1, &material).unwrap();
        let refused = StreamSealer::new(&key, &BINDING).err();
        if algorithm.supports(Operation::Stream) {
            assert_eq!(refused, None);
        } else {
            let operation = Operation::Stream;
            let expected = CryptoError::OperationNotSupported { algorithm, operation };
            assert_eq!(refused, Some(expected));
        }
    }
}

#[test]
fn what_does_not_open_is_wiped_and_ends_the_stream() {
    let sealed = seal(&plaintext(CHUNK_LEN + 5));
    let (header, body) = sealed.split_at(StreamHeader::LEN);
    let mut opener = StreamOpener::new(&key(7), &BINDING, header).unwrap();
    let (first, second) = body.split_at(SEALED_CHUNK_LEN);
    let mut damaged = first.to_vec();
    damaged[SEALED_CHUNK_LEN - 1] ^= 1;
    assert_eq!(opener.open_chunk_in_place(&mut damaged, false), Err(INVALID));
    assert!(damaged.iter().all(|&byte| byte == 0));
    assert_eq!(opener.open_chunk_in_place(&mut first.to_vec(), false), Err(INVALID));
    assert_eq!(opener.open_chunk_in_place(&mut second.to_vec(), true), Err(INVALID));
    assert!(!opener.is_complete());

    let mut opener = StreamOpener::new(&key(7), &BINDING, header).unwrap();
    opener.open_chunk_in_place(&mut first.to_vec(), false).unwrap();
    opener.open_chunk_in_place(&mut second.to_vec(), true).unwrap();
    assert!(opener.is_complete());
    let mut again = second.to_vec();
    let after = opener.open_chunk_in_place(&mut again, true);
    assert_eq!(after, Err(CryptoError::StreamEnded));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bit_may_change(length in 0..2 * CHUNK_LEN, at: prop::sample::Index, bit in 0..8u8) {
        let mut sealed = seal(&plaintext(length));
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(open(&sealed), Err(INVALID));
    }

    #[test]
    fn no_bit_of_a_header_may_change(at in 0..StreamHeader::LEN, bit in 0..8u8) {
        let mut sealed = seal(b"x");
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(open(&sealed), Err(INVALID));
    }

    #[test]
    fn garbage_does_not_open(garbage: Vec<u8>) {
        prop_assert_eq!(open(&garbage), Err(INVALID));
        let header = &seal(b"x")[..StreamHeader::LEN];
        prop_assert_eq!(open(&[header, &garbage].concat()), Err(INVALID));
    }
}
