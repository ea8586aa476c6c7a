//! Schemes that data cannot express: one file each. All of them read the raw request and compare in constant time.

mod adobe_io;
mod adyen;
mod apple_app_store;
mod aws_sns;
mod braintree;
mod contentful;
mod detached_jws;
mod dropbox_sign;
mod ebay;
mod http_message_signatures;
mod keygen;
mod paypal;
mod plivo;
mod twilio;

pub use apple_app_store::AppleAppStore;
pub use detached_jws::DetachedJws;
pub use ebay::Ebay;
pub use http_message_signatures::{
    COMPONENTS_MAX, MessageSignatures, is_known as is_message_algorithm,
};

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::certificate::pem_bytes;
use super::challenge::Answer;
use super::check::VerifyContext;
use super::key::KeyBytes;
use super::refusal::{Reason, Refusal};
use super::request::Unverified;
use super::sign::written;
use super::verifier::{AuthScheme, Verifier};
use super::view::View;
use super::window::Window;
use landfall_model::{Algorithm, Documents, Secret, TimeUnit};

/// A scheme in code, with what the operator configured for it.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderScheme {
    Twilio {
        /// The only algorithm that is accepted; none = the one that the request names.
        algorithm: Option<Algorithm>,
    },
    AwsSns {
        /// Topics that may send; empty = any.
        topics: Vec<String>,
    },
    Paypal {
        webhook_id: String,
    },
    Adyen,
    Braintree {
        public_key: String,
    },
    Contentful,
    DropboxSign,
    AdobeIo {
        client_id: String,
    },
    AppleAppStore(Box<AppleAppStore>),
    Ebay(Ebay),
    Keygen,
    Plivo,
    DetachedJws(Box<DetachedJws>),
    HttpMessageSignatures(Box<MessageSignatures>),
}

// === impl ProviderScheme ===

impl ProviderScheme {
    /// The word for it in hook files and records.
    pub fn word(&self) -> &'static str {
        match self {
            ProviderScheme::Twilio { .. } => "twilio",
            ProviderScheme::AwsSns { .. } => "aws-sns",
            ProviderScheme::Paypal { .. } => "paypal",
            ProviderScheme::Adyen => "adyen",
            ProviderScheme::Braintree { .. } => "braintree",
            ProviderScheme::Contentful => "contentful",
            ProviderScheme::DropboxSign => "dropbox-sign",
            ProviderScheme::AdobeIo { .. } => "adobe-io",
            ProviderScheme::AppleAppStore(_) => "apple-app-store",
            ProviderScheme::Ebay(_) => "ebay",
            ProviderScheme::Keygen => "keygen",
            ProviderScheme::Plivo => "plivo",
            ProviderScheme::DetachedJws(_) => "detached-jws",
            ProviderScheme::HttpMessageSignatures(_) => "http-message-signatures",
        }
    }

    /// The kind of proof that it is: `signature` or `jwt`.
    pub fn kind(&self) -> &'static str {
        match self {
            ProviderScheme::AppleAppStore(_) => "jwt",
            _ => "signature",
        }
    }

    /// Whether the operator's secret is the key.
    pub fn needs_secret(&self) -> bool {
        match self {
            ProviderScheme::AwsSns { .. }
            | ProviderScheme::Paypal { .. }
            | ProviderScheme::AdobeIo { .. }
            | ProviderScheme::AppleAppStore(_)
            | ProviderScheme::Ebay(_)
            | ProviderScheme::DetachedJws(_) => false,
            ProviderScheme::Twilio { .. }
            | ProviderScheme::Adyen
            | ProviderScheme::Braintree { .. }
            | ProviderScheme::Contentful
            | ProviderScheme::DropboxSign
            | ProviderScheme::Keygen
            | ProviderScheme::Plivo
            | ProviderScheme::HttpMessageSignatures(_) => true,
        }
    }

    /// For signed times, unless `timestamp` names another.
    pub fn window(&self) -> Window {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        match self {
            ProviderScheme::Contentful => Window {
                past: Some(Duration::from_secs(30)),
                future: Some(Duration::from_secs(30)),
            },
            // PayPal retries for three days, and does not say that it signs anew.
            ProviderScheme::Paypal { .. } => Window {
                past: minutes(73 * 60),
                future: minutes(5),
            },
            ProviderScheme::DetachedJws(jws) => jws.window,
            ProviderScheme::HttpMessageSignatures(_) => Window {
                past: minutes(5),
                future: minutes(1),
            },
            _ => Window {
                past: None,
                future: None,
            },
        }
    }
}

