//! Twilio: an HMAC in base64 over the URL and the sorted form; for JSON over the URL alone, whose query carries the digest
//! of the body. The account's auth token signs with SHA-1. A shared key of the webhooks configuration API signs with the
//! algorithm that a settings header names. Sources: twilio.com/docs/usage/security and twilio-node
//! (`lib/webhooks/webhooks.js`), which tries several spellings of the URL because Twilio does not sign one consistently.

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
use crate::view::{PublicUrl, View};
use landfall_model::{Algorithm, ValueLocation};

const SIGNATURE: &str = "X-Twilio-Signature";
/// `key=ID,algorithm=HMAC_SHA256`: sent when a shared key signed.
const SETTINGS: &str = "X-Twilio-Webhooks-Signature-Settings";
/// What JavaScript's `encodeURIComponent` escapes.
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
/// The query of a URL with more pairs is not written anew.
const QUERY_PAIRS_MAX: usize = 1000;

/// `pinned`: the only algorithm that the operator accepts.
pub fn check(pinned: Option<Algorithm>, view: &View<'_>, keys: &Keys) -> Result<usize, Refusal> {
    let signature = from_base64(header(view, SIGNATURE, Reason::MissingSignature)?)?;
    let algorithm = algorithm(pinned, view)?;
    let given = of_length(signature, signature_length(algorithm).unwrap_or_default())?;
    let url = view.url()?;

    // A digest in the signed URL binds the body, whatever the request says of its type.
    let has_digest = view.query("bodySHA256").next().is_some();
    let form = if !has_digest && (is_form(view) || view.request.body.is_empty()) {
        sorted_form(view)?
    } else {
        check_body_digest(view).map(|()| String::new())?
    };

    let signed: Vec<String> = spellings(&url).into_iter().map(|url| url + &form).collect();

    let is_right = |key: &[u8]| {
        signed
            .iter()
            .any(|text| same(&mac(algorithm, key, text.as_bytes()), &given))
    };

    keys.find(|_, key| Ok(is_right(key)))?.ok_or_else(mismatch)
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

/// Names in order, each with its distinct values in order.
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

/// The spellings of the URL that Twilio may have signed: as called and as the URL standard writes it, each with and without
/// its port and with its query escaped as older software does.
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

    let escaped: Vec<String> = bases.iter().flat_map(|url| escaped(url)).collect();
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

/// A URL as it is written, nothing decoded.
struct Parts<'a> {
    /// `https://`, and user name and password where there are some.
    before_host: &'a str,
    host: &'a str,
    /// With its colon; empty where there is none.
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

        // The colons of an IPv6 address are before its bracket.
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

    /// The URL without a port, and with one: the scheme's unless it has another.
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

    /// `https://host?query` for `https://host/?query`: a request always has the slash, and a configured URL may lack it.
    fn without_bare_slash(&self) -> Option<Parts<'a>> {
        let rest = self
            .rest
            .strip_prefix('/')
            .filter(|rest| rest.is_empty() || rest.starts_with('?'))?;

        Some(Parts { rest, ..*self })
    }
}

/// An apostrophe as `%27`, a space in the query as `%20`, and both.
fn escaped(url: &str) -> [String; 3] {
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

/// As the URL standard writes it; none where that would be another path.
fn normal(url: &str) -> Option<String> {
    let parsed = url::Url::parse(url).ok()?;
    let path = Parts::of(url)?.rest.split('?').next().unwrap_or_default();
    let is_same_path = parsed.path().matches('/').count() == path.matches('/').count().max(1);

    is_same_path.then(|| parsed.to_string())
}

/// The query decoded, the values of one name put together, and escaped again, as Node's `querystring` does. None where
/// that would lose a part of it.
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

    let escape = |text: &str| utf8_percent_encode(text, URI_COMPONENT).to_string();
    let pairs = fields
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();

    (pairs.len() <= QUERY_PAIRS_MAX).then(|| format!("{path}?{}", pairs.join("&")))
}

