//! The `LANDFALL_*` variables that Landfall reads. Any other one is an error: a misspelled setting
//! must not be ignored.

use super::env;
use super::error::{ConfigError, RENAMED, nearest};
use super::node_settings::NodeSettings;
use super::setting::{Setting, SettingsTable, variable};

const PREFIX: &str = "LANDFALL_";
/// Variables that are not settings: the settings file and the clients.
const DOCUMENTED: [&str; 4] = [
    "LANDFALL_CONFIG",
    "LANDFALL_ADMIN",
    "LANDFALL_REGISTRY_USER",
    "LANDFALL_REGISTRY_PASSWORD",
];
/// Variables of the tests of Landfall, which are never suggested.
const INTERNAL: [&str; 11] = [
    "LANDFALL_SDK",
    "LANDFALL_SDK_NODE",
    "LANDFALL_LONG",
    "LANDFALL_NATS",
    "LANDFALL_ABUSE_CASES",
    "LANDFALL_REQUIRE_ALL",
    "LANDFALL_SEED",
    "LANDFALL_SOAK",
    "LANDFALL_TEST_LEDGER",
    "LANDFALL_TEST_QUEUE",
    "LANDFALL_UPDATE_DOCS",
];

/// Refuses the first variable of the environment that looks like a setting and is none, with a
/// suggestion.
pub(crate) fn reject_unknown() -> Result<(), ConfigError> {
    let documented = documented();
    let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
    let mut unknown: Vec<_> = env::vars_with(PREFIX)
        .into_iter()
        .filter(|variable| is_unknown(&documented, variable))
        .collect();
    unknown.sort();

    match unknown.first() {
        None => Ok(()),
        Some((name, _)) => Err(ConfigError::whole(
            &format!("environment variable {name}"),
            describe(name, &documented),
        )),
    }
}

/// Every variable that Landfall reads, those of its tests included.
#[cfg(test)]
pub(crate) fn known() -> Vec<String> {
    let internal = INTERNAL.iter().map(|name| name.to_string());
    documented().into_iter().chain(internal).collect()
}

fn documented() -> Vec<String> {
    let settings = NodeSettings::all();
    let settings = settings.iter().map(Setting::variable);
    settings
        .chain(DOCUMENTED.iter().map(|name| name.to_string()))
        .collect()
}

fn is_unknown(documented: &[&str], (name, value): &(String, String)) -> bool {
    let name = name.as_str();
    !documented.contains(&name) && !INTERNAL.contains(&name) && !is_service_link(name, value)
}

fn describe(name: &str, documented: &[&str]) -> String {
    if let Some((_, present)) = RENAMED.iter().find(|(old, _)| variable(old) == name) {
        return format!("it is now {}: rename it", variable(present));
    }

    let meant = match nearest(name, documented) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "docs/CONFIG.md lists them".into(),
    };
    format!(
        "no setting has this name: {meant} Names that begin with {PREFIX} are settings: remove it, or give a secret of yours another name"
    )
}

/// Whether Kubernetes or a container link sets the variable in every container for a Service named
/// `landfall` or `landfall-…`.
fn is_service_link(name: &str, value: &str) -> bool {
    let schemes = ["tcp://", "udp://", "sctp://"];
    if name.ends_with("_PORT") && schemes.iter().any(|scheme| value.starts_with(scheme)) {
        return true;
    }
    if name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
    {
        return true;
    }
    // LANDFALL_PORT_8080_TCP, also followed by _PROTO, _PORT or _ADDR.
    let mut parts = name.split("_PORT_").nth(1).unwrap_or_default().split('_');
    let (port, protocol) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    port.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_ignored() {
        for (name, value) in [
            ("LANDFALL_SERVICE_HOST", "10.0.0.7"),
            ("LANDFALL_SERVICE_PORT", "80"),
            ("LANDFALL_SERVICE_PORT_HTTP", "80"),
            ("LANDFALL_PORT", "tcp://10.0.0.7:80"),
            ("LANDFALL_PORT_80_TCP", "tcp://10.0.0.7:80"),
            ("LANDFALL_PORT_80_TCP_ADDR", "10.0.0.7"),
            ("LANDFALL_ADMIN_PORT_8081_TCP_PROTO", "tcp"),
            ("LANDFALL_ADMIN_SERVICE_HOST", "10.0.0.8"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [
            ("LANDFALL_PORT", "8080"),
            ("LANDFALL_LISTEN_PORT", "80"),
            ("LANDFALL_PORT_X_TCP", ""),
        ] {
            assert!(!is_service_link(name, value), "{name}");
        }
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        let known = ["LANDFALL_LEDGER_URL", "LANDFALL_LISTEN"];
        assert!(
            describe("LANDFALL_LEGDER_URL", &known).contains("did you mean LANDFALL_LEDGER_URL?")
        );
        assert!(
            describe("LANDFALL_STRIPE_SECRET", &known)
                .contains("give a secret of yours another name")
        );
        assert_eq!(
            describe("LANDFALL_LEDGER_KEEP_BODIES", &known),
            "it is now LANDFALL_LEDGER_BODY_RETENTION: rename it"
        );
        for value in ["1", ""] {
            let misspelled = ("LANDFALL_LISTN".into(), value.into());
            assert!(is_unknown(&known, &misspelled), "{value:?}");
        }
        assert!(!is_unknown(&known, &("LANDFALL_LONG".into(), "1".into())));
        let documented = documented();
        let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
        for name in ["LANDFALL_PORT", "LANDFALL_LONGER", "LANDFALL_NAT"] {
            let said = describe(name, &documented);
            assert!(
                INTERNAL.iter().all(|internal| !said.contains(internal)),
                "{said}"
            );
        }
        assert!(!is_unknown(&known, &("LANDFALL_LISTEN".into(), "1".into())));
    }
}
