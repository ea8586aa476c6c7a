//! Reasons why no request can pass a verifier as configured: the path has no segment for the token,
//! or no key is usable.

use crate::algorithm::is_public_key;
use crate::auth_scheme::AuthScheme;
use crate::builder;
use crate::keys::Keys;
use crate::schemes::ProviderScheme;
use crate::shared_secret::is_credentials;
use crate::verifier::Verifier;
use crate::view::PublicUrl;
use landfall_model::{Algorithm, ValueLocation};

const NOT_A_KEY: &str = "the secret is not a public key of the algorithm";

// === impl Verifier ===

impl Verifier {
    /// Why no request to a hook with this path can carry the token; `None` if it can.
    pub fn path_problem(&self, path: &str) -> Option<String> {
        if let Some(PublicUrl::Base(base)) = &self.public_url
            && path != "/"
            && base.ends_with(path)
        {
            return Some(format!(
                "public_url ends with the path of the hook, which is appended to it: write public_url = \"{}\", or \
                 url = \"{base}\" for the whole URL",
                base.trim_end_matches(path)
            ));
        }

        let last = path.trim_end_matches('/');
        match self
            .auth_scheme
            .places()
            .into_iter()
            .find(|place| !builder::is_in_path(place, path))?
        {
            ValueLocation::Path(_) => Some(format!(
                "the token is the last segment of the path: write path = \"{last}/{{secret}}\""
            )),
            place => Some(builder::no_such_segment(place, path)),
        }
    }

    /// Why the hook's secrets have no effect (the provider's keys are public); `None` if they are
    /// used, or there are none.
    pub fn unused_secret(&self) -> Option<&'static str> {
        // eBay's secret is used to request the keys.
        let asks_with_it = self.auth_scheme.asks_for_keys()
            || matches!(
                self.auth_scheme,
                AuthScheme::Provider(ProviderScheme::Ebay(_))
            );

        let is_used =
            self.auth_scheme.needs_secret() || asks_with_it || self.auth_scheme == AuthScheme::Open;
        let is_unused = !self.secrets().is_empty() && !is_used;

        is_unused.then_some(
            "`secret` means nothing here: the provider signs with keys that are public; remove it",
        )
    }

    /// Why no request can be verified with these keys; `None` if one can.
    pub fn key_problem(&self, keys: &Keys) -> Option<String> {
        if let Some(why) = keys.problem() {
            return Some(format!("no secret has a value: {why}"));
        }

        let mut given = keys.iter().flatten().peekable();
        given.peek()?;
        given
            .map(|key| self.unusable(key))
            .collect::<Option<Vec<_>>>()
            .map(|why| why[0].to_owned())
    }

    /// Why no request can match this key.
    fn unusable(&self, key: &[u8]) -> Option<&'static str> {
        match &self.auth_scheme {
            AuthScheme::Basic if !is_credentials(key) => {
                Some("the secret is not of the form user:password")
            }
            AuthScheme::Token {
                from: ValueLocation::Header(_),
                ..
            } if key.trim_ascii() != key => {
                Some("the secret begins or ends with white space, and no header value does")
            }
            AuthScheme::Token {
                from: ValueLocation::Header(_),
                ..
            } if http::HeaderValue::from_bytes(key).is_err() => Some(
                "the secret holds a line end or another control character, and no header value \
                 does",
            ),
            AuthScheme::Signature(signature) if !is_public_key(signature.algorithm, key) => {
                Some(NOT_A_KEY)
            }
            AuthScheme::Provider(ProviderScheme::HttpMessageSignatures(rules))
                if !is_public_key(rules.algorithm, key) =>
            {
                Some(NOT_A_KEY)
            }
            AuthScheme::Provider(ProviderScheme::Keygen)
                if !is_public_key(Algorithm::Ed25519, key) =>
            {
                Some(NOT_A_KEY)
            }
            AuthScheme::Jwt(jwt)
                if jwt.lookup.is_none()
                    && !jwt.algorithms.iter().any(|name| fits_token(name, key)) =>
            {
                Some(NOT_A_KEY)
            }
            _ => None,
        }
    }
}

/// Whether the bytes are a valid key for tokens with this `alg`.
fn fits_token(name: &str, key: &[u8]) -> bool {
    match name {
        "RS256" => is_public_key(Algorithm::RsaPkcs1v15Sha256, key),
        "ES256" => is_public_key(Algorithm::EcdsaP256Sha256, key),
        _ => true,
    }
}
