//! Hints for the operator after a mismatch: tries whether the signature would match without one
//! common mistake. A hint costs several checks, so the caller limits the rate.

use crate::check::check;
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::refusal::{Reason, Refusal};
use crate::request::Unverified;
mod bodies;
mod urls;

use bodies::bodies;
use urls::{is_loopback, other_host, other_urls};

use crate::auth_scheme::AuthScheme;
use crate::verifier::Verifier;
use crate::view::{PublicUrl, View};
use crate::window::Window;
use landfall_model::{Encoding, KeyForm, Secret, TimeUnit};

/// The largest body for which hints are computed.
const BODY_BYTES_MAX: usize = 256 << 10;
/// The longest prefix that a hint suggests.
const PREFIX_BYTES_MAX: usize = 19;

const FORMS: [(KeyForm, &str); 4] = [
    (KeyForm::Utf8, "utf8"),
    (KeyForm::Hex, "hex"),
    (KeyForm::Base64, "base64"),
    (KeyForm::Whsec, "whsec"),
];

/// A sentence on what probably went wrong; `None` if no common mistake explains the refusal. A hint
/// is only given if the check passes without the mistake.
pub fn hint(
    verifier: &Verifier,
    request: &Unverified,
    secrets: &[Secret],
    refusal: &Refusal,
) -> Option<String> {
    if request.body.len() > BODY_BYTES_MAX {
        return None;
    }

    match refusal.reason {
        Reason::SignatureMismatch | Reason::TokenMismatch => {}
        Reason::MalformedSignature => return other_form(verifier, request, secrets),
        Reason::TimestampTooOld | Reason::TimestampInFuture | Reason::MalformedTimestamp => {
            return other_unit(verifier, request);
        }
        _ => return None,
    }

    let timeless = verifier.clone().with_window(Window {
        past: None,
        future: None,
    });

    let holds_with =
        |verifier: &Verifier, form: KeyForm, secrets: &[Secret], request: Unverified| {
            let keys = Keys::new(secrets.iter().map(|secret| (form, Ok(secret.clone()))));
            check(
                verifier,
                request,
                &VerifyContext {
                    keys: &keys,
                    documents: &NoKeyDocuments,
                    now: None,
                },
                None,
            )
            .is_ok()
        };

    if let Some(trimmed) = trim(secrets)
        && holds_with(&timeless, verifier.key_form(), &trimmed, request.clone())
    {
        return Some(
            "it matches without the white space or quotes around the secret: remove them where it \
             is stored"
                .into(),
        );
    }

    if !matches!(
        verifier.auth_scheme,
        AuthScheme::Signature(_) | AuthScheme::Provider(_)
    ) {
        return None;
    }

    let form = verifier.key_form();
    for (other, word) in FORMS.into_iter().filter(|(other, _)| *other != form) {
        if holds_with(&timeless, other, secrets, request.clone()) {
            return Some(format!(
                "the signature matches if the secret is read as {word}: write key = \"{word}\""
            ));
        }
    }

    for (body, what) in bodies(&request.body) {
        let rewritten = Unverified {
            body: body.into(),
            ..request.clone()
        };
        if holds_with(&timeless, form, secrets, rewritten) {
            return Some(format!(
                "the signature matches the body {what}: something on the way has rewritten it"
            ));
        }
    }

    let configured = verifier.public_url.as_ref()?;
    let host = request
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());

    let right = other_urls(configured, host, &request.path)
        .into_iter()
        .find(|other| {
            let called = timeless.clone().called_at(other.clone());
            holds_with(&called, form, secrets, request.clone())
        });

    match right {
        Some(PublicUrl::Base(url) | PublicUrl::Whole(url)) if is_loopback(&url) => Some(format!(
            "the signature matches if the sender calls {url}, which only this machine can: `landfall send` signs the URL of your \
             hook with --public-url URL"
        )),
        Some(PublicUrl::Base(url)) => Some(format!(
            "the signature matches if the sender calls {url}: write public_url = \"{url}\""
        )),
        Some(PublicUrl::Whole(url)) => Some(format!(
            "the signature matches if the sender calls {url}: write url = \"{url}\""
        )),
        None => other_host(configured, host?),
    }
}

