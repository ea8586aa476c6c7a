//! OAuth 1.0a with HMAC-SHA1, for services that still require it (RFC 5849 section 3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;

use super::call::Call;

/// Section 3.6: every character is encoded except letters, digits and `-._~`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The keys of the application and of the user.
pub(crate) struct Keys {
    pub(crate) consumer_key: String,
    pub(crate) consumer_secret: String,
    pub(crate) token: String,
    pub(crate) token_secret: String,
}

/// The value of the header `authorization`.
pub(crate) fn header(keys: &Keys, call: &Call<'_>, nonce: &str, seconds: i64) -> String {
    let seconds = seconds.to_string();
    let ours = [
        ("oauth_consumer_key", keys.consumer_key.as_str()),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", &seconds),
        ("oauth_token", &keys.token),
        ("oauth_version", "1.0"),
    ];
    let mut parameters: Vec<(String, String)> = ours
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    parameters.extend(
        call.url
            .query_pairs()
            .map(|(name, value)| (encoded(&name), encoded(&value))),
    );
    if is_form(call) {
        let form = url::form_urlencoded::parse(call.body);
        parameters.extend(form.map(|(name, value)| (encoded(&name), encoded(&value))));
    }

    parameters.sort();
    let joined: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let base_url = &call.url[..url::Position::AfterPath];
    let base = format!(
        "{}&{}&{}",
        call.method,
        encoded(base_url),
        encoded(&joined.join("&"))
    );
    let key = format!(
        "{}&{}",
        encoded(&keys.consumer_secret),
        encoded(&keys.token_secret)
    );
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let all = ours
        .iter()
        .copied()
        .chain([("oauth_signature", signature.as_str())]);
    let parts: Vec<String> = all
        .map(|(name, value)| format!("{name}=\"{}\"", encoded(value)))
        .collect();
    format!("OAuth {}", parts.join(", "))
}

fn is_form(call: &Call<'_>) -> bool {
    let kind = call
        .headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    use super::*;

    /// The worked example of X's documentation, "Creating a signature".
    #[test]
    fn published_example_is_signed() {
        let keys = Keys {
            consumer_key: "xvz1evFS4wEEPTGEFPHBog".into(),
            consumer_secret: "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw".into(),
            token: "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb".into(),
            token_secret: "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE".into(),
        };
        let mut url = "https://api.twitter.com/1.1/statuses/update.json?include_entities=true"
            .parse()
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            "application/x-www-form-urlencoded".parse().unwrap(),
        );
        let mut body = Bytes::from_static(
            b"status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21",
        );
        let call = Call {
            method: &Method::POST,
            url: &mut url,
            headers: &mut headers,
            body: &mut body,
            untrusted: None,
        };
        let header = header(
            &keys,
            &call,
            "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
            1_318_622_958,
        );
        assert!(
            header.contains("oauth_signature=\"hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D\""),
            "{header}"
        );
    }
}
