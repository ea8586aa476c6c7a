//! Keygen: Ed25519 over lines of the request that the signature lists, as in early drafts of HTTP signatures
//! (draft-cavage-http-signatures). The line of the digest is computed from the body. Sources: keygen.sh/docs/api/signatures
//! and webhook-co/webhook (`packages/webhooks-spec/src/adapters/bespoke/keygen.ts`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::common::{header, mismatch, of_length};
use crate::algorithm::{is_signed, same_text};
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::View;
use crate::window::{self, Window};
use landfall_model::{Algorithm, TimeUnit};

const SIGNATURE: &str = "Keygen-Signature";
const TARGET: &str = "(request-target)";
/// What must be signed.
const NEEDED: [&str; 4] = [TARGET, "host", "date", "digest"];
const LINES_MAX: usize = 16;

pub fn check(
    window: Window,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<usize, Refusal> {
    let shown = parameters(header(view, SIGNATURE, Reason::MissingSignature)?)?;
    let parameter = |name: &str| {
        shown
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };

    let algorithm = parameter("algorithm").unwrap_or_default();
    if algorithm != "ed25519" {
        let detail = format!(
            "algorithm is `{}`: set the endpoint to ed25519",
            algorithm.escape_debug()
        );

        return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
    }

    let signature =
        parameter("signature").ok_or_else(|| malformed("no signature parameter".into()))?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| malformed("not base64".into()))?;
    let signature = of_length(signature, 64)?;

    let names: Vec<&str> = parameter("headers")
        .unwrap_or_default()
        .split(' ')
        .collect();

    let is_once = |name: &&str| names.iter().filter(|other| *other == name).count() == 1;
    if names.len() > LINES_MAX || !names.iter().all(is_once) {
        return Err(malformed(format!(
            "headers lists more than {LINES_MAX}, or one twice"
        )));
    }

    if let Some(missing) = NEEDED.iter().find(|needed| !names.contains(needed)) {
        return Err(Refusal::new(
            Reason::UnsupportedSignatureVersion,
            format!("the signature does not cover {missing}"),
        ));
    }

    let date = header(view, "date", Reason::MissingTimestamp)?;
    let time_ns = window::parse(TimeUnit::HttpDate, date.as_bytes())?;
    if let Some(now) = context.now {
        window::judge(window, time_ns, now)?;
    }

    let lines: Vec<String> = names
        .iter()
        .map(|name| line(name, view))
        .collect::<Result<_, _>>()?;

    let text = lines.join("\n");
    let is_right = |key: &[u8]| is_signed(Algorithm::Ed25519, key, text.as_bytes(), &signature);
    context
        .keys
        .find(|_, key| Ok(is_right(key)))?
        .ok_or_else(mismatch)
}

fn line(name: &str, view: &View<'_>) -> Result<String, Refusal> {
    // The Host header is the sender's choice, and a proxy may have written another host or path: `public_url` counts.
    let url = view.url()?;
    let called = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let (host, target) = called.split_at(called.find(['/', '?']).unwrap_or(called.len()));

    let value = match name {
        TARGET => {
            let method = view.request.method.as_str().to_ascii_lowercase();
            format!("{method} {target}")
        }
        "host" => host.to_owned(),
        "digest" => {
            let computed = format!(
                "sha-256={}",
                STANDARD.encode(Sha256::digest(&view.request.body))
            );

            let sent = view
                .request
                .headers
                .contains_key("digest")
                .then(|| header(view, "digest", Reason::BodyHashMissing));
            if sent
                .transpose()?
                .is_some_and(|sent| !same_text(sent.as_bytes(), computed.as_bytes()))
            {
                return Err(Refusal::new(
                    Reason::BodyHashMismatch,
                    "header digest is of another body",
                ));
            }

            computed
        }
        _ => header(view, name, Reason::SignatureMismatch)?.to_owned(),
    };

    Ok(format!("{name}: {value}"))
}

