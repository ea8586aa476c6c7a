//! AWS Signature Version 4 of one call.
//! Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::call::Call;
use landfall_model::clock::to_ms;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The keys of the caller.
pub struct Keys {
    /// The id of the key.
    pub id: String,
    /// The key.
    pub secret: String,
    /// The session token of temporary keys.
    pub session: Option<String>,
}

/// Signs calls to one service.
pub struct Signer<'a> {
    /// The keys of the caller.
    pub keys: Keys,
    /// `eu-west-1`
    pub region: &'a str,
    /// `sqs`
    pub service: &'a str,
    /// The time of the signature.
    pub now: SystemTime,
}

// === impl Signer ===

impl Signer<'_> {
    /// The headers that sign the call: date, session, digest of the body, signature.
    pub fn headers(&self, call: &Call<'_>) -> Vec<(&'static str, String)> {
        let now = jiff::Timestamp::from_second(to_ms(self.now) / 1000).unwrap_or_default();
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let digest = hex::encode(Sha256::digest(&call.body[..]));
        let mut set = vec![
            ("x-amz-content-sha256", digest.clone()),
            ("x-amz-date", time.clone()),
        ];
        set.extend(
            self.keys
                .session
                .clone()
                .map(|token| ("x-amz-security-token", token)),
        );
        let mut signed: Vec<(String, String)> = set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        signed.push((
            "host".into(),
            call.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
        ));
        // Headers that affect the meaning of the call are signed too.
        let also = call.headers.iter().filter(|(name, _)| {
            let name = name.as_str();
            name == "content-type"
                || (name.starts_with("x-amz-") && !set.iter().any(|(ours, _)| *ours == name))
        });
        signed.extend(also.map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (
                name.as_str().to_owned(),
                text.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        }));
        signed.sort();
        let names = signed
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(";");
        let lines: String = signed
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{digest}",
            call.method,
            self.path(call),
            query(call)
        );
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let key = signing_key(&self.keys.secret, day, self.region, self.service);
        let signature = hex::encode(mac(&key, &to_sign));
        let id = &self.keys.id;
        let credential = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        set.push(("authorization", credential));
        set
    }

    /// The path. Every service but S3 requires it to be encoded a second time.
    fn path(&self, call: &Call<'_>) -> String {
        let path = call.url.path();
        if self.service == "s3" {
            return path.to_owned();
        }

        let segments: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(encoded)
            .collect();
        let end = if path.len() > 1 && path.ends_with('/') {
            "/"
        } else {
            ""
        };

        format!("/{}{end}", segments.join("/"))
    }
}

fn query(call: &Call<'_>) -> String {
    let mut pairs: Vec<(String, String)> = call
        .url
        .query_pairs()
        .map(|(name, value)| (encoded(&name), encoded(&value)))
        .collect();
    // Sorted by name, then by value.
    pairs.sort();
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Vec<u8> {
    let first = format!("AWS4{secret}").into_bytes();
    [day, region, service, "aws4_request"]
        .iter()
        .fold(first, |key, part| mac(&key, part))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published example of a signing key.
    #[test]
    fn published_signing_key_is_derived() {
        let key = signing_key(
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20150830",
            "us-east-1",
            "iam",
        );
        assert_eq!(
            hex::encode(key),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }
}
