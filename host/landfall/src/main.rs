//! argv → command → exit code.

use std::process::ExitCode;

/// A fresh store for every attempt is many small allocations, often freed on another thread than
/// they were made on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    landfall::cli::run(std::env::args_os())
}
