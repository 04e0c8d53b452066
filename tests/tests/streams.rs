//! Streams: raw bytes of any length, in constant memory, and never a part taken for the whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use keyward_tests::{Server, Tenant, UNIFORM, b64};
use serde_json::json;

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

/// A stream's header, and a sealed chunk of it.
const HEADER: usize = 78;
const CHUNK: usize = 65_536;
const SEALED: usize = CHUNK + 16;

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "fields")
}

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect()
}

fn seal(tenant: &Tenant, query: &str, plaintext: &[u8]) -> Vec<u8> {
    let answer = tenant.app.send("POST", &format!("/stream/encrypt?{query}"), &[], plaintext);
    answer.expect(200).body
}

#[test]
fn what_is_sealed_opens_whatever_its_length() {
    let tenant = tenant("stream-lengths");
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 1_000_000] {
        let plaintext = bytes(length);
        let sealed = seal(&tenant, "key=main&context=cm93IDE", &plaintext);
        let chunks = length.div_ceil(CHUNK).max(1);
        assert_eq!(sealed.len(), HEADER + length + chunks * 16, "{length}");
        let path = "/stream/decrypt?context=cm93IDE";
        let answer = tenant.app.send("POST", path, &[], &sealed).expect(200);
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("x-keyward-key-version"), "1");
        assert!(answer.body == plaintext, "{length}");
    }
}

#[test]
fn a_stream_opens_after_rotation_and_only_where_it_belongs() {
    let (tenant, other) = (tenant("stream-bound"), tenant("stream-other"));
    tenant.key("second");
    let sealed = seal(&tenant, "key=main&context=Yw", b"secret");
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    let open = |tenant: &Tenant, query: &str| {
        tenant.app.send("POST", &format!("/stream/decrypt?{query}"), &[], &sealed)
    };
    assert_eq!(open(&tenant, "context=Yw").expect(200).body, b"secret");
    assert_eq!(open(&tenant, "context=Yw&key=main").expect(200).body, b"secret");
    open(&tenant, "").problem(400, UNIFORM);
    open(&tenant, "context=ZA").problem(400, UNIFORM);
    open(&tenant, "context=Yw&key=second").problem(400, UNIFORM);
    open(&other, "context=Yw").problem(400, UNIFORM);
    // A stream is no ciphertext, and a ciphertext no stream.
    let text = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    tenant.app.send("POST", "/stream/decrypt", &[], text.as_bytes()).problem(400, UNIFORM);
}

#[test]
fn a_range_is_opened_from_the_whole_stream_or_from_its_chunks_alone() {
    let tenant = tenant("stream-range");
    let length = 3 * CHUNK + 1_000;
    let plaintext = bytes(length);
    let sealed = seal(&tenant, "key=main&context=Yw", &plaintext);
    let last = length - 1;
    for (range, first, end) in [
        ("0-0".to_owned(), 0, 1),
        (format!("{}-{CHUNK}", CHUNK - 1), CHUNK - 1, CHUNK + 1),
        (format!("{CHUNK}-{}", 2 * CHUNK - 1), CHUNK, 2 * CHUNK),
        (format!("{}-", 3 * CHUNK - 1), 3 * CHUNK - 1, length),
        ("-1000".to_owned(), length - 1_000, length),
        ("-1".to_owned(), last, length),
        (format!("0-{}", 2 * length), 0, length),
    ] {
        let (chunks, total) = (first / CHUNK..end.div_ceil(CHUNK), sealed.len());
        let span = HEADER + chunks.start * SEALED..total.min(HEADER + chunks.end * SEALED);
        let part = [&sealed[..HEADER], &sealed[span]].concat();
        let header = format!("bytes={range}");
        for (query, body) in [("", &sealed), (&*format!("&sealed_length={total}"), &part)] {
            let path = format!("/stream/decrypt?context=Yw{query}");
            let answer = tenant.app.send("POST", &path, &[("Range", &header)], body).expect(206);
            assert_eq!(
                answer.header("content-range"),
                format!("bytes {first}-{}/{length}", end - 1)
            );
            assert!(answer.body == plaintext[first..end], "{range}{query}");
        }
    }
}

