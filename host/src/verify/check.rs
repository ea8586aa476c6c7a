//! The check itself: challenge, proof, facts. Comparisons are constant-time over decoded bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::challenge::{self, Answer};
use super::place;
use super::refusal::Refusal;
use super::request::{Unverified, Verified};
use super::verifier::{Proof, Verifier};
use crate::model::{Algorithm, Encoding, Place, Secret, SecretError};

/// What a request turned out to be.
#[derive(Debug)]
pub enum Checked {
    /// An event to be.
    Verified(Verified),
    /// An ownership check, answered without running the component.
    Challenge(Answer),
}

/// Judges one request. `secrets` are the values of `verifier.secrets()`, in that order; one that has no value now does
/// not count, and with none left the hook is closed.
pub fn check(
    verifier: &Verifier,
    request: Unverified,
    secrets: &[Result<Secret, SecretError>],
) -> Result<Checked, Refusal> {
    if verifier.proof == Proof::Closed {
        return Err(Refusal::Closed);
    }
    let unsigned = verifier.challenges.iter().filter(|challenge| !challenge.verify_first);
    if let Some(answer) = challenge::answer(unsigned, &request) {
        return Ok(Checked::Challenge(answer));
    }
    let matched = prove(&verifier.proof, &request, secrets)?;
    if let Some(answer) = challenge::answer(verifier.challenges.iter(), &request) {
        return Ok(Checked::Challenge(answer));
    }
    let facts = facts(verifier, &request, matched);
    Ok(Checked::Verified(Verified::new(request, secret_carrier(&verifier.proof).as_ref(), facts)))
}

/// Which secret matched, by its place in the list; none where none is needed.
fn prove(
    proof: &Proof,
    request: &Unverified,
    secrets: &[Result<Secret, SecretError>],
) -> Result<Option<usize>, Refusal> {
    match proof {
        Proof::Closed => Err(Refusal::Closed),
        Proof::Open => Ok(None),
        Proof::Token { from, prefix } => {
            usable(secrets)?;
            let given = place::find(from, request, "token")?;
            let token = strip(&given, prefix, "token")?;
            any_match(secrets, "token", |secret| same(secret.expose(), token)).map(Some)
        }
        Proof::Basic => {
            usable(secrets)?;
            let given = place::find(&Place::Header("Authorization".into()), request, "basic credentials")?;
            let pair = basic_pair(&given)?;
            any_match(secrets, "basic credentials", |secret| same(secret.expose(), &pair)).map(Some)
        }
        Proof::Signature { from, prefix, algorithm, encoding } => {
            usable(secrets)?;
            let given = place::find(from, request, "signature")?;
            let signature = decode(strip(&given, prefix, "signature")?, *encoding, length(*algorithm))?;
            any_match(secrets, "signature", |secret| is_mac(*algorithm, secret, &request.body, &signature)).map(Some)
        }
    }
}

fn usable(secrets: &[Result<Secret, SecretError>]) -> Result<(), Refusal> {
    match secrets.iter().find_map(|value| value.as_ref().err()) {
        Some(error) if secrets.iter().all(Result::is_err) => Err(Refusal::NoSecret(error.clone())),
        _ => Ok(()),
    }
}

fn any_match(
    secrets: &[Result<Secret, SecretError>],
    what: &str,
    matches: impl Fn(&Secret) -> bool,
) -> Result<usize, Refusal> {
    secrets
        .iter()
        .position(|secret| secret.as_ref().is_ok_and(|secret| !secret.expose().is_empty() && matches(secret)))
        .ok_or_else(|| Refusal::Mismatch(what.into()))
}

/// Compares digests, so that the time taken does not tell the length either.
fn same(secret: &[u8], given: &[u8]) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(given)).into()
}

fn is_mac(algorithm: Algorithm, secret: &Secret, body: &[u8], signature: &[u8]) -> bool {
    fn verify<M: Mac + KeyInit>(secret: &Secret, body: &[u8], signature: &[u8]) -> bool {
        let mut mac = <M as KeyInit>::new_from_slice(secret.expose()).expect("HMAC takes keys of any length");
        mac.update(body);
        mac.verify_slice(signature).is_ok()
    }
    match algorithm {
        Algorithm::HmacSha1 => verify::<Hmac<Sha1>>(secret, body, signature),
        Algorithm::HmacSha256 => verify::<Hmac<Sha256>>(secret, body, signature),
        Algorithm::HmacSha512 => verify::<Hmac<Sha512>>(secret, body, signature),
    }
}

fn length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HmacSha1 => 20,
        Algorithm::HmacSha256 => 32,
        Algorithm::HmacSha512 => 64,
    }
}

/// What follows the prefix. A prefix that ends in a space is the name of an authentication scheme, such as `Bearer `, and
/// those are case-insensitive (RFC 9110 section 11.1); any other prefix is not.
fn strip<'a>(given: &'a [u8], prefix: &str, what: &str) -> Result<&'a [u8], Refusal> {
    match given.split_at_checked(prefix.len()) {
        Some((word, rest)) if word == prefix.as_bytes() => Ok(rest),
        Some((word, rest)) if prefix.ends_with(' ') && word.eq_ignore_ascii_case(prefix.as_bytes()) => Ok(rest),
        _ => Err(Refusal::Malformed { what: what.into(), why: format!("it does not begin with `{prefix}`") }),
    }
}

fn decode(text: &[u8], encoding: Encoding, expected: usize) -> Result<Vec<u8>, Refusal> {
    let malformed = |why: String| Refusal::Malformed { what: "signature".into(), why };
    let bytes = match encoding {
        Encoding::Hex => hex::decode(text).map_err(|_| malformed("not hex".into()))?,
        Encoding::Base64 => STANDARD.decode(text).map_err(|_| malformed("not base64".into()))?,
    };
    match bytes.len() == expected {
        true => Ok(bytes),
        false => Err(malformed(format!("{} bytes instead of {expected}", bytes.len()))),
    }
}

/// `user:password` of an `Authorization: Basic …` header. The scheme's name is case-insensitive (RFC 9110 section 11.1).
fn basic_pair(header: &[u8]) -> Result<Vec<u8>, Refusal> {
    let malformed = |why: &str| Refusal::Malformed { what: "basic credentials".into(), why: why.into() };
    match header.split_at_checked(6) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"basic ") => {
            STANDARD.decode(rest.trim_ascii()).map_err(|_| malformed("not base64"))
        }
        _ => Err(malformed("it does not begin with `Basic `")),
    }
}

/// Where the request carries a secret that no component may see.
fn secret_carrier(proof: &Proof) -> Option<Place> {
    match proof {
        Proof::Token { from, .. } => Some(from.clone()),
        Proof::Basic => Some(Place::Header("Authorization".into())),
        Proof::Closed | Proof::Open | Proof::Signature { .. } => None,
    }
}

fn facts(verifier: &Verifier, request: &Unverified, matched: Option<usize>) -> Vec<(String, String)> {
    let at = |place: &Option<Place>| {
        let bytes = place::find(place.as_ref()?, request, "").ok()?;
        String::from_utf8(bytes).ok()
    };
    // Which secret matched, by its number in the hook file: the component has no business with where it lives.
    let key = matched.map(|index| format!("{}#{}", verifier.proof.word(), index + 1)).unwrap_or_else(|| "none".into());
    let facts = [
        ("provider", verifier.provider.clone()),
        ("event-type", at(&verifier.event_type)),
        ("delivery-id", at(&verifier.delivery_id)),
        ("verified-by", Some(key)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
