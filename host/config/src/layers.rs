//! Reads the node's settings: flag over environment variable over `landfall.toml` over default.

use std::path::{Path, PathBuf};

use super::env;
use super::error::ConfigError;
use super::node::{Config, Flags};
use super::node_build::build;
use super::node_file::NodeFile;
use super::own_secrets;
use super::queue::Emulators;
use super::variables;

/// The settings file in the working directory, if no other file is named.
const DEFAULT_FILE: &str = "landfall.toml";

/// Every setting with its environment variable; a value is read as the file would read it.
const VARIABLES: &[(&str, &str)] = &[
    ("LANDFALL_LISTEN", "listen"),
    ("LANDFALL_HTTP2", "http2"),
    ("LANDFALL_PLUGINS", "plugins"),
    ("LANDFALL_DATA", "data"),
    ("LANDFALL_BUNDLED", "bundled"),
    ("LANDFALL_SCAN_INTERVAL", "scan_interval"),
    ("LANDFALL_DRAIN", "drain"),
    ("LANDFALL_READINESS", "readiness"),
    ("LANDFALL_ADMIN_LISTEN", "admin.listen"),
    ("LANDFALL_ADMIN_TOKEN", "admin.token"),
    ("LANDFALL_ADMIN_HOSTS", "admin.hosts"),
    ("LANDFALL_LIMITS_MAX_CONCURRENCY", "limits.max_concurrency"),
    (
        "LANDFALL_LIMITS_COMPONENT_INSTANCES",
        "limits.component_instances",
    ),
    (
        "LANDFALL_LIMITS_COMPONENT_MEMORIES",
        "limits.component_memories",
    ),
    (
        "LANDFALL_LIMITS_COMPONENT_TABLES",
        "limits.component_tables",
    ),
    ("LANDFALL_LIMITS_TABLE_ELEMENTS", "limits.table_elements"),
    ("LANDFALL_LIMITS_CONNECTIONS", "limits.connections"),
    ("LANDFALL_LIMITS_HEAD_TIMEOUT", "limits.head_timeout"),
    ("LANDFALL_LIMITS_KEEP_ALIVE", "limits.keep_alive"),
    ("LANDFALL_LIMITS_BODY_TIMEOUT", "limits.body_timeout"),
    ("LANDFALL_LIMITS_QUEUE_TIMEOUT", "limits.queue_timeout"),
    ("LANDFALL_LIMITS_BODY_MEMORY", "limits.body_memory"),
    ("LANDFALL_SECRETS_REFRESH", "secrets.refresh"),
    ("LANDFALL_SECRETS_KEEP", "secrets.keep"),
    ("LANDFALL_SECRETS_ALLOW", "secrets.allow"),
    ("LANDFALL_LEDGER_URL", "ledger.url"),
    ("LANDFALL_LEDGER_MIN_FREE_SPACE", "ledger.min_free_space"),
    ("LANDFALL_LEDGER_RESERVE", "ledger.reserve"),
    ("LANDFALL_LEDGER_RETENTION", "ledger.retention"),
    ("LANDFALL_LEDGER_BODY_RETENTION", "ledger.body_retention"),
    ("LANDFALL_LEDGER_MAX_SIZE", "ledger.max_size"),
    ("LANDFALL_CACHE_MAX_SIZE", "cache.max_size"),
    ("LANDFALL_PLATFORM_TIMEOUT", "platform_timeout"),
    ("LANDFALL_TRUSTED_PROXIES", "trusted_proxies"),
    ("LANDFALL_QUEUE_URL", "queue.url"),
    ("LANDFALL_QUEUE_STREAM", "queue.stream"),
    ("LANDFALL_QUEUE_REPLICAS", "queue.replicas"),
    ("LANDFALL_QUEUE_STORAGE", "queue.storage"),
    ("LANDFALL_QUEUE_MONITOR", "queue.monitor"),
    ("LANDFALL_QUEUE_SUBSCRIPTION", "queue.subscription"),
    ("LANDFALL_QUEUE_DEAD_LETTER", "queue.dead_letter"),
    ("LANDFALL_QUEUE_PUSH_TO", "queue.push_to"),
    ("LANDFALL_QUEUE_PUSH_ACCOUNT", "queue.push_account"),
    ("LANDFALL_QUEUE_PUSH_KEYS", "queue.push_keys"),
    ("LANDFALL_QUEUE_KEY", "queue.key"),
    (
        "LANDFALL_QUEUE_ACCEPT_UNSEALED_UNTIL",
        "queue.accept_unsealed_until",
    ),
    ("LANDFALL_LOG_FORMAT", "log.format"),
    ("LANDFALL_LOG_LEVEL", "log.level"),
];

