//! Reads the node's settings: a flag overrides an environment variable, a variable overrides
//! `landfall.toml`, and the file overrides the default.

use std::path::{Path, PathBuf};

use super::env;
use super::error::ConfigError;
use super::node::{Config, Flags};
use super::node_settings::NodeSettings;
use super::own_secrets;
use super::queue::Emulators;
use super::setting::SettingsTable;
use super::telemetry;
use super::variables;
use landfall_model::Clock;

/// The settings file in the working directory, if no other file is named.
const DEFAULT_FILE: &str = "landfall.toml";

// === impl Config ===

impl Config {
    /// Reads every layer. A settings file that was named must exist; the default one may be absent.
    pub fn load(flags: Flags, clock: Clock) -> Result<Config, ConfigError> {
        Config::from_layers(flags, env::var, clock)
    }

    /// Only the flags, over the defaults: no variable and no settings file. For a node that must
    /// not use what a node in production uses, such as its ledger or its queue.
    pub fn of_flags(flags: Flags, clock: Clock) -> Result<Config, ConfigError> {
        let config = Config::new(
            NodeSettings::default(),
            &flags,
            Emulators::default(),
            false,
            clock.now(),
        );
        let config =
            config.map_err(|conflict| ConfigError::whole("flags", conflict.to_string()))?;
        Ok(config.without_own_secrets(Path::new(DEFAULT_FILE), env::var))
    }

    /// Refuses `LANDFALL_*` variables that are no setting. For commands that run a node, check its
    /// settings, or ask one.
    pub fn reject_unknown_variables() -> Result<(), ConfigError> {
        variables::reject_unknown()
    }

    fn from_layers(
        flags: Flags,
        var: impl Fn(&str) -> Option<String>,
        clock: Clock,
    ) -> Result<Config, ConfigError> {
        let named = flags.config.clone();
        let named = named.or_else(|| var("LANDFALL_CONFIG").map(PathBuf::from));
        let mut merged = read_file(named.as_deref())?;
        for setting in NodeSettings::all() {
            let variable = setting.variable();
            if let Some(value) = var(&variable) {
                merged = with_variable(&merged, setting.key, &value)
                    .map_err(|message| of_variable(&variable, message))?;
            }
        }
        if let Some(port) = var("PORT") {
            apply_port(&mut merged, &port)?;
        }

        let settings = read(&merged)
            .map_err(|error| ConfigError::whole(DEFAULT_FILE, error.message().to_owned()))?;
        let emulators = Emulators {
            pubsub: var("PUBSUB_EMULATOR_HOST").filter(|host| !host.is_empty()),
            cloud_tasks: var("CLOUD_TASKS_EMULATOR_HOST").filter(|host| !host.is_empty()),
        };
        // Cloud Run sets it for services, and for functions, which are services.
        let on_cloud_run = var("K_SERVICE").is_some_and(|name| !name.is_empty());
        let mut config = Config::new(settings, &flags, emulators, on_cloud_run, clock.now())
            .map_err(|conflict| ConfigError::whole("settings", conflict.to_string()))?;
        config.telemetry = telemetry::spec(&config.settings.telemetry, &var)
            .map_err(|error| of_variable(error.variable(), error.to_string()))?;

        let file = named.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        Ok(config.without_own_secrets(file, var))
    }

    /// Hook files may not name the node's own secrets and files.
    fn without_own_secrets(mut self, file: &Path, var: impl Fn(&str) -> Option<String>) -> Config {
        self.secret_grant.own = own_secrets::references(&self);
        self.secret_grant.hooks_path = Some(own_secrets::hooks_path(&self.settings.data));
        self.secret_grant.own_paths = own_secrets::paths(&self.settings.data, file, var);
        self
    }
}

fn of_variable(name: &str, message: String) -> ConfigError {
    ConfigError::whole(&format!("environment variable {name}"), message)
}

fn read_file(named: Option<&Path>) -> Result<toml::Table, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            String::new()
        }
        Err(error) => {
            let message = format!("cannot be read: {error}");
            return Err(ConfigError::whole(&shown, message));
        }
    };

    parse_file(&shown, &text)
}

/// Reads a settings file once for its errors, which name line and column, and once as a table for
/// the layers above it.
fn parse_file(shown: &str, text: &str) -> Result<toml::Table, ConfigError> {
    let settings: NodeSettings =
        toml::from_str(text).map_err(|error| ConfigError::of_toml(shown, text, &error))?;
    if let Err(error) = settings.check_ranges() {
        let path: Vec<&str> = error.key.split('.').collect();
        return Err(ConfigError::at_key(shown, text, &path, error.to_string()));
    }

    Ok(text.parse().expect("what deserialises is a table"))
}

fn read(table: &toml::Table) -> Result<NodeSettings, toml::de::Error> {
    table.clone().try_into()
}

