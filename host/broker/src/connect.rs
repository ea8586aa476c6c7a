//! From the settings of a broker to a connected broker. A new broker is one line in `connect`.

use std::sync::Arc;
use std::time::SystemTime;

use landfall_egress::{Client, Policy};
use landfall_model::{
    Allow, BrokerSpec, Clock, Credential, CredentialKind, CredentialPart, HttpGrant, SecretRef,
    SecretSource,
};

use super::broker::Broker;
use super::cloud_tasks::CloudTasks;
use super::error::BrokerError;
use super::nats::Nats;
use super::pubsub;
use super::rest::Rest;
use super::seal::Seal;

/// The parts of a connection that every broker gets.
struct Parts {
    seal: Arc<Seal>,
    /// The credential of a Google service.
    token: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    clock: Clock,
}

/// `servers` is the URL of the NATS servers with its secrets in it; `keys` are those of `queue.key`, and `unsealed_until` is
/// `queue.accept_unsealed_until`.
pub async fn connect(
    spec: BrokerSpec,
    servers: &str,
    keys: Vec<SecretRef>,
    unsealed_until: Option<SystemTime>,
    secrets: Arc<dyn SecretSource>,
    clock: Clock,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let seal = Seal::new(keys, secrets.clone(), clock)?;
    let parts = Parts {
        seal: Arc::new(seal.accepting_unsealed_until(unsealed_until)),
        token: spec.token(),
        secrets,
        clock,
    };
    match spec {
        BrokerSpec::Nats(spec) => connect_nats(spec, servers, parts).await,
        BrokerSpec::PubSub(spec) => connect_pubsub(spec, parts).await,
        BrokerSpec::CloudTasks(spec) => connect_cloud_tasks(spec, parts).await,
    }
}

async fn connect_nats(
    spec: landfall_model::NatsSpec,
    servers: &str,
    parts: Parts,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let monitor = match &spec.monitor {
        Some(url) => Some(client_of_operator(url, &parts.secrets)?),
        None => None,
    };
    let nats = Nats::start(spec, servers, monitor, parts.seal, parts.clock).await?;
    Ok(Arc::new(nats))
}

async fn connect_pubsub(
    spec: landfall_model::PubSubSpec,
    parts: Parts,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let service = "https://pubsub.googleapis.com";
    let rest = google(service, spec.endpoint.as_deref(), &parts)?;
    pubsub::start(spec, rest, parts.seal, parts.clock).await
}

async fn connect_cloud_tasks(
    spec: landfall_model::CloudTasksSpec,
    parts: Parts,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let service = "https://cloudtasks.googleapis.com";
    let rest = google(service, spec.endpoint.as_deref(), &parts)?;
    let tasks = CloudTasks::start(spec, rest, parts.seal, parts.clock).await?;
    Ok(Arc::new(tasks))
}

/// A service of Google, or its emulator, which needs no token.
fn google(service: &str, emulator: Option<&str>, parts: &Parts) -> Result<Rest, BrokerError> {
    if let Some(host) = emulator {
        let base = format!("http://{host}");
        return Ok(Rest::new(client_of_operator(&base, &parts.secrets)?, base));
    }

    let Some(token) = parts.token.clone() else {
        let why = format!("there are no credentials for {service}");
        return Err(BrokerError::Misconfigured(why));
    };
    let value = vec![
        CredentialPart::Literal("Bearer ".into()),
        CredentialPart::Secret(token),
    ];
    let url = format!("{service}/");
    let credential = Credential {
        target: url.parse().map_err(|why| wrong_address(service, why))?,
        kind: CredentialKind::Header(http::header::AUTHORIZATION, value),
    };
    let policy = Policy::new(Allow {
        http: vec![grant(service)?],
        ..Allow::default()
    });
    let client = Client::new(policy, vec![credential], parts.secrets.clone());

    Ok(Rest::new(client, service.into()))
}

/// A client for an address that the operator wrote.
fn client_of_operator(url: &str, secrets: &Arc<dyn SecretSource>) -> Result<Client, BrokerError> {
    let policy = Policy::anywhere(vec![grant(url)?]);
    Ok(Client::new(policy, Vec::new(), secrets.clone()))
}

fn grant(url: &str) -> Result<HttpGrant, BrokerError> {
    format!("{}/", url.trim_end_matches('/'))
        .parse()
        .map_err(|why| wrong_address(url, why))
}

fn wrong_address(url: &str, why: impl std::fmt::Display) -> BrokerError {
    BrokerError::Misconfigured(format!("{url}: {why}"))
}