// === impl Config ===

impl Config {
    /// Reads every layer. A settings file that was named must exist; the default one may be absent.
    pub fn load(flags: Flags) -> Result<Config, ConfigError> {
        Config::from_layers(flags, env::var)
    }

    /// Refuses `LANDFALL_*` variables that are no setting. For commands that run a node or check its settings.
    pub fn reject_unknown_variables() -> Result<(), ConfigError> {
        variables::reject_unknown(VARIABLES.iter().map(|(name, _)| *name))
    }

    fn from_layers(
        flags: Flags,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let named = flags
            .config
            .clone()
            .or_else(|| var("LANDFALL_CONFIG").map(PathBuf::from));
        let mut merged = read_file(named.as_deref())?;
        for &(name, key) in VARIABLES {
            if let Some(value) = var(name) {
                merged = with_variable(&merged, key, &value).map_err(|error| {
                    ConfigError::whole(
                        &format!("environment variable {name}"),
                        error.message().to_owned(),
                    )
                })?;
            }
        }
        let file = read(&merged)
            .map_err(|error| ConfigError::whole("landfall.toml", error.message().to_owned()))?;
        let port = match var("PORT") {
            None => None,
            Some(text) => Some(text.parse::<u16>().map_err(|_| {
                ConfigError::whole(
                    "environment variable PORT",
                    format!("`{text}` is not a port: 0 to 65535"),
                )
            })?),
        };
        let emulators = Emulators {
            pubsub: var("PUBSUB_EMULATOR_HOST").filter(|host| !host.is_empty()),
            cloud_tasks: var("CLOUD_TASKS_EMULATOR_HOST").filter(|host| !host.is_empty()),
        };
        // Cloud Run sets it for services, and for functions, which are services.
        let on_cloud_run = var("K_SERVICE").is_some_and(|name| !name.is_empty());
        let mut config = build(flags, file, port, emulators, on_cloud_run)?;
        let settings = named.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        config.secret_grant.own = own_secrets::references(&config);
        config.secret_grant.hooks_path = Some(own_secrets::hooks_path(&config.data));
        config.secret_grant.own_paths = own_secrets::paths(&config.data, settings, var);
        Ok(config)
    }
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
            return Err(ConfigError::whole(
                &shown,
                format!("cannot be read: {error}"),
            ));
        }
    };
    toml::from_str::<NodeFile>(&text)
        .map_err(|error| ConfigError::of_toml(&shown, &text, &error))?;
    Ok(text.parse().expect("what deserialises is a table"))
}

fn read(table: &toml::Table) -> Result<NodeFile, toml::de::Error> {
    table.clone().try_into()
}

fn set(table: &mut toml::Table, key: &str, value: toml::Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.into(), value);
        }
        Some((outer, inner)) => {
            let entry = table
                .entry(outer)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            // A table that was typed as its URL alone gets more keys.
            if entry.is_str() {
                let url = std::mem::replace(entry, toml::Value::Table(toml::Table::new()));
                entry
                    .as_table_mut()
                    .expect("it was just made")
                    .insert("url".into(), url);
            }
            entry
                .as_table_mut()
                .expect("the file was read, so this is a table")
                .insert(inner.into(), value);
        }
    }
}

