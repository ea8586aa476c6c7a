//! Clients for services of Google and for addresses that the operator wrote.

use std::sync::Arc;

use landfall_egress::{Client, Policy};
use landfall_model::{
    Allow, Clock, Credential, CredentialKind, CredentialPart, HttpGrant, RemoteSecret, SecretRef,
    SecretSource,
};

use super::error::BrokerError;
use super::rest::Rest;

/// The credential of a service of Google, with this scope.
pub(crate) fn google_token(scope: &str) -> SecretRef {
    SecretRef::Remote(RemoteSecret::GcpToken {
        scope: scope.into(),
        key: None,
    })
}

/// A service of Google, or its emulator, which needs no token.
pub(crate) fn google(
    service: &str,
    emulator: Option<&str>,
    token: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    clock: Clock,
) -> Result<Rest, BrokerError> {
    if let Some(host) = emulator {
        let base = format!("http://{host}");
        return Ok(Rest::new(operator_client(&base)?, base));
    }

    let Some(token) = token else {
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
    let client = Client::new(policy, vec![credential], secrets, clock);

    Ok(Rest::new(client, service.into()))
}

/// A client for an address that the operator wrote.
pub(crate) fn operator_client(url: &str) -> Result<Client, BrokerError> {
    let policy = Policy::anywhere(vec![grant(url)?]);
    Ok(Client::without_credentials(policy))
}

fn grant(url: &str) -> Result<HttpGrant, BrokerError> {
    format!("{}/", url.trim_end_matches('/'))
        .parse()
        .map_err(|why| wrong_address(url, why))
}

fn wrong_address(url: &str, why: impl std::fmt::Display) -> BrokerError {
    BrokerError::Misconfigured(format!("{url}: {why}"))
}
