//! The allocator of components without WASI. It uses the memory that the component has at the
//! start, and grows only after that: growing costs a system call in each attempt. The allocator of
//! `std` grows for the first byte. Small blocks have lists of their own,
//! in which they are found without a search.

use dlmalloc::{Allocator, Dlmalloc};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

use crate::small_blocks::{SMALL_BYTES_MAX, STEP_BYTES, SmallBlocks};

const PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static GLOBAL: SingleThread = SingleThread(UnsafeCell::new(Heap {
    small: SmallBlocks::new(),
    large: Dlmalloc::new_with_allocator(Memory {
        is_start_used: Cell::new(false),
    }),
}));

/// The allocator of a program with one thread.
struct SingleThread(UnsafeCell<Heap>);

/// The size and the alignment of a block say which part it is from.
struct Heap {
    small: SmallBlocks,
    /// Has the chunks of small blocks too.
    large: Dlmalloc<Memory>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for SingleThread {}

// SAFETY: the calls are those of `Heap`, one at a time: nothing here allocates.
unsafe impl GlobalAlloc for SingleThread {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(memory, layout, size) }
    }
}

// === impl Heap ===

/// The conditions of each function are those of `GlobalAlloc`.
impl Heap {
    unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        let Heap { small, large } = self;
        unsafe {
            if is_small(layout) {
                small.alloc(layout.size(), |bytes| large.malloc(bytes, STEP_BYTES))
            } else {
                large.malloc(layout.size(), layout.align())
            }
        }
    }

    unsafe fn alloc_zeroed(&mut self, layout: Layout) -> *mut u8 {
        if !is_small(layout) {
            return unsafe { self.large.calloc(layout.size(), layout.align()) };
        }

        let memory = unsafe { self.alloc(layout) };
        if !memory.is_null() {
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&mut self, memory: *mut u8, layout: Layout) {
        unsafe {
            if is_small(layout) {
                self.small.free(memory, layout.size());
            } else {
                self.large.free(memory, layout.size(), layout.align());
            }
        }
    }

    unsafe fn realloc(&mut self, memory: *mut u8, old: Layout, size: usize) -> *mut u8 {
        unsafe {
            let new = Layout::from_size_align_unchecked(size, old.align());
            match (is_small(old), is_small(new)) {
                (false, false) => return self.large.realloc(memory, old.size(), old.align(), size),
                (true, true) if self.small.resize(memory, old.size(), size) => return memory,
                _ => {}
            }

            let moved = self.alloc(new);
            if !moved.is_null() {
                memory.copy_to_nonoverlapping(moved, old.size().min(size));
                self.dealloc(memory, old);
            }
            moved
        }
    }
}

fn is_small(layout: Layout) -> bool {
    (1..=SMALL_BYTES_MAX).contains(&layout.size()) && layout.align() <= STEP_BYTES
}

/// The linear memory.
struct Memory {
    is_start_used: Cell<bool>,
}

// SAFETY: what it returns is not used by anything else: the linker puts nothing behind
// `__heap_base`, and a page that was grown is new.
unsafe impl Allocator for Memory {
    fn alloc(&self, bytes: usize) -> (*mut u8, usize, u32) {
        if !self.is_start_used.replace(true) {
            let start = (&raw const __heap_base).addr().next_multiple_of(16);
            let end = core::arch::wasm32::memory_size(0) * PAGE_BYTES;
            if end.saturating_sub(start) >= bytes {
                return (std::ptr::with_exposed_provenance_mut(start), end - start, 0);
            }
        }

        let pages = bytes.div_ceil(PAGE_BYTES);
        let before = core::arch::wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return (std::ptr::null_mut(), 0, 0);
        }
        (
            std::ptr::with_exposed_provenance_mut(before * PAGE_BYTES),
            pages * PAGE_BYTES,
            0,
        )
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        std::ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE_BYTES
    }
}

unsafe extern "C" {
    /// Where the linker's data ends.
    static __heap_base: u8;
}
