//! Amazon SNS: an RSA signature over selected fields of the JSON body, with a certificate at a URL
//! that the body names. Source: docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS
//! messages".

use std::time::Duration;

use serde_json::Value;

use super::common::{document, from_base64, mismatch};
use crate::algorithm::{Rsa, is_rsa_signed};
use crate::answer::Answer;
use crate::certificate::certified_key;
use crate::keys::VerifyContext;
use crate::refusal::{Reason, Refusal};
use crate::view::View;
use crate::window::{self, Window};
use landfall_model::TimeUnit;

const AGE_MAX: Duration = Duration::from_secs(3600);
const AHEAD_MAX: Duration = Duration::from_secs(300);
const REGIONS: [&str; 38] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];
const NOTIFICATION: [&str; 6] = [
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];
const CONFIRMATION: [&str; 7] = [
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

pub(crate) fn check(
    topics: &[String],
    view: &View<'_>,
    context: &VerifyContext<'_>,
) -> Result<(), Refusal> {
    let body = view
        .json()
        .ok_or_else(|| Refusal::new(Reason::MalformedBody, "the body is not JSON"))?;
    let signature = needed(body, "Signature", Reason::MissingSignature)?;
    if signature.is_empty() {
        return Err(Refusal::new(
            Reason::MissingSignature,
            "field Signature is empty",
        ));
    }

    let digest = match needed(
        body,
        "SignatureVersion",
        Reason::UnsupportedSignatureVersion,
    )? {
        "1" => Rsa::Sha1,
        "2" => Rsa::Sha256,
        other => {
            let detail = format!(
                "SignatureVersion is `{}`: 1 and 2 are known",
                other.escape_debug()
            );

            return Err(Refusal::new(Reason::UnsupportedSignatureVersion, detail));
        }
    };

    let signature = from_base64(signature)?;
    let key_url = needed(body, "SigningCertURL", Reason::UntrustedKeyUrl)?;
    if !is_sns(key_url, true) {
        return Err(Refusal::new(
            Reason::UntrustedKeyUrl,
            "SigningCertURL is not a URL of Amazon SNS",
        ));
    }

    let topic = needed(body, "TopicArn", Reason::TopicNotAllowed)?;
    let is_named = topics.iter().any(|known| known == topic);
    if !is_named && !topics.iter().any(|known| known == "*") {
        return Err(Refusal::new(
            Reason::TopicNotAllowed,
            "TopicArn is not in config.topic_arns",
        ));
    }

    // A topic signs with a certificate of its region. If any topic is allowed, the region must be a
    // known one.
    let region = topic.split(':').nth(3).unwrap_or_default();
    let is_of_region = key_url.starts_with(&format!("https://sns.{region}.amazonaws.com"));
    if !is_of_region || (!is_named && !REGIONS.contains(&region)) {
        return Err(Refusal::new(
            Reason::UntrustedKeyUrl,
            "SigningCertURL is not of the region of the topic",
        ));
    }

    let time = needed(body, "Timestamp", Reason::MissingTimestamp)?;
    let time_ns = window::parse(TimeUnit::Rfc3339, time.as_bytes())?;
    if let Some(now) = context.now {
        window::check_time(
            Window {
                past: Some(AGE_MAX),
                future: Some(AHEAD_MAX),
            },
            time_ns,
            now,
        )?;
    }

    let names: &[&str] = match needed(body, "Type", Reason::MalformedBody)? {
        "Notification" => &NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &CONFIRMATION,
        _ => {
            return Err(Refusal::new(
                Reason::MalformedBody,
                "field Type names no known type of message",
            ));
        }
    };

    // Optional fields, and fields that contain the line of another field, would allow another
    // message with the same signature.
    for name in names.iter().filter(|name| **name != "Subject") {
        needed(body, name, Reason::MalformedBody)?;
    }

    if let Some(bad) = names
        .iter()
        .filter(|name| **name != "Message")
        .find(|name| field(body, name).is_some_and(|text| text.contains('\n')))
    {
        return Err(Refusal::new(
            Reason::MalformedBody,
            format!("field {bad} is not one line"),
        ));
    }

    let lines: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("{name}\n{}\n", field(body, name)?)))
        .collect();

    let key = certified_key(
        &document(context.documents, key_url)?,
        context.now,
        |name| name == "sns.amazonaws.com" || is_sns_host(name),
    )
    .map_err(|why| Refusal::new(Reason::KeyUnavailable, why))?;
    if !is_rsa_signed(digest, &key, lines.concat().as_bytes(), &signature) {
        return Err(mismatch());
    }

    Ok(())
}

