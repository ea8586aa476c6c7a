//! How the senders of one hook authenticate.

use crate::jwt::Jwt;
use crate::payload::Part;
use crate::schemes::ProviderScheme;
use crate::signature::Signature;
use landfall_model::ValueLocation;

/// The authentication scheme of a hook.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthScheme {
    /// No `[verify]` table: every request is refused.
    Closed,
    /// `scheme = "none"`: every request is accepted.
    Open,
    /// The request carries a shared secret.
    Token {
        /// Where the request carries the secret.
        from: ValueLocation,
        /// Text before the secret, such as `Bearer `.
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
    /// The locations in the request that authentication reads.
    pub(crate) fn places(&self) -> Vec<&ValueLocation> {
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

    /// The locations of the token, the JWT or the signature. Without those of schemes of single
    /// providers that read it from a header: no reader gets the values of these headers.
    pub(crate) fn proof_places(&self) -> Vec<ValueLocation> {
        match self {
            AuthScheme::Token { from, .. } => vec![from.clone()],
            AuthScheme::Jwt(jwt) => vec![jwt.from.clone()],
            AuthScheme::Signature(signature) => signature.from.clone(),
            AuthScheme::Provider(code) => code.proof_places(),
            AuthScheme::Closed | AuthScheme::Open | AuthScheme::Basic => Vec::new(),
        }
    }

    /// Where the head or the body carries a secret that components must not see, and the text
    /// before it.
    pub(crate) fn secret_carrier(&self) -> Option<(ValueLocation, &str)> {
        match self {
            AuthScheme::Token { from, prefix } => Some((from.clone(), prefix)),
            AuthScheme::Jwt(jwt) => Some((jwt.from.clone(), &jwt.prefix)),
            AuthScheme::Basic => Some((ValueLocation::Header("Authorization".into()), "Basic ")),
            AuthScheme::Closed
            | AuthScheme::Open
            | AuthScheme::Signature(_)
            | AuthScheme::Provider(_) => None,
        }
    }

    /// The text before the token, the JWT or the signature.
    pub(crate) fn proof_prefix(&self) -> &str {
        match self {
            AuthScheme::Token { prefix, .. } => prefix,
            AuthScheme::Jwt(jwt) => &jwt.prefix,
            AuthScheme::Signature(signature) => &signature.prefix,
            AuthScheme::Closed | AuthScheme::Open | AuthScheme::Basic | AuthScheme::Provider(_) => {
                ""
            }
        }
    }

    /// Whether the signature covers the whole body; `None` where the pack's `covers_body` decides.
    pub(crate) fn covers_body(&self) -> Option<bool> {
        match self {
            AuthScheme::Signature(signature) => Some(
                signature
                    .payloads()
                    .all(|payload| payload.iter().any(Part::is_of_the_body)),
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
    pub(crate) fn has_claims(&self) -> bool {
        matches!(
            self,
            AuthScheme::Jwt(_) | AuthScheme::Provider(ProviderScheme::AppleAppStore(_))
        )
    }

    /// The kind of scheme, the same for all providers: the event attribute `verified-by-scheme`.
    pub fn kind(&self) -> &'static str {
        match self {
            AuthScheme::Provider(code) => code.kind(),
            other => other.word(),
        }
    }

    /// The scheme's name in hook files and in the ledger.
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

    /// Whether a delivery cannot be forged from the answer to an ownership check that signs a value
    /// for unauthenticated callers: only the body is signed, after constant text at most, and
    /// bodies for which `is_token` holds are refused.
    pub(crate) fn tells_tokens_apart(&self) -> bool {
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

    /// Whether the hook's secret is only used to request keys from the provider.
    pub(crate) fn asks_for_keys(&self) -> bool {
        match self {
            AuthScheme::Jwt(jwt) => jwt.lookup.is_some(),
            AuthScheme::Provider(code) => matches!(code, ProviderScheme::Ebay(_)),
            _ => false,
        }
    }

    /// Whether the hook's secrets are the keys.
    pub(crate) fn needs_secret(&self) -> bool {
        match self {
            AuthScheme::Closed | AuthScheme::Open => false,
            AuthScheme::Token { .. } | AuthScheme::Basic => true,
            AuthScheme::Signature(signature) => signature.key_set.is_none(),
            AuthScheme::Jwt(jwt) => jwt.jwks.is_none() && jwt.lookup.is_none(),
            AuthScheme::Provider(code) => code.needs_secret(),
        }
    }
}
