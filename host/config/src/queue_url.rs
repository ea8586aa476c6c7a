//! `queue.url`: which broker carries events, and where it is.

use super::credential::Text;
use super::value_error::ValueError;
use landfall_model::{CredentialPart, CredentialText, SecretRef};

/// The URL of the broker. Its scheme says which broker it is; `landfall-broker` knows the schemes.
#[derive(Debug, Clone)]
pub struct QueueUrl(pub(crate) CredentialText);

// === impl QueueUrl ===

impl std::str::FromStr for QueueUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<QueueUrl, ValueError> {
        if !text.contains("://") {
            let reference = text.parse::<SecretRef>();
            let reference = reference.map_err(|_| ValueError::QueueUrl)?;
            return Ok(QueueUrl(vec![CredentialPart::Secret(reference)]));
        }

        if text.contains("${") {
            return text.parse::<Text>().map(|text| QueueUrl(text.0));
        }

        Ok(QueueUrl(vec![CredentialPart::Literal(text.into())]))
    }
}