fn field<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn needed<'a>(body: &'a Value, name: &str, absent: Reason) -> Result<&'a str, Refusal> {
    field(body, name).ok_or_else(|| Refusal::new(absent, format!("field {name} is missing")))
}

/// A verified confirmation message is answered by calling the URL in it, which must be Amazon's.
pub(crate) fn confirmation(view: &View<'_>) -> Option<Answer> {
    let body = view.json()?;
    match body.get("Type")?.as_str()? {
        "SubscriptionConfirmation" => {
            let url = body
                .get("SubscribeURL")?
                .as_str()
                .filter(|url| is_sns(url, false));

            Some(Answer {
                confirm: url.map(str::to_owned),
                ..Answer::default()
            })
        }
        "UnsubscribeConfirmation" => Some(Answer::default()),
        _ => None,
    }
}

/// The region of `https://sns.REGION.amazonaws.com[.cn]/…`; nothing may come before or after the
/// host.
fn is_sns(text: &str, is_certificate: bool) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };

    let plain = url.scheme() == "https" && url.port().is_none() && !text.contains(['@', '\\', '#']);
    // Only the normalised spelling is accepted, so that a sender cannot have the same document
    // cached under many names.
    let is_canonical =
        url.as_str() == text && url.path().bytes().all(is_plain) && !url.path().contains("//");
    let ends_right =
        !is_certificate || (url.path().ends_with(".pem") && url.query().is_none() && is_canonical);

    plain && url.host_str().is_some_and(is_sns_host) && ends_right
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte)
}

fn is_sns_host(host: &str) -> bool {
    let (global, is_china) = host
        .strip_suffix(".cn")
        .map_or((host, false), |host| (host, true));
    let region = global
        .strip_prefix("sns.")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com"));

    region.is_some_and(|region| is_region(region) && region.starts_with("cn-") == is_china)
}

/// Whether a text has the form of a region: `us-east-1`, `us-gov-west-1`. No S3 bucket has such a
/// name.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());

    match &parts[..] {
        [area, words @ .., number] => {
            let is_number = number.len() <= 2
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit());

            is_number
                && area.len() == 2
                && is_word(area)
                && !words.is_empty()
                && words.iter().all(is_word)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazon_sns_urls_are_called() {
        for host in [
            "sns.us-east-1.amazonaws.com",
            "sns.us-gov-west-1.amazonaws.com",
            "sns.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_sns(&format!("https://{host}/a.pem"), true), "{host}");
        }

        for url in [
            "https://sns.s3.amazonaws.com/S.pem",
            "https://sns.s3-us-west-2.amazonaws.com/S.pem",
            "https://sns.s3-website-us-east-1.amazonaws.com/S.pem",
            "https://sns.a.amazonaws.com/S.pem",
            "https://sns.-.amazonaws.com/S.pem",
            "https://sns.cn-north-1.amazonaws.com/S.pem",
            "https://sns.us-east-1.amazonaws.com/S.pem#x",
            "https://sns.us-east-1.amazonaws.com:8443/S.pem",
            "http://sns.us-east-1.amazonaws.com/S.pem",
            "https://sns.us-east-1.amazonaws.com/a/../S.pem",
            "https://sns.us-east-1.amazonaws.com/%53.pem",
            "https://sns.us-east-1.amazonaws.com:443/S.pem",
            "https://sns.us-east-1.amazonaws.com//S.pem",
            "https://sns.us-east-1.amazonaws.com/S.pem ",
            "HTTPS://sns.us-east-1.amazonaws.com/S.pem",
        ] {
            assert!(!is_sns(url, true), "{url}");
        }

        assert!(
            !is_sns_host("sns.evil.com")
                && !is_sns_host("sns.amazonaws.com")
                && is_sns_host("sns.eu-central-1.amazonaws.com")
        );
    }
}
