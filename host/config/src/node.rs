//! The configuration of a node, checked: its settings, and what follows from several of them or
//! from the platform.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use super::node_settings::{LogFormat, NodeSettings};
use super::queue::{self, Emulators, QueueError};
use super::telemetry::TelemetrySpec;
use super::values::{ListenAddress, Time};
use landfall_model::{
    BrokerSpec, ComponentLimits, CredentialText, EdgeLimits, Retention, SecretAges, SecretGrant,
    SecretRef, TrustedKey,
};

/// The request timeout of a Cloud Run service that sets none.
const CLOUD_RUN_TIMEOUT: Duration = Duration::from_secs(300);
const SECRETS_REFRESH_MIN: Duration = Duration::from_secs(1);

/// The configuration of a node.
#[derive(Debug, Clone)]
pub struct Config {
    /// Each setting: its flag, variable, key in the file, or default.
    pub settings: NodeSettings,
    /// The broker of `[queue]`. `None`: events wait in the ledger.
    pub queue: Option<BrokerSpec>,
    /// Until then, messages without a MAC are accepted although `queue.key` is set.
    pub queue_unsealed_until: Option<SystemTime>,
    /// Where traces and metrics are sent. `None`: nowhere.
    pub telemetry: Option<TelemetrySpec>,
    /// The secrets that hook files may name.
    pub secret_grant: SecretGrant,
    /// The node runs on Google Cloud Run, where the disk is memory and ends with the instance.
    pub on_cloud_run: bool,
    /// Store events on a disk that is memory.
    pub allow_ephemeral_ledger: bool,
    /// Start although acknowledged events have been lost.
    pub recover_with_data_loss: bool,
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

/// What is wrong with settings that depend on each other.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsConflict {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("secrets.refresh must be at least 1s, and secrets.keep at least as long as that")]
    SecretAges,
    #[error(
        "the admin listener {0} is reachable from elsewhere: set admin.token (LANDFALL_ADMIN_TOKEN) to a secret \
         reference such as \"env:ADMIN_TOKEN\", or listen on 127.0.0.1"
    )]
    OpenAdminListener(SocketAddr),
}

// === impl Flags ===

impl Flags {
    /// Overrides the settings that have a flag.
    fn apply(&self, settings: &mut NodeSettings) {
        if let Some(listen) = self.listen {
            settings.listen = ListenAddress(listen);
        }
        if let Some(listen) = self.admin_listen {
            settings.admin.listen = ListenAddress(listen);
        }
        if let Some(plugins) = &self.plugins {
            settings.plugins = plugins.clone();
        }
        if let Some(data) = &self.data {
            settings.data = data.clone();
        }
        if let Some(bundled) = &self.bundled {
            settings.bundled = Some(bundled.clone());
        }
        if let Some(http2) = self.http2 {
            settings.http2 = http2;
        }
        if let Some(format) = self.log_format {
            settings.log.format = Some(format);
        }
        if let Some(level) = &self.log_level {
            settings.log.level = level.clone();
        }
    }
}

// === impl Config ===