/// The text up to the first `mark`, if it is short.
fn prefix_to(text: &str, mark: char) -> Option<String> {
    let at = text.find(mark)?;
    (at < PREFIX_BYTES_MAX).then(|| text[..=at].to_owned())
}

/// A hint if the signature matches with another encoding or another prefix.
fn other_form(verifier: &Verifier, request: &Unverified, secrets: &[Secret]) -> Option<String> {
    let AuthScheme::Signature(signature) = &verifier.auth_scheme else {
        return None;
    };

    let place = signature
        .from
        .first()
        .filter(|_| signature.list.is_none() && signature.methods.is_empty())?;

    let view = View::new(request, verifier.public_url.as_ref());
    let text = String::from_utf8(view.find(place, false).ok()?.into_owned()).ok()?;

    let configured = [signature.prefix.clone(), String::new()].into_iter();
    let guessed = ['=', ' ', ':']
        .into_iter()
        .filter_map(|mark| prefix_to(&text, mark));

    for prefix in configured
        .chain(guessed)
        .filter(|prefix| text.starts_with(prefix.as_str()))
    {
        for (encoding, word) in [
            (Encoding::Hex, "hex"),
            (Encoding::Base64, "base64"),
            (Encoding::Base64url, "base64url"),
        ] {
            let mut other = verifier.clone().with_window(Window {
                past: None,
                future: None,
            });
            let AuthScheme::Signature(rules) = &mut other.auth_scheme else {
                continue;
            };
            (rules.prefix, rules.encoding) = (prefix.clone(), encoding);
            let keys = Keys::new(
                secrets
                    .iter()
                    .map(|secret| (verifier.key_form(), Ok(secret.clone()))),
            );
            let context = VerifyContext {
                keys: &keys,
                documents: &NoKeyDocuments,
                now: None,
            };
            if check(&other, request.clone(), &context, None).is_ok() {
                return Some(format!(
                    "the signature matches if it is read as {word} after `{0}`: write encoding = \
                     \"{word}\" and prefix = \"{0}\"",
                    prefix.escape_debug()
                ));
            }
        }
    }

    None
}

/// A hint if the number of digits of the time belongs to another unit.
fn other_unit(verifier: &Verifier, request: &Unverified) -> Option<String> {
    let AuthScheme::Signature(signature) = &verifier.auth_scheme else {
        return None;
    };

    let text = signature.sent_time(&View::new(request, verifier.public_url.as_ref()))?;
    let is_number = text.iter().all(u8::is_ascii_digit);
    match (signature.time.as_ref()?.unit, text.len()) {
        (TimeUnit::S, 13) if is_number => Some(
            "the time has 13 digits, as milliseconds have: write timestamp = { unit = \"ms\" }"
                .into(),
        ),
        (TimeUnit::Ms, 10) if is_number => Some(
            "the time has 10 digits, as seconds have: write timestamp = { unit = \"s\" }".into(),
        ),
        (TimeUnit::Rfc3339 | TimeUnit::Iso8601 | TimeUnit::HttpDate, 10) if is_number => {
            Some("the time is a number of seconds: write timestamp = { unit = \"s\" }".into())
        }
        _ => None,
    }
}

/// The secrets without white space and quotes around them; `None` if that changes nothing.
fn trim(secrets: &[Secret]) -> Option<Vec<Secret>> {
    fn inner(bytes: &[u8]) -> &[u8] {
        let bytes = bytes.trim_ascii();
        let quoted = [b'"', b'\'']
            .iter()
            .find_map(|quote| bytes.strip_prefix(&[*quote])?.strip_suffix(&[*quote]));

        quoted.unwrap_or(bytes).trim_ascii()
    }

    let is_padded = secrets
        .iter()
        .any(|secret| inner(secret.expose()) != secret.expose());

    is_padded.then(|| {
        secrets
            .iter()
            .map(|secret| Secret::new(inner(secret.expose())))
            .collect()
    })
}

#[cfg(test)]
mod tests;
