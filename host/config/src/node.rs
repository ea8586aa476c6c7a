//! `landfall.toml`, environment and flags: the node's own settings. Flag over environment over file over default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::credential::Text;
use super::env;
use super::error::ConfigError;
use super::own_secrets;
use super::queue::{Emulators, QueueTable, QueueUrl};
use super::values::{ListenAddress, Names, Parsed, Ranges, SecretPatterns, Size, Time};
use super::variables;
use landfall_model::{
    BrokerSpec, ComponentLimits, CredentialPart, CredentialText, EdgeLimits, Retention, SecretAges,
    SecretGrant, SecretRef,
};

/// The node's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public listener.
    pub listen: SocketAddr,
    /// Accept HTTP/2 without TLS beside HTTP/1.1.
    pub http2: bool,
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// Needed for everything but `/healthz` and `/readyz`. None: a token that the node keeps in its data directory; only where
    /// `admin_listen` is loopback.
    pub admin_token: Option<SecretRef>,
    /// Host names of the admin listener beside `localhost` and addresses, in lower case.
    pub admin_hosts: Vec<String>,
    /// Where components and hook files are dropped.
    pub plugins: PathBuf,
    /// Where the node keeps what it must not forget.
    pub data: PathBuf,
    /// Bundled components, looked up after `plugins`; beside each may lie its compiled form.
    pub bundled: Option<PathBuf>,
    /// How often the plugins directory is read even if nothing was heard.
    pub poll: Duration,
    /// Attempts at once on this node.
    pub running: usize,
    /// How many parts a component may have.
    pub component: ComponentLimits,
    /// Bounds of the public listener.
    pub edge: EdgeLimits,
    /// Proxies that are believed when they say who called.
    pub trusted_proxies: Vec<IpNet>,
    /// How remote secrets age.
    pub secrets: SecretAges,
    /// The secrets that hook files may name.
    pub secret_grant: SecretGrant,
    /// Of a ledger in Postgres that nodes share; none: a file in `data`.
    pub ledger_url: Option<CredentialText>,
    /// Where events wait, if not in the ledger.
    pub queue: Option<BrokerSpec>,
    /// With which envelopes are sealed: the first one seals, any of them opens; none = they are not.
    pub queue_key: Vec<SecretRef>,
    /// Google Cloud Run, where the disk is memory and comes and goes with the instance.
    pub on_cloud_run: bool,
    /// After which the platform ends a request, whatever we say.
    pub platform_timeout: Option<Duration>,
    /// Keep events on a disk that is memory.
    pub accept_losing_events: bool,
    /// Free bytes of the data directory below which no event is accepted.
    pub low_water: u64,
    /// Bytes that are given up when the disk is full.
    pub reserve: u64,
    /// Start although what was acknowledged has been lost.
    pub accept_data_loss: bool,
    /// The most bytes of compiled components that are kept.
    pub cache_max_size: u64,
    /// What the ledger lets go of, and when.
    pub retention: Retention,
    /// How lines are written.
    pub log_format: Option<LogFormat>,
    /// `info`, `debug`, or a filter such as `landfall_edge=debug,info`.
    pub log_level: String,
    /// How long a stop waits for what runs.
    pub drain: Duration,
    /// When the node becomes ready.
    pub readiness: Readiness,
}

/// When a node becomes ready for the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// When every hook file is served.
    #[default]
    All,
    /// When the plugins directory has been read.
    Any,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// The same with the names that Google Cloud Logging knows: `severity`, `message`, its `trace`.
    CloudLogging,
}

/// What the command line said.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`
    pub admin_listen: Option<SocketAddr>,
    /// `--plugins`
    pub plugins: Option<PathBuf>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--bundled`
    pub bundled: Option<PathBuf>,
    /// `--http2`
    pub http2: Option<bool>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--accept-data-loss`: never in a file, so that it is not forgotten there
    pub accept_data_loss: bool,
    /// `--accept-losing-events`
    pub accept_losing_events: bool,
    /// `--log`
    pub log_level: Option<String>,
}

