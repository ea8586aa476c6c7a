//! The names that a component may import and must export.

use super::caps::CAPABILITIES;
use super::drafts;
use landfall_model::GrantKey;

/// The prefix of the interfaces that a component exports.
pub(crate) const EXPORTED: &str = "landfall:hook/";
/// The prefix of the interface that has `init`, with its version.
pub(crate) const INIT: &str = "landfall:init/init@";
/// The prefix of all our packages.
const OURS: &str = "landfall:";
/// The major and minor version of each of our packages that this host implements.
const SPOKEN: &str = "0.1";

/// The interfaces that are always linked, without the prefix of our packages. Those of
/// `CAPABILITIES` need a grant.
const ALWAYS_LINKED: [&str; 4] = ["event/types", "hook/log", "hook/settings", "http/http"];

/// The WASI 0.2 packages that are linked, with a context that grants nothing.
const WASI: [&str; 7] = [
    "cli",
    "clocks",
    "filesystem",
    "http",
    "io",
    "random",
    "sockets",
];

/// Why the names of a component do not fit this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContractError {
    #[error(
        "was built for landfall:{package}@{version}; this host has {SPOKEN}: rebuild it with landfall-sdk {SPOKEN}, or run a host that has {version}"
    )]
    OtherVersion { package: String, version: String },
    #[error(
        "exports {0}; of wasi:http this host runs incoming-handler@0.2: rebuild it for WASI 0.2"
    )]
    OtherHttp(String),
    #[error(
        "does not export landfall:hook/handler@0.1.0: it exports {0}; build it with landfall-sdk or against wit/ of this version"
    )]
    NoHandler(String),
    #[error(
        "does not export landfall:hook/handler@0.1.0: it exports nothing; in Rust write `#[handler]` above the function, in other languages export the interface `handler` of wit/"
    )]
    NoExport,
    #[error(
        "does not export landfall:hook/handler@0.1.0: it is a program with a `main` (wasi:cli/run), which runs once and receives no events; make it a library: in Rust `crate-type = [\"cdylib\"]` and `#[handler]`"
    )]
    Program,
    #[error(
        "imports {0}, which this host does not have: build it again against wit/ of this version, or run a host that has it"
    )]
    NewInterface(String),
    #[error("{0}")]
    OtherDraft(String),
    #[error(
        "imports {0}, which this host does not have: it has landfall:hook@0.1, the packages of its capabilities, and WASI 0.2"
    )]
    Unknown(String),
}

/// The key under `[allow]` that an import needs, if it needs one.
pub fn grant_for(import: &str) -> Option<&'static GrantKey> {
    if drafts::is_keyvalue(import) {
        return CAPABILITIES.iter().find(|key| key.name == "kv");
    }
    let interface = import.strip_prefix(OURS)?.split('@').next()?;
    CAPABILITIES.iter().find(|key| is_of(interface, key))
}

/// Whether `package/interface` belongs to a capability. Each is a package with an interface of the
/// same name.
fn is_of(interface: &str, key: &GrantKey) -> bool {
    interface.split_once('/') == Some((key.name, key.name))
}

/// Checks that a component exports a handler of this version, or is a plain `wasi:http` component.
pub(crate) fn check_export(exports: &[String]) -> Result<(), ContractError> {
    let versions: Vec<&str> = exports
        .iter()
        .filter_map(|name| name.strip_prefix(EXPORTED)?.strip_prefix("handler@"))
        .collect();
    let init = exports.iter().find_map(|name| name.strip_prefix(INIT));
    if let Some(version) = init.filter(|version| !is_spoken(version)) {
        return Err(other_version("init", version));
    }
    let is_plain = versions.is_empty() && exports.iter().any(|name| is_incoming(name));
    if is_plain || versions.iter().any(|version| is_spoken(version)) {
        return Ok(());
    }

    if let Some(version) = versions.first() {
        return Err(other_version("hook", version));
    }
    if exports.iter().any(|name| name.starts_with("wasi:http/")) {
        return Err(ContractError::OtherHttp(exports.join(", ")));
    }
    if exports.iter().any(|name| name.starts_with("wasi:cli/run@")) {
        return Err(ContractError::Program);
    }
    if exports.is_empty() {
        return Err(ContractError::NoExport);
    }
    Err(ContractError::NoHandler(exports.join(", ")))
}

