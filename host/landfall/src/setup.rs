//! Prepares what a node starts with: directories, addresses, the admin token, and the settings of
//! hooks and engine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use landfall_broker::BrokerPlan;
use landfall_config::Config;
use landfall_engine::{Engine, EngineSettings};
use landfall_hooks::{Candidates, Hooks, Platform, Setup, Trust};
use landfall_metrics::Metrics;
use landfall_model::{Clock, SecretGrant, SecretRef};
use landfall_secrets::{Secrets, create_admin_token};
use tokio::net::TcpListener;

use crate::connect::{new_secrets, plan_broker};
use crate::exposed;

/// `landfall check`: loads each hook once, and finds the files that other users can change or read.
pub async fn check(config: &Config) -> anyhow::Result<(Hooks, Vec<String>)> {
    prepare_dirs(config)?;
    let secrets = new_secrets(config);
    let metrics = Arc::new(Metrics::new());
    let engine = Arc::new(Engine::new(
        engine_settings(config, metrics.clone())?,
        None,
    )?);
    let broker = plan_broker(config)?;
    let hooks = Hooks::once(setup(
        config,
        broker.as_deref(),
        engine,
        secrets.clone(),
        metrics,
        Candidates::default(),
    ))
    .await;
    let mut warnings = exposed_files(config, &secrets);
    warnings.extend(empty_plugins(config)?);
    Ok((hooks, warnings))
}

pub(crate) fn setup(
    config: &Config,
    broker: Option<&dyn BrokerPlan>,
    engine: Arc<Engine>,
    secrets: Arc<Secrets>,
    metrics: Arc<Metrics>,
    candidates: Candidates,
) -> Setup {
    Setup {
        engine,
        secrets,
        dir: config.settings.plugins.clone(),
        bundled: config.settings.bundled.clone(),
        scan_interval: config.settings.scan_interval.0,
        cannot_queue: config.cannot_queue(),
        cannot_keep: config.cannot_keep(),
        cannot_order: broker.is_some_and(|broker| !broker.keeps_order()),
        has_broker: broker.is_some(),
        bodies: config.settings.limits.body_memory.0,
        readiness: config.settings.readiness,
        metrics,
        candidates,
        clock: Clock::System,
        trust: Trust {
            keys: config.trusted_keys().map(<[_]>::to_vec),
            bundled: config.settings.components.trust_bundled,
        },
        platform: Platform {
            timeout: config.settings.platform_timeout.map(|time| time.0),
            runs_in_requests: broker.is_some_and(|broker| broker.push().is_some()),
        },
    }
}

pub(crate) fn engine_settings(
    config: &Config,
    metrics: Arc<Metrics>,
) -> anyhow::Result<EngineSettings> {
    Ok(EngineSettings {
        cache: cache_dir(config),
        cache_max_size: config.settings.cache.max_size.0 as u64,
        bundled: config.settings.bundled.clone(),
        compiler: compiler()?,
        running: config.settings.limits.max_concurrency,
        limits: config.component_limits(),
        clear_stacks: config.settings.components.clear_stacks,
        clock: Clock::System,
        metrics,
        functions: None,
        keeps_sent: false,
        passes_traces: false,
    })
}

pub(crate) fn cache_dir(config: &Config) -> PathBuf {
    config.settings.data.join("compiled")
}

/// The path of this binary, which has the `compile` command.
pub fn compiler() -> anyhow::Result<PathBuf> {
    // Not by name if possible, because an upgrade may have replaced the file.
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }

    std::env::current_exe()
        .context("cannot find the path of this binary, which compiles components")
}

/// Disables core dumps and the access of other processes to this memory, which contains secrets.
pub(crate) fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let done = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = done {
        tracing::warn!(%error, "core dumps cannot be disabled: a core dump would contain secrets");
    }
}

/// The configured admin token, or the one that the node creates.
pub(crate) fn admin_token(config: &Config) -> anyhow::Result<SecretRef> {
    if let Some(token) = config.admin_token() {
        return Ok(token.clone());
    }

    Ok(create_admin_token(&config.settings.data)?)
}

pub(crate) fn prepare_dirs(config: &Config) -> anyhow::Result<()> {
    let data = &config.settings.data;
    if let Some(warning) = empty_plugins(config)? {
        tracing::warn!("{warning}");
    }

    // A mounted directory exists already, and may be read-only.
    if !data.is_dir() {
        // The data directory contains events, so only this user may read it.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
        made.with_context(|| format!("data = {} cannot be created", data.display()))?;
    }

    Ok(())
}

/// A warning if the plugins directory is empty. It is not created: a wrong path, or a volume that
/// is not mounted, must not look like a node without hooks.
fn empty_plugins(config: &Config) -> anyhow::Result<Option<String>> {
    let plugins = &config.settings.plugins;
    let shown = plugins.display();
    let mut entries = std::fs::read_dir(plugins).with_context(|| {
        format!(
            "plugins = {shown} cannot be read: create the directory, or name another with --plugins (LANDFALL_PLUGINS)"
        )
    })?;
    let is_empty = entries.next().is_none();

    Ok(is_empty.then(|| {
        format!(
            "the plugins directory {shown} is empty: every request is answered 404 until you put a hook file into it"
        )
    }))
}

pub(crate) async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key} = {address} cannot be bound: choose another address"))
}

/// A sentence for each of the plugins, packs and settings that other users can change, and for each
/// secret of the node or of a loaded hook that they can change or read.
pub(crate) fn exposed_files(config: &Config, secrets: &Secrets) -> Vec<String> {
    let own = config.secret_grant.own.iter().flat_map(SecretGrant::files);
    let of_secrets = exposed::secret_warnings(own.chain(secrets.files()));
    let made = config.secret_grant.hooks_path.clone();
    let settings = config
        .secret_grant
        .own_paths
        .iter()
        .filter(|path| path.is_file())
        .cloned();
    let plugins = [
        config.settings.plugins.clone(),
        config.settings.plugins.join("providers"),
    ]
    .into_iter()
    .chain(config.settings.bundled.clone());

    let mut found = exposed::warnings(plugins.chain(made).chain(settings));
    found.extend(of_secrets);
    found.sort();
    found.dedup();
    found
}
