//! The settings of the node: tables and keys of `landfall.toml`. Each field is one setting, with
//! its meaning, default, range and flag. CONTRIBUTING.md lists the steps to add one.

use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::credential::Text;
use super::queue_url::QueueUrl;
use super::setting::settings;
use super::value_error::ValueError;
use super::values::{
    ListenAddress, Names, OtlpEndpoint, Parsed, Ranges, SecretPatterns, SecretRefs, Size, Time,
    TrustedKeys, UtcTime,
};
use landfall_model::{CredentialPart, CredentialText, HookName, RequestLines, SecretRef};

settings! {
    /// The keys of `landfall.toml`. Environment variables and flags override them.
    pub struct NodeSettings in "" {
        /// The public listener. `PORT` sets the port alone, if neither the variable nor the file
        /// sets an address
        #[flag("--listen")]
        listen: ListenAddress = "0.0.0.0:8080",

        /// HTTP/1.1 only. `true` also accepts HTTP/2 without TLS
        #[flag("--http2")]
        http2: bool = false,

        /// The directory of hook files and components. It must exist and be readable; an empty
        /// directory is a warning
        #[flag("--plugins")]
        plugins: PathBuf = "plugins",

        /// The data directory: ledger, compiled components, admin token
        #[flag("--data")]
        data: PathBuf = ".landfall",

        /// None. A second directory of components, searched after `plugins`
        #[flag("--bundled")]
        bundled: Option<PathBuf>,

        /// How often the node scans the plugins directory, in addition to file notifications
        #[range("10ms", "1h")]
        scan_interval: Time = "2s",

        /// How long a stopping node waits for running attempts
        #[range("0ms", "1h")]
        drain: Time = "8s",

        /// The node becomes ready when every hook file is served. `any`: when it has read the
        /// plugins directory ([below](#readiness))
        readiness: Readiness = "all",

        /// None; on Cloud Run `300s`. After this time the platform ends a request. Longer deadlines
        /// of hooks are shortened to one second less, and the log says so
        #[range("2s", "1h")]
        platform_timeout: Option<Time>,

        /// None. Address ranges of proxies whose `X-Forwarded-For` or `Forwarded` header is
        /// believed ([proxy.md](deploy/proxy.md))
        trusted_proxies: Option<Ranges>,
    }
    tables {
        admin: AdminTable,
        limits: LimitsTable,
        components: ComponentsTable,
        secrets: SecretsTable,
        #[serde(deserialize_with = "url_or_table")]
        ledger: LedgerTable,
        #[serde(deserialize_with = "url_or_table")]
        queue: QueueTable,
        cache: CacheTable,
        log: LogTable,
        telemetry: TelemetryTable,
        watch: NodeWatchTable,
        shape: NodeShapeTable,
    }
}

settings! {
    /// `[admin]`
    pub struct AdminTable in "admin." {
        /// An address that is not loopback requires `admin.token`
        #[flag("--admin-listen")]
        listen: ListenAddress = "127.0.0.1:8081",

        /// A token that the node creates at its first start, in the file `admin-token` of `data`
        /// (mode 0600). Or a secret reference such as `env:ADMIN`
        token: Option<Parsed<SecretRef>>,

        /// None. A second token, as a secret reference such as `env:ADMIN_READ`. It may read
        /// everything and change nothing
        read_token: Option<Parsed<SecretRef>>,

        /// None. Host names that the admin API answers to, besides `localhost` and addresses
        hosts: Option<Names>,
    }
    tables {}
}

