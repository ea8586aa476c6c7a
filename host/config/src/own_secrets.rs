//! What belongs to the node itself: hook files do not name it.

use std::path::{Path, PathBuf};

use super::node::Config;
use landfall_model::{CredentialPart, CredentialText, SecretRef};

/// Files that prove to clouds and to Vault who the node is, by the variables that name them.
const IDENTITY_FILES: [&str; 3] = [
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "VAULT_K8S_TOKEN_PATH",
];
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Every secret in the node's settings.
pub(super) fn references(config: &Config) -> Vec<SecretRef> {
    let mut own: Vec<SecretRef> = config.admin_token.iter().cloned().collect();
    own.extend(config.ledger_url.iter().flat_map(in_text));
    own.extend(config.queue.iter().flat_map(|queue| in_text(&queue.url)));
    own.extend(config.queue_key.iter().cloned());
    own
}

/// The data directory, the settings file (its URLs may hold a password), and what proves who the node is.
pub(super) fn paths(
    data: &Path,
    settings: &Path,
    var: impl Fn(&str) -> Option<String>,
) -> Vec<PathBuf> {
    let identity = IDENTITY_FILES
        .iter()
        .filter_map(|name| var(name))
        .map(PathBuf::from);
    let all = [data.to_owned(), settings.to_owned(), SERVICE_ACCOUNT.into()]
        .into_iter()
        .chain(identity);
    all.map(whole).collect()
}

/// Where `landfall up` keeps the secrets that it makes for hooks.
pub(super) fn hooks_path(data: &Path) -> PathBuf {
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