/// What may be typed; environment and flags are further layers of the same.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    listen: Option<Parsed<ListenAddress>>,
    http2: Option<bool>,
    plugins: Option<PathBuf>,
    data: Option<PathBuf>,
    bundled: Option<PathBuf>,
    poll: Option<Time>,
    drain: Option<Time>,
    platform_timeout: Option<Time>,
    readiness: Option<Readiness>,
    trusted_proxies: Option<Ranges>,
    #[serde(default)]
    admin: AdminTable,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    secrets: SecretsTable,
    #[serde(default, deserialize_with = "url_or_table")]
    ledger: LedgerTable,
    #[serde(default, deserialize_with = "url_or_table")]
    queue: QueueTable,
    #[serde(default)]
    cache: CacheTable,
    #[serde(default)]
    log: LogTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheTable {
    max_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerTable {
    url: Option<Parsed<UrlText>>,
    low_water: Option<Size>,
    reserve: Option<Size>,
    keep: Option<Time>,
    keep_bodies: Option<Time>,
    max_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminTable {
    listen: Option<Parsed<ListenAddress>>,
    token: Option<Parsed<SecretRef>>,
    hosts: Option<Names>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    running: Option<usize>,
    component_instances: Option<u32>,
    component_memories: Option<u32>,
    component_tables: Option<u32>,
    table_elements: Option<usize>,
    connections: Option<usize>,
    head_timeout: Option<Time>,
    keep_alive: Option<Time>,
    body_timeout: Option<Time>,
    wait: Option<Time>,
    bodies: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsTable {
    refresh: Option<Time>,
    keep: Option<Time>,
    allow: Option<SecretPatterns>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogTable {
    format: Option<LogFormat>,
    level: Option<String>,
}

/// A table that may be given by its `url` alone.
trait ByUrl: for<'de> Deserialize<'de> {
    fn by_url(url: &str) -> Result<Self, String>;
}

impl ByUrl for LedgerTable {
    fn by_url(url: &str) -> Result<LedgerTable, String> {
        Ok(LedgerTable {
            url: Some(Parsed(url.parse()?)),
            ..LedgerTable::default()
        })
    }
}

impl ByUrl for QueueTable {
    fn by_url(url: &str) -> Result<QueueTable, String> {
        Ok(QueueTable {
            url: Some(Parsed(url.parse::<QueueUrl>()?)),
            ..QueueTable::default()
        })
    }
}

/// `ledger = "postgres://…"` is short for a table with nothing but its `url`.
fn url_or_table<'de, D: Deserializer<'de>, T: ByUrl>(deserializer: D) -> Result<T, D::Error> {
    struct Either<T>(std::marker::PhantomData<T>);
    impl<'de, T: ByUrl> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a URL or a table")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::by_url(text).map_err(E::custom)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// The URL of a ledger that nodes share: written out, with secrets in it, or as a secret itself.
#[derive(Debug)]
struct UrlText(CredentialText);

impl std::str::FromStr for UrlText {
    type Err = String;

    fn from_str(text: &str) -> Result<UrlText, String> {
        let is_one = ["postgres://", "postgresql://"]
            .iter()
            .any(|start| text.starts_with(start));
        let wrong = "url is postgres://USER:${env:PASSWORD}@HOST/DATABASE, or a secret reference that holds one";
        match (is_one, text.contains("${"), text.parse::<SecretRef>()) {
            (true, true, _) => text.parse::<Text>().map(|text| UrlText(text.0)),
            (true, false, _) => Ok(UrlText(vec![CredentialPart::Literal(text.into())])),
            (false, _, Ok(reference)) => Ok(UrlText(vec![CredentialPart::Secret(reference)])),
            (false, _, Err(_)) => Err(wrong.into()),
        }
    }
}

/// In the working directory, where no other file is named.
const DEFAULT_FILE: &str = "landfall.toml";
const PLATFORM_MIN: Duration = Duration::from_secs(2);
/// Of a service that says nothing else.
const CLOUD_RUN_TIMEOUT: Duration = Duration::from_secs(300);
const DAY_MS: u64 = 86_400_000;
const CONNECTIONS_MAX: usize = 1_000_000;
const BODIES_MAX: usize = 1 << 40;
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Every setting with its environment variable; a value is read as the file would read it.
const VARIABLES: &[(&str, &str)] = &[
    ("LANDFALL_LISTEN", "listen"),
    ("LANDFALL_HTTP2", "http2"),
    ("LANDFALL_PLUGINS", "plugins"),
    ("LANDFALL_DATA", "data"),
    ("LANDFALL_BUNDLED", "bundled"),
    ("LANDFALL_POLL", "poll"),
    ("LANDFALL_DRAIN", "drain"),
    ("LANDFALL_READINESS", "readiness"),
    ("LANDFALL_ADMIN_LISTEN", "admin.listen"),
    ("LANDFALL_ADMIN_TOKEN", "admin.token"),
    ("LANDFALL_ADMIN_HOSTS", "admin.hosts"),
    ("LANDFALL_LIMITS_RUNNING", "limits.running"),
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
    ("LANDFALL_LIMITS_WAIT", "limits.wait"),
    ("LANDFALL_LIMITS_BODIES", "limits.bodies"),
    ("LANDFALL_SECRETS_REFRESH", "secrets.refresh"),
    ("LANDFALL_SECRETS_KEEP", "secrets.keep"),
    ("LANDFALL_SECRETS_ALLOW", "secrets.allow"),
    ("LANDFALL_LEDGER_URL", "ledger.url"),
    ("LANDFALL_LEDGER_LOW_WATER", "ledger.low_water"),
    ("LANDFALL_LEDGER_RESERVE", "ledger.reserve"),
    ("LANDFALL_LEDGER_KEEP", "ledger.keep"),
    ("LANDFALL_LEDGER_KEEP_BODIES", "ledger.keep_bodies"),
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
    ("LANDFALL_LOG_FORMAT", "log.format"),
    ("LANDFALL_LOG_LEVEL", "log.level"),
];

// === impl Config ===

impl Config {
    /// Reads every layer. A config file that was named must exist; the default one may be absent.
    pub fn load(flags: Flags) -> Result<Config, ConfigError> {
        Config::from_layers(flags, env::var)
    }

    /// Refuses variables that look like a setting and are none: for commands that are a node, or look like one.
    pub fn reject_unknown_variables() -> Result<(), ConfigError> {
        variables::reject_unknown(VARIABLES.iter().map(|(name, _)| *name))
    }

    /// Why no event can wait here, if none can.
    pub fn cannot_queue(&self) -> Option<&'static str> {
        let has_place = !self.on_cloud_run || self.queue.is_some() || self.ledger_url.is_some();
        (!has_place && !self.accept_losing_events).then_some(
            "needs a queue that outlives this instance, and on Cloud Run the disk is memory: set queue.url \
             (LANDFALL_QUEUE_URL) to pubsub://… (Pub/Sub) or cloudtasks://… (Cloud Tasks), or ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres); mode = \"sync\" needs none of them",
        )
    }

    /// Why nothing that is to be found again can be kept here, if nothing can.
    pub fn cannot_keep(&self) -> Option<&'static str> {
        let is_lost = self.on_cloud_run && self.ledger_url.is_none() && !self.accept_losing_events;
        is_lost.then_some(
            "needs a ledger that outlives this instance, and on Cloud Run the disk is memory: set ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres)",
        )
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
        let mut config = Config::build(flags, file, port, emulators, on_cloud_run)?;
        let settings = named.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        config.secret_grant.own = own_secrets::references(&config);
        config.secret_grant.hooks_path = Some(own_secrets::hooks_path(&config.data));
        config.secret_grant.own_paths = own_secrets::paths(&config.data, settings, var);
        Ok(config)
    }

    fn build(
        flags: Flags,
        file: NodeFile,
        port: Option<u16>,
        emulators: Emulators,
        on_cloud_run: bool,
    ) -> Result<Config, ConfigError> {
        let wrong = |message: String| ConfigError::whole("settings", message);
        let any = |port: u16| SocketAddr::from(([0, 0, 0, 0], port));
        let limits = file.limits;
        let time = |typed: Option<Time>, default_ms: u64| {
            typed.map_or(Duration::from_millis(default_ms), |time| time.0)
        };
        let config = Config {
            listen: flags
                .listen
                .or_else(|| file.listen.map(|parsed| parsed.0.0))
                .or_else(|| port.map(any))
                .unwrap_or_else(|| any(8080)),
            http2: flags.http2.or(file.http2).unwrap_or(false),
            admin_listen: flags
                .admin_listen
                .or_else(|| file.admin.listen.map(|parsed| parsed.0.0))
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081))),
            admin_token: file.admin.token.map(|parsed| parsed.0),
            admin_hosts: file.admin.hosts.map(|names| names.0).unwrap_or_default(),
            plugins: flags
                .plugins
                .or(file.plugins)
                .unwrap_or_else(|| "plugins".into()),
            data: flags
                .data
                .or(file.data)
                .unwrap_or_else(|| ".landfall".into()),
            bundled: flags.bundled.or(file.bundled),
            poll: time(file.poll, 2_000),
            running: limits.running.unwrap_or(1000),
            component: ComponentLimits {
                instances: limits
                    .component_instances
                    .unwrap_or(ComponentLimits::DEFAULT.instances),
                memories: limits
                    .component_memories
                    .unwrap_or(ComponentLimits::DEFAULT.memories),
                tables: limits
                    .component_tables
                    .unwrap_or(ComponentLimits::DEFAULT.tables),
                table_elements: limits
                    .table_elements
                    .unwrap_or(ComponentLimits::DEFAULT.table_elements),
            },
            edge: EdgeLimits {
                connections: limits.connections.unwrap_or(8192),
                head_timeout: time(limits.head_timeout, 10_000),
                keep_alive: time(limits.keep_alive, 620_000),
                body_timeout: time(limits.body_timeout, 30_000),
                wait: time(limits.wait, 500),
                bodies: limits.bodies.map_or(256 << 20, |size| size.0),
            },
            trusted_proxies: file
                .trusted_proxies
                .map(|ranges| ranges.0)
                .unwrap_or_default(),
            secrets: SecretAges {
                refresh: time(file.secrets.refresh, 300_000),
                keep: time(file.secrets.keep, 43_200_000),
            },
            secret_grant: SecretGrant {
                allow: file.secrets.allow.map(|patterns| patterns.0),
                ..SecretGrant::default()
            },
            accept_data_loss: flags.accept_data_loss,
            ledger_url: file.ledger.url.map(|parsed| parsed.0.0),
            queue_key: file
                .queue
                .key
                .as_ref()
                .map(|keys| keys.0.clone())
                .unwrap_or_default(),
            queue: file.queue.broker(emulators).map_err(wrong)?,
            on_cloud_run,
            platform_timeout: match (file.platform_timeout, on_cloud_run) {
                (Some(Time(time)), _) if time < PLATFORM_MIN || time > TIME_MAX => {
                    return Err(wrong(format!(
                        "platform_timeout = {time:?} is out of range: 2 s to 60 min"
                    )));
                }
                (Some(time), _) => Some(time.0),
                (None, true) => Some(CLOUD_RUN_TIMEOUT),
                (None, false) => None,
            },
            accept_losing_events: flags.accept_losing_events,
            retention: Retention {
                keep: time(file.ledger.keep, 30 * DAY_MS),
                keep_bodies: time(file.ledger.keep_bodies, 7 * DAY_MS),
                max_size: file.ledger.max_size.map_or(10 << 30, |size| size.0 as u64),
            },
            cache_max_size: file.cache.max_size.map_or(512 << 20, |size| size.0 as u64),
            low_water: file.ledger.low_water.map_or(64 << 20, |size| size.0 as u64),
            reserve: file.ledger.reserve.map_or(32 << 20, |size| size.0 as u64),
            log_format: flags
                .log_format
                .or(file.log.format)
                .or(on_cloud_run.then_some(LogFormat::CloudLogging)),
            log_level: flags
                .log_level
                .or(file.log.level)
                .unwrap_or_else(|| "info".into()),
            drain: time(file.drain, 8_000),
            readiness: file.readiness.unwrap_or_default(),
        };
        if !(1..=10_000).contains(&config.running) {
            return Err(wrong(format!(
                "limits.running = {} is out of range: 1 to 10000",
                config.running
            )));
        }
        let (component, most) = (config.component, ComponentLimits::LIMIT);
        for (key, typed, most) in [
            (
                "limits.component_instances",
                component.instances as usize,
                most.instances as usize,
            ),
            (
                "limits.component_memories",
                component.memories as usize,
                most.memories as usize,
            ),
            (
                "limits.component_tables",
                component.tables as usize,
                most.tables as usize,
            ),
            (
                "limits.table_elements",
                component.table_elements,
                most.table_elements,
            ),
        ] {
            if !(1..=most).contains(&typed) {
                return Err(wrong(format!(
                    "{key} = {typed} is out of range: 1 to {most}"
                )));
            }
        }
        if !(1..=CONNECTIONS_MAX).contains(&config.edge.connections) {
            let typed = config.edge.connections;
            return Err(wrong(format!(
                "limits.connections = {typed} is out of range: 1 to {CONNECTIONS_MAX}"
            )));
        }
        if !(1 << 20..=BODIES_MAX).contains(&config.edge.bodies) {
            return Err(wrong("limits.bodies is out of range: 1MiB to 1TiB".into()));
        }
        for (key, time, shortest_ms) in [
            ("limits.head_timeout", config.edge.head_timeout, 1),
            ("limits.keep_alive", config.edge.keep_alive, 1),
            ("limits.body_timeout", config.edge.body_timeout, 1),
            ("limits.wait", config.edge.wait, 0),
            ("poll", config.poll, 10),
            ("drain", config.drain, 0),
        ] {
            if !(Duration::from_millis(shortest_ms)..=TIME_MAX).contains(&time) {
                let shown = humantime::format_duration(time);
                return Err(wrong(format!(
                    "{key} = {shown} is out of range: {shortest_ms}ms to 1h"
                )));
            }
        }
        if config.secrets.refresh < Duration::from_secs(1)
            || config.secrets.keep < config.secrets.refresh
        {
            return Err(wrong(
                "secrets.refresh must be at least 1s, and secrets.keep at least as long as that"
                    .into(),
            ));
        }
        if !config.admin_listen.ip().is_loopback() && config.admin_token.is_none() {
            return Err(wrong(format!(
                "the admin listener {} is reachable from elsewhere: set admin.token (LANDFALL_ADMIN_TOKEN) to a secret \
                 reference such as \"env:ADMIN_TOKEN\", or listen on 127.0.0.1",
                config.admin_listen
            )));
        }
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
            // What was given by its URL alone gets more keys.
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

/// A variable has no type: text where the setting takes text, else what the file would have without quotes.
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
            ("LANDFALL_LIMITS_WAIT", "2s"),
        ];
        let config = load(Flags::default(), &vars).unwrap();
        assert_eq!(
            (
                config.listen.to_string().as_str(),
                config.edge.wait.as_secs()
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
                [("LANDFALL_POLL", "1ns")],
                "settings: poll = 1ns is out of range: 10ms to 1h",
            ),
            (
                [("LANDFALL_LIMITS_RUNNING", "0")],
                "settings: limits.running = 0 is out of range",
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
}
