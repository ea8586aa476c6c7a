//! Adobe I/O Events: two RSA signatures over the body, of which one must match. The request names
//! the paths of the keys, which are on one fixed host. Source: developer.adobe.com/events/docs,
//! "Security verification".

use serde_json::Value;

use super::common::{document, from_base64, header, mismatch};
use crate::algorithm::{Rsa, is_rsa_signed};
use crate::certificate::pem_bytes;
use crate::refusal::{Reason, Refusal};
use crate::view::View;
use landfall_model::Documents;

const HOST: &str = "https://static.adobeioevents.com";
const RECIPIENTS: [&str; 2] = ["recipient_client_id", "recipientclientid"];

/// The signatures of a request and the paths of their keys; at least one.
fn signatures<'a>(view: &'a View<'_>) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    let mut signatures = Vec::new();
    let mut first_refusal = None;
    for number in [1, 2] {
        match numbered_signature(view, number) {
            Ok(signature) => signatures.push(signature),
            Err(refusal) if refusal.reason == Reason::DuplicateHeader => return Err(refusal),
            Err(refusal) => drop(first_refusal.get_or_insert(refusal)),
        }
    }

    match first_refusal {
        Some(refusal) if signatures.is_empty() => Err(refusal),
        _ => Ok(signatures),
    }
}

fn numbered_signature<'a>(view: &'a View<'_>, number: u8) -> Result<(&'a str, &'a str), Refusal> {
    let name = format!("x-adobe-digital-signature-{number}");
    let signature = header(view, &name, Reason::MissingSignature)?;
    let name = format!("x-adobe-public-key{number}-path");
    let path = header(view, &name, Reason::MissingSignature)?;

    Ok((signature, path))
}

pub(crate) fn check(
    client_id: &str,
    view: &View<'_>,
    documents: &dyn Documents,
) -> Result<(), Refusal> {
    let body = view
        .json()
        .ok_or_else(|| Refusal::new(Reason::MalformedBody, "the body is not JSON"))?;

    let signatures = signatures(view)?;

    if !RECIPIENTS
        .iter()
        .any(|name| body.get(name).and_then(Value::as_str) == Some(client_id))
    {
        return Err(Refusal::new(
            Reason::AudienceMismatch,
            "the event is for another client id than config.recipient_client_id",
        ));
    }

    for (signature, path) in signatures {
        if !is_key_path(path) {
            return Err(Refusal::new(
                Reason::UntrustedKeyUrl,
                "the path of the public key is not one of Adobe's",
            ));
        }

        let Ok(signature) = from_base64(signature) else {
            continue;
        };

        let pem = document(documents, &format!("{HOST}{path}"))?;
        let key = std::str::from_utf8(&pem)
            .ok()
            .and_then(|text| pem_bytes(text, "PUBLIC KEY").ok());
        let key = key.ok_or_else(|| {
            Refusal::new(Reason::KeyUnavailable, "the public key document is not PEM")
        })?;
        if is_rsa_signed(Rsa::Sha256, &key, &view.request.body, &signature) {
            return Ok(());
        }
    }

    Err(mismatch())
}

fn is_key_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && path.contains("/keys/")
        && path.ends_with(".pem")
        && !path.contains("/.")
        && !path.contains("..")
        && path.bytes().all(is_plain)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte)
}
