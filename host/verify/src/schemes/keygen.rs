//! Keygen: an Ed25519 signature over lines of the request that the signature lists, as in early
//! drafts of HTTP signatures (draft-cavage-http-signatures). The digest line is computed from the
//! body. Sources: keygen.sh/docs/api/signatures and webhook-co/webhook
//! (`packages/webhooks-spec/src/adapters/bespoke/keygen.ts`).

use std::collections::BTreeSet;

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
/// The lines that must be signed.
const NEEDED: [&str; 4] = [TARGET, "host", "date", "digest"];
const LINES_MAX: usize = 16;

pub(crate) fn check(
    window: Window,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<usize, Refusal> {
    let given = parameters(header(view, SIGNATURE, Reason::MissingSignature)?)?;
    let algorithm = parameter(&given, "algorithm").unwrap_or_default();
    if algorithm != "ed25519" {
        let detail = format!(
            "algorithm is `{}`: set the endpoint to ed25519",
            algorithm.escape_debug()
        );

        return Err(Refusal::new(Reason::AlgorithmNotAllowed, detail));
    }

    let signature =
        parameter(&given, "signature").ok_or_else(|| malformed("no signature parameter"))?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| malformed("not base64"))?;
    let signature = of_length(signature, 64)?;

    let names: Vec<&str> = parameter(&given, "headers")
        .unwrap_or_default()
        .split(' ')
        .collect();

    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    if names.len() > LINES_MAX || distinct.len() < names.len() {
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
        window::check_time(window, time_ns, now)?;
    }

    let lines: Vec<String> = names
        .iter()
        .map(|name| line(name, view))
        .collect::<Result<_, _>>()?;

    let text = lines.join("\n");
    context
        .keys
        .find(|_, key| {
            Ok(is_signed(
                Algorithm::Ed25519,
                key,
                text.as_bytes(),
                &signature,
            ))
        })?
        .ok_or_else(mismatch)
}

fn line(name: &str, view: &View<'_>) -> Result<String, Refusal> {
    // The sender chooses the `Host` header, and a proxy may change host and path, so `public_url`
    // is used.
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

/// Parses `name="value"` pairs, separated by commas. Each name may occur once.
fn parameters(text: &str) -> Result<Vec<(&str, &str)>, Refusal> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;

    loop {
        let (name, after) = rest.split_once("=\"").ok_or_else(not_a_list)?;
        let (value, after) = after.split_once('"').ok_or_else(not_a_list)?;
        let name = name.trim();
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(malformed(format!("{} is given twice", name.escape_debug())));
        }

        parameters.push((name, value));
        rest = match after.trim_start() {
            "" => return Ok(parameters),
            after => after.strip_prefix(',').ok_or_else(not_a_list)?,
        };
    }
}

fn parameter<'a>(parameters: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let mut parameters = parameters.iter();
    let (_, value) = parameters.find(|(known, _)| *known == name)?;
    Some(value)
}

fn not_a_list() -> Refusal {
    malformed("not a list of name=\"value\"")
}

#[cfg(test)]
#[path = "keygen_tests.rs"]
mod tests;
