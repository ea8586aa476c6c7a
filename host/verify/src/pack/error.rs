//! Why a provider pack cannot be used.

use thiserror::Error;

/// Why a provider pack cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum PackError {
    /// No pack has this name.
    #[error("{}", unknown(.name, .similar.as_deref()))]
    Unknown {
        /// The name that was looked for.
        name: String,
        /// The name that was probably meant.
        similar: Option<String>,
    },
    /// The operator's file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The file `providers/NAME.toml` is not a valid pack.
    #[error("providers/{name}.toml: {reason}")]
    Malformed {
        /// The file name without `.toml`.
        name: String,
        /// What is wrong with the file.
        reason: String,
    },
}

fn unknown(name: &str, similar: Option<&str>) -> String {
    let name = name.escape_debug();
    match similar {
        Some(similar) => format!("no provider pack `{name}`: did you mean `{similar}`?"),
        None => format!(
            "no provider pack `{name}`: `landfall providers` lists them; write your own as providers/{name}.toml in the plugins \
             directory, or use scheme = \"signature\""
        ),
    }
}