/// Which secret matched; none where the key came with a document.
pub fn check(
    code: &ProviderScheme,
    verifier: &Verifier,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<Option<usize>, Refusal> {
    match code {
        ProviderScheme::Twilio { algorithm } => {
            twilio::check(*algorithm, view, context.keys).map(Some)
        }
        ProviderScheme::AwsSns { topics } => aws_sns::check(topics, view, context).map(|()| None),
        ProviderScheme::Paypal { webhook_id } => {
            paypal::check(webhook_id, verifier.window, view, context).map(|()| None)
        }
        ProviderScheme::Adyen => adyen::check(view, context.keys).map(Some),
        ProviderScheme::Braintree { public_key } => {
            braintree::check(public_key, view, context.keys).map(Some)
        }
        ProviderScheme::Contentful => contentful::check(verifier.window, view, context).map(Some),
        ProviderScheme::DropboxSign => dropbox_sign::check(view, context.keys).map(Some),
        ProviderScheme::AdobeIo { client_id } => {
            adobe_io::check(client_id, view, context.documents).map(|()| None)
        }
        ProviderScheme::AppleAppStore(app) => app.check(view, context).map(|()| None),
        ProviderScheme::Ebay(ebay) => ebay.check(view, context.documents).map(|()| None),
        ProviderScheme::Keygen => keygen::check(verifier.window, view, context).map(Some),
        ProviderScheme::Plivo => plivo::check(view, context.keys).map(Some),
        ProviderScheme::DetachedJws(jws) => {
            jws.check(verifier.window, view, context).map(|()| None)
        }
        ProviderScheme::HttpMessageSignatures(rules) => {
            rules.check(verifier.window, view, context).map(Some)
        }
    }
}

/// A verified request that asks to be confirmed by a call, instead of being an event.
pub fn confirmation(verifier: &Verifier, view: &View<'_>) -> Option<Answer> {
    match verifier.auth_scheme {
        AuthScheme::Provider(ProviderScheme::AwsSns { .. }) => aws_sns::confirmation(view),
        _ => None,
    }
}

/// The string at every element of an array: `/value/*/clientState`. At least one, and all of them strings.
pub fn each<'a>(view: &'a View<'_>, pointer: &str) -> Result<Vec<&'a str>, Refusal> {
    let malformed = |why: &str| Refusal::new(Reason::MalformedBody, format!("the body {why}"));
    let (before, after) = pointer.split_once("/*").expect("checked at load");
    let body = view.json().ok_or_else(|| malformed("is not JSON"))?;

    let elements = body
        .pointer(before)
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("has no such array"))?;
    if elements.is_empty() {
        return Err(malformed("has an empty array"));
    }

    let text = |element: &'a Value| element.pointer(after).and_then(Value::as_str);
    let missing = || {
        Refusal::new(
            Reason::MissingToken,
            format!("token missing in an element (JSON {pointer})"),
        )
    };

    elements
        .iter()
        .map(|element| text(element).ok_or_else(missing))
        .collect()
}

/// A document at an address that has been found to be the provider's.
fn document(documents: &dyn Documents, url: &str) -> Result<bytes::Bytes, Refusal> {
    documents.get(url).ok_or_else(|| Refusal::needs(url))
}

/// The one value of a header, or the refusal for its absence.
fn header<'a>(view: &'a View<'_>, name: &str, absent: Reason) -> Result<&'a str, Refusal> {
    let found = view.header(name).map_err(|why| match why {
        super::view::Absent::Duplicate => Refusal::new(
            Reason::DuplicateHeader,
            format!("header {name} given more than once"),
        ),
        _ => Refusal::new(absent, format!("header {name} is missing")),
    })?;

    match std::str::from_utf8(found) {
        Ok("") => Err(Refusal::new(absent, format!("header {name} is empty"))),
        Ok(text) => Ok(text),
        Err(_) => Err(Refusal::new(
            Reason::MalformedSignature,
            format!("header {name} is not text"),
        )),
    }
}

fn mismatch() -> Refusal {
    Refusal::new(
        Reason::SignatureMismatch,
        "the signature does not match: another secret, or another payload",
    )
}

fn from_base64(text: &str) -> Result<Vec<u8>, Refusal> {
    use base64::Engine as _;

    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(|_| super::signature::malformed("not base64".into()))
}

fn of_length(bytes: Vec<u8>, expected: usize) -> Result<Vec<u8>, Refusal> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(super::signature::malformed(format!(
            "{} bytes instead of {expected}",
            bytes.len()
        )))
    }
}

/// The private key with which a sender signs, where the operator has it: PKCS#8 in PEM, decoded. None where the scheme
/// signs with the secret that checks, or with a key that only the provider has.
pub fn private_key(scheme: &AuthScheme, secret: &Secret) -> Result<Option<KeyBytes>, String> {
    match scheme {
        AuthScheme::Provider(ProviderScheme::HttpMessageSignatures(rules))
            if rules.algorithm == Algorithm::Ed25519 =>
        {
            let text =
                std::str::from_utf8(secret.expose()).map_err(|_| "the secret is not text")?;
            let key = pem_bytes(text, "PRIVATE KEY")
                .map_err(|why| format!("the secret, a private key, {why}"))?;
            Ok(Some(KeyBytes::new(key)))
        }
        _ => Ok(None),
    }
}

/// Signs as the provider does, where it signs with a shared secret.
pub fn sign(
    code: &ProviderScheme,
    verifier: &Verifier,
    draft: &mut Unverified,
    key: &[u8],
    now: SystemTime,
) -> Result<(), String> {
    match code {
        ProviderScheme::Twilio { algorithm } => {
            twilio::sign(*algorithm, verifier.public_url.as_ref(), draft, key)
        }
        ProviderScheme::Adyen => adyen::sign(draft, key),
        ProviderScheme::Braintree { public_key } => braintree::sign(public_key, draft, key),
        ProviderScheme::Contentful => contentful::sign(draft, key, now),
        ProviderScheme::DropboxSign => dropbox_sign::sign(draft, key),
        ProviderScheme::Plivo => plivo::sign(
            verifier.public_url.as_ref(),
            draft,
            key,
            &written(TimeUnit::Ms, now),
        ),
        ProviderScheme::HttpMessageSignatures(rules) => {
            rules.sign(verifier.public_url.as_ref(), draft, key, now)
        }
        ProviderScheme::AwsSns { .. }
        | ProviderScheme::Paypal { .. }
        | ProviderScheme::AdobeIo { .. }
        | ProviderScheme::AppleAppStore(_)
        | ProviderScheme::Ebay(_)
        | ProviderScheme::Keygen
        | ProviderScheme::DetachedJws(_) => {
            Err("this provider signs with a private key that only it has".into())
        }
    }
}
