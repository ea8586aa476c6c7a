//! `PutObject`. The host signs the call.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.

use crate::{Object, Stored};
use landfall_calls::answer::failure;
use landfall_calls::{percent_encoded, send};
use landfall_sdk::Failure;
use landfall_sdk::http::{Request, Response};

/// Codes after which the same call may succeed, with a status that says otherwise.
/// `PermanentRedirect` is a bucket in another region, which the operator can correct.
const RETRIES: [&str; 6] = [
    "RequestTimeout",
    "ExpiredToken",
    "OperationAborted",
    "ConditionalRequestConflict",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
];

pub fn put(bucket: &str, object: &Object<'_>) -> Result<Stored, Failure> {
    let key = percent_encoded(&object.key, "/");
    let mut request = Request::put(format!("{}/{key}", bucket.trim_end_matches('/')))
        .header("content-type", object.content_type)
        .body(object.content.clone());
    for (name, value) in &object.metadata {
        request = request.header(format!("x-amz-meta-{name}"), header_value(value));
    }
    if !object.overwrite {
        request = request.header("if-none-match", "*");
    }

    let response = send(request)?;
    match response.status {
        200..300 => Ok(Stored::New),
        412 if !object.overwrite => Ok(Stored::Existing),
        _ => Err(refusal(&response)),
    }
}

fn refusal(response: &Response) -> Failure {
    let text = response.text().unwrap_or_default();
    let code = element(text, "Code").unwrap_or_default();
    let message = element(text, "Message").unwrap_or_default();
    failure(response, code, message, &RETRIES, &[])
}

/// The text of the first element of this name. S3 escapes no markup in its codes.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// Values of headers are visible ASCII; other characters are percent-encoded.
fn header_value(text: &str) -> String {
    percent_encoded(text.trim(), " !\"#$&'()*+,/:;<=>?@[\\]^`{|}")
}

#[cfg(test)]
mod tests {
    use crate::archive;
    use crate::tests::ID;
    use landfall_sdk::testing::{self, Host};
    use landfall_sdk::{Event, Failure, json};

    const BUCKET: &str = "https://b.s3.eu-west-1.amazonaws.com";

    fn host(status: u16, body: &str) -> Host {
        testing::host()
            .setting("url", BUCKET)
            .answer(BUCKET, status, body)
    }

    fn event() -> Event {
        testing::event(json!({ "who": "Zoë\r\n x" }))
    }

    #[test]
    fn objects_are_put_with_metadata() {
        let host = host(200, "")
            .setting("key", "a b/{{ event.id }}.json")
            .setting("metadata", json!({ "who": "{{ event.json.who }}" }));
        archive(event()).unwrap();
        let call = host.calls().remove(0);
        assert_eq!(call.method, "PUT");
        assert_eq!(call.url, format!("{BUCKET}/a%20b/{ID}.json"));
        assert_eq!(call.body, Some(event().body));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            call.headers,
            [
                pair("content-type", "application/json"),
                pair("x-amz-meta-who", "Zo%C3%AB%0D%0A x"),
                pair("if-none-match", "*"),
            ]
        );
        assert_eq!(host.logs(), [format!("info: archived as a b/{ID}.json")]);
    }

    #[test]
    fn objects_that_exist_are_kept() {
        let host = host(412, "<Error><Code>PreconditionFailed</Code></Error>");
        archive(event()).unwrap();
        assert_eq!(host.logs(), [format!("info: test/2026/01/31/{ID} exists")]);
        let host = self::host(200, "").setting("overwrite", true);
        archive(event()).unwrap();
        assert!(
            host.calls()[0]
                .headers
                .iter()
                .all(|(name, _)| name != "if-none-match")
        );
    }

    #[test]
    fn codes_decide_about_retries() {
        let outcome = |status, code: &str| {
            let _host = host(
                status,
                &format!("<?xml?><Error><Code>{code}</Code><Message>why</Message></Error>"),
            );
            archive(event()).unwrap_err()
        };
        assert_eq!(
            outcome(400, "MetadataTooLarge"),
            Failure::reject("answered 400 MetadataTooLarge: why")
        );
        for (status, code) in [
            (400, "RequestTimeout"),
            (301, "PermanentRedirect"),
            (403, "AccessDenied"),
            (404, "NoSuchBucket"),
            (409, "ConditionalRequestConflict"),
            (503, "SlowDown"),
        ] {
            assert!(
                matches!(outcome(status, code), Failure::Retry { .. }),
                "{code}"
            );
        }
    }
}