/// Signs a draft: with the pinned algorithm, or with SHA-1.
pub fn sign(
    pinned: Option<Algorithm>,
    public_url: Option<&PublicUrl>,
    draft: &mut Unverified,
    key: &[u8],
) -> Result<(), String> {
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
mod tests {
    use super::*;
    use crate::keys::Keys;
    use landfall_model::{KeyForm, Secret};

    const BODY: &str = "From=%2B14158675309&CallSid=CA1";
    const SHA256_SETTINGS: &str = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";

    /// Called, signed, SHA-1 and SHA-256: computed and accepted by twilio-node 6.3.1 with the key `12345`.
    const ACCEPTED: [(&str, &str, &str); 10] = [
        (
            "https://example.com/in?a=1",
            "FqWfAoG4OVwMqMH1gx8plNYfAjc=",
            "VcVDVCVusN4J2ge5eOGW+lTJNhSS7JDu6LON0F16w6k=",
        ),
        // Signed with :443.
        (
            "https://example.com/in?a=1",
            "42G3xra6gSD7wozPY3jRf+QTBNU=",
            "2CoqbLUuFl+UFHWYGdKyuDxGUbyFSo/R1qGtn8QJKSM=",
        ),
        (
            "https://example.com:8443/in?a=1",
            "dvNMU1RV4qP7oAA+NrYUVl463Q4=",
            "hDpgMdSM50wAPq/Nb0LJBKwabEbHNTYwkrpqHk5ESK8=",
        ),
        // Signed without its port.
        (
            "https://example.com:8443/in?a=1",
            "FqWfAoG4OVwMqMH1gx8plNYfAjc=",
            "VcVDVCVusN4J2ge5eOGW+lTJNhSS7JDu6LON0F16w6k=",
        ),
        // Signed as called, and as the URL standard writes it.
        (
            "https://Example.com/in?Body=It's+amazing&x=%7e",
            "ijB5dHrkZRsMdQhfoD1gEfLcLEg=",
            "tB6xFfZbih5peTp6kyJkyq6hdQismXpnB9Y/xIUT1l8=",
        ),
        (
            "https://Example.com/in?Body=It's+amazing&x=%7e",
            "3rsRP4JIGVEbMP4NDQ19VNgxLQA=",
            "3HO54esnkluokO6P41rmYqKU3vwdSJOwBYyusOB+1O8=",
        ),
        // Signed with `It's%20amazing&x=~`, and with that and :443.
        (
            "https://Example.com/in?Body=It's+amazing&x=%7e",
            "yUgJ4zyxjb2XsnOEPfngV/S+3Uw=",
            "GEogFs+UueQ1Oowf/jPu5MPK2pctcu9zZQoO5bPktvU=",
        ),
        (
            "https://Example.com/in?Body=It's+amazing&x=%7e",
            "OJ4spIrYFR6r5kZnuQf2ubt6MHs=",
            "DZgbpEHsGqO3pV0/R4SxvUqJIvYeDoug5Wfc1ejrE3Q=",
        ),
        // Signed with the values of `b` put together.
        (
            "https://example.com/in?b=2&a=1&b=3",
            "/XwbcD2akiT4coGpzPAinvESTTc=",
            "9z9XJomTeO77pL/Snk5byjmyHps4pIhr76IpnIDiUdA=",
        ),
        (
            "https://[::1]/in",
            "1U7uDI6tGipXQKx0zXWzEhVzV0w=",
            "lxWtc86uhVXTsV0p99q4ystgFb7EwBDvNa3j6GZNBGw=",
        ),
    ];

    fn verdict(
        pinned: Option<Algorithm>,
        url: &str,
        body: &str,
        headers: &[(&'static str, &str)],
        secret: &str,
    ) -> Result<usize, Reason> {
        let host_end = url[8..].find('/').unwrap() + 8;
        let (path, query) = url[host_end..]
            .split_once('?')
            .map_or((&url[host_end..], None), |(p, q)| (p, Some(q)));

        let mut request = Unverified {
            method: http::Method::POST,
            path: path.into(),
            query: query.map(str::to_owned),
            params: Vec::new(),
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
            decoded: None,
        };

        request.headers.insert(
            "content-type",
            "application/x-www-form-urlencoded".parse().unwrap(),
        );

        for (name, value) in headers {
            request.headers.append(*name, value.parse().unwrap());
        }

        let keys = Keys::new([(KeyForm::Utf8, Ok(Secret::new(secret)))]);
        let public_url = PublicUrl::Base(url[..host_end].to_owned());
        check(pinned, &View::new(&request, Some(&public_url)), &keys)
            .map_err(|refusal| refusal.reason)
    }

    fn sha256_of(url: &str, signature: &str) -> Result<usize, Reason> {
        verdict(
            None,
            url,
            BODY,
            &[
                ("x-twilio-signature", signature),
                (SETTINGS_LOWER, SHA256_SETTINGS),
            ],
            "12345",
        )
    }

    const SETTINGS_LOWER: &str = "x-twilio-webhooks-signature-settings";

    #[test]
    fn spellings_of_twilio_node_are_accepted() {
        for (url, sha1, sha256) in ACCEPTED {
            let signed = [("x-twilio-signature", sha1)];
            assert_eq!(
                verdict(None, url, BODY, &signed, "12345"),
                Ok(0),
                "{url} {sha1}"
            );

            assert_eq!(sha256_of(url, sha256), Ok(0), "{url} {sha256}");
            assert_eq!(
                verdict(None, url, BODY, &signed, "12346"),
                Err(Reason::SignatureMismatch),
                "{url}"
            );
        }
    }

    #[test]
    fn settings_header_names_the_algorithm() {
        let (url, sha1, sha256) = ACCEPTED[0];
        // A signature of the other length is not of this algorithm.
        assert_eq!(sha256_of(url, sha1), Err(Reason::MalformedSignature));
        let alone = [("x-twilio-signature", sha256)];

        assert_eq!(
            verdict(None, url, BODY, &alone, "12345"),
            Err(Reason::MalformedSignature)
        );

        for (settings, expected) in [
            ("key=k,algorithm=hmac_sha256", Ok(0)),
            ("key=k, algorithm = HMAC_SHA256 ", Ok(0)),
            ("key=k,algorithm=HMAC_MD5", Err(Reason::AlgorithmNotAllowed)),
            ("key=k,algorithm=none", Err(Reason::AlgorithmNotAllowed)),
            ("key=k", Err(Reason::MalformedSignature)),
        ] {
            let headers = [("x-twilio-signature", sha256), (SETTINGS_LOWER, settings)];
            assert_eq!(
                verdict(None, url, BODY, &headers, "12345"),
                expected,
                "{settings}"
            );
        }

        let twice = [
            ("x-twilio-signature", sha256),
            (SETTINGS_LOWER, SHA256_SETTINGS),
            (SETTINGS_LOWER, SHA256_SETTINGS),
        ];

        assert_eq!(
            verdict(None, url, BODY, &twice, "12345"),
            Err(Reason::DuplicateHeader)
        );
    }

    #[test]
    fn pinned_algorithm_refuses_the_other() {
        let (url, sha1, sha256) = ACCEPTED[0];
        let with_sha1 = [("x-twilio-signature", sha1)];
        let with_sha256 = [
            ("x-twilio-signature", sha256),
            (SETTINGS_LOWER, SHA256_SETTINGS),
        ];

        let (one, other) = (Some(Algorithm::HmacSha1), Some(Algorithm::HmacSha256));
        assert_eq!(verdict(one, url, BODY, &with_sha1, "12345"), Ok(0));
        assert_eq!(verdict(other, url, BODY, &with_sha256, "12345"), Ok(0));

        assert_eq!(
            verdict(other, url, BODY, &with_sha1, "12345"),
            Err(Reason::AlgorithmNotAllowed)
        );

        assert_eq!(
            verdict(one, url, BODY, &with_sha256, "12345"),
            Err(Reason::AlgorithmNotAllowed)
        );
    }

    #[test]
    fn changed_requests_are_refused() {
        let (url, _, sha256) = ACCEPTED[6];
        for other in [
            "https://example.com/in?Body=It's+amazing&x=%7f",
            "https://example.com/in?Body=Its+amazing&x=%7e",
            "https://example.com/in?Body=It's+amazing",
            "https://example.com/in?Body=It's+amazing&x=%7e&y",
            "https://example.org/in?Body=It's+amazing&x=%7e",
            // The URL standard would take the segments away.
            "https://example.com/a/%2e%2e/in?Body=It's+amazing&x=%7e",
        ] {
            assert_eq!(
                sha256_of(other, sha256),
                Err(Reason::SignatureMismatch),
                "{other}"
            );
        }

        let headers = [
            ("x-twilio-signature", sha256),
            (SETTINGS_LOWER, SHA256_SETTINGS),
        ];

        for at in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            let body = String::from_utf8(body).unwrap();

            assert!(
                verdict(None, url, &body, &headers, "12345").is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn bare_slash_may_be_unsigned() {
        let key = b"12345";
        let signature = |url: &str| STANDARD.encode(mac(Algorithm::HmacSha1, key, url.as_bytes()));
        for (called, signed, expected) in [
            ("https://example.com/", "https://example.com", Ok(0)),
            (
                "https://example.com/?a=1",
                "https://example.com:443?a=1",
                Ok(0),
            ),
            (
                "https://example.com/in/",
                "https://example.com/in",
                Err(Reason::SignatureMismatch),
            ),
        ] {
            let signature = signature(signed);
            assert_eq!(
                verdict(
                    None,
                    called,
                    "",
                    &[("x-twilio-signature", &signature)],
                    "12345"
                ),
                expected,
                "{called}"
            );
        }
    }

    #[test]
    fn long_queries_are_never_cut() {
        let many = "&".repeat(QUERY_PAIRS_MAX + 1).replace('&', "a=1&");
        let url = format!("https://example.com/in?{many}");
        let with_more = format!("{url}evil=1");

        let legacy = with_legacy_query(&format!(
            "https://example.com/in?{}",
            "a=1&".repeat(QUERY_PAIRS_MAX)
        ))
        .unwrap();

        let signature = STANDARD.encode(mac(Algorithm::HmacSha1, b"12345", legacy.as_bytes()));
        for url in [url, with_more] {
            let got = verdict(
                None,
                &url,
                "",
                &[("x-twilio-signature", &signature)],
                "12345",
            );

            assert_eq!(got, Err(Reason::SignatureMismatch));
        }
    }
}
