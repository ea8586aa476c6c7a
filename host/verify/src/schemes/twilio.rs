//! Twilio: an HMAC in base64 over the URL and the sorted form. For JSON it covers the URL only,
//! whose query carries the digest of the body. The account's auth token signs with SHA-1. A shared
//! key of the webhooks configuration API signs with the algorithm that a settings header names.
//! Sources: twilio.com/docs/usage/security and twilio-node (`lib/webhooks/webhooks.js`), which
//! tries several spellings of the URL because Twilio does not sign one consistently.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::common::{from_base64, header, mismatch, of_length};
use crate::algorithm::{mac, same, same_text, sha256_hex, signature_length};
use crate::edit::put;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::{PublicUrl, View};
use landfall_model::{Algorithm, ValueLocation};

const SIGNATURE: &str = "X-Twilio-Signature";
/// The settings header of requests signed with a shared key: `key=ID,algorithm=HMAC_SHA256`.
const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";
/// The characters that JavaScript's `encodeURIComponent` escapes.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// The most query pairs for which other spellings are tried.
const QUERY_PAIRS_MAX: usize = 1000;

/// Checks the request. `pinned` is the only accepted algorithm, if configured.
pub(crate) fn check(
    pinned: Option<Algorithm>,
    view: &View<'_>,
    keys: &Keys,
) -> Result<usize, Refusal> {
    let signature = from_base64(header(view, SIGNATURE, Reason::MissingSignature)?)?;
    let algorithm = algorithm(pinned, view)?;
    let given = of_length(signature, signature_length(algorithm).unwrap_or_default())?;
    let url = view.url()?;

    // A digest in the signed URL covers the body, whatever its content type.
    let has_digest = view.query("bodySHA256").next().is_some();
    let form = if !has_digest && (is_form(view) || view.request.body.is_empty()) {
        sorted_form(view)?
    } else {
        check_body_digest(view).map(|()| String::new())?
    };

    let signed: Vec<String> = spellings(&url).into_iter().map(|url| url + &form).collect();

    keys.find(|_, key| {
        let mut texts = signed.iter();
        Ok(texts.any(|text| same(&mac(algorithm, key, text.as_bytes()), &given)))
    })?
    .ok_or_else(mismatch)
}

/// The algorithm of this request: SHA-1 unless the settings header names another.
fn algorithm(pinned: Option<Algorithm>, view: &View<'_>) -> Result<Algorithm, Refusal> {
    let settings = if view.request.headers.contains_key(SETTINGS) {
        header(view, SETTINGS, Reason::MalformedSignature)?
    } else {
        ""
    };

    let named = settings
        .split(',')
        .filter_map(|entry| entry.split_once('='));
    let mut named = named
        .filter(|(name, _)| name.trim() == "algorithm")
        .map(|(_, value)| value.trim());
    let named = named.find(|value| !value.is_empty()).unwrap_or("HMAC_SHA1");

    let algorithm = match named.to_ascii_uppercase().as_str() {
        "HMAC_SHA1" => Algorithm::HmacSha1,
        "HMAC_SHA256" => Algorithm::HmacSha256,
        _ => {
            let detail = format!(
                "{SETTINGS} names `{}`: HMAC_SHA1 and HMAC_SHA256 are known",
                named.escape_debug()
            );

            return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
        }
    };
    if pinned.is_some_and(|pinned| pinned != algorithm) {
        let detail = format!("signed with {named}: another algorithm than the hook's");
        return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
    }

    Ok(algorithm)
}

fn is_form(view: &View<'_>) -> bool {
    let content_type = view
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();

    content_type.starts_with(b"application/x-www-form-urlencoded")
}

/// Joins the form's names in order, each with its distinct values in order.
fn sorted_form(view: &View<'_>) -> Result<String, Refusal> {
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in view.needed_form()? {
        fields.entry(name).or_default().insert(value);
    }

    let pairs = fields
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| [*name, *value]));

    Ok(pairs.flatten().collect())
}

fn check_body_digest(view: &View<'_>) -> Result<(), Refusal> {
    let digest = view.query("bodySHA256").next();
    let digest = digest.ok_or_else(|| {
        Refusal::new(
            Reason::BodyHashMissing,
            "query parameter bodySHA256 is missing",
        )
    })?;

    if same_text(
        digest.to_ascii_lowercase().as_bytes(),
        sha256_hex(&view.request.body).as_bytes(),
    ) {
        Ok(())
    } else {
        Err(Refusal::new(
            Reason::BodyHashMismatch,
            "bodySHA256 is the digest of another body",
        ))
    }
}

/// The spellings of the URL that Twilio may have signed: as called and in the URL standard's form,
/// each with and without the port, and with the query escaped as older software does.
fn spellings(url: &str) -> Vec<String> {
    let Some(called) = Parts::of(url) else {
        return vec![url.to_owned()];
    };

    let mut bases = called.with_and_without_port();
    bases.extend(
        called
            .without_bare_slash()
            .map(|parts| parts.with_and_without_port())
            .unwrap_or_default(),
    );

    let escaped: Vec<String> = bases.iter().flat_map(|url| escape_variants(url)).collect();
    let normal = normal(url);
    let normal = normal
        .as_deref()
        .and_then(Parts::of)
        .map(|parts| parts.with_and_without_port())
        .unwrap_or_default();

    let legacy: Vec<String> = normal
        .iter()
        .filter_map(|url| with_legacy_query(url))
        .collect();

    let mut spellings = Vec::new();
    for spelling in [bases, normal, legacy, escaped].into_iter().flatten() {
        if !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    }

    spellings
}

