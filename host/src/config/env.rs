//! The environment of the process. Nothing else of ours reads it.

/// A variable; not set, empty and not UTF-8 are all `None`.
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
