//! The address space of the compiler's process. Its limit is what bounds the memory of a compiler,
//! and a linear memory reserves more of it than it uses.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most bytes while a component is compiled. A 12 MiB JavaScript component peaks at 380 MiB.
pub(crate) const COMPILING_BYTES_MAX: u64 = 4 << 30;
/// What one linear memory reserves: its 4 GiB, and guards around it.
const LINEAR_MEMORY_BYTES: u64 = (4 << 30) + (128 << 20);
/// The most linear memories of a component whose `init` runs, the default of a node.
const LINEAR_MEMORIES_MAX: u64 = 4;

/// The most bytes while `init` runs. Its own limits bound the memory that it uses.
pub(crate) const INIT_BYTES_MAX: u64 =
    COMPILING_BYTES_MAX + LINEAR_MEMORIES_MAX * LINEAR_MEMORY_BYTES;

/// Runs `work` with the most address space that this process may have.
pub(crate) fn with_linear_memories<T>(work: impl FnOnce() -> T) -> T {
    let usual = getrlimit(Resource::As);
    let most = Rlimit {
        current: usual.maximum,
        maximum: usual.maximum,
    };
    // Without it, the instance is not created, and the report says so.
    setrlimit(Resource::As, most).ok();
    let made = work();
    setrlimit(Resource::As, usual).ok();
    made
}
