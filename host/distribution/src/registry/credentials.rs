//! User and password for a registry: from the environment, or from where `docker login` keeps them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::DistributionError;
use landfall_config::env;

const USER: &str = "LANDFALL_REGISTRY_USER";
const PASSWORD: &str = "LANDFALL_REGISTRY_PASSWORD";
/// The name under which `docker login` keeps the credentials of Docker Hub.
const DOCKER_HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// Never printed.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// `~/.docker/config.json`
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Auth {
    /// `user:password` in Base64.
    auth: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// The credentials for a registry. `None`: it is called without.
pub(crate) async fn find(registry: &str) -> Result<Option<Credentials>, DistributionError> {
    let wrong = |why: String| DistributionError::Credentials {
        registry: registry.to_owned(),
        why,
    };
    match (env::var(USER), env::var(PASSWORD)) {
        (Some(user), Some(password)) => return Ok(Some(Credentials { user, password })),
        (None, None) => {}
        _ => {
            return Err(wrong(format!(
                "set both {USER} and {PASSWORD}, or none of them"
            )));
        }
    }

    let Some(path) = config_path() else {
        return Ok(None);
    };
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(None);
    };
    // The text of the error could repeat a part of a password.
    let config: DockerConfig = serde_json::from_str(&text).map_err(|_| {
        wrong(format!(
            "{} is not the JSON of `docker login`",
            path.display()
        ))
    })?;
    from_config(&config, registry).await.map_err(wrong)
}

/// Where `docker login` writes.
fn config_path() -> Option<PathBuf> {
    let dir = match env::var("DOCKER_CONFIG") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var("HOME")?).join(".docker"),
    };
    Some(dir.join("config.json"))
}

async fn from_config(config: &DockerConfig, registry: &str) -> Result<Option<Credentials>, String> {
    let keys = keys(registry);
    let helper = keys.iter().find_map(|key| config.cred_helpers.get(key));
    if let Some(helper) = helper.or(config.creds_store.as_ref()) {
        for key in &keys {
            if let Some(found) = ask_helper(helper, key).await? {
                return Ok(Some(found));
            }
        }
    }

    let auth = keys
        .iter()
        .find_map(|key| config.auths.get(key)?.auth.as_ref());
    auth.map(|auth| decode(auth)).transpose()
}

/// The names under which credentials of a registry are kept.
fn keys(registry: &str) -> Vec<String> {
    let mut keys = vec![
        registry.to_owned(),
        format!("https://{registry}"),
        format!("https://{registry}/v2/"),
    ];
    if registry == DOCKER_HUB.0 {
        keys.push(DOCKER_HUB.1.to_owned());
    }
    keys
}

fn decode(auth: &str) -> Result<Credentials, String> {
    let decoded = STANDARD.decode(auth.trim()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) = pair.ok_or("what `docker login` wrote cannot be read: log in again")?;
    Ok(Credentials {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// Asks `docker-credential-NAME`. `None`: it knows no credentials for the registry.
async fn ask_helper(name: &str, key: &str) -> Result<Option<Credentials>, String> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(format!("{program} is not the name of a program"));
    }

    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            format!("{program}, which docker's config.json names, does not start: {error}")
        })?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read has ended, and its exit status says so.
        input.write_all(key.as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await;
    let output = output.map_err(|error| format!("{program} broke off: {error}"))?;
    if !output.status.success() {
        return Ok(None);
    }

    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program} printed no user and secret"))?;
    Ok(Some(Credentials {
        user: answer.username,
        password: answer.secret,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(config: &str, registry: &str) -> Option<(String, String)> {
        let config: DockerConfig = serde_json::from_str(config).unwrap();
        let found = from_config(&config, registry).await.unwrap();
        found.map(|found| (found.user, found.password))
    }

    #[tokio::test]
    async fn docker_logins_are_found() {
        // user:pass:word
        let auth = r#"{ "auth": "dXNlcjpwYXNzOndvcmQ=" }"#;
        let expected = Some(("user".to_owned(), "pass:word".to_owned()));
        for (key, registry) in [
            ("ghcr.io", "ghcr.io"),
            ("https://r.example:5000", "r.example:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            let config = format!(r#"{{ "auths": {{ "{key}": {auth}, "x.example": {{}} }} }}"#);
            assert_eq!(found(&config, registry).await, expected, "{key}");
            assert_eq!(found(&config, "x.example").await, None);
            assert_eq!(found(&config, "other.example").await, None);
        }
        assert_eq!(found("{}", "ghcr.io").await, None);
    }

    #[tokio::test]
    async fn missing_helpers_are_named() {
        let config = r#"{ "credHelpers": { "ghcr.io": "landfall-none" } }"#;
        let config: DockerConfig = serde_json::from_str(config).unwrap();
        let error = from_config(&config, "ghcr.io").await.err().unwrap();
        assert!(
            error.starts_with("docker-credential-landfall-none, which"),
            "{error}"
        );
        assert!(from_config(&config, "r.example").await.unwrap().is_none());
    }
}
