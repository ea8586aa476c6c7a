//! What the host adds to calls below a URL, so that the component that makes them never sees it.

use super::secret::SecretRef;
use super::url_prefix::UrlPrefix;

/// Something that proves who calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Which calls.
    pub target: UrlPrefix,
    /// What is added.
    pub kind: CredentialKind,
}

/// Text and secrets, joined.
pub type CredentialText = Vec<CredentialPart>;

/// A piece of a credential.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialPart {
    /// Text as written.
    Literal(String),
    /// `${env:NAME}` or `${file:PATH}`.
    Secret(SecretRef),
}

/// The ways to prove it.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialKind {
    /// A header. It replaces what the component wrote there.
    Header(http::HeaderName, CredentialText),
    /// A value of the query. It replaces what the component wrote there.
    Query(String, CredentialText),
    /// Takes the place of this text in the body.
    Body(String, CredentialText),
    /// OAuth 1.0a with HMAC-SHA1 (RFC 5849).
    OAuth1(OAuth1Spec),
    /// AWS Signature Version 4.
    AwsSigV4(SigV4Spec),
    /// Standard Webhooks, version 1: what is forwarded is signed. The secret begins with `whsec_`.
    StandardWebhooks(SecretRef),
}

/// Who calls on whose behalf.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth1Spec {
    /// Of the application.
    pub consumer_key: SecretRef,
    /// Of the application.
    pub consumer_secret: SecretRef,
    /// Of the account.
    pub token: SecretRef,
    /// Of the account.
    pub token_secret: SecretRef,
}

/// Who calls which service where.
#[derive(Debug, Clone, PartialEq)]
pub struct SigV4Spec {
    /// `eu-west-1`
    pub region: String,
    /// `sqs`
    pub service: String,
    /// The id of the key.
    pub access_key: SecretRef,
    /// The key.
    pub secret_key: SecretRef,
    /// Of temporary keys.
    pub session_token: Option<SecretRef>,
}

// === impl CredentialKind ===

impl CredentialKind {
    /// The place that it is written to, for people. Two credentials may not share one.
    pub fn place(&self) -> String {
        match self {
            CredentialKind::Header(name, _) => format!("header `{name}`"),
            CredentialKind::Query(name, _) => format!("query `{name}`"),
            CredentialKind::Body(placeholder, _) => format!("placeholder `{placeholder}`"),
            CredentialKind::OAuth1(_) | CredentialKind::AwsSigV4(_) => {
                "header `authorization`".into()
            }
            CredentialKind::StandardWebhooks(_) => "header `webhook-signature`".into(),
        }
    }
}

// === impl Credential ===

impl Credential {
    /// Every secret in it.
    pub fn secrets(&self) -> Vec<&SecretRef> {
        match &self.kind {
            CredentialKind::Header(_, text)
            | CredentialKind::Query(_, text)
            | CredentialKind::Body(_, text) => text
                .iter()
                .filter_map(|part| match part {
                    CredentialPart::Secret(reference) => Some(reference),
                    CredentialPart::Literal(_) => None,
                })
                .collect(),
            CredentialKind::OAuth1(OAuth1Spec {
                consumer_key,
                consumer_secret,
                token,
                token_secret,
            }) => {
                vec![consumer_key, consumer_secret, token, token_secret]
            }
            CredentialKind::AwsSigV4(spec) => [&spec.access_key, &spec.secret_key]
                .into_iter()
                .chain(&spec.session_token)
                .collect(),
            CredentialKind::StandardWebhooks(secret) => vec![secret],
        }
    }
}
