//! The node's settings from what was typed: defaults, ranges, and what must go together.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::ConfigError;
use super::node::{Config, Flags, LogFormat};
use super::node_file::NodeFile;
use super::queue::Emulators;
use super::values::Time;
use landfall_model::{ComponentLimits, EdgeLimits, Retention, SecretAges, SecretGrant};

const PLATFORM_MIN: Duration = Duration::from_secs(2);
/// The request timeout of a Cloud Run service that sets none.
const CLOUD_RUN_TIMEOUT: Duration = Duration::from_secs(300);
const DAY_MS: u64 = 86_400_000;
const CONNECTIONS_MAX: usize = 1_000_000;
const BODY_MEMORY_MAX: usize = 1 << 40;
const TIME_MAX: Duration = Duration::from_secs(3600);

/// The settings from what was typed, with the defaults for the rest.
pub(super) fn build(
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
        scan_interval: time(file.scan_interval, 2_000),
        max_concurrency: limits.max_concurrency.unwrap_or(1000),
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
            queue_timeout: time(limits.queue_timeout, 500),
            body_memory: limits.body_memory.map_or(256 << 20, |size| size.0),
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
        recover_with_data_loss: flags.recover_with_data_loss,
        ledger_url: file.ledger.url.map(|parsed| parsed.0.0),
        queue_key: file
            .queue
            .key
            .as_ref()
            .map(|keys| keys.0.clone())
            .unwrap_or_default(),
        queue_unsealed_until: file
            .queue
            .unsealed_until(landfall_model::Clock::System.now())
            .map_err(wrong)?,
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
        allow_ephemeral_ledger: flags.allow_ephemeral_ledger,
        retention: Retention {
            deliveries: time(file.ledger.retention, 30 * DAY_MS),
            bodies: time(file.ledger.body_retention, 7 * DAY_MS),
            max_size: file.ledger.max_size.map_or(10 << 30, |size| size.0 as u64),
        },
        cache_max_size: file.cache.max_size.map_or(512 << 20, |size| size.0 as u64),
        min_free_space: file
            .ledger
            .min_free_space
            .map_or(64 << 20, |size| size.0 as u64),
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
    check(&config).map_err(wrong)?;
    Ok(config)
}

/// Whether every setting is in its range, and the admin listener is protected.
fn check(config: &Config) -> Result<(), String> {
    if !(1..=10_000).contains(&config.max_concurrency) {
        return Err(format!(
            "limits.max_concurrency = {} is out of range: 1 to 10000",
            config.max_concurrency
        ));
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
            return Err(format!("{key} = {typed} is out of range: 1 to {most}"));
        }
    }
    if !(1..=CONNECTIONS_MAX).contains(&config.edge.connections) {
        let typed = config.edge.connections;
        return Err(format!(
            "limits.connections = {typed} is out of range: 1 to {CONNECTIONS_MAX}"
        ));
    }
    if !(1 << 20..=BODY_MEMORY_MAX).contains(&config.edge.body_memory) {
        return Err("limits.body_memory is out of range: 1MiB to 1TiB".into());
    }
    for (key, time, shortest_ms) in [
        ("limits.head_timeout", config.edge.head_timeout, 1),
        ("limits.keep_alive", config.edge.keep_alive, 1),
        ("limits.body_timeout", config.edge.body_timeout, 1),
        ("limits.queue_timeout", config.edge.queue_timeout, 0),
        ("scan_interval", config.scan_interval, 10),
        ("drain", config.drain, 0),
    ] {
        if !(Duration::from_millis(shortest_ms)..=TIME_MAX).contains(&time) {
            let shown = humantime::format_duration(time);
            return Err(format!(
                "{key} = {shown} is out of range: {shortest_ms}ms to 1h"
            ));
        }
    }
    if config.secrets.refresh < Duration::from_secs(1)
        || config.secrets.keep < config.secrets.refresh
    {
        return Err(
            "secrets.refresh must be at least 1s, and secrets.keep at least as long as that".into(),
        );
    }
    if !config.admin_listen.ip().is_loopback() && config.admin_token.is_none() {
        return Err(format!(
            "the admin listener {} is reachable from elsewhere: set admin.token (LANDFALL_ADMIN_TOKEN) to a secret \
             reference such as \"env:ADMIN_TOKEN\", or listen on 127.0.0.1",
            config.admin_listen
        ));
    }

    Ok(())
}
