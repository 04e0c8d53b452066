//! The `keyward` binary.

use std::process::ExitCode;

/// Short-lived small allocations are most of a request's; this allocator is made for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keyward::cli::main()
}
