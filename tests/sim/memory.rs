//! How much memory a simulation holds: an allocator that counts, for each thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// The bytes that this thread has allocated, less the bytes that it has freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends has no count any more.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

#[expect(clippy::cast_possible_wrap, reason = "an allocation is at most isize::MAX bytes long")]
fn signed(bytes: usize) -> isize {
    bytes as isize
}

// SAFETY: the system's allocator does all of it; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size) - signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// The memory of one simulation.
pub struct Memory {
    at_start: isize,
}

impl Memory {
    pub fn start() -> Self {
        Memory { at_start: HELD.get() }
    }

    /// How many bytes are held that weren't at the start.
    pub fn held(&self) -> usize {
        usize::try_from(HELD.get() - self.at_start).unwrap_or(0)
    }
}

/// Doesn't count what `work` allocates.
pub fn uncounted(work: impl FnOnce()) {
    let before = HELD.get();
    work();
    HELD.set(before);
}
