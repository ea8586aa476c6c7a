//! Random bytes for ids. They come from the system, and each thread reads some in advance: one read
//! for each id would be a system call for each event.

use std::cell::RefCell;

/// Enough for 51 ids.
const READ_BYTES: usize = 512;

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer::EMPTY) };
}

struct Buffer {
    bytes: [u8; READ_BYTES],
    /// How many of the bytes are used up.
    used: usize,
}

/// Random bytes that no other call receives. At most 512.
///
/// # Panics
///
/// Panics if the system has no random bytes.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    BUFFER.with_borrow_mut(Buffer::take)
}

// === impl Buffer ===

impl Buffer {
    const EMPTY: Buffer = Buffer {
        bytes: [0; READ_BYTES],
        used: READ_BYTES,
    };

    fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > READ_BYTES {
            getrandom::fill(&mut self.bytes).expect("the system has random bytes");
            self.used = 0;
        }

        let mut taken = [0; N];
        let bytes = &mut self.bytes[self.used..self.used + N];
        taken.copy_from_slice(bytes);
        bytes.fill(0);
        self.used += N;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bytes_are_given_once() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| (0..1000).map(|_| random_bytes::<10>()).collect::<Vec<_>>())
            })
            .collect();

        let given = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        let different: HashSet<[u8; 10]> = given.collect();
        assert_eq!(different.len(), 4000);
        assert!(!different.contains(&[0; 10]));
    }
}
