//! From what the operator named to a broker that is there, or a sentence that says what to do.

use std::sync::Arc;

use super::broker::Broker;
use super::cloud_tasks::CloudTasks;
use super::nats::Nats;
use super::pubsub::PubSub;
use super::rest::Rest;
use super::seal::Seal;
use landfall_egress::{Client, Policy};
use landfall_model::{
    Allow, BrokerSpec, Credential, CredentialKind, CredentialPart, SecretRef, SecretSource,
};

/// `servers` is that of NATS, with its secrets in it; `keys` are those of `queue.key`.
pub async fn connect(
    spec: BrokerSpec,
    servers: &str,
    keys: Vec<SecretRef>,
    secrets: Arc<dyn SecretSource>,
) -> Result<Broker, String> {
    let seal = Arc::new(Seal::new(keys, secrets.clone())?);
    let token = spec.token();
    Ok(match spec {
        BrokerSpec::Nats(spec) => {
            let monitor = spec
                .monitor
                .as_deref()
                .map(|url| of_operator(url, &secrets))
                .transpose()?;
            Broker::Nats(Box::new(Nats::start(spec, servers, monitor, seal).await?))
        }
        BrokerSpec::PubSub(spec) => {
            let rest = google(
                "https://pubsub.googleapis.com",
                spec.endpoint.as_deref(),
                token,
                &secrets,
            )?;
            Broker::PubSub(Box::new(PubSub::start(spec, rest, seal).await?))
        }
        BrokerSpec::CloudTasks(spec) => {
            let rest = google(
                "https://cloudtasks.googleapis.com",
                spec.endpoint.as_deref(),
                token,
                &secrets,
            )?;
            Broker::CloudTasks(Box::new(CloudTasks::start(spec, rest, seal).await?))
        }
    })
}

/// A service of Google's, or an emulator, which wants no token.
fn google(
    service: &str,
    emulator: Option<&str>,
    token: Option<SecretRef>,
    secrets: &Arc<dyn SecretSource>,
) -> Result<Rest, String> {
    if let Some(host) = emulator {
        let base = format!("http://{host}");
        return Ok(Rest::new(of_operator(&base, secrets)?, base));
    }
    let value = vec![
        CredentialPart::Literal("Bearer ".into()),
        CredentialPart::Secret(token.ok_or("no token")?),
    ];
    let credential = Credential {
        target: format!("{service}/")
            .parse()
            .map_err(|why| format!("{service}: {why}"))?,
        kind: CredentialKind::Header(http::header::AUTHORIZATION, value),
    };
    let http = vec![
        format!("{service}/")
            .parse()
            .map_err(|why| format!("{service}: {why}"))?,
    ];
    let policy = Policy::new(Allow {
        http,
        ..Allow::default()
    });
    Ok(Rest::new(
        Client::new(policy, vec![credential], secrets.clone()),
        service.into(),
    ))
}

/// At an address that the operator wrote down.
fn of_operator(url: &str, secrets: &Arc<dyn SecretSource>) -> Result<Client, String> {
    let grant = format!("{}/", url.trim_end_matches('/'))
        .parse()
        .map_err(|why| format!("{url}: {why}"))?;
    Ok(Client::new(
        Policy::anywhere(vec![grant]),
        Vec::new(),
        secrets.clone(),
    ))
}
