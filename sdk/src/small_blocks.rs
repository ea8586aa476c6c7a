//! Small blocks of memory for an allocator: a list of free blocks for each size, and new blocks from
//! the rest of a chunk. An event arrives as dozens of short texts, each of which is allocated and
//! freed once. Blocks are never joined: what was freed serves blocks of the same size.

use std::ptr::null_mut;

/// Larger blocks are not small.
pub(crate) const SMALL_BYTES_MAX: usize = 1024;
/// Sizes are rounded up to a multiple of this, which is also the alignment of blocks.
pub(crate) const STEP_BYTES: usize = 8;
const CHUNK_BYTES: usize = 16 << 10;

/// The small blocks of one thread.
pub(crate) struct SmallBlocks {
    /// The first free block of each size. A free block begins with the address of the next one.
    free: [*mut u8; SMALL_BYTES_MAX / STEP_BYTES],
    /// The rest of the last chunk.
    rest: *mut u8,
    rest_bytes: usize,
}

// === impl SmallBlocks ===

impl SmallBlocks {
    pub(crate) const fn new() -> SmallBlocks {
        SmallBlocks {
            free: [null_mut(); SMALL_BYTES_MAX / STEP_BYTES],
            rest: null_mut(),
            rest_bytes: 0,
        }
    }

    /// A block of at least `bytes`; null if there is no memory.
    ///
    /// # Safety
    ///
    /// `bytes` is 1 to `SMALL_BYTES_MAX`. `new_chunk` returns null, or memory of this size with the
    /// alignment `STEP_BYTES` that nothing else uses.
    pub(crate) unsafe fn alloc(
        &mut self,
        bytes: usize,
        new_chunk: impl FnOnce(usize) -> *mut u8,
    ) -> *mut u8 {
        let size = size_of_block(bytes);
        let first = &mut self.free[place(size)];
        let block = *first;
        if !block.is_null() {
            // SAFETY: a free block begins with the address of the next one.
            *first = unsafe { block.cast::<*mut u8>().read() };
            return block;
        }

        if self.rest_bytes < size {
            let chunk = new_chunk(CHUNK_BYTES);
            if chunk.is_null() {
                return null_mut();
            }

            if self.rest_bytes > 0 {
                // SAFETY: the rest is unused, and has the size of a small block.
                unsafe { self.push(self.rest, self.rest_bytes) };
            }
            (self.rest, self.rest_bytes) = (chunk, CHUNK_BYTES);
        }

        let block = self.rest;
        // SAFETY: the rest has at least this size.
        self.rest = unsafe { block.add(size) };
        self.rest_bytes -= size;
        block
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// `alloc` has returned the block for this number of bytes, or `resize` has made it one of this
    /// number of bytes. It is not used any more.
    pub(crate) unsafe fn free(&mut self, block: *mut u8, bytes: usize) {
        // SAFETY: the same conditions.
        unsafe { self.push(block, size_of_block(bytes)) };
    }

    /// Gives a block another size where it is, if that is possible.
    ///
    /// # Safety
    ///
    /// As for `free`, and `to` is 1 to `SMALL_BYTES_MAX`.
    pub(crate) unsafe fn resize(&mut self, block: *mut u8, from: usize, to: usize) -> bool {
        let (old, new) = (size_of_block(from), size_of_block(to));
        if old == new {
            return true;
        }

        // SAFETY: the block has this size.
        let is_last = unsafe { block.add(old) } == self.rest;
        let more = new.saturating_sub(old);
        if !is_last || more == 0 || more > self.rest_bytes {
            return false;
        }

        // SAFETY: the rest has at least this size.
        self.rest = unsafe { self.rest.add(more) };
        self.rest_bytes -= more;
        true
    }

    /// # Safety
    ///
    /// Nothing uses the block, which has this size.
    unsafe fn push(&mut self, block: *mut u8, size: usize) {
        let first = &mut self.free[place(size)];
        // SAFETY: a block is large enough for an address, and aligned.
        unsafe { block.cast::<*mut u8>().write(*first) };
        *first = block;
    }
}

fn size_of_block(bytes: usize) -> usize {
    bytes.next_multiple_of(STEP_BYTES)
}

/// The place of the blocks of this size.
fn place(size: usize) -> usize {
    size / STEP_BYTES - 1
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, alloc};

