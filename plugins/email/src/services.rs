//! The APIs of the services: what a call looks like, and what the answers mean.
//!
//! Sources:
//! - Resend: <https://resend.com/docs/api-reference/emails/send-email>,
//!   <https://resend.com/docs/api-reference/errors>,
//!   <https://resend.com/docs/dashboard/emails/idempotency-keys>
//! - Postmark: <https://postmarkapp.com/developer/api/email-api>,
//!   <https://postmarkapp.com/developer/api/overview#error-codes>
//! - SendGrid: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send>,
//!   <https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/responses>
//! - Mailgun: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages>

use crate::Settings;
use crate::message::{Address, Message};
use landfall_calls::answer::Errors;
use landfall_calls::{mistake, percent_encoded};
use landfall_sdk::http::{Request, Response};
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Failure, json, settings};
use serde::Deserialize;

/// A service that sends emails.
#[settings]
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Resend,
    Postmark,
    Sendgrid,
    Mailgun,
}

/// The same key is in use at this moment.
const RESEND: Errors = Errors {
    codes: &["/name"],
    messages: &["/message"],
    retries: &["concurrent_idempotent_requests"],
    rejects: &[],
};
/// 400, 401, 405, 412 and 413: the operator can confirm the sender, or the account. They come with
/// status 422.
const POSTMARK: Errors = Errors {
    codes: &["/ErrorCode"],
    messages: &["/Message"],
    retries: &["400", "401", "405", "412", "413"],
    rejects: &[],
};
const SENDGRID: Errors = Errors {
    codes: &[],
    messages: &["/errors/0/message"],
    retries: &[],
    rejects: &[],
};
const MAILGUN: Errors = Errors {
    codes: &[],
    messages: &["/message"],
    retries: &[],
    rejects: &[],
};

impl Service {
    pub fn request(self, settings: &Settings, message: &Message<'_>) -> Result<Request, Failure> {
        let endpoint = settings.endpoint.as_deref().unwrap_or(self.endpoint());
        let endpoint = endpoint.trim_end_matches('/');
        Ok(match self {
            Self::Resend => Request::post(format!("{endpoint}/emails")).json(&resend(message)),
            Self::Postmark => Request::post(format!("{endpoint}/email"))
                .header("accept", "application/json")
                .json(&postmark(message, settings.stream.as_deref())),
            Self::Sendgrid => {
                Request::post(format!("{endpoint}/v3/mail/send")).json(&sendgrid(message))
            }
            Self::Mailgun => {
                let domain = settings.domain.as_deref();
                let domain = domain.ok_or_else(|| mistake("Mailgun needs a `domain`"))?;
                let domain = percent_encoded(domain, "");
                let fields = mailgun(message);
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                Request::post(format!("{endpoint}/v3/{domain}/messages")).form(&fields)
            }
        })
    }

    fn endpoint(self) -> &'static str {
        match self {
            Self::Resend => "https://api.resend.com",
            Self::Postmark => "https://api.postmarkapp.com",
            Self::Sendgrid => "https://api.sendgrid.com",
            Self::Mailgun => "https://api.mailgun.net",
        }
    }

    pub fn checked(self, response: Response) -> Result<Response, Failure> {
        let errors = match self {
            Self::Resend => RESEND,
            Self::Postmark => POSTMARK,
            Self::Sendgrid => SENDGRID,
            Self::Mailgun => MAILGUN,
        };
        errors.checked(response)
    }

    /// The service's id of the message.
    pub fn id(self, response: &Response) -> String {
        let body: Value = response.json().unwrap_or_default();
        let id = match self {
            Self::Resend | Self::Mailgun => body["id"].as_str(),
            Self::Postmark => body["MessageID"].as_str(),
            Self::Sendgrid => response.header("x-message-id"),
        };
        id.unwrap_or("accepted").to_owned()
    }
}

fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(Address::to_string).collect()
}

/// Without the keys whose value is null or an empty list.
fn without_empty(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        });
    }
    object
}

/// Resend recognises a repeated call by the `Idempotency-Key` that the host adds.
fn resend(message: &Message<'_>) -> Value {
    without_empty(json!({
        "from": message.from.to_string(),
        "to": texts(&message.to),
        "cc": texts(&message.cc),
        "bcc": texts(&message.bcc),
        "reply_to": message.reply_to.as_ref().map(Address::to_string),
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
    }))
}

