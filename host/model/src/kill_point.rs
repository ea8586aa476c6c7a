//! Macros that abort or hold the process at a named place of a test build.

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

/// Holds an asynchronous call at a named place, in builds with debug assertions:
/// `FAILPOINTS=NAME=return(FILE)` writes the file, and the call goes on when it is removed. Callers
/// must have tokio.
#[macro_export]
macro_rules! hold_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        if let Some(Some(file)) = $crate::fail::eval($name, |file| file) {
            let mut is_held = std::fs::write(&file, "").is_ok();
            while is_held {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                is_held = std::path::Path::new(&file).exists();
            }
        }
    };
}
