//! A macro that ends the process at a named place of a test build.

#[doc(hidden)]
pub use fail;

/// A place where a test may end the process, as `kill -9` would: only in builds with debug assertions, and only where the
/// environment (`FAILPOINTS`) names it.
#[macro_export]
macro_rules! kill_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::fail::fail_point!($name, |_| std::process::abort());
    };
}