fn postmark(message: &Message<'_>, stream: Option<&str>) -> Value {
    let joined = |addresses: &[Address]| {
        let texts = texts(addresses);
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    without_empty(json!({
        "From": message.from.to_string(),
        "To": joined(&message.to),
        "Cc": joined(&message.cc),
        "Bcc": joined(&message.bcc),
        "ReplyTo": message.reply_to.as_ref().map(Address::to_string),
        "Subject": message.subject,
        "TextBody": message.text,
        "HtmlBody": message.html,
        "MessageStream": stream,
        "Metadata": { "event": message.event },
    }))
}

/// The text comes before the HTML.
fn sendgrid(message: &Message<'_>) -> Value {
    let one =
        |address: &Address| without_empty(json!({ "email": address.email, "name": address.name }));
    let all = |addresses: &[Address]| addresses.iter().map(one).collect::<Vec<_>>();
    let content = [("text/plain", &message.text), ("text/html", &message.html)];
    let content: Vec<Value> = content
        .into_iter()
        .filter_map(|(kind, value)| Some(json!({ "type": kind, "value": value.as_ref()? })))
        .collect();
    let personalization = without_empty(json!({
        "to": all(&message.to),
        "cc": all(&message.cc),
        "bcc": all(&message.bcc),
    }));
    without_empty(json!({
        "personalizations": [personalization],
        "from": one(&message.from),
        "reply_to": message.reply_to.as_ref().map(one),
        "subject": message.subject,
        "content": content,
        "custom_args": { "event": message.event },
    }))
}

fn mailgun(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let mut fields = vec![("from", message.from.to_string())];
    let recipients = [
        ("to", &message.to),
        ("cc", &message.cc),
        ("bcc", &message.bcc),
    ];
    for (name, addresses) in recipients {
        fields.extend(texts(addresses).into_iter().map(|text| (name, text)));
    }
    fields.push(("subject", message.subject.clone()));
    let more = [
        ("text", message.text.clone()),
        ("html", message.html.clone()),
        (
            "h:Reply-To",
            message.reply_to.as_ref().map(Address::to_string),
        ),
        ("v:event", Some(message.event.to_owned())),
    ];
    fields.extend(
        more.into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    fields
}

#[cfg(test)]
mod tests {
    use crate::email;
    use landfall_sdk::serde_json::Value;
    use landfall_sdk::testing::{self, Host};
    use landfall_sdk::{Event, Failure, json};

    const ID: &str = "019c1234-5678-7abc-8def-0123456789ab";

    fn host(service: &str) -> Host {
        testing::host()
            .setting("service", service)
            .setting("from", "Shop <shop@example.com>")
            .setting("to", ["{{ event.json.email }}", "b@example.com"])
            .setting("cc", "c@example.com")
            .setting("reply_to", "r@example.com")
            .setting("subject", "Order {{ event.json.name }}")
            .setting("text", "Hi {{ event.json.name }}")
            .setting("html", "<p>{{ event.json.name }}</p>")
    }

    fn event() -> Event {
        testing::event(json!({ "name": "<A&B>", "email": "a@example.com" }))
    }

    fn sent(host: &Host, url: &str) -> Value {
        let call = host.calls().remove(0);
        assert_eq!(call.url, url);
        call.body.unwrap().json().unwrap()
    }

    #[test]
    fn resend_takes_lists() {
        let host = host("resend").answer("https://api.resend.com/", 200, "{\"id\": \"m1\"}");
        email(event()).unwrap();
        let expected = json!({ "from": "Shop <shop@example.com>", "to": ["a@example.com", "b@example.com"],
            "cc": ["c@example.com"], "reply_to": "r@example.com", "subject": "Order <A&B>",
            "text": "Hi <A&B>", "html": "<p>&lt;A&amp;B&gt;</p>" });
        assert_eq!(sent(&host, "https://api.resend.com/emails"), expected);
        assert_eq!(host.logs(), ["info: sent: m1"]);
    }

    #[test]
    fn postmark_takes_joined_lists() {
        let host = host("postmark").setting("stream", "orders").answer(
            "https://api.postmarkapp.com/",
            200,
            "{\"ErrorCode\": 0, \"MessageID\": \"m2\"}",
        );
        email(event()).unwrap();
        let expected = json!({ "From": "Shop <shop@example.com>", "To": "a@example.com, b@example.com",
            "Cc": "c@example.com", "ReplyTo": "r@example.com", "Subject": "Order <A&B>", "TextBody": "Hi <A&B>",
            "HtmlBody": "<p>&lt;A&amp;B&gt;</p>", "MessageStream": "orders", "Metadata": { "event": ID } });
        assert_eq!(sent(&host, "https://api.postmarkapp.com/email"), expected);
        assert_eq!(host.logs(), ["info: sent: m2"]);
    }

    #[test]
    fn sendgrid_takes_personalizations() {
        let host = host("sendgrid").answer("https://api.sendgrid.com/", 202, "");
        email(event()).unwrap();
        let expected = json!({
            "personalizations": [{ "to": [{ "email": "a@example.com" }, { "email": "b@example.com" }],
                "cc": [{ "email": "c@example.com" }] }],
            "from": { "email": "shop@example.com", "name": "Shop" },
            "reply_to": { "email": "r@example.com" }, "subject": "Order <A&B>",
            "content": [{ "type": "text/plain", "value": "Hi <A&B>" },
                { "type": "text/html", "value": "<p>&lt;A&amp;B&gt;</p>" }],
            "custom_args": { "event": ID } });
        assert_eq!(
            sent(&host, "https://api.sendgrid.com/v3/mail/send"),
            expected
        );
    }

    #[test]
    fn mailgun_takes_a_form() {
        let host = host("mailgun")
            .setting("domain", "mg.example.com")
            .setting("endpoint", "https://api.eu.mailgun.net/")
            .answer("https://api.eu.mailgun.net/", 200, "{\"id\": \"<m3>\"}");
        email(event()).unwrap();
        let call = host.calls().remove(0);
        assert_eq!(
            call.url,
            "https://api.eu.mailgun.net/v3/mg.example.com/messages"
        );
        let body = "from=Shop+%3Cshop%40example.com%3E&to=a%40example.com&to=b%40example.com\
             &cc=c%40example.com&subject=Order+%3CA%26B%3E&text=Hi+%3CA%26B%3E\
             &html=%3Cp%3E%26lt%3BA%26amp%3BB%26gt%3B%3C%2Fp%3E&h%3AReply-To=r%40example.com";
        assert_eq!(call.body, Some(format!("{body}&v%3Aevent={ID}").into()));
        let host = self::host("mailgun");
        assert!(matches!(email(event()), Err(Failure::Retry { .. })));
        assert!(host.calls().is_empty());
    }

    #[test]
    fn senders_cannot_add_recipients() {
        let host = host("resend");
        let event =
            testing::event(json!({ "name": "x", "email": "a@example.com, evil@example.com" }));
        assert!(matches!(email(event), Err(Failure::Reject { .. })));
        assert!(host.calls().is_empty());
    }

    #[test]
    fn messages_need_a_text() {
        let host = testing::host()
            .setting("service", "resend")
            .setting("from", "a@example.com")
            .setting("to", "b@example.com")
            .setting("subject", "x");
        assert!(matches!(email(event()), Err(Failure::Retry { .. })));
        assert!(host.calls().is_empty());
    }

    #[test]
    fn answers_decide_about_retries() {
        let outcome = |service: &str, status, body: &str| {
            let _host = host(service)
                .setting("domain", "d")
                .answer("https://", status, body);
            email(event()).unwrap_err()
        };
        for (service, status, body, reason) in [
            (
                "resend",
                422,
                "{\"name\": \"validation_error\", \"message\": \"m\"}",
                "answered 422 validation_error: m",
            ),
            (
                "postmark",
                422,
                "{\"ErrorCode\": 406, \"Message\": \"m\"}",
                "answered 422 406: m",
            ),
            (
                "sendgrid",
                400,
                "{\"errors\": [{\"message\": \"m\"}]}",
                "answered 400: m",
            ),
            ("mailgun", 400, "{\"message\": \"m\"}", "answered 400: m"),
        ] {
            assert_eq!(outcome(service, status, body), Failure::reject(reason));
            for status in [401, 403, 429, 500] {
                let failure = outcome(service, status, "");
                assert!(
                    matches!(failure, Failure::Retry { .. }),
                    "{service} {status}"
                );
            }
        }
        for (service, status, body) in [
            (
                "resend",
                409,
                "{\"name\": \"concurrent_idempotent_requests\"}",
            ),
            (
                "postmark",
                422,
                "{\"ErrorCode\": 400, \"Message\": \"no such sender\"}",
            ),
        ] {
            assert!(
                matches!(outcome(service, status, body), Failure::Retry { .. }),
                "{service}"
            );
        }
    }
}
