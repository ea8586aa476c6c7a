//! The names of hooks, and of the tables that their handlers write to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a hook: its file's stem. `a-z`, `0-9`, `-`, `_`; at most 64. Names that begin with
/// `_` are those of the host itself, such as `_queue` and `_admin`, in records and counters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookName(Arc<str>);

/// A text that cannot name a hook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` cannot name a hook: use a-z, 0-9, `-` and `_`, at most {} characters, and do not begin with `-` or `_`",
    .0.escape_debug(),
    HookName::MAX
)]
pub struct HookNameError(String);

// === impl HookName ===

impl HookName {
    /// The greatest length in characters.
    pub const MAX: usize = 64;

    /// The name as shared text.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl FromStr for HookName {
    type Err = HookNameError;

    fn from_str(text: &str) -> Result<HookName, HookNameError> {
        if text.starts_with('_') || !is_table_name(text) {
            return Err(HookNameError(text.to_owned()));
        }

        Ok(HookName(text.into()))
    }
}

impl std::ops::Deref for HookName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` may name a table: `a-z`, `0-9`, `-`, `_`; 1 to 64; not `-` first.
pub fn is_table_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=HookName::MAX).contains(&text.len()) && !text.starts_with('-') && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_host_are_refused() {
        for (text, is_hook, is_table) in [
            ("a", true, true),
            ("a_b-1", true, true),
            ("_queue", false, true),
            ("_", false, true),
            ("-a", false, false),
            ("A", false, false),
            ("", false, false),
        ] {
            assert_eq!(text.parse::<HookName>().is_ok(), is_hook, "{text}");
            assert_eq!(is_table_name(text), is_table, "{text}");
        }
        let error = "_queue".parse::<HookName>().unwrap_err().to_string();
        assert!(error.contains("do not begin with `-` or `_`"), "{error}");
    }
}
