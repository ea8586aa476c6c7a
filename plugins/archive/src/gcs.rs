//! `objects.insert` of the JSON API, with metadata and content in one call. The host adds the
//! token.
//!
//! Sources: <https://docs.cloud.google.com/storage/docs/json_api/v1/objects/insert>,
//! <https://docs.cloud.google.com/storage/docs/uploading-objects#uploading-an-object> (multipart),
//! <https://docs.cloud.google.com/storage/docs/request-preconditions>.

use crate::{Object, Stored};
use landfall_calls::{google, percent_encoded, send};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Failure, json};

const ENDPOINT: &str = "https://storage.googleapis.com";

pub fn insert(
    endpoint: Option<&str>,
    bucket: &str,
    object: &Object<'_>,
    event: &str,
) -> Result<Stored, Failure> {
    let endpoint = endpoint.unwrap_or(ENDPOINT).trim_end_matches('/');
    let bucket = percent_encoded(bucket, "");
    let mut url = format!("{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=multipart");
    if !object.overwrite {
        // 0: there is no object of this name.
        url.push_str("&ifGenerationMatch=0");
    }
    let boundary = boundary(event, object.content.as_bytes());
    let request = Request::post(url)
        .header(
            "content-type",
            format!("multipart/related; boundary={boundary}"),
        )
        .body(multipart(&boundary, object));

    let response = send(request)?;
    if response.status == 412 && !object.overwrite {
        return Ok(Stored::Existing);
    }
    google::checked(response, &[])?;
    Ok(Stored::New)
}

/// The description of the object, then its content.
fn multipart(boundary: &str, object: &Object<'_>) -> Vec<u8> {
    let metadata: Map<String, Value> = object
        .metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    let description = json!({ "name": object.key, "metadata": metadata });
    let mut body = format!(
        "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{description}\r\n\
         --{boundary}\r\ncontent-type: {}\r\n\r\n",
        object.content_type
    )
    .into_bytes();
    body.extend_from_slice(object.content.as_bytes());
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// A text that is not in the content.
fn boundary(event: &str, content: &[u8]) -> String {
    let mut boundary = format!("landfall-{event}");
    while content
        .windows(boundary.len())
        .any(|part| part == boundary.as_bytes())
    {
        boundary.push('-');
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive;
    use crate::tests::ID;
    use landfall_sdk::testing::{self, Host};

    fn host(status: u16, body: &str) -> Host {
        testing::host()
            .setting("gcs_bucket", "b")
            .answer(ENDPOINT, status, body)
    }

    #[test]
    fn objects_are_inserted_with_metadata() {
        let host = host(200, "{}").setting("metadata", json!({ "kind": "{{ event.json.k }}" }));
        archive(testing::event(json!({ "k": "é\n" }))).unwrap();
        let call = host.calls().remove(0);
        assert_eq!(
            call.url,
            format!("{ENDPOINT}/upload/storage/v1/b/b/o?uploadType=multipart&ifGenerationMatch=0")
        );
        let description =
            json!({ "name": format!("test/2026/01/31/{ID}"), "metadata": { "kind": "é\n" } });
        let expected = format!(
            "--landfall-{ID}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{description}\r\n\
             --landfall-{ID}\r\ncontent-type: application/json\r\n\r\n{{\"k\":\"é\\n\"}}\r\n--landfall-{ID}--\r\n"
        );
        assert_eq!(call.body, Some(expected.into()));
    }

    #[test]
    fn objects_that_exist_are_kept() {
        let host = host(412, "{}");
        archive(testing::event(json!({}))).unwrap();
        assert_eq!(host.logs(), [format!("info: test/2026/01/31/{ID} exists")]);
    }

    #[test]
    fn refusals_name_the_reason() {
        let forbidden =
            json!({ "error": { "message": "no right", "errors": [{ "reason": "forbidden" }] } });
        let _host = host(403, &forbidden.to_string());
        assert_eq!(
            archive(testing::event(json!({}))),
            Err(Failure::retry("answered 403 forbidden: no right"))
        );
        let _host = host(400, "{}");
        let outcome = archive(testing::event(json!({})));
        assert!(matches!(outcome, Err(Failure::Reject { .. })));
    }

    #[test]
    fn boundaries_are_not_in_the_content() {
        assert_eq!(boundary("1", b"x landfall-1 y"), "landfall-1-");
    }
}