settings! {
    /// `[limits]`
    pub struct LimitsTable in "limits." {
        /// Attempts that run at the same time on this node
        #[range(1, 10000)]
        max_concurrency: usize = 1000,

        /// Core instances of one component. A component with more does not load
        #[range(1, 1000)]
        component_instances: u32 = 64,

        /// Memories of one component. A component with more does not load
        #[range(1, 64)]
        component_memories: u32 = 4,

        /// Tables of one component. A component with more does not load
        #[range(1, 256)]
        component_tables: u32 = 16,

        /// Table elements of one component. A component with more does not load
        #[range(1, 1000000)]
        table_elements: usize = 20000,

        /// Open connections. At the limit, the connection that has been idle longest is closed for
        /// a new one; if none is idle, the oldest one whose client has sent nothing more of a
        /// request head for 250 ms
        #[range(1, 1000000)]
        connections: usize = 8192,

        /// Time for a request head: the first one from the moment the connection is accepted, a
        /// later one from its first byte
        #[range("1ms", "1h")]
        head_timeout: Time = "10s",

        /// How long a connection may be idle between two requests. The default is above the 600 s
        /// of Google's load balancers
        #[range("1ms", "1h")]
        keep_alive: Time = "620s",

        /// Time for a request body
        #[range("1ms", "1h")]
        body_timeout: Time = "30s",

        /// How long a request in mode `sync` waits until the processors have time for its hook
        /// ([below](#one-busy-hook), at least `100ms`), and then for one of the hook's permits to
        /// run (`concurrency`)
        #[range("0ms", "1h")]
        queue_timeout: Time = "500ms",

        /// Memory for all request bodies together
        #[range("1MiB", "1TiB")]
        body_memory: Size = "256MiB",

        /// Memory for all replies that clients have not read yet. A reply of more than 64 KiB may
        /// use seven eighths. Without room, mode `sync` answers 503, the other modes send the
        /// accepted answer
        #[range("1MiB", "1TiB")]
        response_memory: Size = "256MiB",

        /// The part of `limits.response_memory` that one connection may use. Only an HTTP/2
        /// connection can have several replies that wait
        #[range("1MiB", "1TiB")]
        connection_response_memory: Size = "32MiB",

        /// Bytes per second that a client must read of an answer, after the first
        /// `limits.head_timeout`. A client that reads less, or nothing for `limits.head_timeout`, is
        /// disconnected. On HTTP/2, a stream that is read too slowly is reset
        #[range("1B", "1GiB")]
        response_rate: Size = "8KiB",
    }
    tables {}
}

settings! {
    /// `[components]`
    pub struct ComponentsTable in "components." {
        /// None: components need no signature. A list of public keys of minisign, such as
        /// `["RW…"]`: a component without a valid signature of one of them, in the file
        /// `NAME.wasm.minisig`, does not load ([packaging.md](handlers/packaging.md#signatures))
        trusted_keys: Option<TrustedKeys>,

        /// `true`: with `components.trusted_keys`, components in the directory of `bundled` need no
        /// signature
        trust_bundled: bool = false,

        /// `true`: the stack of an attempt is cleared before another one gets it. For a node with
        /// components of authors who do not trust each other: it protects from one kind of fault in
        /// the compiler, and costs about 2 µs of processor time in each attempt
        /// ([SECURITY](../SECURITY.md)). `false`: stacks that were used deeply stay in memory, up to
        /// 1 MiB for each attempt that runs at the same time
        clear_stacks: bool = false,
    }
    tables {}
}

settings! {
    /// `[secrets]`
    pub struct SecretsTable in "secrets." {
        /// How often a remote secret is fetched again, at least `1s`
        refresh: Time = "5m",

        /// How long the last value is used while its source is unreachable, at least
        /// `secrets.refresh`
        keep: Time = "12h",

        /// None: hook files can name every secret except the node's own. A list such as
        /// `["env:HOOK_*", "file:/run/secrets/"]` allows only these
        /// ([below](#secrets-of-hook-files))
        allow: Option<SecretPatterns>,
    }
    tables {}
}

settings! {
    /// `[ledger]`
    pub struct LedgerTable in "ledger." {
        /// A SQLite file in `data`. `postgres://USER:${env:PASSWORD}@HOST/DATABASE`, or a secret
        /// reference to such a URL: a ledger that several nodes share ([POSTGRES.md](POSTGRES.md))
        url: Option<Parsed<LedgerUrl>>,

        /// With less free disk space than this, the node accepts no events (503) and is not ready
        min_free_space: Size = "64MiB",

        /// Size of a file that the node deletes when the disk is full, so that running attempts can
        /// end and old events can be removed. The node accepts no events until it can create the
        /// file again. `0B`: no file
        reserve: Size = "32MiB",

        /// How long a done or dead delivery is kept. Rows are kept forever
        retention: Time = "30d",

        /// How long the body of a done delivery is kept
        body_retention: Time = "7d",

        /// None: what is stored is not encrypted. A secret reference, or a list for rotation, each of
        /// 32 bytes in base64: the first key encrypts what events, attempts, rows and values contain,
        /// and each of them decrypts ([PRIVACY.md](PRIVACY.md#encryption-at-rest))
        encryption_keys: Option<SecretRefs>,

        /// The largest size of the ledger in used pages ([below](#when-the-ledger-is-full))
        max_size: Size = "10GiB",
    }
    tables {}
}

