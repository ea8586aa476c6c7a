//! Secrets and files of the node itself, which hook files may not name.

use std::path::{Path, PathBuf};

use super::node::Config;
use super::telemetry::TelemetrySpec;
use landfall_model::{CredentialPart, CredentialText, SecretRef};

/// Variables that name files of the node's Google, AWS and Vault identity.
const IDENTITY_FILES: [&str; 3] = [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "VAULT_K8S_TOKEN_PATH",
];
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Every secret in the node's settings.
pub(crate) fn references(config: &Config) -> Vec<SecretRef> {
    let mut own: Vec<SecretRef> = config.admin_token().into_iter().cloned().collect();
    own.extend(config.admin_read_token().cloned());
    own.extend(config.ledger_url().into_iter().flat_map(in_text));
    own.extend(config.queue.iter().flat_map(|queue| in_text(&queue.url)));
    own.extend(config.queue_keys().iter().cloned());
    own.extend(config.ledger_keys().iter().cloned());
    own.extend(config.telemetry.iter().flat_map(TelemetrySpec::secrets));
    own
}

/// The data directory, the settings file (its URLs may hold a password), and the files of the
/// node's identity.
pub(crate) fn paths(
    data: &Path,
    settings: &Path,
    var: impl Fn(&str) -> Option<String>,
) -> Vec<PathBuf> {
    let identity = IDENTITY_FILES
        .iter()
        .filter_map(|name| var(name))
        .map(PathBuf::from);
    [data.to_owned(), settings.to_owned(), SERVICE_ACCOUNT.into()]
        .into_iter()
        .chain(identity)
        .map(whole)
        .collect()
}

/// The directory in which `landfall up` stores the secrets that it creates for hooks.
pub(crate) fn hooks_path(data: &Path) -> PathBuf {
    whole(data.join("secrets"))
}

fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn in_text(text: &CredentialText) -> impl Iterator<Item = SecretRef> {
    text.iter().filter_map(|part| match part {
        CredentialPart::Secret(reference) => Some(reference.clone()),
        CredentialPart::Literal(_) => None,
    })
}