/// `name="value"`, separated by commas; each name once.
fn parameters(text: &str) -> Result<Vec<(&str, &str)>, Refusal> {
    let wrong = || malformed("not a list of name=\"value\"".into());
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;

    loop {
        let (name, after) = rest.split_once("=\"").ok_or_else(wrong)?;
        let (value, after) = after.split_once('"').ok_or_else(wrong)?;
        let name = name.trim();
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(malformed(format!("{} is given twice", name.escape_debug())));
        }

        parameters.push((name, value));
        rest = match after.trim_start() {
            "" => return Ok(parameters),
            after => after.strip_prefix(',').ok_or_else(wrong)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::keys::{Keys, NoKeyDocuments};
    use crate::request::Unverified;
    use crate::view::PublicUrl;
    use landfall_model::{KeyForm, Secret};

    // The key pair is made for the request vectors of Keygen.
    const KEY: &str = "6b870899db2553e668eb07a9def52629732f2657a6726a7d7f08f279d99b0188";
    const SIGNED: &str =
        "k2eJ6lS0BB/vgxbP/bvWJ9JcPGDWMJLxg+Q12QDY+jFlnVSTM4l3QWi6YBSfdcDckFczfiwEW7Qf6dG6J1lzAA==";
    const BODY: &str =
        r#"{"data":{"id":"e1","type":"webhook-events","attributes":{"event":"license.created"}}}"#;
    const DATE: &str = "Thu, 09 Oct 2025 08:53:20 GMT";
    const ANY: Window = Window {
        past: None,
        future: None,
    };

    fn shown(algorithm: &str, signature: &str, headers: &str) -> String {
        format!(
            "keyid=\"k\", algorithm=\"{algorithm}\", signature=\"{signature}\", headers=\"{headers}\""
        )
    }

    fn verdict(
        shown: &str,
        path: &str,
        date: &str,
        more: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<usize, Reason> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in [
            ("keygen-signature", shown),
            ("host", "hooks.example.com"),
            ("date", date),
        ]
        .iter()
        .chain(more)
        {
            headers.append(*name, value.parse().unwrap());
        }

        let request = Unverified {
            method: http::Method::POST,
            path: path.into(),
            query: None,
            params: Vec::new(),
            headers,
            body: body.to_vec().into(),
            decoded: None,
        };

        let keys = Keys::new([(KeyForm::Ed25519Hex, Ok(Secret::new(KEY)))]);
        let context = VerifyContext {
            keys: &keys,
            documents: &NoKeyDocuments,
            now: Some(UNIX_EPOCH + Duration::from_secs(1_760_000_000)),
        };

        let window = if path == "/late" {
            Window {
                past: Some(Duration::ZERO),
                future: None,
            }
        } else {
            ANY
        };

        let url = PublicUrl::Base("https://hooks.example.com".into());
        check(window, &View::new(&request, Some(&url)), &context).map_err(|refusal| refusal.reason)
    }

    const LIST: &str = "(request-target) host date digest";

    #[test]
    fn flipped_bytes_are_refused() {
        let good = shown("ed25519", SIGNED, LIST);
        assert_eq!(verdict(&good, "/keygen", DATE, &[], BODY.as_bytes()), Ok(0));
        for at in 0..BODY.len() {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= 1;
            assert_eq!(
                verdict(&good, "/keygen", DATE, &[], &body),
                Err(Reason::SignatureMismatch),
                "{at}"
            );
        }

        let signature = STANDARD.decode(SIGNED).unwrap();
        for at in 0..signature.len() {
            let mut signature = signature.clone();
            signature[at] ^= 1;
            let shown = shown("ed25519", &STANDARD.encode(signature), LIST);

            assert_eq!(
                verdict(&shown, "/keygen", DATE, &[], BODY.as_bytes()),
                Err(Reason::SignatureMismatch),
                "{at}"
            );
        }
    }

    #[test]
    fn signature_must_cover_the_request() {
        for list in [
            "",
            "date",
            "(request-target) host date",
            "host date digest",
            "(request-target) date digest",
        ] {
            let got = verdict(
                &shown("ed25519", SIGNED, list),
                "/keygen",
                DATE,
                &[],
                BODY.as_bytes(),
            );
            assert_eq!(got, Err(Reason::UnsupportedSignatureVersion), "{list}");
        }

        let twice = shown("ed25519", SIGNED, "(request-target) host date date digest");
        assert_eq!(
            verdict(&twice, "/keygen", DATE, &[], BODY.as_bytes()),
            Err(Reason::MalformedSignature)
        );

        let good = shown("ed25519", SIGNED, LIST);
        let digest = [("digest", "sha-256=AAAA")];
        assert_eq!(
            verdict(&good, "/keygen", DATE, &digest, BODY.as_bytes()),
            Err(Reason::BodyHashMismatch)
        );

        let late = "Thu, 09 Oct 2025 08:53:19 GMT";
        assert_eq!(
            verdict(&good, "/late", late, &[], BODY.as_bytes()),
            Err(Reason::TimestampTooOld)
        );
    }

    #[test]
    fn only_ed25519_is_accepted() {
        for algorithm in ["", "rsa-sha256", "hs2019", "ED25519"] {
            let got = verdict(
                &shown(algorithm, SIGNED, LIST),
                "/keygen",
                DATE,
                &[],
                BODY.as_bytes(),
            );

            assert_eq!(got, Err(Reason::AlgorithmNotAllowed), "{algorithm}");
        }

        for broken in [
            "x",
            "algorithm=\"ed25519\"",
            "algorithm=\"ed25519\" signature=\"\"",
            "a=\"1\",a=\"2\"",
        ] {
            assert!(
                verdict(broken, "/keygen", DATE, &[], BODY.as_bytes()).is_err(),
                "{broken}"
            );
        }
    }
}
