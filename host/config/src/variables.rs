//! Which `LANDFALL_*` variables there may be. Any other one is a mistake: a setting that is mistyped must not be silently off.

use super::env;
use super::error::{ConfigError, RENAMED, nearest};

const PREFIX: &str = "LANDFALL_";
/// Read by other code than `Config`: the settings file, the clients, and this project's own tests.
const OTHERS: [&str; 10] = [
    "LANDFALL_CONFIG",
    "LANDFALL_ADMIN",
    "LANDFALL_SDK",
    "LANDFALL_SDK_NODE",
    "LANDFALL_LONG",
    "LANDFALL_NATS",
    "LANDFALL_ABUSE_CASES",
    "LANDFALL_REQUIRE_ALL",
    "LANDFALL_TEST_LEDGER",
    "LANDFALL_TEST_QUEUE",
];

/// The first variable of the environment that is none of `settings` and looks like one, as an error with a suggestion.
pub(super) fn reject_unknown<'a>(
    settings: impl Iterator<Item = &'a str>,
) -> Result<(), ConfigError> {
    let known: Vec<&str> = settings.chain(OTHERS).collect();
    let mut unknown: Vec<_> = env::vars_with(PREFIX)
        .into_iter()
        .filter(|var| is_unknown(&known, var))
        .collect();
    unknown.sort();
    match unknown.first() {
        None => Ok(()),
        Some((name, _)) => Err(ConfigError::whole(
            &format!("environment variable {name}"),
            describe(name, &known),
        )),
    }
}

fn is_unknown(known: &[&str], (name, value): &(String, String)) -> bool {
    !known.contains(&name.as_str()) && !is_service_link(name, value)
}

/// `LANDFALL_LIMITS_WAIT` for `limits.wait`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn describe(name: &str, known: &[&str]) -> String {
    if let Some((_, present)) = RENAMED.iter().find(|(old, _)| variable(old) == name) {
        return format!("it is now {}: rename it", variable(present));
    }

    let meant = match nearest(name, known) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "docs/CONFIG.md lists them".into(),
    };
    format!(
        "no setting has this name: {meant} Names that begin with {PREFIX} are settings: remove it, or give a secret of yours another name"
    )
}

/// What Kubernetes and container links set in every container for a Service named `landfall` or `landfall-…`.
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
    // LANDFALL_PORT_8080_TCP, and the same with _PROTO, _PORT, _ADDR.
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
    fn service_links_are_no_mistakes() {
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
        assert!(is_unknown(&known, &("LANDFALL_LISTN".into(), "1".into())));
        assert!(!is_unknown(&known, &("LANDFALL_LISTEN".into(), "1".into())));
    }
}
