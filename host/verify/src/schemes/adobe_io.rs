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

pub(crate) fn check(
    client_id: &str,
    view: &View<'_>,
    documents: &dyn Documents,
) -> Result<(), Refusal> {
    let body = view
        .json()
        .ok_or_else(|| Refusal::new(Reason::MalformedBody, "the body is not JSON"))?;

    let given = |number: u8| {
        let signature = header(
            view,
            &format!("x-adobe-digital-signature-{number}"),
            Reason::MissingSignature,
        )?;

        let path = header(
            view,
            &format!("x-adobe-public-key{number}-path"),
            Reason::MissingSignature,
        )?;

        Ok::<_, Refusal>((signature, path))
    };

    let shown: Vec<(&str, &str)> = [1, 2]
        .into_iter()
        .filter_map(|number| given(number).ok())
        .collect();

    let repeated = |number: u8| {
        given(number)
            .err()
            .filter(|refusal| refusal.reason == Reason::DuplicateHeader)
    };
    if let Some(refusal) = repeated(1).or_else(|| repeated(2)) {
        return Err(refusal);
    }

    if shown.is_empty() {
        return Err(given(1).err().unwrap_or_else(mismatch));
    }

    if !RECIPIENTS
        .iter()
        .any(|name| body.get(name).and_then(Value::as_str) == Some(client_id))
    {
        return Err(Refusal::new(
            Reason::AudienceMismatch,
            "the event is for another client id than config.recipient_client_id",
        ));
    }

    for (signature, path) in shown {
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
