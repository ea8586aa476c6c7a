//! Builds the authentication scheme from a `[verify]` table. Errors in the table are found here,
//! and each message says what to write. Each scheme with rules of its own has a file.

mod apple_app_store;
mod aws_sns;
mod detached_jws;
mod ebay;
mod error;
mod jwt;
mod list;
mod locations;
mod message_signatures;
mod payload;
mod signature;
mod twilio;
mod urls;

pub use error::BuildError;
pub(crate) use error::wrong;
pub(super) use locations::{check_fact, check_identity, is_in_path, no_such_segment};
pub(super) use signature::window;
pub(super) use urls::public_url;

use crate::auth_scheme::AuthScheme;
use crate::payload::configured;
use crate::schemes::ProviderScheme;
use landfall_model::{Scheme, VerifySpec};
use locations::one_place;
use signature::check_age;
use urls::{NEEDS_HOST, NEEDS_URL, names_url};

/// Builds the authentication scheme. `is_documented` means that the signed text is what a provider
/// documents, and not the operator's choice.
pub(crate) fn auth_scheme(
    spec: &VerifySpec,
    is_documented: bool,
) -> Result<AuthScheme, BuildError> {
    let scheme = spec.scheme.ok_or_else(|| {
        wrong(
            "provider",
            "the pack names no scheme: write scheme = … into its [verify]",
        )
    })?;

    check_unused(spec, scheme)?;
    check_age(
        "timestamp",
        "past",
        spec.timestamp.as_ref().and_then(|typed| typed.past),
    )?;

    Ok(match scheme {
        Scheme::None => AuthScheme::Open,
        Scheme::Basic => AuthScheme::Basic,
        Scheme::Token => AuthScheme::Token {
            from: one_place(spec)?,
            prefix: spec.prefix.clone().unwrap_or_default(),
        },
        Scheme::Signature => {
            AuthScheme::Signature(Box::new(signature::build(spec, is_documented)?))
        }
        Scheme::Jwt => AuthScheme::Jwt(Box::new(jwt::build(spec)?)),
        Scheme::Twilio => AuthScheme::Provider(twilio::build(spec)?),
        Scheme::AwsSns => AuthScheme::Provider(aws_sns::build(spec)?),
        Scheme::Paypal => AuthScheme::Provider(ProviderScheme::Paypal {
            webhook_id: config_text(spec, "webhook_id")?,
        }),
        Scheme::Adyen => AuthScheme::Provider(ProviderScheme::Adyen),
        Scheme::Braintree => AuthScheme::Provider(ProviderScheme::Braintree {
            public_key: config_text(spec, "public_key")?,
        }),
        Scheme::Contentful => AuthScheme::Provider(ProviderScheme::Contentful),
        Scheme::DropboxSign => AuthScheme::Provider(ProviderScheme::DropboxSign),
        Scheme::AdobeIo => AuthScheme::Provider(ProviderScheme::AdobeIo {
            client_id: config_text(spec, "recipient_client_id")?,
        }),
        Scheme::AppleAppStore => AuthScheme::Provider(ProviderScheme::AppleAppStore(Box::new(
            apple_app_store::build(spec)?,
        ))),
        Scheme::Ebay => AuthScheme::Provider(ProviderScheme::Ebay(ebay::build(spec)?)),
        Scheme::Keygen if names_url(spec) => AuthScheme::Provider(ProviderScheme::Keygen),
        Scheme::Keygen => return Err(wrong("public_url", NEEDS_HOST)),
        Scheme::Plivo if names_url(spec) => AuthScheme::Provider(ProviderScheme::Plivo),
        Scheme::Plivo => return Err(wrong("public_url", NEEDS_URL)),
        Scheme::DetachedJws => AuthScheme::Provider(ProviderScheme::DetachedJws(Box::new(
            detached_jws::build(spec)?,
        ))),
        Scheme::HttpMessageSignatures => AuthScheme::Provider(
            ProviderScheme::HttpMessageSignatures(Box::new(message_signatures::build(spec)?)),
        ),
    })
}

fn config_text(spec: &VerifySpec, name: &str) -> Result<String, BuildError> {
    configured(name, &spec.config)
        .map(str::to_owned)
        .map_err(|why| wrong("config", why))
}

/// Rejects fields that have no effect on the scheme.
fn check_unused(spec: &VerifySpec, scheme: Scheme) -> Result<(), BuildError> {
    let is_signature = scheme == Scheme::Signature;
    let has_place = matches!(
        scheme,
        Scheme::Token | Scheme::Signature | Scheme::Jwt | Scheme::DetachedJws
    );

    let has_algorithm = matches!(
        scheme,
        Scheme::Signature | Scheme::Twilio | Scheme::HttpMessageSignatures
    );

    let has_time = matches!(
        scheme,
        Scheme::Signature
            | Scheme::Paypal
            | Scheme::Contentful
            | Scheme::Keygen
            | Scheme::HttpMessageSignatures
    );

    let has_jwt = matches!(scheme, Scheme::Jwt | Scheme::DetachedJws);
    let unused = [
        (spec.algorithm.is_some() && !has_algorithm, "algorithm"),
        (spec.encoding.is_some() && !is_signature, "encoding"),
        (spec.methods.is_some() && !is_signature, "methods"),
        (spec.key_set.is_some() && !is_signature, "key_set"),
        (spec.payload.is_some() && !is_signature, "payload"),
        (
            spec.payload_alternatives.is_some() && !is_signature,
            "payload_alternatives",
        ),
        (spec.list.is_some() && !is_signature, "list"),
        (spec.id.is_some() && !is_signature, "id"),
        (spec.require.is_some() && !is_signature, "require"),
        (spec.timestamp.is_some() && !has_time, "timestamp"),
        (spec.from.is_some() && !has_place, "from"),
        (spec.prefix.is_some() && !has_place, "prefix"),
        (spec.jwt.is_some() && !has_jwt, "jwt"),
        (
            spec.message_signature.is_some() && scheme != Scheme::HttpMessageSignatures,
            "message_signature",
        ),
        (!spec.secret.is_empty() && scheme == Scheme::None, "secret"),
        (spec.key.is_some() && scheme == Scheme::None, "key"),
    ];

    match unused.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, key)) => Err(wrong(
            key,
            format!(
                "`{key}` means nothing for scheme = \"{}\": remove it",
                word(scheme)
            ),
        )),
        None => Ok(()),
    }
}

fn word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Token => "token",
        Scheme::Basic => "basic",
        Scheme::Signature => "signature",
        Scheme::Jwt => "jwt",
        Scheme::None => "none",
        Scheme::Twilio => "twilio",
        Scheme::AwsSns => "aws-sns",
        Scheme::Paypal => "paypal",
        Scheme::Adyen => "adyen",
        Scheme::Braintree => "braintree",
        Scheme::Contentful => "contentful",
        Scheme::DropboxSign => "dropbox-sign",
        Scheme::AdobeIo => "adobe-io",
        Scheme::AppleAppStore => "apple-app-store",
        Scheme::Ebay => "ebay",
        Scheme::Keygen => "keygen",
        Scheme::Plivo => "plivo",
        Scheme::DetachedJws => "detached-jws",
        Scheme::HttpMessageSignatures => "http-message-signatures",
    }
}

#[cfg(test)]
mod tests;