impl Config {
    /// Applies the flags, and checks the settings that depend on each other.
    pub(crate) fn new(
        mut settings: NodeSettings,
        flags: &Flags,
        emulators: Emulators,
        on_cloud_run: bool,
        now: SystemTime,
    ) -> Result<Config, SettingsConflict> {
        flags.apply(&mut settings);
        if on_cloud_run {
            let timeout = settings.platform_timeout;
            settings.platform_timeout = timeout.or(Some(Time(CLOUD_RUN_TIMEOUT)));
            let format = settings.log.format;
            settings.log.format = format.or(Some(LogFormat::CloudLogging));
        }

        let config = Config {
            queue: queue::broker(&settings.queue, emulators)?,
            queue_unsealed_until: queue::unsealed_until(&settings.queue, now)?,
            telemetry: None,
            secret_grant: SecretGrant {
                allow: settings.secrets.allow.clone().map(|patterns| patterns.0),
                ..SecretGrant::default()
            },
            on_cloud_run,
            allow_ephemeral_ledger: flags.allow_ephemeral_ledger,
            recover_with_data_loss: flags.recover_with_data_loss,
            settings,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), SettingsConflict> {
        let ages = self.secret_ages();
        if ages.refresh < SECRETS_REFRESH_MIN || ages.keep < ages.refresh {
            return Err(SettingsConflict::SecretAges);
        }

        let admin = &self.settings.admin;
        if !admin.listen.0.ip().is_loopback() && admin.token.is_none() {
            return Err(SettingsConflict::OpenAdminListener(admin.listen.0));
        }

        Ok(())
    }

    /// `admin.token`. `None`: a token that the node creates in its data directory.
    pub fn admin_token(&self) -> Option<&SecretRef> {
        self.settings.admin.token.as_ref().map(|token| &token.0)
    }

    /// `admin.read_token`
    pub fn admin_read_token(&self) -> Option<&SecretRef> {
        self.settings
            .admin
            .read_token
            .as_ref()
            .map(|token| &token.0)
    }

    /// `ledger.url`. `None`: a file in the data directory.
    pub fn ledger_url(&self) -> Option<&CredentialText> {
        self.settings.ledger.url.as_ref().map(|url| &url.0.0)
    }

    /// `queue.key`: the first key seals envelopes, and each of them opens one. Empty: envelopes are
    /// not sealed.
    pub fn queue_keys(&self) -> &[SecretRef] {
        let keys = self.settings.queue.key.as_ref();
        keys.map_or(&[], |keys| &keys.0)
    }

    /// `ledger.encryption_keys`: the first key encrypts, and each of them decrypts. Empty: nothing is
    /// encrypted.
    pub fn ledger_keys(&self) -> &[SecretRef] {
        let keys = self.settings.ledger.encryption_keys.as_ref();
        keys.map_or(&[], |keys| &keys.0)
    }

    /// `admin.hosts`
    pub fn admin_hosts(&self) -> &[String] {
        let hosts = self.settings.admin.hosts.as_ref();
        hosts.map_or(&[], |hosts| &hosts.0)
    }

    /// `components.trusted_keys`. `None`: components need no signature.
    pub fn trusted_keys(&self) -> Option<&[TrustedKey]> {
        let keys = self.settings.components.trusted_keys.as_ref();
        keys.map(|keys| keys.0.as_slice())
    }

    /// `trusted_proxies`
    pub fn trusted_proxies(&self) -> Vec<IpNet> {
        let ranges = self.settings.trusted_proxies.clone();
        ranges.map(|ranges| ranges.0).unwrap_or_default()
    }

    /// The limits of the public listener.
    pub fn edge_limits(&self) -> EdgeLimits {
        let limits = &self.settings.limits;
        EdgeLimits {
            connections: limits.connections,
            head_timeout: limits.head_timeout.0,
            keep_alive: limits.keep_alive.0,
            body_timeout: limits.body_timeout.0,
            queue_timeout: limits.queue_timeout.0,
            body_memory: limits.body_memory.0,
            response_memory: limits.response_memory.0,
            connection_response_memory: limits.connection_response_memory.0,
            response_rate: limits.response_rate.0 as u64,
        }
    }

    /// How many parts a component may have.
    pub fn component_limits(&self) -> ComponentLimits {
        let limits = &self.settings.limits;
        ComponentLimits {
            instances: limits.component_instances,
            memories: limits.component_memories,
            tables: limits.component_tables,
            table_elements: limits.table_elements,
        }
    }

    /// How long the ledger keeps deliveries, and how large it may be.
    pub fn retention(&self) -> Retention {
        let ledger = &self.settings.ledger;
        Retention {
            deliveries: ledger.retention.0,
            bodies: ledger.body_retention.0,
            max_size: ledger.max_size.0 as u64,
        }
    }

    /// When remote secrets are fetched again, and how long the last value is used.
    pub fn secret_ages(&self) -> SecretAges {
        let secrets = &self.settings.secrets;
        SecretAges {
            refresh: secrets.refresh.0,
            keep: secrets.keep.0,
        }
    }

    /// Why no event can wait on this node. `None`: events can wait.
    pub fn cannot_queue(&self) -> Option<&'static str> {
        let is_durable = !self.on_cloud_run || self.queue.is_some() || self.ledger_url().is_some();
        if is_durable || self.allow_ephemeral_ledger {
            return None;
        }

        Some(
            "needs a queue that outlives this instance, and on Cloud Run the disk is memory: set queue.url \
             (LANDFALL_QUEUE_URL) to pubsub://… (Pub/Sub) or cloudtasks://… (Cloud Tasks), or ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres); mode = \"sync\" needs none of them",
        )
    }

    /// Why this node cannot keep rows and values. `None`: it can.
    pub fn cannot_keep(&self) -> Option<&'static str> {
        let is_durable = !self.on_cloud_run || self.ledger_url().is_some();
        if is_durable || self.allow_ephemeral_ledger {
            return None;
        }

        Some(
            "needs a ledger that outlives this instance, and on Cloud Run the disk is memory: set ledger.url \
             (LANDFALL_LEDGER_URL) to postgres://… (Postgres)",
        )
    }
}
