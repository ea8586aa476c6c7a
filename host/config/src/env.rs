//! The environment of the process. Only this module reads it.

/// The value of a variable. `None`: it is not set or empty. Bytes that are not UTF-8 become
/// `\u{FFFD}`, which no setting accepts.
pub fn var(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// Names and values of the variables with this prefix.
pub(crate) fn vars_with(prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with(prefix) {
            found.push((name.into_owned(), value.to_string_lossy().into_owned()));
        }
    }
    found
}

/// The bytes of a variable, for secrets, which may be binary. `None`: the variable is not set. An
/// empty variable is set.
pub fn bytes(name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os(name).map(OsStringExt::into_vec)
}
