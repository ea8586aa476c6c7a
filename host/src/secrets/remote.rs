//! Secrets that live elsewhere: the reference says where, the environment says who we are. Every call goes out through
//! `egress`, has a deadline, and follows no redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Secrets, aws, gcp, vault};
use crate::config::env;
use crate::egress::{Client, Outgoing, Policy};
use crate::model::{Allow, RemoteSecret, Secret};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The ways to every kind of source.
#[derive(Default)]
pub struct Remote {
    gcp: gcp::Tokens,
    vault: vault::Login,
}

/// One call.
pub struct Call<'a> {
    pub method: &'a str,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

// === impl Remote ===

impl Remote {
    /// The present value. The error is a sentence without it.
    pub async fn fetch(&self, reference: &RemoteSecret) -> Result<Secret, String> {
        match reference {
            RemoteSecret::GcpSecret { name } => gcp::secret(&self.gcp, name).await,
            RemoteSecret::GcpKms { key, path } => gcp::decrypted(&self.gcp, key, path).await,
            RemoteSecret::Vault { mount, path, field } => vault::secret(&self.vault, mount, path, field).await,
            RemoteSecret::AwsSecret { id, field } => aws::secret(id, field.as_deref()).await,
        }
    }
}

// === impl Call ===

impl Call<'_> {
    /// The body of a successful answer.
    pub async fn send(self) -> Result<Bytes, String> {
        let shown = self.url.split('?').next().unwrap_or_default().to_owned();
        let http = vec![shown.parse().map_err(|why: String| format!("cannot be called: {why}"))?];
        // Whom the operator named may be anywhere: a metadata server and a Vault are inside.
        let addresses = vec!["0.0.0.0/0".parse().expect("a range"), "::/0".parse().expect("a range")];
        let policy = Policy::new(Allow { http, addresses, ..Allow::default() });
        let client = Client::new(policy, Vec::new(), Arc::new(Secrets::default()));
        let outgoing = Outgoing {
            method: self.method.into(),
            url: self.url,
            headers: self.headers,
            body: self.body.into(),
            timeout: TIMEOUT,
        };
        let received = client.send_own(outgoing).await.map_err(|error| format!("{shown}: {error}"))?;
        match received.status {
            200..=299 => Ok(received.body),
            // The answer may repeat what was sent: only its status is told.
            status => Err(format!("{shown} answers {status}{}", meaning(status))),
        }
    }

    /// The same, as JSON.
    pub async fn json(self) -> Result<Value, String> {
        let shown = self.url.split('?').next().unwrap_or_default().to_owned();
        serde_json::from_slice(&self.send().await?).map_err(|_| format!("{shown} answers what is not JSON"))
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 | 404 => ": is the name right?",
        401 | 403 => ": may this identity read it?",
        _ => "",
    }
}

/// A variable that must be set; `purpose` says what for.
pub fn needed(name: &str, purpose: &str) -> Result<String, String> {
    env::var(name).ok_or_else(|| format!("environment variable {name} is not set: {purpose}"))
}

/// A string in an answer.
pub fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str, String> {
    answer.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("the answer has no `{pointer}`"))
}