settings! {
    /// `[queue]`: the keys of all brokers.
    pub struct QueueTable in "queue." {
        /// None: events wait in the ledger. `nats://…`, `pubsub://PROJECT/TOPIC` or
        /// `cloudtasks://PROJECT/LOCATION/QUEUE`: they wait in that broker ([QUEUES.md](QUEUES.md))
        url: Option<Parsed<QueueUrl>>,

        /// None. A secret reference, or a list for rotation: events in the broker carry a MAC with
        /// this key ([QUEUES.md](QUEUES.md#who-may-publish))
        key: Option<SecretRefs>,

        /// None. A time such as `2026-01-31T08:15:30Z`, at most 7 days ahead. Until then, events
        /// without a MAC run although `queue.key` is set ([QUEUES.md](QUEUES.md#who-may-publish))
        accept_unsealed_until: Option<Parsed<UtcTime>>,

        /// `landfall`. The stream (NATS)
        stream: Option<String>,

        /// `1`. Replicas of the stream: 1, 3 or 5 (NATS)
        replicas: Option<usize>,

        /// `file`, or `memory` (NATS)
        storage: Option<Storage>,

        /// None. The monitoring address of the server (NATS)
        monitor: Option<String>,

        /// The name of the topic (Pub/Sub)
        subscription: Option<String>,

        /// The name of the topic with `-dead` (Pub/Sub)
        dead_letter: Option<String>,

        /// None. The public address of this node, which the broker calls (Pub/Sub, Cloud Tasks)
        push_to: Option<String>,

        /// None. The service account of these calls
        push_account: Option<String>,

        /// Google's address. Where the keys of the tokens of these calls are fetched
        push_keys: Option<String>,
    }
    tables {}
}

settings! {
    /// `[cache]`
    pub struct CacheTable in "cache." {
        /// Compiled components in `data`, and at most a quarter of the disk. The component that has
        /// not been used for longest is removed first, and compiled again when it is needed
        max_size: Size = "512MiB",
    }
    tables {}
}

settings! {
    /// `[log]`
    pub struct LogTable in "log." {
        /// `text` on a terminal, `cloud-logging` on Cloud Run, otherwise `json`. `cloud-logging`
        /// has the field names of Google Cloud Logging; `GOOGLE_CLOUD_PROJECT` names the project of
        /// traces
        #[flag("--log-format")]
        format: Option<LogFormat>,

        /// Or a filter such as `landfall_edge=debug,info`
        #[flag("--log")]
        level: String = "info",

        /// Every answered request has a line. `failed`: those with a status of 400 or more. `none`
        /// ([logs.md](observability/logs.md))
        requests: RequestLines = "all",

        /// Of the requests with a status below 400, one in this many has a line
        #[range(1, 1000000)]
        request_every: u32 = 1,
    }
    tables {}
}

settings! {
    /// `[telemetry]`
    pub struct TelemetryTable in "telemetry." {
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`; without both, nothing is sent. The address of an
        /// OpenTelemetry collector that accepts OTLP over HTTP, such as `http://127.0.0.1:4318`
        /// ([traces.md](observability/traces.md))
        otlp_endpoint: Option<Parsed<OtlpEndpoint>>,

        /// None. A secret reference: the value of the header `Authorization` of these requests
        authorization: Option<Parsed<SecretRef>>,

        /// `OTEL_SERVICE_NAME`, otherwise `landfall`
        service_name: Option<String>,

        /// The share of traces that are recorded, from `0.0` to `1.0`. A caller that sends
        /// `traceparent` decides for its own trace
        #[range(0.0, 1.0)]
        sample_ratio: f64 = 1.0,

        /// How often the metrics of `/metrics` are sent to the collector too. `0s`: never
        #[range("0s", "1h")]
        metrics_interval: Time = "60s",
    }
    tables {}
}

