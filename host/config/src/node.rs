//! The node's own settings, as the rest of the node relies on them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use serde::Deserialize;

use landfall_model::{
    BrokerSpec, ComponentLimits, CredentialText, EdgeLimits, Retention, SecretAges, SecretGrant,
    SecretRef,
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
    /// How often the plugins directory is read, even without a notification.
    pub scan_interval: Duration,
    /// The most attempts that run at the same time on this node.
    pub max_concurrency: usize,
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
    /// Until when messages without a MAC are accepted all the same.
    pub queue_unsealed_until: Option<SystemTime>,
    /// Google Cloud Run, where the disk is memory and comes and goes with the instance.
    pub on_cloud_run: bool,
    /// The time after which the platform ends a request.
    pub platform_timeout: Option<Duration>,
    /// Keep events on a disk that is memory.
    pub allow_ephemeral_ledger: bool,
    /// Free bytes of the data directory below which no event is accepted.
    pub min_free_space: u64,
    /// Bytes that are given up when the disk is full.
    pub reserve: u64,
    /// Start although acknowledged events have been lost.
    pub recover_with_data_loss: bool,
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
    /// `--recover-with-data-loss`: a flag only, because in a file it would stay set
    pub recover_with_data_loss: bool,
    /// `--allow-ephemeral-ledger`
    pub allow_ephemeral_ledger: bool,
    /// `--log`
    pub log_level: Option<String>,
}

// === impl Config ===

impl Config {
    /// Why no event can wait here, if none can.
    pub fn cannot_queue(&self) -> Option<&'static str> {
        let has_place = !self.on_cloud_run || self.queue.is_some() || self.ledger_url.is_some();
        (!has_place && !self.allow_ephemeral_ledger).then_some(
            "needs a queue that outlives this instance, and on Cloud Run the disk is memory: set queue.url \
             (LANDFALL_QUEUE_URL) to pubsub://… (Pub/Sub) or cloudtasks://… (Cloud Tasks), or ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres); mode = \"sync\" needs none of them",
        )
    }

    /// Why nothing that is to be found again can be kept here, if nothing can.
    pub fn cannot_keep(&self) -> Option<&'static str> {
        let is_lost =
            self.on_cloud_run && self.ledger_url.is_none() && !self.allow_ephemeral_ledger;
        is_lost.then_some(
            "needs a ledger that outlives this instance, and on Cloud Run the disk is memory: set ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres)",
        )
    }
}
