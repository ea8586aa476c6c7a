//! A library that is preloaded into a node: the disk fails, writes are traced, the time of day moves. Its source says how.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::require::missing;
use crate::{landfall, root};

/// The built library; none, and a plain line, where there is no C compiler.
pub fn faults() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let library = landfall().with_file_name("faults.so");
            let mut compiler = Command::new("cc");
            compiler
                .args([
                    "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread", "-o",
                ])
                .arg(&library);
            match compiler
                .arg(root().join("tests/faults/faults.c"))
                .arg("-ldl")
                .status()
            {
                Ok(status) => {
                    assert!(status.success(), "tests/faults/faults.c does not compile");
                    Some(library)
                }
                Err(error) => {
                    missing(&format!("cc does not start: {error}"));
                    None
                }
            }
        })
        .as_deref()
}

/// Many rounds where `LANDFALL_LONG` is set, few otherwise.
pub fn rounds(few: usize, many: usize) -> usize {
    if is_long() { many } else { few }
}

/// Whether tests run their long form.
pub fn is_long() -> bool {
    std::env::var_os("LANDFALL_LONG").is_some()
}

/// Random enough, and the same for the same seed.
pub struct Random(u64);

// === impl Random ===

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From `LANDFALL_SEED`, otherwise from the time of day. Prints the seed, so that a failure can be repeated.
    pub fn seeded() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = match std::env::var("LANDFALL_SEED") {
            Ok(typed) => typed.parse().expect("LANDFALL_SEED is a number"),
            Err(_) => now.expect("it is after 1970").as_micros() as u64,
        };
        println!("LANDFALL_SEED={seed}");
        Random::new(seed)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Heads or tails.
    pub fn flip(&mut self) -> bool {
        self.below(2) == 0
    }
}
