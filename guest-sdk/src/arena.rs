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

#[global_allocator]
static ALLOCATOR: Arena = Arena {
    memory: Memory(UnsafeCell::new([0; SIZE])),
    used: Cell::new(0),
};

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; SIZE]>);

struct Arena {
    memory: Memory,
    /// Bytes handed out, from the start.
    used: Cell<usize>,
}

// SAFETY: `wasm32-unknown-unknown` has no threads; the contract's components run on one.
unsafe impl Sync for Arena {}

impl Arena {
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
        let end = start
            .checked_add(layout.size())
            .filter(|end| *end <= SIZE)?;
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
        if let Some(end) = offset
            .checked_add(size)
            .filter(|end| newest && *end <= SIZE)
        {
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
