//! What an entry costs: the thread of the request, and the thread that writes.
#![allow(missing_docs, reason = "a benchmark")]

fn main() {}
