//! How the senders of one hook authenticate.

use crate::jwt::Jwt;
use crate::payload::Part;
use crate::schemes::ProviderScheme;
use crate::signature::Signature;
use landfall_model::ValueLocation;

/// What a sender has to show.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthScheme {
    /// Nobody said: the hook is closed.
    Closed,
    /// Everybody is let in, by explicit choice.
    Open,
    /// A shared secret.
    Token {
        /// Where.
        from: ValueLocation,
        /// Before it.
        prefix: String,
    },
    /// `user:password` by HTTP basic authentication.
    Basic,
    /// A MAC or signature over a payload template.
    Signature(Box<Signature>),
    /// A JSON web token.
    Jwt(Box<Jwt>),
    /// A scheme of one provider.
    Provider(ProviderScheme),
}

// === impl AuthScheme ===

impl AuthScheme {
    /// The places of the request without which nothing can be proven.
    pub fn places(&self) -> Vec<&ValueLocation> {
        match self {
            AuthScheme::Token { from, .. } => vec![from],
            AuthScheme::Jwt(jwt) => vec![&jwt.from],
            AuthScheme::Provider(ProviderScheme::DetachedJws(jws)) => vec![&jws.from],
            AuthScheme::Signature(signature) => {
                let time = signature.time.iter().filter_map(|time| time.from.as_ref());
                let key = signature.key_set.iter().filter_map(|set| set.id.as_ref());
                signature
                    .from
                    .iter()
                    .chain(time)
                    .chain(&signature.id)
                    .chain(key)
                    .collect()
            }
            AuthScheme::Closed | AuthScheme::Open | AuthScheme::Basic | AuthScheme::Provider(_) => {
                Vec::new()
            }
        }
    }

    /// Whether the whole body is what is proven; none where the pack says so of its scheme in code.
    pub fn covers_body(&self) -> Option<bool> {
        let is_body = |part: &Part| {
            matches!(
                part,
                Part::Body
                    | Part::BodySha256Hex
                    | Part::BodySha256Base64
                    | Part::BodyJsonString
                    | Part::FormSorted
            )
        };

        match self {
            AuthScheme::Signature(signature) => Some(
                signature
                    .payloads()
                    .all(|payload| payload.iter().any(is_body)),
            ),
            AuthScheme::Jwt(jwt) => Some(jwt.covers_body()),
            AuthScheme::Provider(ProviderScheme::HttpMessageSignatures(rules)) => {
                Some(rules.covers_body())
            }
            AuthScheme::Provider(_) => None,
            AuthScheme::Closed
            | AuthScheme::Open
            | AuthScheme::Token { .. }
            | AuthScheme::Basic => Some(false),
        }
    }

    /// Whether a verified request has a token with claims.
    pub fn has_claims(&self) -> bool {
        matches!(
            self,
            AuthScheme::Jwt(_) | AuthScheme::Provider(ProviderScheme::AppleAppStore(_))
        )
    }

    /// The kind of auth_scheme, whichever provider's scheme it is: the attribute `verified-by-scheme`.
    pub fn kind(&self) -> &'static str {
        match self {
            AuthScheme::Provider(code) => code.kind(),
            other => other.word(),
        }
    }

    /// The word for it in hook files and records.
    pub fn word(&self) -> &'static str {
        match self {
            AuthScheme::Closed => "closed",
            AuthScheme::Open => "none",
            AuthScheme::Token { .. } => "token",
            AuthScheme::Basic => "basic",
            AuthScheme::Signature(_) => "signature",
            AuthScheme::Jwt(_) => "jwt",
            AuthScheme::Provider(code) => code.word(),
        }
    }

    /// A text that an ownership check signs for any caller cannot pass for a delivery: only the body is signed, behind constant
    /// text at most, and `challenge::is_token` bodies are refused.
    pub fn tells_tokens_apart(&self) -> bool {
        match self {
            AuthScheme::Signature(signature) => {
                signature
                    .payloads()
                    .all(|payload| match payload.split_last() {
                        Some((Part::Body, before)) => {
                            before.iter().all(|part| matches!(part, Part::Literal(_)))
                        }
                        _ => false,
                    })
            }
            AuthScheme::Provider(ProviderScheme::Braintree { .. }) | AuthScheme::Closed => true,
            _ => false,
        }
    }

    /// With a secret that only the question for a key carries.
    pub fn asks_for_keys(&self) -> bool {
        match self {
            AuthScheme::Jwt(jwt) => jwt.lookup.is_some(),
            AuthScheme::Provider(code) => matches!(code, ProviderScheme::Ebay(_)),
            _ => false,
        }
    }

    pub fn needs_secret(&self) -> bool {
        match self {
            AuthScheme::Closed | AuthScheme::Open => false,
            AuthScheme::Token { .. } | AuthScheme::Basic => true,
            AuthScheme::Signature(signature) => signature.key_set.is_none(),
            AuthScheme::Jwt(jwt) => jwt.jwks.is_none() && jwt.lookup.is_none(),
            AuthScheme::Provider(code) => code.needs_secret(),
        }
    }
}
