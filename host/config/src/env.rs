//! The environment of the process. Nothing else of ours reads it.

/// A variable; not set and empty are both `None`. What is not UTF-8 in it becomes `\u{FFFD}`, which no setting takes.
pub fn var(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// Names and values of the variables that begin so and are not empty.
pub fn vars_with(prefix: &str) -> Vec<(String, String)> {
    let all = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let texts = all.map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    });
    texts.filter(|(name, _)| name.starts_with(prefix)).collect()
}

/// The bytes of a variable, for secrets, which need not be text. `None`: not set; a variable may be set and empty.
pub fn bytes(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec)
}
