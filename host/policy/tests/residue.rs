//! What a run leaves behind, and who could find it: nothing, nobody. Needs no built components.
//!
//! What a guest can look at are its memory and its tables, so one looks at all of both after
//! another tenant's has filled them. The stack below it a guest cannot look at. Host functions run
//! there, on the same stack as the next guest, so this process looks at all memory of its own.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use keyward_crafted::Crafted;
use keyward_policy_host::{HostConfig, Limits, Observe, PolicyHost, Request};
use support::{host_with, pool, request};

/// Few slots, so that each is used again at once.
fn few() -> HostConfig {
    // Long enough to look at all memory of a process meanwhile.
    let limits = Limits { wall: Duration::from_mins(1), ..Limits::default() };
    HostConfig { pool_size: 3, per_tenant: 2, limits, ..HostConfig::default() }
}

/// Traps at the first address that is not 0, in all of a memory beyond what the host has written
/// for it; then fills it.
fn memory_user() -> Crafted {
    // The request begins at 65,536.
    Crafted::deciding(
        "(local $at i32)
        (drop (memory.grow (i32.sub (i32.const 256) (memory.size))))
        (local.set $at (i32.const 69632))
        (loop $next
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 16777216))))
        (memory.fill (i32.const 69632) (i32.const 0xa5) (i32.const 16707584))",
    )
}

/// Traps at the first element of its table that is not null, up to all that a table may have; then
/// fills it with a function.
fn table_user(elements: u32) -> Crafted {
    let grown = Limits::default().table_elements - elements as usize;
    Crafted {
        more: format!(
            "(table $table {elements} 2048 funcref) (elem declare func $nothing) (func $nothing)"
        ),
        ..Crafted::deciding(&format!(
            "(local $at i32)
            (if (i32.ne (table.grow $table (ref.null func) (i32.const {grown}))
                    (i32.const {elements}))
                (then unreachable))
            (loop $next
                (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then unreachable))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 2048))))
            (table.fill $table (i32.const 0) (ref.func $nothing) (i32.const 2048))"
        ))
    }
}

async fn take_turns(policies: &[Crafted]) {
    let host = host_with(few(), Duration::ZERO);
    let mut admitted = Vec::new();
    for policy in policies {
        admitted.push(host.admit(&policy.component()).await.unwrap());
    }
    for round in 0..30 {
        for (nth, policy) in admitted.iter().enumerate() {
            let request = Request { tenant: format!("tenant-{nth}"), ..request("allow") };
            let decided = host.authorize(policy, &request).await;
            assert!(decided.is_ok(), "round {round}, policy {nth}: {decided:?}");
        }
    }
    assert_eq!(pool(&host).memories, 0);
}

#[tokio::test]
async fn a_memory_is_empty_whoever_had_it_before() {
    let another = Crafted { more: "(global i32 (i32.const 2))".into(), ..memory_user() };
    take_turns(&[memory_user(), another]).await;
}

#[tokio::test]
async fn a_table_is_empty_whoever_had_it_before() {
    take_turns(&[table_user(2_048), table_user(1), table_user(500)]).await;
}

/// What the guest below has on its stack, with every bit turned: so this process has it nowhere
/// unless the guest's run brings it there.
const TURNED: [u8; 7] = [0x3b, 0x91, 0xe2, 0x5d, 0x07, 0xc8, 0x76];

/// Holds many values on its stack while the host opens a key, which takes a while.
fn stack_user() -> Crafted {
    const VALUES: usize = 64;
    let bytes = TURNED.iter().fold(String::new(), |text, byte| text + &format!("\\{byte:02x}"));
    // In a loop, and then read, so that no compiler knows what they are. The lowest byte, which is
    // the first in memory, tells them apart.
    let mut body = String::from("(local $nth i32)");
    for nth in 0..VALUES {
        let _ = write!(body, "(local $value{nth} i64)");
    }
    let _ = write!(
        body,
        "(loop $next
            (i64.store
                (i32.add (i32.const 12800) (i32.mul (local.get $nth) (i32.const 8)))
                (i64.xor (i64.load (i32.const 12288))
                    (i64.xor (i64.const -1) (i64.extend_i32_u (local.get $nth)))))
            (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $nth) (i32.const {VALUES}))))"
    );
    for nth in 0..VALUES {
        let _ = write!(body, "(local.set $value{nth} (i64.load (i32.const {})))", 12_800 + nth * 8);
    }
    body.push_str(
        "(i32.store (i32.const 12296) (i32.const 0x6f6d6564))
        (call $keys.open (i32.const 12296) (i32.const 4) (i32.const 12304))",
    );
    for nth in 0..VALUES {
        let _ =
            write!(body, "(i64.store (i32.const {}) (local.get $value{nth}))", 13_400 + nth * 8);
    }
    Crafted {
        more: format!("(data (i32.const 12288) \"\\00{bytes}\")"),
        ..Crafted::deciding(&body)
    }
}

/// How often this process has the mark in memory that it can write.
fn marks() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    // What is read is kept outside of what is searched: at its end each buffer is cleared.
    let mut buffer = vec![0; 1 << 20];
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let at = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (mut start, end) = (at(start), at(end));
        while start < end {
            let length = usize::try_from(end - start).unwrap().min(buffer.len());
            memory.seek(SeekFrom::Start(start)).unwrap();
            // Some mappings of the kernel's own cannot be read.
            if memory.read_exact(&mut buffer[..length]).is_err() {
                break;
            }
            // By its first byte: all of memory is read, and that while a run waits.
            let starts = memchr::memchr_iter(TURNED[0] ^ 0xff, &buffer[..length]);
            found += starts.filter(|at| is_mark(&buffer[*at..length])).count();
            buffer.fill(0);
            start += length as u64;
        }
    }
    found
}

fn is_mark(bytes: &[u8]) -> bool {
    bytes.len() >= TURNED.len()
        && bytes.iter().zip(&TURNED).all(|(byte, turned)| byte ^ 0xff == *turned)
}

/// Observed, because such a run is on a fiber from its beginning. Others are tried first on a
/// thread's own stack, where what a function leaves stays as long as any function's does.
#[tokio::test]
async fn a_stack_is_empty_once_its_run_is_over() {
    let host = host_with(few(), Duration::from_millis(500));
    let policy = host.admit(&stack_user().component()).await.unwrap();
    assert_eq!(marks(), 0, "before anything ran");
    let run = |host: Arc<PolicyHost>| {
        let policy = Arc::clone(&policy);
        tokio::spawn(async move {
            host.observe(&policy, &request("allow"), None, Observe::default()).await
        })
    };
    let running = run(Arc::clone(&host));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(pool(&host).stacks, 1);
    // Once in its memory, and again on its stack.
    let found = marks();
    assert!(found >= 2 * 64, "{found} while it runs");
    let trace = running.await.unwrap().unwrap();
    assert!(trace.decision.is_ok(), "{trace:?}");
    drop(trace);
    assert_eq!((pool(&host).stacks, marks()), (0, 0), "after it ended");

    // Given up half-way.
    let running = run(Arc::clone(&host));
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!((pool(&host).stacks, marks()), (0, 0), "after it was given up");
}
