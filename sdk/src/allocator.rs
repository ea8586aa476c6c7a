//! The allocator of components without WASI. It uses the memory that the component has at the
//! start, and grows only after that: growing costs a system call in each attempt. The allocator of
//! `std` grows for the first byte.

use dlmalloc::{Allocator, Dlmalloc};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

const PAGE_BYTES: usize = 64 << 10;

#[global_allocator]
static GLOBAL: SingleThread = SingleThread(UnsafeCell::new(Dlmalloc::new_with_allocator(Memory {
    is_start_used: Cell::new(false),
})));

/// The allocator of a program with one thread.
struct SingleThread(UnsafeCell<Dlmalloc<Memory>>);

// SAFETY: a component has one thread.
unsafe impl Sync for SingleThread {}

// SAFETY: the calls are those of `Dlmalloc`, one at a time: nothing here allocates.
unsafe impl GlobalAlloc for SingleThread {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(memory, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(memory, layout.size(), layout.align(), size) }
    }
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