settings! {
    /// `[watch]`
    pub struct NodeWatchTable in "watch." {
        /// `false`: the node opens no alarms ([WATCH.md](WATCH.md))
        enabled: bool = true,

        /// None. The hook that receives the alarms of the node, and of hooks whose file names no
        /// other one, as events
        to: Option<Parsed<HookName>>,

        /// `http://` and `admin.listen`. The address of the admin listener in the links of alarms
        link: Option<String>,

        /// How often the node looks
        #[range("100ms", "5m")]
        interval: Time = "15s",

        /// How long a delivery may be due before the alarm `backlog` opens
        #[range("1s", "30d")]
        queue_age: Time = "10m",

        /// With less free disk space than this, the alarm `disk` opens
        disk_free: Size = "1GiB",

        /// None. The age at which the newest secret of a hook should be replaced
        #[range("1d", "3650d")]
        secret_max_age: Option<Time>,

        /// How long before its end the alarm `secret` opens, and at most a quarter of
        /// `secret_max_age`
        #[range("1h", "365d")]
        secret_notice: Time = "14d",

        /// The alarm on silence, for hooks whose file does not switch it. So are the following keys
        silence: bool = true,

        /// The alarm on a surge of refusals
        refusals: bool = true,

        /// The alarm on answers near the provider's deadline
        slow_answers: bool = true,

        /// The alarm on periodic ownership checks
        challenge: bool = true,

        /// The alarm on answers with 5xx to a provider that does not send again
        server_errors: bool = true,

        /// The alarm on deliveries that wait
        backlog: bool = true,

        /// The alarm on dead letters
        dead_letters: bool = true,

        /// The alarm on the free disk space
        disk: bool = true,

        /// The alarm on secrets near their end
        secret: bool = true,

        /// The alarm on candidates that a rule has rolled back, or that cannot be tried
        candidate: bool = true,

        /// The alarm on events that differ from the shape that was learned, for hooks that verify
        /// their senders. Hooks with `scheme = "none"` and without `from_addresses` need
        /// `shape = true` under `[watch]` of their files
        shape: bool = true,
    }
    tables {}
}

settings! {
    /// `[shape]`
    pub struct NodeShapeTable in "shape." {
        /// `false`: the node learns no shapes, unless a hook file says `learn = true`
        /// ([SHAPES.md](SHAPES.md))
        learn: bool = true,

        /// How often the node looks for stored events that it has not learned from
        #[range("100ms", "5m")]
        interval: Time = "15s",

        /// Events of a hook that one look learns from. If there are more, it takes the newest
        #[range(1, 1000)]
        sample: usize = 50,

        /// The time that one look may spend on bodies. The other hooks are looked at next time
        #[range("1ms", "10s")]
        budget: Time = "150ms",

        /// Events of a type before its shape is known, for hooks whose file does not say it. So are
        /// the following keys
        #[range(1, 1000000)]
        min_events: usize = 100,

        /// The time before its shape is known
        #[range("0s", "90d")]
        min_time: Time = "3d",

        /// A difference that is still there after this time becomes a part of the shape
        #[range("1h", "365d")]
        adopt_after: Time = "7d",
    }
    tables {}
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

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// JSON with the field names of Google Cloud Logging: `severity`, `message`, its `trace`.
    CloudLogging,
}

/// Where NATS stores a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    File,
    Memory,
}

/// The URL of a ledger that nodes share: written out, with secrets in it, or a secret reference.
#[derive(Debug, Clone)]
pub struct LedgerUrl(pub CredentialText);

/// A table that can be written as its `url` alone.
trait FromUrl: for<'de> Deserialize<'de> {
    fn from_url(url: &str) -> Result<Self, ValueError>;
}

impl FromUrl for LedgerTable {
    fn from_url(url: &str) -> Result<LedgerTable, ValueError> {
        Ok(LedgerTable {
            url: Some(Parsed(url.parse()?)),
            ..LedgerTable::default()
        })
    }
}

impl FromUrl for QueueTable {
    fn from_url(url: &str) -> Result<QueueTable, ValueError> {
        Ok(QueueTable {
            url: Some(Parsed(url.parse()?)),
            ..QueueTable::default()
        })
    }
}

/// Reads a table, or a text that is its `url`: `ledger = "postgres://…"`.
fn url_or_table<'de, D: Deserializer<'de>, T: FromUrl>(deserializer: D) -> Result<T, D::Error> {
    struct UrlOrTable<T>(std::marker::PhantomData<T>);

    impl<'de, T: FromUrl> Visitor<'de> for UrlOrTable<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a URL or a table")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::from_url(text).map_err(E::custom)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(UrlOrTable(std::marker::PhantomData))
}

// === impl LedgerUrl ===

impl std::str::FromStr for LedgerUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<LedgerUrl, ValueError> {
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|start| text.starts_with(start));

        if is_url && text.contains("${") {
            text.parse::<Text>().map(|text| LedgerUrl(text.0))
        } else if is_url {
            Ok(LedgerUrl(vec![CredentialPart::Literal(text.into())]))
        } else {
            let reference: SecretRef = text.parse().map_err(|_| ValueError::LedgerUrl)?;
            Ok(LedgerUrl(vec![CredentialPart::Secret(reference)]))
        }
    }
}
