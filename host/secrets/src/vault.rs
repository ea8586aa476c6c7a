//! HashiCorp Vault, key-value version 2. `VAULT_ADDR` says where; who we are is `VAULT_TOKEN`, or the Kubernetes service
//! account with the role in `VAULT_ROLE`. Sources: developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and
//! /auth/kubernetes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::remote::{Call, needed, text};
use landfall_config::env;
use landfall_model::Secret;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The present token of a Kubernetes login.
#[derive(Default)]
pub struct Login {
    kept: Mutex<Option<(String, Instant)>>,
}

/// A field of the newest version.
pub async fn secret(login: &Login, mount: &str, path: &str, field: &str) -> Result<Secret, String> {
    let base = needed(
        "VAULT_ADDR",
        "the address of Vault, such as https://vault.internal:8200",
    )?;
    let base = base.trim_end_matches('/');
    let url = format!("{base}/v1/{mount}/data/{path}");
    let mut headers = namespace();
    headers.push(("x-vault-token".into(), token(login, base).await?));
    let answer = Call {
        method: "GET",
        url,
        headers,
        body: Vec::new(),
    }
    .json()
    .await?;
    match answer
        .pointer("/data/data")
        .and_then(|data| data.get(field))
    {
        Some(Value::String(value)) => Ok(Secret::new(value.as_bytes())),
        _ => Err(format!("{mount}/{path} has no text in `{field}`")),
    }
}

async fn token(login: &Login, base: &str) -> Result<String, String> {
    if let Some(token) = env::var("VAULT_TOKEN") {
        return Ok(token);
    }
    let role = needed(
        "VAULT_ROLE",
        "set VAULT_TOKEN, or VAULT_ROLE to log in with the Kubernetes service account",
    )?;
    let mut kept = login.kept.lock().await;
    if let Some((token, until)) = &*kept
        && *until > Instant::now()
    {
        return Ok(token.clone());
    }
    let path = env::var("VAULT_K8S_TOKEN_PATH").unwrap_or_else(|| SERVICE_ACCOUNT.into());
    let jwt = tokio::fs::read_to_string(&path)
        .await
        .map_err(|error| format!("{path}: {error}"))?;
    let mount = env::var("VAULT_K8S_MOUNT").unwrap_or_else(|| "kubernetes".into());
    let body = json!({ "jwt": jwt.trim(), "role": role })
        .to_string()
        .into_bytes();
    let url = format!("{base}/v1/auth/{mount}/login");
    let answer = Call {
        method: "POST",
        url,
        headers: namespace(),
        body,
    }
    .json()
    .await?;
    let token = text(&answer, "/auth/client_token")?.to_owned();
    // Half of its life: it is never used at its end.
    let seconds = answer
        .pointer("/auth/lease_duration")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        / 2;
    *kept = Some((token.clone(), Instant::now() + Duration::from_secs(seconds)));
    Ok(token)
}

fn namespace() -> Vec<(String, String)> {
    env::var("VAULT_NAMESPACE")
        .map(|name| ("x-vault-namespace".to_owned(), name))
        .into_iter()
        .collect()
}
