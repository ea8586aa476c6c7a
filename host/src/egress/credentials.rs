//! Headers that the operator wants on calls to a URL; the component that makes the call never sees them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use url::Url;

use crate::model::{Credential, CredentialPart, SecretError, SecretRef, SecretSource};

/// The credentials of one hook.
#[derive(Clone)]
pub struct Credentials {
    list: Vec<Credential>,
    secrets: Arc<dyn SecretSource>,
}

/// Why a call goes out without, that is, not at all.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No value now.
    #[error("credential for header `{header}`: {why}")]
    NoSecret {
        /// The header.
        header: String,
        /// From the source.
        why: SecretError,
    },
    /// A line end or a NUL inside.
    #[error("credential for header `{0}` is not a header value")]
    NotAHeader(String),
}

// === impl Credentials ===

impl Credentials {
    pub fn new(list: Vec<Credential>, secrets: Arc<dyn SecretSource>) -> Credentials {
        Credentials { list, secrets }
    }

    /// Sets the headers meant for this URL, over whatever the component wrote there.
    pub fn add(&self, url: &Url, headers: &mut HeaderMap) -> Result<(), CredentialError> {
        for credential in self.list.iter().filter(|credential| credential.target.covers(url)) {
            let mut value = HeaderValue::from_bytes(&self.value(credential)?)
                .map_err(|_| CredentialError::NotAHeader(credential.header.to_string()))?;
            value.set_sensitive(true);
            headers.insert(credential.header.clone(), value);
        }
        Ok(())
    }

    fn value(&self, credential: &Credential) -> Result<Vec<u8>, CredentialError> {
        let read = |reference: &SecretRef| {
            let header = credential.header.to_string();
            self.secrets.value(reference).map_err(|why| CredentialError::NoSecret { header, why })
        };
        let mut bytes = Vec::new();
        for part in &credential.value {
            match part {
                CredentialPart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                CredentialPart::Secret(reference) => bytes.extend_from_slice(read(reference)?.expose()),
            }
        }
        Ok(bytes)
    }
}