    use super::*;

    /// A block, and the byte that fills it.
    struct Filled {
        block: *mut u8,
        bytes: usize,
        byte: u8,
    }

    fn new_chunk(bytes: usize) -> *mut u8 {
        // SAFETY: the size is not zero. A test may leak.
        unsafe { alloc(Layout::from_size_align(bytes, STEP_BYTES).unwrap()) }
    }

    fn filled(blocks: &mut SmallBlocks, bytes: usize, byte: u8) -> Filled {
        // SAFETY: the block has this size.
        let block = unsafe {
            let block = blocks.alloc(bytes, new_chunk);
            block.write_bytes(byte, bytes);
            block
        };
        assert!(block.addr().is_multiple_of(STEP_BYTES));
        Filled { block, bytes, byte }
    }

    fn check(one: &Filled) {
        // SAFETY: the block has this size, and was written.
        let content = unsafe { std::slice::from_raw_parts(one.block, one.bytes) };
        assert!(content.iter().all(|byte| *byte == one.byte));
    }

    #[test]
    fn blocks_never_overlap() {
        let mut blocks = SmallBlocks::new();
        let mut used: Vec<Filled> = Vec::new();
        let mut random = 1_u32;
        for step in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (number, action) = ((random >> 8) as usize, random >> 30);
            if action == 0 && !used.is_empty() {
                let one = used.swap_remove(number % used.len());
                check(&one);
                // SAFETY: it was allocated with this size.
                unsafe { blocks.free(one.block, one.bytes) };
            } else if action == 1 && !used.is_empty() {
                let at = used.len() - 1;
                let (one, to) = (&mut used[at], 1 + number % SMALL_BYTES_MAX);
                // SAFETY: it was allocated with this size.
                if unsafe { blocks.resize(one.block, one.bytes, to) } {
                    one.bytes = to;
                    // SAFETY: it has this size now.
                    unsafe { one.block.write_bytes(one.byte, to) };
                }
            } else {
                used.push(filled(
                    &mut blocks,
                    1 + number % SMALL_BYTES_MAX,
                    step as u8,
                ));
            }
        }
        used.iter().for_each(check);
    }

    #[test]
    fn freed_blocks_are_used_again() {
        let mut blocks = SmallBlocks::new();
        let (first, second) = (filled(&mut blocks, 17, 1), filled(&mut blocks, 24, 2));
        // SAFETY: they were allocated with these sizes.
        unsafe {
            blocks.free(first.block, first.bytes);
            blocks.free(second.block, second.bytes);
        }
        assert_eq!(filled(&mut blocks, 20, 3).block, second.block);
        assert_eq!(filled(&mut blocks, 18, 4).block, first.block);
    }

    #[test]
    fn last_block_grows_in_place() {
        let mut blocks = SmallBlocks::new();
        let (first, last) = (filled(&mut blocks, 8, 1), filled(&mut blocks, 8, 2));
        // SAFETY: they were allocated with these sizes.
        unsafe {
            assert!(!blocks.resize(first.block, 8, 16));
            assert!(blocks.resize(last.block, 8, 1000));
            assert!(blocks.resize(last.block, 1000, 997));
            assert!(!blocks.resize(last.block, 997, 8));
        }
    }

    #[test]
    fn no_memory_is_null() {
        let mut blocks = SmallBlocks::new();
        // SAFETY: the size is small.
        let block = unsafe { blocks.alloc(8, |_| null_mut()) };
        assert!(block.is_null());
    }
}
