//! Opens what a node depends on: its secrets, its ledger and its broker.

use std::sync::Arc;

use anyhow::Context;
use landfall_broker::{Broker, BrokerError, BrokerPlan, ConnectOptions, Seal, SettingsError};
use landfall_config::Config;
use landfall_ledger::{
    Encryption, Ledger, LedgerError, LedgerKeys, OnFatal, PostgresSettings, SqliteSettings,
};
use landfall_model::{Clock, CredentialPart, CredentialText, SecretRef, SecretSource};
use landfall_secrets::Secrets;
use percent_encoding::NON_ALPHANUMERIC;

pub(crate) fn new_secrets(config: &Config) -> Arc<Secrets> {
    let secrets = Secrets::new(
        config.secret_ages(),
        config.secret_grant.clone(),
        Clock::System,
    );
    Arc::new(secrets)
}

/// After a failed sync, the contents of the disk are unknown until the ledger is opened again.
pub(crate) const EXIT_LEDGER: i32 = 70;

pub(crate) fn open_ledger(config: &Config) -> anyhow::Result<Arc<dyn Ledger>> {
    let fatal: OnFatal = Arc::new(|error: &LedgerError| {
        tracing::error!(%error, "the ledger has failed: the process ends, and the next start checks what is on the disk");
        std::process::exit(EXIT_LEDGER);
    });
    let settings = SqliteSettings {
        min_free_space: config.settings.ledger.min_free_space.0 as u64,
        reserve: config.settings.ledger.reserve.0 as u64,
        retention: config.retention(),
        recover_with_data_loss: config.recover_with_data_loss,
    };
    let (ledger, recovered) =
        landfall_ledger::open(&config.settings.data, settings, Clock::System.now(), fatal)?;
    if recovered.freed > 0 {
        tracing::warn!(
            freed = recovered.freed,
            dead = recovered.dead,
            "an earlier process ended during attempts: their events run again; after three such attempts in a row an event is dead"
        );
    }

    Ok(ledger)
}

/// Opens the ledger that several nodes share.
pub(crate) async fn connect_ledger(
    config: &Config,
    url: &CredentialText,
    secrets: &Secrets,
) -> anyhow::Result<Arc<dyn Ledger>> {
    let url = with_secrets(url, secrets, "the URL of the ledger").await?;
    let settings = PostgresSettings {
        url,
        tls: landfall_egress::tls(),
        retention: config.retention(),
    };
    Ok(landfall_ledger::connect(settings).await?)
}

/// The ledger, which encrypts what it stores if `ledger.encryption_keys` is set. Fails if it needs a
/// key that is not there.
pub(crate) async fn encrypted(
    config: &Config,
    ledger: Arc<dyn Ledger>,
    secrets: &Secrets,
) -> anyhow::Result<(Arc<dyn Ledger>, Option<Encryption>)> {
    let references = config.ledger_keys();
    secrets.track_own(references).await;
    let mut values = Vec::with_capacity(references.len());
    for reference in references {
        let value = secrets
            .value(reference)
            .with_context(|| format!("the key {reference} of ledger.encryption_keys"))?;
        values.push((reference.to_string(), value));
    }

    let keys = if values.is_empty() {
        None
    } else {
        let texts = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()));
        Some(LedgerKeys::new(texts)?)
    };
    Ok(landfall_ledger::with_keys(ledger, keys).await?)
}

/// The broker of the settings, if there is one, with its settings checked.
pub(crate) fn plan_broker(config: &Config) -> Result<Option<Arc<dyn BrokerPlan>>, SettingsError> {
    config.queue.as_ref().map(landfall_broker::plan).transpose()
}

/// Connects to the broker in which events wait.
pub(crate) async fn connect_broker(
    plan: &dyn BrokerPlan,
    url: &CredentialText,
    config: &Config,
    secrets: &Arc<Secrets>,
) -> anyhow::Result<Arc<dyn Broker>> {
    let url = with_secrets(url, secrets, "the URL of the queue").await?;
    let keys = config.queue_keys().to_vec();
    let own: Vec<SecretRef> = plan
        .token()
        .into_iter()
        .chain(keys.iter().cloned())
        .collect();
    secrets.track_own(&own).await;
    let seal = Seal::new(keys, secrets.clone(), Clock::System)
        .map_err(BrokerError::from)?
        .accepting_unsealed_until(config.queue_unsealed_until);
    let options = ConnectOptions {
        url,
        seal: Arc::new(seal),
        secrets: secrets.clone(),
        clock: Clock::System,
    };
    Ok(plan.connect(options).await?)
}

/// Resolves the secrets of a URL. Errors do not contain it.
pub(crate) async fn with_secrets(
    url: &CredentialText,
    secrets: &Secrets,
    what: &'static str,
) -> anyhow::Result<String> {
    let mut text = Vec::new();
    for part in url {
        match part {
            CredentialPart::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
            CredentialPart::Secret(reference) => {
                secrets.track_own(std::slice::from_ref(reference)).await;
                let value = secrets.value(reference).context(what)?;
                // A secret that is the whole text is a URL itself. Otherwise it is a part of one.
                match url.len() {
                    1 => text.extend_from_slice(value.expose()),
                    _ => text.extend(
                        percent_encoding::percent_encode(value.expose(), NON_ALPHANUMERIC)
                            .to_string()
                            .bytes(),
                    ),
                }
            }
        }
    }

    String::from_utf8(text).map_err(|_| anyhow::anyhow!("{what} is not text"))
}
