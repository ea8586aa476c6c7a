//! `landfall doctor`: checks every dependency of a configuration.

use std::sync::Arc;

use landfall_broker::{Broker, BrokerPlan};
use landfall_config::Config;
use landfall_engine::{CacheUse, Confinement};
use landfall_ledger::PostgresSettings;
use landfall_model::{BrokerSpec, CredentialText, SecretSource};
use landfall_secrets::Secrets;

use crate::connect::{connect_broker, new_secrets, plan_broker, with_secrets};
use crate::setup::cache_dir;

pub(crate) const SLEEPS: &str = "on Cloud Run nothing runs between requests, unless its processor is always allotted: let the queue call (queue.push_to)";

/// Whether events wait in a broker that this node must poll, on a platform that gives it CPU only during requests.
pub(crate) fn may_sleep(config: &Config, broker: Option<&dyn BrokerPlan>) -> bool {
    config.on_cloud_run && broker.is_some_and(|broker| broker.push().is_none())
}

/// A result of `landfall doctor`: the name of a part of the node, and its facts or its problem.
pub type Finding = (&'static str, Result<Vec<String>, String>);

/// Checks every dependency of this configuration. Missing streams are created.
pub async fn doctor(config: &Config) -> Vec<Finding> {
    let secrets = new_secrets(config);
    let ledger = match &config.ledger_url {
        None => Ok(vec![format!(
            "a file in {}, synced with every event that is accepted",
            config.data.display()
        )]),
        Some(url) => ledger_facts(config, url, &secrets)
            .await
            .map_err(|error| format!("{error:#}")),
    };
    let plan = plan_broker(config);
    let queue = match (&config.queue, &plan) {
        (_, Err(error)) => Err(error.to_string()),
        (Some(spec), Ok(Some(plan))) => queue_facts(config, spec, &**plan, &secrets).await,
        _ => Ok(vec!["in the ledger".into()]),
    };
    let plan = plan.ok().flatten();
    let platform = match (config.cannot_queue(), config.on_cloud_run) {
        (Some(why), _) => Err(format!("a hook with mode = \"async\" or \"auto\" {why}")),
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

fn cache_facts(config: &Config) -> Result<Vec<String>, String> {
    let dir = cache_dir(config);
    let size = |bytes: u64| bytesize::ByteSize(bytes).display().iec().to_string();
    match landfall_engine::cache_use(&dir, config.cache_max_size) {
        Ok(CacheUse {
            components,
            bytes,
            max_size,
        }) => Ok(vec![format!(
            "compiled components: {components} in {}, {} of at most {} (cache.max_size)",
            dir.display(),
            size(bytes),
            size(max_size)
        )]),
        Err(error) => Err(format!(
            "the node does not start: the cache of compiled components, {}, {error}",
            dir.display()
        )),
    }
}

/// The confinement of the process that compiles components.
fn compiler_facts() -> Result<Vec<String>, String> {
    let found = Confinement::probe().map_err(|error| {
        format!("components do not compile, because their compiler cannot be confined: {error:#}")
    })?;
    let gaps = found.gaps().into_iter().map(String::from);
    Ok([found.summary()].into_iter().chain(gaps).collect())
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
        retention: config.retention,
    };
    Ok(landfall_ledger::describe(settings).await?)
}

async fn queue_facts(
    config: &Config,
    spec: &BrokerSpec,
    plan: &dyn BrokerPlan,
    secrets: &Arc<Secrets>,
) -> Result<Vec<String>, String> {
    let broker = connect_broker(plan, &spec.url, config, secrets)
        .await
        .map_err(|error| format!("{error:#}"))?;
    if let Some(why) = plan.token().and_then(|token| secrets.value(&token).err()) {
        return Err(format!("events are refused: {why}"));
    }
    match broker.health_error().await {
        None => Ok(broker.describe().await),
        Some(why) => Err(format!("events are refused: {why}")),
    }
}

pub(crate) async fn facts(broker: Option<&dyn Broker>) -> Vec<String> {
    match broker {
        None => Vec::new(),
        Some(broker) => broker.describe().await,
    }
}
