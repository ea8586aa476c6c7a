//! A macro that aborts the process at a named place of a test build.

#[doc(hidden)]
pub use fail;

/// Aborts the process, as `kill -9` would, in builds with debug assertions, if the environment
/// variable `FAILPOINTS` names this place.
#[macro_export]
macro_rules! kill_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::fail::fail_point!($name, |_| std::process::abort());
    };
}
