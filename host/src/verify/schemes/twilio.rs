//! Twilio: HMAC-SHA1 in base64 over the URL and the sorted form; for JSON over the URL alone, whose query carries the
//! digest of the body. Source: twilio.com/docs/usage/security. The URL is tried with and without its default port, and
//! with the query as older accounts escape it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::algorithm::{mac, same, same_text, sha256_hex};
use super::super::check::Keys;
use super::super::refusal::{Reason, Refusal};
use super::super::request::Unverified;
use super::super::sign::put;
use super::super::view::View;
use super::{from_base64, header, mismatch, of_length};
use crate::model::{Algorithm, Place};

pub fn check(view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let given = of_length(from_base64(header(view, "X-Twilio-Signature", Reason::MissingSignature)?)?, 20)?;
    let url = view.url()?;
    // A digest in the signed URL binds the body, whatever the request says of its type.
    let has_digest = view.query("bodySHA256").next().is_some();
    let form = match !has_digest && (is_form(view) || view.request.body.is_empty()) {
        true => sorted_form(view)?,
        false => check_body_digest(view).map(|()| String::new())?,
    };
    let signed: Vec<String> = spellings(&url).into_iter().map(|url| url + &form).collect();
    let is_right = |key: &[u8]| {
        let is_one = |text: &String| same(&mac(Algorithm::HmacSha1, key, text.as_bytes()), &given);
        signed.iter().fold(false, |found, text| is_one(text) | found)
    };
    keys.find(|_, key| Ok(is_right(key)))?.ok_or_else(mismatch)
}

fn is_form(view: &View<'_>) -> bool {
    let content_type = view.header("content-type").unwrap_or_default().to_ascii_lowercase();
    content_type.starts_with(b"application/x-www-form-urlencoded")
}

/// Names in order, each with its distinct values in order.
fn sorted_form(view: &View<'_>) -> Result<String, Refusal> {
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in view.needed_form()? {
        fields.entry(name).or_default().insert(value);
    }
    let pairs = fields.iter().flat_map(|(name, values)| values.iter().map(move |value| [*name, *value]));
    Ok(pairs.flatten().collect())
}

fn check_body_digest(view: &View<'_>) -> Result<(), Refusal> {
    let digest = view.query("bodySHA256").next();
    let digest =
        digest.ok_or_else(|| Refusal::new(Reason::BodyHashMissing, "query parameter bodySHA256 is missing"))?;
    match same_text(digest.to_ascii_lowercase().as_bytes(), sha256_hex(&view.request.body).as_bytes()) {
        true => Ok(()),
        false => Err(Refusal::new(Reason::BodyHashMismatch, "bodySHA256 is the digest of another body")),
    }
}

/// The ways in which Twilio may have written the URL before it signed it.
fn spellings(url: &str) -> Vec<String> {
    let ports = [Some(url.to_owned()), with_port(url), without_port(url)];
    let escapes = |url: String| {
        let apostrophe = url.replace('\'', "%27");
        let spaces = match url.split_once('?') {
            Some((path, query)) => format!("{path}?{}", query.replace('+', "%20")),
            None => url.clone(),
        };
        let both = spaces.replace('\'', "%27");
        [url, apostrophe, spaces, both]
    };
    let mut spellings: Vec<String> = ports.into_iter().flatten().flat_map(escapes).collect();
    spellings.sort();
    spellings.dedup();
    spellings
}

/// Scheme, authority, rest.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some((scheme, &rest[..end], &rest[end..]))
}

fn host_of(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn with_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = parts(url)?;
    let port = if scheme == "https" { 443 } else { 80 };
    (!host_of(authority).contains(':')).then(|| format!("{scheme}://{authority}:{port}{rest}"))
}

fn without_port(url: &str) -> Option<String> {
    let (scheme, authority, rest) = parts(url)?;
    let port = host_of(authority).rsplit_once(':')?.1;
    Some(format!("{scheme}://{}{rest}", authority.strip_suffix(port)?.strip_suffix(':')?))
}

/// Signs a draft.
pub fn sign(public_url: Option<&str>, draft: &mut Unverified, key: &[u8]) -> Result<(), String> {
    let is_json = !is_form(&View::new(draft, public_url)) && !draft.body.is_empty();
    if is_json {
        put(draft, &Place::Query("bodySHA256".into()), &sha256_hex(&draft.body))?;
    }
    let view = View::new(draft, public_url);
    let url = view.url().map_err(|refusal| refusal.to_string())?;
    let form = if is_json { String::new() } else { sorted_form(&view).map_err(|refusal| refusal.to_string())? };
    let signature = STANDARD.encode(mac(Algorithm::HmacSha1, key, format!("{url}{form}").as_bytes()));
    put(draft, &Place::Header("X-Twilio-Signature".into()), &signature)
}
