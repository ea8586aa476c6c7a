//! Drafts of WASI that components for other hosts import. A pre-release version matches only
//! exactly, so each version that is in use is linked by its own name.

/// Interfaces that read `[settings]`.
pub(crate) const CONFIG: [&str; 4] = [
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/store@0.2.0-draft",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/runtime@0.2.0-draft",
];

/// Interfaces that write to the log of the attempt.
pub(crate) const LOGGING: [&str; 2] = ["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft"];

const KEYVALUE: &str = "wasi:keyvalue/";
const KEYVALUE_INTERFACES: [&str; 3] = ["store", "atomics", "batch"];
const KEYVALUE_VERSIONS: [&str; 2] = ["0.2.0-draft", "0.2.0-draft2"];

/// Whether an import is one of these drafts.
pub(crate) fn is_offered(import: &str) -> bool {
    CONFIG.contains(&import) || LOGGING.contains(&import) || is_keyvalue(import)
}

/// Whether an import is a store of values, which needs the grant `kv`.
pub(crate) fn is_keyvalue(import: &str) -> bool {
    let parts = import
        .strip_prefix(KEYVALUE)
        .and_then(|rest| rest.split_once('@'));
    parts.is_some_and(|(interface, version)| {
        KEYVALUE_INTERFACES.contains(&interface) && KEYVALUE_VERSIONS.contains(&version)
    })
}

/// The error for an import whose package is offered in other versions.
pub(crate) fn other_version(import: &str) -> Option<String> {
    let package = import.split('/').next()?;
    let offered = match package {
        "wasi:config" => CONFIG.join(", "),
        "wasi:logging" => LOGGING.join(", "),
        "wasi:keyvalue" => format!(
            "{} of wasi:keyvalue in the versions {}",
            KEYVALUE_INTERFACES.join(", "),
            KEYVALUE_VERSIONS.join(" and ")
        ),
        _ => return None,
    };
    Some(format!(
        "imports {import}, which this host does not have: it offers {offered}"
    ))
}
