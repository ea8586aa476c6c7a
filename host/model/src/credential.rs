//! Credentials: what the host adds to outbound calls below a URL. Components never see them.

use super::secret_ref::SecretRef;
use super::url_prefix::UrlPrefix;

/// A credential of outbound calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// The URLs of the calls that receive it.
    pub target: UrlPrefix,
    /// What is added to the call.
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

/// What a credential adds to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialKind {
    /// A header. It replaces the component's header of that name.
    Header(http::HeaderName, CredentialText),
    /// A query parameter. It replaces the component's parameter of that name.
    Query(String, CredentialText),
    /// A segment of the path, which is replaced.
    Path(String, CredentialText),
    /// A text in the body, which is replaced.
    Body(String, CredentialText),
    /// OAuth 1.0a with HMAC-SHA1 (RFC 5849).
    OAuth1(OAuth1Spec),
    /// AWS Signature Version 4.
    AwsSigV4(SigV4Spec),
    /// A signature of Standard Webhooks, version 1. The secret begins with `whsec_`.
    StandardWebhooks(SecretRef),
}

/// The keys of OAuth 1.0a.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth1Spec {
    /// The key of the application.
    pub consumer_key: SecretRef,
    /// The secret of the application.
    pub consumer_secret: SecretRef,
    /// The token of the account.
    pub token: SecretRef,
    /// The secret of the account.
    pub token_secret: SecretRef,
}

/// The keys and the scope of AWS Signature Version 4.
#[derive(Debug, Clone, PartialEq)]
pub struct SigV4Spec {
    /// For example `eu-west-1`.
    pub region: String,
    /// For example `sqs`.
    pub service: String,
    /// The access key id.
    pub access_key: SecretRef,
    /// The secret access key.
    pub secret_key: SecretRef,
    /// The session token of temporary keys.
    pub session_token: Option<SecretRef>,
}

// === impl CredentialKind ===

impl CredentialKind {
    /// The part of the call that the credential replaces, for messages. Two credentials must not
    /// replace the same part.
    pub fn place(&self) -> String {
        match self {
            CredentialKind::Header(name, _) => format!("header `{name}`"),
            CredentialKind::Query(name, _) => format!("query `{name}`"),
            CredentialKind::Path(segment, _) => format!("path `{segment}`"),
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
    /// The secrets that the credential needs.
    pub fn secrets(&self) -> Vec<&SecretRef> {
        match &self.kind {
            CredentialKind::Header(_, text)
            | CredentialKind::Query(_, text)
            | CredentialKind::Path(_, text)
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