#[test]
fn a_range_is_authenticated_and_has_to_make_sense() {
    let tenant = tenant("stream-bad-range");
    let sealed = seal(&tenant, "key=main", &bytes(2 * CHUNK));
    let total = sealed.len();
    let open = |query: &str, range: &str, body: &[u8]| {
        let headers = [("Range", range)];
        let headers = if range.is_empty() { &[][..] } else { &headers[..] };
        tenant.app.send("POST", &format!("/stream/decrypt?{query}"), headers, body)
    };
    let (first, second) = (&sealed[HEADER..HEADER + SEALED], &sealed[HEADER + SEALED..]);
    let part = |chunk: &[u8]| [&sealed[..HEADER], chunk].concat();
    let length = format!("sealed_length={total}");
    assert_eq!(open(&length, "bytes=65536-65539", &part(second)).expect(206).body.len(), 4);
    // Another chunk than that of the range; a damaged one; the first taken for the last.
    open(&length, "bytes=65536-65539", &part(first)).problem(400, UNIFORM);
    let mut damaged = part(second);
    damaged[HEADER + 9] ^= 1;
    open(&length, "bytes=65536-65539", &damaged).problem(400, UNIFORM);
    let short = format!("sealed_length={}", HEADER + SEALED);
    open(&short, "bytes=0-3", &part(first)).problem(400, UNIFORM);
    open("sealed_length=90", "bytes=0-3", &part(first)).problem(400, UNIFORM);
    for (query, range, status, code) in [
        ("", "bytes=131072-", 416, "range_not_satisfiable"),
        ("", "bytes=0-1,5-6", 400, "invalid_request"),
        ("", "lines=0-1", 400, "invalid_request"),
        (&*length, "", 400, "invalid_request"),
        (&*length, "bytes=0-3", 400, "invalid_request"),
        ("sealed_length=x", "bytes=0-3", 400, "invalid_request"),
    ] {
        open(query, range, &sealed).problem(status, code);
    }
    let path = format!("/stream/encrypt?key=main&{length}");
    tenant.app.send("POST", &path, &[], b"x").problem(400, "invalid_request");
}

#[test]
fn who_may_not_decrypt_may_not_open_streams() {
    let tenant = SERVER.tenant_with_policy("stream-roles", "baseline");
    let sealed = seal(&tenant, "key=main", b"x");
    let writer = tenant.caller(&["writer"]);
    writer.send("POST", "/stream/decrypt", &[], &sealed).problem(403, "policy_refused");
    let reader = tenant.caller(&["reader"]);
    reader.send("POST", "/stream/encrypt?key=main", &[], b"x").problem(403, "policy_refused");
    assert_eq!(reader.send("POST", "/stream/decrypt", &[], &sealed).expect(200).body, b"x");
    tenant.operator.send("POST", "/stream/decrypt", &[], &sealed).problem(403, "forbidden");
}

#[test]
fn bad_requests_are_ordinary_errors() {
    let tenant = tenant("stream-bad");
    tenant.new_key(&json!({ "name": "siv", "algorithm": "aes-256-siv" }));
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    for (query, status, code) in [
        ("", 400, "key_required"),
        ("key=none", 404, "key_not_found"),
        ("key=a/b", 400, "invalid_name"),
        ("key=siv", 400, "key_unsuitable"),
        ("key=tags", 400, "key_unsuitable"),
        ("key=main&context=%2B%2F8%3D", 400, "invalid_request"),
        ("key=main&key=main", 400, "invalid_request"),
        ("key=main&nonce=1", 400, "invalid_request"),
    ] {
        let path = format!("/stream/encrypt?{query}");
        tenant.app.send("POST", &path, &[], b"x").problem(status, code);
    }
    for sealed in [&b""[..], b"x", &[1; HEADER], &bytes(131_073)] {
        tenant.app.send("POST", "/stream/decrypt", &[], sealed).problem(400, UNIFORM);
    }
}

/// What a client has when the server is done: the body so far, and whether it was whole.
fn open_raw(tenant: &Tenant, sealed: &[u8]) -> (String, Vec<u8>, bool) {
    let mut stream = TcpStream::connect(&SERVER.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /api/v1/tenants/{}/stream/decrypt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        tenant.name, tenant.app_token
    );
    let mut request = head.into_bytes();
    for part in sealed.chunks(50_000) {
        request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all(&request);
    });
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    sender.join().unwrap();
    let end = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&got[..end]).into_owned();
    let (mut body, mut rest) = (Vec::new(), &got[end + 4..]);
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (head, rest.to_vec(), true);
    }
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (head, body, true);
        }
        let end = (line + 2 + size).min(rest.len());
        body.extend_from_slice(&rest[line + 2..end]);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    (head, body, false)
}