/// The port of a platform that sets one, on every address, unless the address of the public
/// listener is set.
fn apply_port(table: &mut toml::Table, port: &str) -> Result<(), ConfigError> {
    let number: u16 = port
        .parse()
        .map_err(|_| of_variable("PORT", format!("`{port}` is not a port: 0 to 65535")))?;
    let listen = table.entry("listen");
    listen.or_insert_with(|| format!("0.0.0.0:{number}").into());
    Ok(())
}

fn set(table: &mut toml::Table, key: &str, value: toml::Value) {
    let Some((outer, inner)) = key.split_once('.') else {
        table.insert(key.into(), value);
        return;
    };

    let entry = table
        .entry(outer)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    // A table that was written as its URL alone gets more keys.
    if entry.is_str() {
        let mut table = toml::Table::new();
        table.insert("url".into(), entry.clone());
        *entry = toml::Value::Table(table);
    }
    entry
        .as_table_mut()
        .expect("the file was read, so this is a table")
        .insert(inner.into(), value);
}

/// The table with the value of a variable. A variable has no type: the value is text if the setting
/// is a text, otherwise a number or a boolean.
fn with_variable(table: &toml::Table, key: &str, text: &str) -> Result<toml::Table, String> {
    let mut candidates = vec![toml::Value::String(text.into())];
    candidates.extend(text.parse().ok().map(toml::Value::Integer));
    candidates.extend(text.parse().ok().map(toml::Value::Float));
    candidates.extend(text.parse().ok().map(toml::Value::Boolean));

    let mut errors = Vec::new();
    for value in candidates {
        let mut table = table.clone();
        set(&mut table, key, value);
        match read(&table) {
            Ok(settings) => {
                let checked = settings.check_ranges();
                return checked.map(|()| table).map_err(|error| error.to_string());
            }
            Err(error) => errors.push(error),
        }
    }

    Err(errors.remove(0).message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::error::RENAMED;
    use super::*;

    fn load(flags: Flags, vars: &[(&str, &str)]) -> Result<Config, String> {
        let var = |name: &str| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_string())
        };
        Config::from_layers(flags, var, Clock::System).map_err(|error| error.to_string())
    }

    #[test]
    fn flag_over_environment_over_default() {
        assert_eq!(
            load(Flags::default(), &[])
                .unwrap()
                .settings
                .listen
                .0
                .to_string(),
            "0.0.0.0:8080"
        );
        assert_eq!(
            load(Flags::default(), &[("PORT", "9000")])
                .unwrap()
                .settings
                .listen
                .0
                .to_string(),
            "0.0.0.0:9000"
        );
        let vars = [
            ("PORT", "9000"),
            ("LANDFALL_LISTEN", "127.0.0.1:1"),
            ("LANDFALL_LIMITS_QUEUE_TIMEOUT", "2s"),
        ];
        let config = load(Flags::default(), &vars).unwrap();
        assert_eq!(
            (
                config.settings.listen.0.to_string().as_str(),
                config.edge_limits().queue_timeout.as_secs()
            ),
            ("127.0.0.1:1", 2)
        );
        assert_eq!(
            load(Flags::default(), &[("LANDFALL_PLUGINS", "1")])
                .unwrap()
                .settings
                .plugins,
            Path::new("1")
        );
        let flags = Flags {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            ..Flags::default()
        };
        assert_eq!(
            load(flags, &vars).unwrap().settings.listen.0.to_string(),
            "127.0.0.1:2"
        );
    }

    #[test]
    fn flags_alone_use_nothing_shared() {
        let flags = Flags {
            data: Some("own".into()),
            ..Flags::default()
        };
        let config = Config::of_flags(flags, Clock::System).unwrap();
        assert_eq!(config.settings.data, Path::new("own"));
        assert!(config.ledger_url().is_none() && config.queue.is_none());
        let own = std::path::absolute("own").unwrap();
        assert!(config.secret_grant.own_paths.contains(&own));
    }

    #[test]
    fn addresses_may_leave_out_the_host() {
        for (typed, expected) in [
            (":80", "0.0.0.0:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("LOCALHOST:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            let config = load(Flags::default(), &[("LANDFALL_LISTEN", typed)]).unwrap();
            assert_eq!(config.settings.listen.0.to_string(), expected, "{typed}");
        }
        let config = load(
            Flags::default(),
            &[("LANDFALL_ADMIN_LISTEN", "localhost:81")],
        )
        .unwrap();
        assert_eq!(config.settings.admin.listen.0.to_string(), "127.0.0.1:81");
        let file: NodeSettings =
            toml::from_str("listen = \":80\"\n[admin]\nlisten = \"localhost:81\"").unwrap();
        assert_eq!(file.listen.0.port(), 80);
        let open = load(Flags::default(), &[("LANDFALL_ADMIN_LISTEN", ":81")]).unwrap_err();
        assert!(
            open.contains("the admin listener 0.0.0.0:81 is reachable from elsewhere"),
            "{open}"
        );
        for (typed, expected) in [
            ("8080", "`8080` is not an address: write `:8080`"),
            ("example.com:80", "`example.com:80` is not an address"),
            (":http", "`:http` is not an address"),
            ("localhost", "`localhost` is not an address"),
        ] {
            let error = load(Flags::default(), &[("LANDFALL_LISTEN", typed)]).unwrap_err();
            assert!(error.contains(expected), "{typed}: {error}");
        }
    }

    #[test]
    fn ranges_are_a_list_or_text() {
        let proxies = |config: &Config| {
            let ranges = config.settings.trusted_proxies.clone();
            let ranges = ranges.map(|ranges| ranges.0).unwrap_or_default();
            ranges.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(proxies(&load(Flags::default(), &[]).unwrap()).is_empty());
        let config = load(
            Flags::default(),
            &[("LANDFALL_TRUSTED_PROXIES", "10.0.0.0/8, ::1")],
        )
        .unwrap();
        assert_eq!(proxies(&config), ["10.0.0.0/8", "::1/128"]);
        let file: NodeSettings = toml::from_str("trusted_proxies = [\"192.0.2.9\"]").unwrap();
        assert_eq!(
            file.trusted_proxies.unwrap().0[0].to_string(),
            "192.0.2.9/32"
        );
    }

    #[test]
    fn mistakes_name_variable_and_remedy() {
        for (vars, expected) in [
            (
                [("PORT", "http")],
                "environment variable PORT: `http` is not a port",
            ),
            (
                [("LANDFALL_HTTP2", "maybe")],
                "environment variable LANDFALL_HTTP2: invalid type",
            ),
            (
                [("LANDFALL_LISTEN", "8080x")],
                "environment variable LANDFALL_LISTEN: `8080x` is not an address",
            ),
            (
                [("LANDFALL_LIMITS_CONNECTIONS", "9223372036854775807")],
                "environment variable LANDFALL_LIMITS_CONNECTIONS: limits.connections = 9223372036854775807",
            ),
            (
                [("LANDFALL_LIMITS_HEAD_TIMEOUT", "18446744073709551615s")],
                "environment variable LANDFALL_LIMITS_HEAD_TIMEOUT: limits.head_timeout = ",
            ),
            (
                [("LANDFALL_TRUSTED_PROXIES", "10.0.0.0/8, proxy")],
                "environment variable LANDFALL_TRUSTED_PROXIES: `proxy` is not a range of addresses",
            ),
            (
                [("LANDFALL_LIMITS_KEEP_ALIVE", "2h")],
                "environment variable LANDFALL_LIMITS_KEEP_ALIVE: limits.keep_alive = 2h is out of range: 1ms to 1h",
            ),
            (
                [("LANDFALL_SCAN_INTERVAL", "1ns")],
                "environment variable LANDFALL_SCAN_INTERVAL: scan_interval = 1ns is out of range: 10ms to 1h",
            ),
            (
                [("LANDFALL_LIMITS_MAX_CONCURRENCY", "0")],
                "environment variable LANDFALL_LIMITS_MAX_CONCURRENCY: limits.max_concurrency = 0 is out of range",
            ),
            (
                [("LANDFALL_ADMIN_LISTEN", "0.0.0.0:8081")],
                "settings: the admin listener 0.0.0.0:8081 is reachable",
            ),
            (
                [("LANDFALL_CONFIG", "/nowhere/l.toml")],
                "/nowhere/l.toml: cannot be read",
            ),
        ] {
            let error = load(Flags::default(), &vars).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn bad_ranges_name_the_line() {
        let text = "[limits]\nconnections = 1\nkeep_alive = \"2h\"";
        let error = parse_file("landfall.toml", text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "landfall.toml:3:1: limits.keep_alive = 2h is out of range: 1ms to 1h"
        );
    }

    #[test]
    fn defaults_are_in_range() {
        let settings = NodeSettings::default();
        settings.check_ranges().unwrap();
        let config = load(Flags::default(), &[]).unwrap();
        assert_eq!(
            config.component_limits(),
            landfall_model::ComponentLimits::DEFAULT
        );
    }

    #[test]
    fn old_names_name_the_new_ones() {
        for (old, present) in RENAMED {
            let (text, key) = match old.split_once('.') {
                Some((table, key)) => (format!("[{table}]\n{key} = 1"), key),
                None => (format!("{old} = 1"), old),
            };
            let error = toml::from_str::<NodeSettings>(&text).unwrap_err();
            let error = ConfigError::of_toml("landfall.toml", &text, &error);
            let present = present.rsplit('.').next().unwrap();

            assert_eq!(
                error.message,
                format!("`{key}` is now `{present}`: rename it")
            );
        }
    }
}
