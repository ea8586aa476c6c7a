//! `landfall doctor`: checks every dependency of a configuration.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use landfall_broker::{Broker, BrokerPlan};
use landfall_config::Config;
use landfall_engine::{CacheUse, Confinement};
use landfall_ledger::PostgresSettings;
use landfall_model::{AlarmKind, BrokerSpec, CredentialText, SecretRef, SecretSource};
use landfall_secrets::{Secrets, admin_token_path};
use serde::de::DeserializeOwned;

use crate::connect::{connect_broker, new_secrets, plan_broker, with_secrets};
use crate::setup::cache_dir;
use crate::tools::{AdminAt, untracked_secrets};

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
        ("alarms", alarm_facts(config).await),
        ("missed deliveries", search_facts(config).await),
    ]
}

/// The answer of the node that runs with this configuration. An error: there is none.
async fn ask_node<T: DeserializeOwned>(config: &Config, path: &str) -> Result<T, String> {
    let reference = match config.admin_token() {
        Some(token) => token.clone(),
        None => SecretRef::File(admin_token_path(&config.settings.data)),
    };
    let url = format!("http://{}", config.settings.admin.listen.0);
    let node = AdminAt {
        token: untracked_secrets().value(&reference).ok(),
        ..AdminAt::open(&url)
    };
    let Ok((200, text)) = node.ask(path, None).await else {
        return Err(format!(
            "not known: no node with this configuration answers at {url}"
        ));
    };
    serde_json::from_str(&text)
        .map_err(|error| format!("not known: {url}{path} cannot be read: {error}"))
}

/// The open alarms.
async fn alarm_facts(config: &Config) -> anyhow::Result<Vec<String>> {
    let alarms: Vec<OpenAlarm> = match ask_node(config, "/api/v1/alarms").await {
        Ok(alarms) => alarms,
        Err(fact) => return Ok(vec![fact]),
    };
    if alarms.is_empty() {
        return Ok(vec!["none is open".into()]);
    }
    let lines: Vec<String> = alarms.iter().map(OpenAlarm::line).collect();
    Err(anyhow!("{}", lines.join("\n    ")))
}

/// The last search of each hook with `[reconcile]`.
async fn search_facts(config: &Config) -> anyhow::Result<Vec<String>> {
    let hooks: Vec<SearchedHook> = match ask_node(config, "/api/v1/hooks").await {
        Ok(hooks) => hooks,
        Err(fact) => return Ok(vec![fact]),
    };
    let searched: Vec<_> = hooks
        .iter()
        .filter_map(|hook| Some((&hook.name, hook.reconcile.as_ref()?)))
        .collect();
    let lines: Vec<String> = searched
        .iter()
        .map(|(name, search)| search.line(name))
        .collect();
    if searched.iter().any(|(_, search)| search.error.is_some()) {
        return Err(anyhow!("{}", lines.join("\n    ")));
    }
    if lines.is_empty() {
        return Ok(vec!["no hook was searched for them".into()]);
    }
    Ok(lines)
}

/// An entry of `/api/v1/hooks`.
#[derive(serde::Deserialize)]
struct SearchedHook {
    name: String,
    reconcile: Option<LastSearch>,
}

/// The last search for missed deliveries.
#[derive(serde::Deserialize)]
struct LastSearch {
    /// `None`: it goes on.
    ended_at: Option<String>,
    accepted: u64,
    error: Option<String>,
}

// === impl LastSearch ===

impl LastSearch {
    fn line(&self, hook: &str) -> String {
        let LastSearch {
            ended_at,
            accepted,
            error,
        } = self;
        match (ended_at, error) {
            (Some(at), Some(error)) => {
                format!("{hook}: the search ended early at {at}: {error}")
            }
            (Some(at), None) => format!("{hook}: searched until {at}, {accepted} stored"),
            (None, _) => format!("{hook}: a search goes on, {accepted} stored so far"),
        }
    }
}

/// An entry of `/api/v1/alarms`.
#[derive(serde::Deserialize)]
struct OpenAlarm {
    hook: String,
    alarm: AlarmKind,
    since: String,
    sentence: String,
    hint: String,
}

// === impl OpenAlarm ===

impl OpenAlarm {
    fn line(&self) -> String {
        let OpenAlarm {
            hook,
            alarm,
            since,
            sentence,
            hint,
        } = self;
        format!("{hook}: {alarm} since {since}: {sentence}. {hint}")
    }
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
