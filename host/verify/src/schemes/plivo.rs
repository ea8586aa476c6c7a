//! Plivo (version 3): an HMAC-SHA256 in base64 over the URL without its query, the sorted query,
//! the sorted form and a nonce. The header contains one signature for each active auth token.
//! Source: plivo-python (`plivo/utils/signature_v3.py`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::common::{from_base64, header, mismatch, of_length};
use crate::algorithm::{mac, same, signature_length};
use crate::edit::put;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal, malformed};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::{PublicUrl, View};
use landfall_model::{Algorithm, ValueLocation};

const SIGNATURE: &str = "X-Plivo-Signature-V3";
const NONCE: &str = "X-Plivo-Signature-V3-Nonce";
const ALGORITHM: Algorithm = Algorithm::HmacSha256;
/// The most signatures of one request. Each costs a comparison.
const SIGNATURES_MAX: usize = 64;

pub(crate) fn check(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let given = signatures(header(view, SIGNATURE, Reason::MissingSignature)?)?;
    let nonce = header(view, NONCE, Reason::MissingId)?;
    let signed = signed_text(view, nonce)?;

    keys.find(|_, key| {
        let expected = mac(ALGORITHM, key, signed.as_bytes());
        let given = given.iter();
        Ok(given.fold(false, |found, one| same(one, &expected) | found))
    })?
    .ok_or_else(mismatch)
}

/// The signatures that can be decoded; at least one.
fn signatures(text: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    if entries.len() > SIGNATURES_MAX {
        return Err(malformed(format!("more than {SIGNATURES_MAX} signatures")));
    }

    let length = signature_length(ALGORITHM).unwrap_or_default();
    let decoded = entries
        .into_iter()
        .map(|entry| of_length(from_base64(entry)?, length));
    let (good, bad): (Vec<_>, Vec<_>) = decoded.partition(Result::is_ok);

    match bad.into_iter().next() {
        Some(Err(refusal)) if good.is_empty() => Err(refusal),
        _ => Ok(good.into_iter().flatten().collect()),
    }
}

fn signed_text(view: &View<'_>, nonce: &str) -> Result<String, Refusal> {
    let url = view.url()?;
    let (base, query) = url.split_once('?').unwrap_or((&url, ""));
    let query = join(
        url::form_urlencoded::parse(query.as_bytes()).into_owned(),
        "=",
        "&",
    );

    let has_body = !view.request.body.is_empty();
    if has_body && view.request.method == http::Method::GET {
        return Err(Refusal::new(
            Reason::MalformedBody,
            "a GET of Plivo has no body, and this one is not signed",
        ));
    }

    let form = if has_body {
        join(view.needed_form()?.iter().cloned(), "", "")
    } else {
        String::new()
    };

    let mark = if query.is_empty() && form.is_empty() {
        ""
    } else {
        "?"
    };

    let dot = if query.is_empty() || form.is_empty() {
        ""
    } else {
        "."
    };

    Ok(format!("{base}{mark}{query}{dot}{form}.{nonce}"))
}

/// Joins pairs sorted by name, and by value for the same name.
fn join(pairs: impl Iterator<Item = (String, String)>, assign: &str, separator: &str) -> String {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs {
        sorted.entry(name).or_default().push(value);
    }

    sorted
        .values_mut()
        .for_each(|values| values.sort_unstable());

    let pairs = sorted.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| format!("{name}{assign}{value}"))
    });

    pairs.collect::<Vec<_>>().join(separator)
}

pub(crate) fn sign(
    public_url: Option<&PublicUrl>,
    draft: &mut Unverified,
    key: &[u8],
    nonce: &str,
) -> Result<(), SignError> {
    put(draft, &ValueLocation::Header(NONCE.into()), nonce)?;
    let signed =
        signed_text(&View::new(draft, public_url), nonce).map_err(|refusal| refusal.to_string())?;

    put(
        draft,
        &ValueLocation::Header(SIGNATURE.into()),
        &STANDARD.encode(mac(ALGORITHM, key, signed.as_bytes())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(method: http::Method, query: Option<&str>, body: &str) -> Result<String, Reason> {
        let request = Unverified {
            method,
            path: "/in".into(),
            query: query.map(str::to_owned),
            params: Vec::new(),
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
            decoded: None,
        };

        let public_url = PublicUrl::Base("https://a.example".into());
        signed_text(&View::new(&request, Some(&public_url)), "n").map_err(|refusal| refusal.reason)
    }

    #[test]
    fn query_and_form_are_sorted() {
        let post = |query, body| text(http::Method::POST, query, body).unwrap();
        assert_eq!(post(None, ""), "https://a.example/in.n");
        assert_eq!(
            post(Some("b=2&a=x%20y&b=1"), ""),
            "https://a.example/in?a=x y&b=1&b=2.n"
        );

        assert_eq!(post(None, "b=2&a=1"), "https://a.example/in?a1b2.n");
        assert_eq!(
            post(Some("q=1"), "b=2&a=1"),
            "https://a.example/in?q=1.a1b2.n"
        );

        assert_eq!(
            text(http::Method::GET, Some("q=1"), ""),
            Ok("https://a.example/in?q=1.n".into())
        );
    }

    #[test]
    fn get_with_body_is_refused() {
        assert_eq!(
            text(http::Method::GET, Some("q=1"), "a=1"),
            Err(Reason::MalformedBody)
        );
    }

    #[test]
    fn any_active_token_may_sign() {
        let good = STANDARD.encode([7; 32]);
        assert_eq!(signatures(&format!("short, {good}")).unwrap(), [[7; 32]]);
        assert_eq!(
            signatures("short").unwrap_err().reason,
            Reason::MalformedSignature
        );

        assert!(signatures(&vec![good; 65].join(",")).is_err());
    }
}