/// The parts of a URL, without decoding.
struct Parts<'a> {
    /// `https://`, with user name and password if there are any.
    before_host: &'a str,
    host: &'a str,
    /// The port with its colon; empty if there is none.
    port: &'a str,
    rest: &'a str,
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Parts<'a>> {
        let authority_at = url.find("://")? + 3;
        let rest_at = url[authority_at..]
            .find(['/', '?', '#'])
            .map_or(url.len(), |at| authority_at + at);
        let host_at = url[authority_at..rest_at]
            .rfind('@')
            .map_or(authority_at, |at| authority_at + at + 1);
        let host_and_port = &url[host_at..rest_at];

        // The colons of an IPv6 address come before its closing bracket.
        let address_end = host_and_port.rfind(']').unwrap_or(0);
        let port_at = host_and_port[address_end..]
            .find(':')
            .map_or(host_and_port.len(), |at| address_end + at);
        let (host, port) = host_and_port.split_at(port_at);

        Some(Parts {
            before_host: &url[..host_at],
            host,
            port,
            rest: &url[rest_at..],
        })
    }

    /// The URL without a port, and with its port or the scheme's default port.
    fn with_and_without_port(&self) -> Vec<String> {
        let Parts {
            before_host,
            host,
            rest,
            ..
        } = self;

        let standard = if self.before_host.starts_with("https://") {
            ":443"
        } else {
            ":80"
        };

        let port = if self.port.is_empty() {
            standard
        } else {
            self.port
        };

        vec![
            format!("{before_host}{host}{rest}"),
            format!("{before_host}{host}{port}{rest}"),
        ]
    }

    /// `https://host?query` for `https://host/?query`. A request always has the slash, but a
    /// configured URL may not.
    fn without_bare_slash(&self) -> Option<Parts<'a>> {
        let rest = self
            .rest
            .strip_prefix('/')
            .filter(|rest| rest.is_empty() || rest.starts_with('?'))?;

        Some(Parts { rest, ..*self })
    }
}

/// The URL with apostrophes as `%27`, with spaces of the query as `%20`, and with both.
fn escape_variants(url: &str) -> [String; 3] {
    let spaces = match url.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query.replace('+', "%20")),
        None => url.to_owned(),
    };

    [
        url.replace('\'', "%27"),
        spaces.replace('\'', "%27"),
        spaces,
    ]
}

/// The URL in the URL standard's form; `None` if that changes the path.
fn normal(url: &str) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    let path = Parts::of(url)?.rest.split('?').next().unwrap_or_default();
    let is_same_path = parsed.path().matches('/').count() == path.matches('/').count().max(1);

    is_same_path.then(|| parsed.to_string())
}

/// The query decoded, grouped by name and escaped again, as Node's `querystring` does; `None` if
/// that loses a part of it.
fn with_legacy_query(url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').filter(|(_, query)| !query.is_empty())?;
    percent_encoding::percent_decode_str(query)
        .decode_utf8()
        .ok()?;
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();

    for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(QUERY_PAIRS_MAX + 1) {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.into_owned()),
            None => fields.push((name.into_owned(), vec![value.into_owned()])),
        }
    }

    let pairs = fields
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();

    (pairs.len() <= QUERY_PAIRS_MAX).then(|| format!("{path}?{}", pairs.join("&")))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, URI_COMPONENT).to_string()
}

/// Signs a draft with the pinned algorithm, or with SHA-1.
pub(crate) fn sign(
    pinned: Option<Algorithm>,
    public_url: Option<&PublicUrl>,
    draft: &mut Unverified,
    key: &[u8],
) -> Result<(), SignError> {
    let is_json = !is_form(&View::new(draft, public_url)) && !draft.body.is_empty();
    if is_json {
        put(
            draft,
            &ValueLocation::Query("bodySHA256".into()),
            &sha256_hex(&draft.body),
        )?;
    }

    let algorithm = pinned.unwrap_or(Algorithm::HmacSha1);
    if algorithm == Algorithm::HmacSha256 {
        put(
            draft,
            &ValueLocation::Header(SETTINGS.into()),
            "key=webhooks_sharedkey_sample,algorithm=HMAC_SHA256",
        )?;
    }

    let view = View::new(draft, public_url);
    let url = view.url().map_err(|refusal| refusal.to_string())?;
    let form = if is_json {
        String::new()
    } else {
        sorted_form(&view).map_err(|refusal| refusal.to_string())?
    };

    let signature = STANDARD.encode(mac(algorithm, key, format!("{url}{form}").as_bytes()));
    put(draft, &ValueLocation::Header(SIGNATURE.into()), &signature)
}

#[cfg(test)]
#[path = "twilio_tests.rs"]
mod tests;
