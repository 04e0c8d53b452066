//! The guest's allocator: a static arena first, the standard library's allocator after it.
//!
//! An instance lives for one request. Memory that grows costs the host a system call and more to
//! reset, so what an ordinary request allocates comes from an arena that lies in the instance's
//! first page: allocation moves a mark, and only the newest block can be given back. What does not
//! fit goes to the standard library's allocator, which grows the memory.

#![allow(unsafe_code, reason = "a global allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use std::alloc::System;

/// Bytes in the arena. With 16 KiB of shadow stack they leave 16 KiB for a policy's static data
/// before the instance needs a second page of 64 KiB.
const SIZE: usize = 32 * 1024;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; SIZE]>);

struct Arena {
    memory: Memory,
    /// Bytes handed out, from the start.
    used: Cell<usize>,
}

// SAFETY: `wasm32-unknown-unknown` has no threads; the contract's components run on one. No other
// target has an arena in a `static`.
#[cfg(target_family = "wasm")]
unsafe impl Sync for Arena {}

impl Arena {
    #[allow(clippy::large_stack_arrays, reason = "it lies in a `static`")]
    const fn new() -> Self {
        Self { memory: Memory(UnsafeCell::new([0; SIZE])), used: Cell::new(0) }
    }

    fn base(&self) -> *mut u8 {
        self.memory.0.get().cast()
    }

    /// Where a block starts in the arena; `None` if it is not the arena's.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = (block as usize).wrapping_sub(self.base() as usize);
        (offset < SIZE).then_some(offset)
    }

    /// Takes a block from the arena if it fits.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        // The base is aligned to 16, so larger alignments go elsewhere.
        if layout.align() > 16 || layout.size() == 0 {
            return None;
        }
        let start = self.used.get().next_multiple_of(layout.align());
        let end = start.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
        self.used.set(end);
        // SAFETY: `start < end <= SIZE`, so the pointer stays within `memory`.
        Some(unsafe { self.base().add(start) })
    }
}

// SAFETY: a block of the arena is a range of `memory` that no other live block overlaps, because
// `used` only falls to the start of its newest block when that is given back. Every other block
// is `System`'s, and goes back to `System`.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block,
            // SAFETY: the caller's promises on `layout` are passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(offset) if offset + layout.size() == self.used.get() => self.used.set(offset),
            Some(_) => {}
            // SAFETY: not the arena's, hence `System`'s, with the layout it was made with.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(block) else {
            // SAFETY: not the arena's, hence `System`'s; the caller's promises are passed on.
            return unsafe { System.realloc(block, layout, size) };
        };
        let newest = offset + layout.size() == self.used.get();
        if let Some(end) = offset.checked_add(size).filter(|end| newest && *end <= SIZE) {
            self.used.set(end);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller promises that `size` with this alignment is a valid layout.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks are live, at least `layout.size()` long, and do not overlap.
            unsafe { core::ptr::copy_nonoverlapping(block, new, layout.size()) };
            if newest && self.offset(new).is_none() {
                self.used.set(offset);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Fills a block so that an overlap would show.
    fn fill(block: *mut u8, size: usize, with: u8) {
        // SAFETY: the tests pass live blocks of that size.
        unsafe { block.write_bytes(with, size) }
    }

    fn holds(block: *mut u8, size: usize, with: u8) -> bool {
        // SAFETY: as above, and filled before.
        unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|byte| *byte == with)
    }

    #[test]
    fn the_newest_block_grows_and_goes_in_place() {
        let arena = Arena::new();
        // SAFETY: every block is used with the layout it was made with.
        unsafe {
            let first = arena.alloc(layout(10, 1));
            let second = arena.alloc(layout(100, 8));
            assert_eq!(second as usize % 8, 0);
            assert_eq!(arena.realloc(second, layout(100, 8), 1_000), second);
            assert_eq!(arena.realloc(second, layout(1_000, 8), 50), second);
            fill(first, 10, 1);
            fill(second, 50, 2);
            let moved = arena.realloc(first, layout(10, 1), 20);
            assert_ne!(moved, first);
            assert!(holds(moved, 10, 1) && holds(second, 50, 2));
            let used = arena.used.get();
            arena.dealloc(moved, layout(20, 1));
            assert_eq!(arena.used.get(), used - 20);
            arena.dealloc(first, layout(10, 1));
            assert_eq!(arena.used.get(), used - 20, "not the newest");
        }
    }

    #[test]
    fn what_does_not_fit_goes_elsewhere_and_comes_back() {
        let arena = Arena::new();
        // SAFETY: every block is used with the layout it was made with.
        unsafe {
            let inside = arena.alloc(layout(SIZE, 16));
            assert!(arena.offset(inside).is_some());
            fill(inside, SIZE, 7);
            let outside = arena.alloc(layout(1, 1));
            assert!(arena.offset(outside).is_none());
            arena.dealloc(outside, layout(1, 1));
            let moved = arena.realloc(inside, layout(SIZE, 16), SIZE + 1);
            assert!(arena.offset(moved).is_none());
            assert!(holds(moved, SIZE, 7));
            assert_eq!(arena.used.get(), 0, "the moved block was the newest");
            let grown = arena.realloc(moved, layout(SIZE + 1, 16), 2 * SIZE);
            assert!(holds(grown, SIZE, 7));
            arena.dealloc(grown, layout(2 * SIZE, 16));
            let aligned = arena.alloc(layout(64, 64));
            assert_eq!(aligned as usize % 64, 0);
            arena.dealloc(aligned, layout(64, 64));
        }
    }

    #[test]
    fn zeroed_memory_is_zero_even_where_a_block_was() {
        let arena = Arena::new();
        // SAFETY: every block is used with the layout it was made with.
        unsafe {
            let block = arena.alloc(layout(64, 1));
            fill(block, 64, 0xff);
            arena.dealloc(block, layout(64, 1));
            let again = arena.alloc_zeroed(layout(64, 1));
            assert_eq!(again, block);
            assert!(holds(again, 64, 0));
        }
    }

    #[test]
    fn blocks_never_overlap() {
        let arena = Arena::new();
        let mut live: Vec<(*mut u8, usize, u8)> = Vec::new();
        let mut state = 1_u64;
        for step in 0..20_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(state >> 33).unwrap();
            let mark = step.to_le_bytes()[0];
            // SAFETY: every block is used with the layout it was made with.
            unsafe {
                match pick % 4 {
                    0 if !live.is_empty() => {
                        let (block, size, mark) = live.swap_remove(pick % live.len());
                        assert!(holds(block, size, mark));
                        arena.dealloc(block, layout(size, 4));
                    }
                    1 if !live.is_empty() => {
                        let nth = pick % live.len();
                        let (block, size, old) = live[nth];
                        let larger = size + pick % 500;
                        let moved = arena.realloc(block, layout(size, 4), larger);
                        assert!(holds(moved, size, old));
                        fill(moved, larger, mark);
                        live[nth] = (moved, larger, mark);
                    }
                    _ => {
                        let size = 1 + pick % 300;
                        let block = arena.alloc(layout(size, 4));
                        assert_eq!(block as usize % 4, 0);
                        fill(block, size, mark);
                        live.push((block, size, mark));
                    }
                }
            }
            if live.len() > 60 {
                let (block, size, _) = live.remove(0);
                // SAFETY: as above.
                unsafe { arena.dealloc(block, layout(size, 4)) };
            }
        }
        for (block, size, mark) in live {
            assert!(holds(block, size, mark));
            // SAFETY: as above.
            unsafe { arena.dealloc(block, layout(size, 4)) };
        }
    }
}