/// A variable has no type: it is text if the setting takes text, else what the file would have without quotes.
fn with_variable(
    table: &toml::Table,
    key: &str,
    text: &str,
) -> Result<toml::Table, toml::de::Error> {
    let number = text.parse().ok().map(toml::Value::Integer);
    let truth = text.parse().ok().map(toml::Value::Boolean);
    let try_one = |value: toml::Value| {
        let mut table = table.clone();
        set(&mut table, key, value);
        read(&table).map(|_| table)
    };
    let as_text = try_one(toml::Value::String(text.into()));
    as_text.or_else(|error| {
        number
            .or(truth)
            .and_then(|value| try_one(value).ok())
            .ok_or(error)
    })
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
        Config::from_layers(flags, var).map_err(|error| error.to_string())
    }

    #[test]
    fn flag_over_environment_over_default() {
        assert_eq!(
            load(Flags::default(), &[]).unwrap().listen.to_string(),
            "0.0.0.0:8080"
        );
        assert_eq!(
            load(Flags::default(), &[("PORT", "9000")])
                .unwrap()
                .listen
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
                config.listen.to_string().as_str(),
                config.edge.queue_timeout.as_secs()
            ),
            ("127.0.0.1:1", 2)
        );
        assert_eq!(
            load(Flags::default(), &[("LANDFALL_PLUGINS", "1")])
                .unwrap()
                .plugins,
            Path::new("1")
        );
        let flags = Flags {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            ..Flags::default()
        };
        assert_eq!(
            load(flags, &vars).unwrap().listen.to_string(),
            "127.0.0.1:2"
        );
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
            assert_eq!(config.listen.to_string(), expected, "{typed}");
        }
        let config = load(
            Flags::default(),
            &[("LANDFALL_ADMIN_LISTEN", "localhost:81")],
        )
        .unwrap();
        assert_eq!(config.admin_listen.to_string(), "127.0.0.1:81");
        let file: NodeFile =
            toml::from_str("listen = \":80\"\n[admin]\nlisten = \"localhost:81\"").unwrap();
        assert_eq!(file.listen.unwrap().0.0.port(), 80);
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
        assert!(
            load(Flags::default(), &[])
                .unwrap()
                .trusted_proxies
                .is_empty()
        );
        let config = load(
            Flags::default(),
            &[("LANDFALL_TRUSTED_PROXIES", "10.0.0.0/8, ::1")],
        )
        .unwrap();
        assert_eq!(
            config
                .trusted_proxies
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["10.0.0.0/8", "::1/128"]
        );
        let file: NodeFile = toml::from_str("trusted_proxies = [\"192.0.2.9\"]").unwrap();
        assert_eq!(
            file.trusted_proxies.unwrap().0[0].to_string(),
            "192.0.2.9/32"
        );
    }

    #[test]
    fn mistakes_name_the_variable_and_the_way_out() {
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
                "settings: limits.connections = 9223372036854775807",
            ),
            (
                [("LANDFALL_LIMITS_HEAD_TIMEOUT", "18446744073709551615s")],
                "settings: limits.head_timeout = ",
            ),
            (
                [("LANDFALL_TRUSTED_PROXIES", "10.0.0.0/8, proxy")],
                "environment variable LANDFALL_TRUSTED_PROXIES: `proxy` is no range of addresses",
            ),
            (
                [("LANDFALL_LIMITS_KEEP_ALIVE", "2h")],
                "settings: limits.keep_alive = 2h is out of range: 1ms to 1h",
            ),
            (
                [("LANDFALL_SCAN_INTERVAL", "1ns")],
                "settings: scan_interval = 1ns is out of range: 10ms to 1h",
            ),
            (
                [("LANDFALL_LIMITS_MAX_CONCURRENCY", "0")],
                "settings: limits.max_concurrency = 0 is out of range",
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
    fn old_names_name_the_new_ones() {
        for (old, present) in RENAMED {
            let (text, key) = match old.split_once('.') {
                Some((table, key)) => (format!("[{table}]\n{key} = 1"), key),
                None => (format!("{old} = 1"), old),
            };
            let error = toml::from_str::<NodeFile>(&text).unwrap_err();
            let error = ConfigError::of_toml("landfall.toml", &text, &error);
            let present = present.rsplit('.').next().unwrap();

            assert_eq!(
                error.message,
                format!("`{key}` is now `{present}`: rename it")
            );
        }
    }
}
