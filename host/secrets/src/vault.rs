//! HashiCorp Vault, key-value version 2. `VAULT_ADDR` is its address. The identity is
//! `VAULT_TOKEN`, or the Kubernetes service account with the role in `VAULT_ROLE`. Sources:
//! developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and /auth/kubernetes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use landfall_config::env;
use landfall_model::Secret;

use crate::call::{ApiCall, ApiClient, text};
use crate::error::FetchError;
use crate::local::required_variable;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The current token of a Kubernetes login.
#[derive(Default)]
pub(crate) struct Login {
    current: Mutex<Option<LoginToken>>,
}

struct LoginToken {
    token: String,
    renew_at: Instant,
}

/// Reads a field of the newest version.
pub(crate) async fn secret(
    api: &ApiClient,
    login: &Login,
    mount: &str,
    path: &str,
    field: &str,
) -> Result<Secret, FetchError> {
    let base = required_variable(
        "VAULT_ADDR",
        "the address of Vault, such as https://vault.internal:8200",
    )?;
    let base = base.trim_end_matches('/');
    let mut headers = namespace();
    headers.push(("x-vault-token".into(), token(api, login, base).await?));

    let url = format!("{base}/v1/{mount}/data/{path}");
    let answer = api.send_for_json(ApiCall::get(url, headers)).await?;
    let data = answer.pointer("/data/data");
    match data.and_then(|data| data.get(field)) {
        Some(Value::String(value)) => Ok(Secret::new(value.as_bytes())),
        _ => Err(FetchError::unusable(
            format!("{mount}/{path}"),
            format!("has no text in `{field}`"),
        )),
    }
}

async fn token(api: &ApiClient, login: &Login, base: &str) -> Result<String, FetchError> {
    if let Some(token) = env::var("VAULT_TOKEN") {
        return Ok(token);
    }

    let role = required_variable(
        "VAULT_ROLE",
        "set VAULT_TOKEN, or VAULT_ROLE to log in with the Kubernetes service account",
    )?;
    let mut current = login.current.lock().await;
    if let Some(login) = &*current
        && login.renew_at > Instant::now()
    {
        return Ok(login.token.clone());
    }

    let path = env::var("VAULT_K8S_TOKEN_PATH").unwrap_or_else(|| SERVICE_ACCOUNT.into());
    let jwt = tokio::fs::read_to_string(&path)
        .await
        .map_err(|error| FetchError::file(&path, error))?;
    let mount = env::var("VAULT_K8S_MOUNT").unwrap_or_else(|| "kubernetes".into());
    let body = json!({ "jwt": jwt.trim(), "role": role }).to_string();
    let call = ApiCall {
        method: "POST",
        url: format!("{base}/v1/auth/{mount}/login"),
        headers: namespace(),
        body: body.into_bytes(),
    };
    let answer = api.send_for_json(call).await?;

    let token = text(&answer, "/auth/client_token")?.to_owned();
    let lease_s = answer
        .pointer("/auth/lease_duration")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    *current = Some(LoginToken {
        token: token.clone(),
        // At half of its lifetime.
        renew_at: Instant::now() + Duration::from_secs(lease_s / 2),
    });
    Ok(token)
}

fn namespace() -> Vec<(String, String)> {
    env::var("VAULT_NAMESPACE")
        .map(|name| ("x-vault-namespace".to_owned(), name))
        .into_iter()
        .collect()
}
