//! What a service answers when it refuses a call, sorted by whether the same event may succeed
//! later.

use landfall_sdk::Failure;
use landfall_sdk::http::Response;
use landfall_sdk::serde_json::Value;
use std::time::Duration;

/// The longest message of a service that a reason repeats.
const MESSAGE_CHARACTERS_MAX: usize = 300;

/// How a service describes its errors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Errors {
    /// JSON pointers to the code. The first one that is found counts.
    pub codes: &'static [&'static str],
    /// JSON pointers to the message. The first one that is found counts.
    pub messages: &'static [&'static str],
    /// Codes after which the same event may succeed later, with any status.
    pub retries: &'static [&'static str],
    /// Codes after which it never can, with any status.
    pub rejects: &'static [&'static str],
}

impl Errors {
    /// The response if its status is 2xx, otherwise the failure that follows from its code and its
    /// status.
    ///
    /// 401 to 404 are a retry, because the operator can correct a credential, a right or an address
    /// while the event waits. 408, 425, 429 and 5xx are a retry, after `Retry-After` seconds if the
    /// header is there. Any other status is a reject.
    pub fn checked(&self, response: Response) -> Result<Response, Failure> {
        if response.is_success() {
            return Ok(response);
        }
        Err(self.failure(&response))
    }

    fn failure(&self, response: &Response) -> Failure {
        let body: Value = response.json().unwrap_or_default();
        let code = found(&body, self.codes).unwrap_or_default();
        let message = found(&body, self.messages).unwrap_or_default();
        failure(response, &code, &message, self.retries, self.rejects)
    }
}

/// The failure of a response whose code and message are known. [`Errors::checked`] says what
/// follows from the status.
pub fn failure(
    response: &Response,
    code: &str,
    message: &str,
    retries: &[&str],
    rejects: &[&str],
) -> Failure {
    let mut reason = format!("answered {}", response.status);
    if !code.is_empty() {
        reason.push_str(&format!(" {code}"));
    }
    if !message.is_empty() {
        let message: String = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        reason.push_str(&format!(": {message}"));
    }
    let may_pass = match response.status {
        _ if rejects.contains(&code) => false,
        _ if retries.contains(&code) => true,
        status => matches!(status, 401..=404 | 408 | 425 | 429 | 500..),
    };
    if !may_pass {
        return Failure::reject(reason);
    }
    Failure::Retry {
        reason,
        after: retry_after(response),
    }
}

/// The seconds of `Retry-After`, which some services send with a fraction. A date is ignored.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: f64 = response.header("retry-after")?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

/// A text or a number.
fn found(body: &Value, pointers: &[&str]) -> Option<String> {
    let mut values = pointers.iter().filter_map(|pointer| body.pointer(pointer));
    values.find_map(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::json;

    const ERRORS: Errors = Errors {
        codes: &["/code", "/error/code"],
        messages: &["/message", "/error/message"],
        retries: &["busy"],
        rejects: &["gone", "7"],
    };

    fn answer(status: u16, after: &str, body: Value) -> Result<u16, Failure> {
        let response = Response {
            status,
            headers: vec![("retry-after".into(), after.into())],
            body: body.to_string().into(),
        };
        ERRORS.checked(response).map(|response| response.status)
    }

    #[test]
    fn codes_count_before_the_status() {
        assert_eq!(answer(202, "", json!({ "code": "gone" })), Ok(202));
        let busy = json!({ "error": { "code": "busy", "message": "later" } });
        assert_eq!(
            answer(400, "", busy),
            Err(Failure::retry("answered 400 busy: later"))
        );
        let gone = json!({ "code": 7, "message": "never" });
        assert_eq!(
            answer(503, "", gone),
            Err(Failure::reject("answered 503 7: never"))
        );
    }

    #[test]
    fn statuses_decide_without_a_code() {
        for status in [401, 402, 403, 404, 408, 425, 429, 500, 529] {
            let failure = answer(status, "", json!(null)).unwrap_err();
            assert!(matches!(failure, Failure::Retry { .. }), "{status}");
        }
        for status in [301, 400, 405, 409, 413, 422] {
            let failure = answer(status, "", json!(null)).unwrap_err();
            assert_eq!(failure, Failure::reject(format!("answered {status}")));
        }
    }

    #[test]
    fn fractions_of_seconds_are_rounded_up() {
        let after = |text| match answer(429, text, json!(null)) {
            Err(Failure::Retry { after, .. }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("65"), Some(Duration::from_secs(65)));
        assert_eq!(after("0.25"), Some(Duration::from_secs(1)));
        for text in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e40", "NaN"] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    #[test]
    fn long_messages_are_cut() {
        let long = json!({ "message": "ä".repeat(1000) });
        let failure = answer(400, "", long).unwrap_err();
        assert_eq!(
            failure.reason().chars().count(),
            "answered 400: ".len() + 300
        );
    }
}
