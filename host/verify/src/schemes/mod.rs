//! Provider schemes that a pack cannot express as data, one file each. They read the raw request
//! and compare in constant time.

mod adobe_io;
mod adyen;
mod apple_app_store;
mod aws_sns;
mod braintree;
mod common;
mod contentful;
mod detached_jws;
mod dropbox_sign;
mod ebay;
mod http_components;
mod http_message_signatures;
mod keygen;
mod labelled_signature;
mod paypal;
mod plivo;
mod twilio;

pub(crate) use apple_app_store::AppleAppStore;
pub(crate) use common::each;
pub(crate) use detached_jws::DetachedJws;
pub(crate) use ebay::Ebay;
pub(crate) use http_message_signatures::{MessageSignatures, is_known as is_message_algorithm};
pub(crate) use labelled_signature::COMPONENTS_MAX;

use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::certificate::pem_bytes;
use crate::edit::written;
use crate::key::KeyBytes;
use crate::keys::VerifyContext;
use crate::refusal::Refusal;
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::{PublicUrl, View};
use crate::window::Window;
use landfall_model::{Algorithm, Secret, TimeUnit, ValueLocation};

/// A provider scheme with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderScheme {
    Twilio {
        /// The only accepted algorithm; `None` means the one that the request names.
        algorithm: Option<Algorithm>,
    },
    AwsSns {
        /// Topics that may send; empty means any.
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
    /// The scheme's name in hook files and in the ledger.
    pub(crate) fn word(&self) -> &'static str {
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

    /// The kind of scheme: `signature` or `jwt`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            ProviderScheme::AppleAppStore(_) => "jwt",
            _ => "signature",
        }
    }

    /// The locations of the signature in the body or, if the hook file names it, elsewhere.
    pub(crate) fn proof_places(&self) -> Vec<ValueLocation> {
        match self {
            ProviderScheme::AwsSns { .. } => vec![ValueLocation::Json("/Signature".into())],
            ProviderScheme::Adyen => adyen::SIGNATURES
                .map(|pointer| ValueLocation::Each(pointer.into()))
                .to_vec(),
            ProviderScheme::Braintree { .. } => vec![ValueLocation::Form("bt_signature".into())],
            ProviderScheme::DropboxSign => vec![ValueLocation::Json("/event/event_hash".into())],
            ProviderScheme::AppleAppStore(_) => vec![ValueLocation::Json("/signedPayload".into())],
            ProviderScheme::DetachedJws(jws) => vec![jws.from.clone()],
            ProviderScheme::Twilio { .. }
            | ProviderScheme::Paypal { .. }
            | ProviderScheme::Contentful
            | ProviderScheme::AdobeIo { .. }
            | ProviderScheme::Ebay(_)
            | ProviderScheme::Keygen
            | ProviderScheme::Plivo
            | ProviderScheme::HttpMessageSignatures(_) => Vec::new(),
        }
    }

    /// Whether the hook's secret is the key.
    pub(crate) fn needs_secret(&self) -> bool {
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

    /// The default time window.
    pub(crate) fn window(&self) -> Window {
        match self {
            ProviderScheme::Contentful => Window {
                past: Some(Duration::from_secs(30)),
                future: Some(Duration::from_secs(30)),
            },
            // PayPal retries for three days, and does not document that it signs retries again.
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

fn minutes(minutes: u64) -> Option<Duration> {
    Some(Duration::from_secs(minutes * 60))
}

/// Checks the request. Returns the index of the secret that matched; `None` if the key came from a
/// key document.
pub(crate) fn check(
    scheme: &ProviderScheme,
    window: Window,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<Option<usize>, Refusal> {
    match scheme {
        ProviderScheme::Twilio { algorithm } => {
            twilio::check(*algorithm, view, context.keys).map(Some)
        }
        ProviderScheme::AwsSns { topics } => aws_sns::check(topics, view, context).map(|()| None),
        ProviderScheme::Paypal { webhook_id } => {
            paypal::check(webhook_id, window, view, context).map(|()| None)
        }
        ProviderScheme::Adyen => adyen::check(view, context.keys).map(Some),
        ProviderScheme::Braintree { public_key } => {
            braintree::check(public_key, view, context.keys).map(Some)
        }
        ProviderScheme::Contentful => contentful::check(window, view, context).map(Some),
        ProviderScheme::DropboxSign => dropbox_sign::check(view, context.keys).map(Some),
        ProviderScheme::AdobeIo { client_id } => {
            adobe_io::check(client_id, view, context.documents).map(|()| None)
        }
        ProviderScheme::AppleAppStore(app) => app.check(view, context).map(|()| None),
        ProviderScheme::Ebay(ebay) => ebay.check(view, context.documents).map(|()| None),
        ProviderScheme::Keygen => keygen::check(window, view, context).map(Some),
        ProviderScheme::Plivo => plivo::check(view, context.keys).map(Some),
        ProviderScheme::DetachedJws(jws) => jws.check(window, view, context).map(|()| None),
        ProviderScheme::HttpMessageSignatures(rules) => {
            rules.check(window, view, context).map(Some)
        }
    }
}

/// The answer to an authenticated request that asks for a confirmation call and is not an event.
pub(crate) fn confirmation(scheme: &ProviderScheme, view: &View<'_>) -> Option<Answer> {
    match scheme {
        ProviderScheme::AwsSns { .. } => aws_sns::confirmation(view),
        _ => None,
    }
}

/// Decodes the private key with which senders sign, if the operator has it: PKCS#8 in PEM. `None`
/// if the scheme signs with a shared secret, or with a key that only the provider has.
pub(crate) fn private_key(
    scheme: &ProviderScheme,
    secret: &Secret,
) -> Result<Option<KeyBytes>, SignError> {
    match scheme {
        ProviderScheme::HttpMessageSignatures(rules) if rules.algorithm == Algorithm::Ed25519 => {
            let text = std::str::from_utf8(secret.expose())
                .map_err(|_| SignError::Secret("the secret is not text".into()))?;
            let key = pem_bytes(text, "PRIVATE KEY")
                .map_err(|why| SignError::Secret(format!("the secret, a private key, {why}")))?;
            Ok(Some(KeyBytes::new(key)))
        }
        _ => Ok(None),
    }
}

/// Signs as the provider does, if it signs with a shared secret.
pub(crate) fn sign(
    scheme: &ProviderScheme,
    public_url: Option<&PublicUrl>,
    draft: &mut Unverified,
    key: &[u8],
    now: SystemTime,
) -> Result<(), SignError> {
    match scheme {
        ProviderScheme::Twilio { algorithm } => twilio::sign(*algorithm, public_url, draft, key),
        ProviderScheme::Adyen => adyen::sign(draft, key),
        ProviderScheme::Braintree { public_key } => braintree::sign(public_key, draft, key),
        ProviderScheme::Contentful => contentful::sign(draft, key, now),
        ProviderScheme::DropboxSign => dropbox_sign::sign(draft, key),
        ProviderScheme::Plivo => plivo::sign(public_url, draft, key, &written(TimeUnit::Ms, now)),
        ProviderScheme::HttpMessageSignatures(rules) => rules.sign(public_url, draft, key, now),
        ProviderScheme::AwsSns { .. }
        | ProviderScheme::Paypal { .. }
        | ProviderScheme::AdobeIo { .. }
        | ProviderScheme::AppleAppStore(_)
        | ProviderScheme::Ebay(_)
        | ProviderScheme::Keygen
        | ProviderScheme::DetachedJws(_) => Err(SignError::ProviderKey),
    }
}
