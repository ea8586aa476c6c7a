//! What Google's APIs answer when they refuse, sorted by whether the same event may succeed later.
//! Source: cloud.google.com/apis/design/errors, and the older form with `errors[].reason`.

use landfall_sdk::Failure;
use landfall_sdk::http::Response;
use landfall_sdk::serde_json::Value;
use std::time::Duration;

/// Old reasons under which a 403 passes by itself.
const PASSING: [&str; 4] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "backendError",
];

/// The answer, or the failure that it amounts to. `rejects` are error codes of this API that no
/// later try mends.
pub fn checked(response: Response, rejects: &[&str]) -> Result<Response, Failure> {
    if response.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().unwrap_or_default();
    let error = &body["error"];
    let code = code(error).unwrap_or_default();
    let message = error["message"].as_str().unwrap_or_default();
    let reason = format!("answered {} {code}: {message}", response.status);
    if rejects.contains(&code) {
        return Err(Failure::reject(reason));
    }
    let after = response
        .header("retry-after")
        .and_then(|value| value.trim().parse().ok())
        .map(Duration::from_secs);
    match response.status {
        // Who we are and what we may do is the operator's to mend.
        401 | 403 | 404 | 408 | 429 | 500.. => Err(Failure::Retry { reason, after }),
        _ if PASSING.contains(&code) => Err(Failure::Retry { reason, after }),
        _ => Err(Failure::reject(reason)),
    }
}

/// The most telling of the codes that an error has.
fn code(error: &Value) -> Option<&str> {
    let details = error["details"].as_array().into_iter().flatten();
    let of_details = details
        .filter_map(|detail| detail["errorCode"].as_str())
        .next();
    of_details
        .or_else(|| error["errors"][0]["reason"].as_str())
        .or_else(|| error["status"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::json;

    fn answer(status: u16, error: Value) -> Result<Response, Failure> {
        let body = json!({ "error": error }).to_string();
        checked(
            Response {
                status,
                headers: vec![("retry-after".into(), "7".into())],
                body: body.into(),
            },
            &["UNREGISTERED"],
        )
    }

    #[test]
    fn google_statuses_decide_about_retries() {
        let gone = json!({ "message": "gone", "status": "NOT_FOUND", "details": [{ "errorCode": "UNREGISTERED" }] });
        assert_eq!(
            answer(404, gone),
            Err(Failure::reject("answered 404 UNREGISTERED: gone"))
        );
        let quota = json!({ "message": "slow", "errors": [{ "reason": "quotaExceeded" }] });
        let expected =
            Failure::retry_after("answered 403 quotaExceeded: slow", Duration::from_secs(7));
        assert_eq!(answer(403, quota), Err(expected));
        assert!(matches!(
            answer(400, json!({ "status": "INVALID_ARGUMENT" })),
            Err(Failure::Reject { .. })
        ));
        assert!(matches!(
            answer(503, json!(null)),
            Err(Failure::Retry { .. })
        ));
        assert!(matches!(
            answer(401, json!({ "status": "UNAUTHENTICATED" })),
            Err(Failure::Retry { .. })
        ));
    }
}
