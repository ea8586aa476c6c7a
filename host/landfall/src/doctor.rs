//! `landfall doctor`: checks every dependency of a configuration.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use landfall_broker::{Broker, BrokerPlan};
use landfall_config::Config;
use landfall_engine::{CacheUse, Confinement};
use landfall_ledger::PostgresSettings;
use landfall_model::{BrokerSpec, CredentialText, SecretSource};
use landfall_secrets::Secrets;

use crate::connect::{connect_broker, new_secrets, plan_broker, with_secrets};
use crate::setup::cache_dir;

pub(crate) const SLEEPS: &str = "on Cloud Run nothing runs between requests, unless its processor is always allotted: let the queue call (queue.push_to)";

/// Whether events wait in a broker that this node must poll, on a platform that gives it CPU only
/// during requests.
pub(crate) fn may_sleep(config: &Config, broker: Option<&dyn BrokerPlan>) -> bool {
    config.on_cloud_run && broker.is_some_and(|broker| broker.push().is_none())
}

/// A result of `landfall doctor`: the name of a part of the node, and its facts or its problem.
pub(crate) type Finding = (&'static str, anyhow::Result<Vec<String>>);

/// Checks every dependency of this configuration. Missing streams are created.
pub async fn doctor(config: &Config) -> Vec<Finding> {
    let secrets = new_secrets(config);
    let ledger = match config.ledger_url() {
        None => file_facts(config),
        Some(url) => ledger_facts(config, url, &secrets).await,
    };
    let plan = plan_broker(config);
    let queue = match (&config.queue, &plan) {
        (_, Err(error)) => Err(anyhow!("{error:#}")),
        (Some(spec), Ok(Some(plan))) => queue_facts(config, spec, &**plan, &secrets).await,
        _ => Ok(vec!["in the ledger".into()]),
    };
    let plan = plan.ok().flatten();
    let platform = match (config.cannot_queue(), config.on_cloud_run) {
        (Some(why), _) => Err(anyhow!("a hook with mode = \"async\" or \"auto\" {why}")),
        (None, true) if may_sleep(config, plan.as_deref()) => {
            Ok(vec!["Cloud Run".into(), SLEEPS.into()])
        }
        (None, true) => Ok(vec!["Cloud Run".into()]),
        (None, false) => Ok(Vec::new()),
    };

    vec![
        ("ledger", ledger),
        ("queue", queue),
        ("platform", platform),
        ("cache", cache_facts(config)),
        ("compiler", compiler_facts()),
    ]
}

fn cache_facts(config: &Config) -> anyhow::Result<Vec<String>> {
    let dir = cache_dir(config);
    match landfall_engine::cache_use(&dir, config.settings.cache.max_size.0 as u64) {
        Ok(CacheUse {
            components,
            bytes,
            max_size,
        }) => Ok(vec![format!(
            "compiled components: {components} in {}, {} of at most {} (cache.max_size)",
            dir.display(),
            iec(bytes),
            iec(max_size)
        )]),
        Err(error) => Err(anyhow!(
            "the node does not start: the cache of compiled components, {}, {error}",
            dir.display()
        )),
    }
}

fn iec(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// The confinement of the process that compiles components.
fn compiler_facts() -> anyhow::Result<Vec<String>> {
    let found = Confinement::probe()
        .context("components do not compile, because their compiler cannot be confined")?;
    let gaps = found.gaps().into_iter().map(String::from);
    Ok([found.summary()].into_iter().chain(gaps).collect())
}

fn file_facts(config: &Config) -> anyhow::Result<Vec<String>> {
    let data = &config.settings.data;
    let size = landfall_ledger::describe_size(data, config.retention().max_size)?;
    let file = format!(
        "a file in {}, synced with every event that is accepted",
        data.display()
    );
    Ok([file].into_iter().chain(size).collect())
}

async fn ledger_facts(
    config: &Config,
    url: &CredentialText,
    secrets: &Secrets,
) -> anyhow::Result<Vec<String>> {
    let url = with_secrets(url, secrets, "the URL of the ledger").await?;
    let settings = PostgresSettings {
        url,
        tls: landfall_egress::tls(),
        retention: config.retention(),
    };
    Ok(landfall_ledger::describe(settings).await?)
}

async fn queue_facts(
    config: &Config,
    spec: &BrokerSpec,
    plan: &dyn BrokerPlan,
    secrets: &Arc<Secrets>,
) -> anyhow::Result<Vec<String>> {
    let broker = connect_broker(plan, &spec.url, config, secrets).await?;
    if let Some(why) = plan.token().and_then(|token| secrets.value(&token).err()) {
        bail!("events are refused: {why}");
    }

    if let Some(why) = broker.health_error().await {
        bail!("events are refused: {why}");
    }

    Ok(broker.describe().await)
}

pub(crate) async fn facts(broker: Option<&dyn Broker>) -> Vec<String> {
    match broker {
        None => Vec::new(),
        Some(broker) => broker.describe().await,
    }
}
