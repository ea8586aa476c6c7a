//! A checked `[verify]` table: whatever can be wrong with it is found here, at load.

use std::time::Duration;

use super::pack::{Pack, challenges, pack_names};
use crate::model::{Algorithm, Challenge, Encoding, Place, Scheme, SecretRef, VerifySpec};

/// How requests of one hook are checked.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(super) proof: Proof,
    pub(super) challenges: Vec<Challenge>,
    pub(super) provider: Option<String>,
    pub(super) event_type: Option<Place>,
    pub(super) delivery_id: Option<Place>,
    answer_within: Option<Duration>,
    secrets: Vec<SecretRef>,
}

/// What a sender has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nobody said: the hook is closed.
    Closed,
    /// Everybody is let in, by explicit choice.
    Open,
    /// A shared secret.
    Token {
        /// Where.
        from: Place,
        /// Before it.
        prefix: String,
    },
    /// `user:password` by HTTP basic authentication.
    Basic,
    /// A MAC over the raw body.
    Signature {
        /// Where.
        from: Place,
        /// Before it.
        prefix: String,
        /// Pinned: the request has no say in it.
        algorithm: Algorithm,
        /// Of its bytes.
        encoding: Encoding,
    },
}

/// What is wrong with a `[verify]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    /// The key in `[verify]`.
    pub key: &'static str,
    /// A sentence with the way out.
    pub message: String,
}

// === impl Verifier ===

impl Verifier {
    /// Builds from the table as typed; an absent table builds a closed verifier.
    pub fn build(typed: &VerifySpec) -> Result<Verifier, BuildError> {
        let pack = match &typed.provider {
            None => Pack::generic(),
            Some(name) => Pack::find(name).ok_or_else(|| unknown_pack(name))?,
        };
        if typed.provider.is_none() && typed.scheme.is_none() {
            return closed(typed);
        }
        let spec = pack.under(typed);
        let proof = proof(&spec)?;
        if spec.secret.is_empty() && proof != Proof::Open {
            return Err(wrong("secret", "a secret reference is missing: write secret = \"env:NAME\" or \"file:PATH\""));
        }
        let challenges = challenges(&spec);
        if let Some(bad) = challenges.iter().find(|challenge| !challenge.echo.starts_with('/')) {
            return Err(wrong(
                "challenge",
                format!("echo = \"{}\" is not a JSON pointer: it begins with `/`", bad.echo),
            ));
        }
        Ok(Verifier {
            proof,
            challenges,
            provider: typed.provider.clone(),
            answer_within: pack.answer_within(),
            event_type: pack.event_type,
            delivery_id: pack.delivery_id,
            secrets: spec.secret,
        })
    }

    /// What a sender has to show.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The secrets that `check` wants the values of, in this order.
    pub fn secrets(&self) -> &[SecretRef] {
        &self.secrets
    }

    /// What the provider waits for, less a margin; none where nothing is known.
    pub fn answer_within(&self) -> Option<Duration> {
        self.answer_within
    }
}

// === impl Proof ===

impl Proof {
    /// The word for it in hook files and records.
    pub fn word(&self) -> &'static str {
        match self {
            Proof::Closed => "closed",
            Proof::Open => "none",
            Proof::Token { .. } => "token",
            Proof::Basic => "basic",
            Proof::Signature { .. } => "signature",
        }
    }
}

fn proof(spec: &VerifySpec) -> Result<Proof, BuildError> {
    let scheme = spec.scheme.expect("a hook or pack without a scheme is closed");
    let unused = |present: bool, key: &'static str| match present {
        true => Err(wrong(key, format!("`{key}` means nothing for scheme = \"{}\": remove it", word(scheme)))),
        false => Ok(()),
    };
    if !matches!(scheme, Scheme::Signature) {
        unused(spec.algorithm.is_some(), "algorithm")?;
        unused(spec.encoding.is_some(), "encoding")?;
    }
    if matches!(scheme, Scheme::Basic | Scheme::None) {
        unused(spec.from.is_some(), "from")?;
        unused(spec.prefix.is_some(), "prefix")?;
    }
    match scheme {
        Scheme::None => {
            unused(!spec.secret.is_empty(), "secret")?;
            Ok(Proof::Open)
        }
        Scheme::Basic => Ok(Proof::Basic),
        Scheme::Token => Ok(Proof::Token { from: place(spec)?, prefix: spec.prefix.clone().unwrap_or_default() }),
        Scheme::Signature => Ok(Proof::Signature {
            from: place(spec)?,
            prefix: spec.prefix.clone().unwrap_or_default(),
            algorithm: spec
                .algorithm
                .ok_or_else(|| wrong("scheme", "algorithm is missing: one of hmac-sha1, hmac-sha256, hmac-sha512"))?,
            encoding: spec.encoding.ok_or_else(|| wrong("scheme", "encoding is missing: hex or base64"))?,
        }),
    }
}

fn place(spec: &VerifySpec) -> Result<Place, BuildError> {
    let place = spec.from.clone().ok_or_else(|| {
        wrong(
            "scheme",
            "from is missing: write from = { header = \"NAME\" }, { query = \"NAME\" } or { json = \"/POINTER\" }",
        )
    })?;
    match &place {
        Place::Header(name) if name.parse::<http::HeaderName>().is_err() => {
            Err(wrong("from", format!("`{}` is not a header name", name.escape_debug())))
        }
        Place::Json(pointer) if !pointer.starts_with('/') => {
            Err(wrong("from", format!("`{pointer}` is not a JSON pointer: it begins with `/`")))
        }
        Place::Query(name) if name.is_empty() => Err(wrong("from", "a query parameter needs a name")),
        _ => Ok(place),
    }
}

fn closed(typed: &VerifySpec) -> Result<Verifier, BuildError> {
    if *typed != VerifySpec::default() {
        return Err(wrong(
            "scheme",
            "provider or scheme is missing: write provider = \"github\" or scheme = \"token\"",
        ));
    }
    Ok(Verifier {
        proof: Proof::Closed,
        challenges: Vec::new(),
        provider: None,
        event_type: None,
        delivery_id: None,
        answer_within: None,
        secrets: Vec::new(),
    })
}

fn unknown_pack(name: &str) -> BuildError {
    let known: Vec<_> = pack_names().collect();
    wrong("provider", format!("no provider pack `{name}`: known are {}", known.join(", ")))
}

fn wrong(key: &'static str, message: impl Into<String>) -> BuildError {
    BuildError { key, message: message.into() }
}

fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Token => "token",
        Scheme::Basic => "basic",
        Scheme::Signature => "signature",
        Scheme::None => "none",
    }
}