#[test]
fn a_stream_that_is_not_whole_is_broken_off_visibly() {
    let tenant = tenant("stream-broken");
    let plaintext = bytes(4 * CHUNK + 100);
    let sealed = seal(&tenant, "key=main", &plaintext);
    let (_, body, whole) = open_raw(&tenant, &sealed);
    assert!(whole && body == plaintext, "whole, as it was sealed");
    let at = |chunk: usize| HEADER + chunk * SEALED;
    let swapped = {
        let mut it = sealed[..at(1)].to_vec();
        it.extend_from_slice(&sealed[at(2)..at(3)]);
        it.extend_from_slice(&sealed[at(1)..at(2)]);
        it.extend_from_slice(&sealed[at(3)..]);
        it
    };
    let doubled = [&sealed[..at(2)], &sealed[at(1)..]].concat();
    let dropped = [&sealed[..at(2)], &sealed[at(3)..]].concat();
    let appended = [&sealed[..], b"x"].concat();
    let longer = [&sealed[..], &sealed[at(4)..]].concat();
    let mut flipped = sealed.clone();
    flipped[at(3) + 5] ^= 1;
    for (what, damaged) in [
        ("cut within a chunk", sealed[..at(3) + 50].to_vec()),
        ("cut between chunks", sealed[..at(3)].to_vec()),
        ("cut before the last byte", sealed[..sealed.len() - 1].to_vec()),
        ("swapped", swapped),
        ("doubled", doubled),
        ("dropped", dropped),
        ("appended", appended),
        ("longer", longer),
        ("flipped", flipped),
    ] {
        let (head, body, whole) = open_raw(&tenant, &damaged);
        assert!(head.starts_with("HTTP/1.1 200"), "{what}: {head}");
        assert!(!whole, "{what}: taken for whole");
        assert!(plaintext.starts_with(&body), "{what}: something else was released");
        assert!(body.len() < plaintext.len(), "{what}: all was released");
    }
}

/// 256 MiB; 8 GiB with KEYWARD_TEST_LONG=1, which takes minutes.
#[test]
fn long_streams_take_no_memory() {
    // Its own server: nothing else takes memory there.
    let server = Server::dev();
    let tenant = server.tenant_with_policy("stream-memory", "fields");
    // What a stream needs at all, and the code that was never run before, is there after a short one.
    let short = most_memory(&server, &tenant, 16 << 20);
    let wants_long = std::env::var("KEYWARD_TEST_LONG").is_ok_and(|value| value == "1");
    let long = most_memory(&server, &tenant, if wants_long { 8 << 30 } else { 256 << 20 });
    let grown = long.saturating_sub(short);
    assert!(grown < 32 << 20, "{grown} bytes more");
    assert!(long < 256 << 20, "{long} bytes");
}

/// The most memory that the server takes while so many bytes go through it twice: sealed while they
/// are sent, opened while they are sealed.
fn most_memory(server: &Server, tenant: &Tenant, total: usize) -> usize {
    let connect = |path: &str| {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let head = format!(
            "POST /api/v1/tenants/stream-memory/stream/{path} HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {}\r\nConnection: close\r\nContent-Length: ",
            tenant.app_token
        );
        (stream, head)
    };
    let sealed_total = HEADER + total + (total / CHUNK) * 16;
    let (mut sealing, head) = connect("encrypt?key=main");
    write!(sealing, "{head}{total}\r\n\r\n").unwrap();
    let (mut opening, head) = connect("decrypt");
    write!(opening, "{head}{sealed_total}\r\n\r\n").unwrap();
    let mut plaintext = sealing.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let block = bytes(1 << 20);
        for _ in 0..total >> 20 {
            plaintext.write_all(&block).unwrap();
        }
    });
    let mut to_open = opening.try_clone().unwrap();
    let middle = std::thread::spawn(move || {
        skip_head(&mut sealing);
        std::io::copy(&mut sealing, &mut to_open).unwrap()
    });
    skip_head(&mut opening);
    let (mut block, mut opened, mut most) = (vec![0; 1 << 20], 0, 0);
    let expected = bytes(1 << 20);
    loop {
        let mut filled = 0;
        while filled < block.len() {
            match opening.read(&mut block[filled..]).unwrap() {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            break;
        }
        assert!(block[..filled] == expected[..filled], "at {opened}");
        opened += filled;
        most = most.max(server.resident_bytes());
    }
    sender.join().unwrap();
    assert_eq!(usize::try_from(middle.join().unwrap()), Ok(sealed_total));
    assert_eq!(opened, total);
    most
}

/// Reads a response's head, byte by byte, so that nothing of the body is lost.
fn skip_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
}
