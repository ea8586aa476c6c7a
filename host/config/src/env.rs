//! The environment of the process. Nothing else of ours reads it.

/// A variable; not set and empty are both `None`. What is not UTF-8 in it becomes `\u{FFFD}`, which no setting takes.
pub fn var(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// The bytes of a variable, for secrets, which need not be text. `None`: not set; a variable may be set and empty.
pub fn bytes(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec)
}
