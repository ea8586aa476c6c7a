//! PayPal: an RSA signature over transmission fields and the CRC-32 of the body, with a certificate
//! at a URL that the request names. Anyone can make another body with the same checksum, so the
//! pack sets `covers_body = false`. Source: developer.paypal.com/api/rest/webhooks.

use super::common::{document, from_base64, header, mismatch};
use crate::algorithm::{Rsa, is_rsa_signed};
use crate::certificate::certified_key;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal};
use crate::view::View;
use crate::window::{self, Window};
use landfall_model::TimeUnit;

const HOSTS: [&str; 4] = [
    "api.paypal.com",
    "api.sandbox.paypal.com",
    "api-m.paypal.com",
    "api-m.sandbox.paypal.com",
];
const PATH: &str = "/v1/notifications/certs/";

pub(crate) fn check(
    webhook_id: &str,
    window: Window,
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<(), Refusal> {
    let signature = header(view, "PAYPAL-TRANSMISSION-SIG", Reason::MissingSignature)?;
    let algorithm = header(view, "PAYPAL-AUTH-ALGO", Reason::AlgorithmNotAllowed)?;
    if !algorithm.eq_ignore_ascii_case("SHA256withRSA") {
        return Err(Refusal::new(
            Reason::AlgorithmNotAllowed,
            "PAYPAL-AUTH-ALGO is not SHA256withRSA",
        ));
    }

    let signature = from_base64(signature)?;
    let id = header(view, "PAYPAL-TRANSMISSION-ID", Reason::MissingId)?;
    let time = header(view, "PAYPAL-TRANSMISSION-TIME", Reason::MissingTimestamp)?;
    let time_ns = window::parse(TimeUnit::Rfc3339, time.as_bytes())?;
    if let Some(now) = context.now {
        window::check_time(window, time_ns, now)?;
    }

    let key_url = header(view, "PAYPAL-CERT-URL", Reason::UntrustedKeyUrl)?;
    if !is_paypal(key_url) {
        return Err(Refusal::new(
            Reason::UntrustedKeyUrl,
            "PAYPAL-CERT-URL is not an address of PayPal",
        ));
    }

    let certificate = document(context.documents, key_url)?;
    let key = certified_key(&certificate, context.now, is_common_name)
        .map_err(|why| Refusal::new(Reason::KeyUnavailable, why))?;
    let checksum = crc32fast::hash(&view.request.body);
    let signed = format!("{id}|{time}|{webhook_id}|{checksum}");
    if is_rsa_signed(Rsa::Sha256, &key, signed.as_bytes(), &signature) {
        Ok(())
    } else {
        Err(mismatch())
    }
}

fn is_common_name(name: &str) -> bool {
    name.starts_with("messageverificationcerts") && name.ends_with(".paypal.com")
}

fn is_paypal(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };

    let plain =
        url.scheme() == "https" && url.port().is_none() && !text.contains(['@', '\\', '?', '#']);
    plain
        && url.as_str() == text
        && url.host_str().is_some_and(|host| HOSTS.contains(&host))
        && url.path().strip_prefix(PATH).is_some_and(is_file_name)
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