/// Checks that this host has an imported interface.
pub(crate) fn check_import(import: &str) -> Result<(), ContractError> {
    if drafts::is_offered(import) {
        return Ok(());
    }

    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if let Some(interface) = name.strip_prefix(OURS) {
        let is_capability = CAPABILITIES.iter().any(|key| is_of(interface, key));
        if !is_capability && !ALWAYS_LINKED.contains(&interface) {
            return Err(ContractError::NewInterface(import.to_owned()));
        }
        if !is_spoken(version) {
            let package = interface.split('/').next().unwrap_or_default();
            return Err(other_version(package, version));
        }
        return Ok(());
    }

    let package = name
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'));
    if package.is_some_and(|(package, _)| WASI.contains(&package)) && wasi_minor(version).is_some()
    {
        return Ok(());
    }
    Err(match drafts::other_version(import) {
        Some(message) => ContractError::OtherDraft(message),
        None => ContractError::Unknown(import.to_owned()),
    })
}

fn other_version(package: &str, version: &str) -> ContractError {
    ContractError::OtherVersion {
        package: package.to_owned(),
        version: version.to_owned(),
    }
}

/// Whether an export makes a component a plain `wasi:http` component.
pub(crate) fn is_incoming(export: &str) -> bool {
    let version = export.strip_prefix("wasi:http/incoming-handler@");
    version.and_then(wasi_minor).is_some()
}

/// Whether this host implements a version of one of our packages.
pub(crate) fn is_spoken(version: &str) -> bool {
    version
        .strip_prefix(SPOKEN)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// `x` of WASI 0.2.x. Any is accepted here: the linker knows whether it has what the component
/// uses.
fn wasi_minor(version: &str) -> Option<u32> {
    version.strip_prefix("0.2.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        let export = |name: &str| check_export(&[name.to_owned()]);
        assert_eq!(export("landfall:hook/handler@0.1.0"), Ok(()));
        assert_eq!(export("landfall:hook/handler@0.1.7"), Ok(()));
        assert!(
            export("landfall:hook/handler@0.2.0")
                .unwrap_err()
                .to_string()
                .contains("was built for landfall:hook@0.2.0")
        );
        assert_eq!(export("wasi:http/incoming-handler@0.2.3"), Ok(()));
        assert!(
            export("wasi:http/handler@0.3.0")
                .unwrap_err()
                .to_string()
                .contains("rebuild it for WASI 0.2")
        );
        let exports = ["landfall:hook/handler@0.1.0", "landfall:init/init@0.2.0"];
        let newer = check_export(&exports.map(str::to_owned)).unwrap_err();
        assert!(
            newer
                .to_string()
                .contains("was built for landfall:init@0.2.0"),
            "{newer}"
        );
        assert_eq!(check_import("wasi:io/streams@0.2.6"), Ok(()));
        assert_eq!(check_import("wasi:io/streams@0.2.99"), Ok(()));
        assert_eq!(export("wasi:http/incoming-handler@0.2.99"), Ok(()));
        assert_eq!(check_import("landfall:table/table@0.1.0"), Ok(()));
        for good in [
            "wasi:config/store@0.2.0-rc.1",
            "wasi:logging/logging",
            "wasi:keyvalue/atomics@0.2.0-draft2",
        ] {
            assert_eq!(check_import(good), Ok(()));
        }
        let newer = check_import("wasi:keyvalue/store@0.2.0-draft3")
            .unwrap_err()
            .to_string();
        assert!(
            newer.contains("in the versions 0.2.0-draft and 0.2.0-draft2"),
            "{newer}"
        );
        assert_eq!(
            grant_for("wasi:keyvalue/store@0.2.0-draft").unwrap().name,
            "kv"
        );
        for bad in [
            "landfall:hook/sql@0.1.0",
            "landfall:sql/sql@0.1.0",
            "landfall:kv/kv@0.2.0",
            "wasi:keyvalue/watcher@0.2.0-draft",
            "wasi:config/store@0.3.0",
            "wasi:http/types@0.3.0",
            "wasi:io/streams@0.3.0",
            "acme:db/sql",
        ] {
            assert!(check_import(bad).is_err(), "{bad}");
        }
        let table = grant_for("landfall:table/table@0.1.0").unwrap();
        assert_eq!(table.line(), "table = [\"NAME\"]");
        assert_eq!(grant_for("landfall:hook/log@0.1.0"), None);
    }
}
