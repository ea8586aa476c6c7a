//! The deliveries of a webhook of GitHub: a list without contents, newest first, then a call for
//! the content of each missed delivery. GitHub keeps deliveries for three days, and never retries.
//!
//! Source: docs.github.com/en/rest/repos/webhooks, /rest/orgs/webhooks and /rest/apps/webhooks
//! ("List deliveries", "Get a delivery").

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use super::link::next_parameter;
use super::listing::{
    Answer, Content, Delivery, Found, Get, Page, Unreadable, Window, checked_id, few, time_ms,
    with_query,
};
use landfall_model::{FindMissed, GitHubWebhook};

/// The most that GitHub returns.
const PER_PAGE: &str = "100";
/// Signatures of the bytes that were sent. The API returns the same document in other bytes.
const SIGNATURES: [&str; 2] = ["x-hub-signature", "x-hub-signature-256"];

/// An entry of the list.
#[derive(Deserialize)]
struct Item {
    id: u64,
    guid: String,
    delivered_at: String,
    /// 0 or nothing if there was no answer.
    status_code: Option<i64>,
    event: String,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    request: Option<Sent<'a>>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    headers: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The call for a page.
pub(crate) fn list(webhook: &GitHubWebhook, cursor: Option<&str>) -> Get {
    let path = deliveries(webhook);
    let path = match cursor {
        Some(cursor) => with_query(&path, &[("per_page", PER_PAGE), ("cursor", cursor)]),
        None => with_query(&path, &[("per_page", PER_PAGE)]),
    };
    get(path)
}

fn deliveries(webhook: &GitHubWebhook) -> String {
    match webhook {
        GitHubWebhook::Repository { owner, repo, hook } => {
            format!("/repos/{owner}/{repo}/hooks/{hook}/deliveries")
        }
        GitHubWebhook::Organization { org, hook } => format!("/orgs/{org}/hooks/{hook}/deliveries"),
        GitHubWebhook::App { .. } => "/app/hook/deliveries".to_owned(),
    }
}

fn get(path: String) -> Get {
    Get {
        path,
        headers: vec![
            ("accept".into(), "application/vnd.github+json".into()),
            ("x-github-api-version".into(), "2022-11-28".into()),
        ],
    }
}

/// Reads a page. A redelivery has the GUID of the delivery that it repeats, and counts once.
pub(crate) fn page(
    webhook: &GitHubWebhook,
    find: FindMissed,
    window: Window,
    answer: &Answer,
) -> Result<Page, Unreadable> {
    let items: Vec<Item> =
        serde_json::from_slice(&answer.body).map_err(|_| Unreadable("list of deliveries"))?;
    let items = few(items)?;

    let listed = items.len();
    let (mut found, mut guids, mut is_over) = (Vec::new(), BTreeSet::new(), false);
    for item in items {
        let at_ms = time_ms(&item.delivered_at)?;
        if at_ms < window.since_ms {
            is_over = true;
            break;
        }

        let is_delivered = item
            .status_code
            .is_some_and(|status| (200..=299).contains(&status));
        let is_missed = find == FindMissed::Missing || !is_delivered;
        let guid = checked_id(item.guid)?;
        if at_ms <= window.until_ms && is_missed && guids.insert(guid.clone()) {
            let path = format!("{}/{}", deliveries(webhook), item.id);
            found.push(Found {
                headers: known_headers(webhook, &guid, &item.event)?,
                id: guid,
                at_ms,
                kind: item.event,
                content: Content::At(get(path)),
            });
        }
    }

    found.reverse();
    let next = if is_over || listed == 0 {
        None
    } else {
        next_parameter(&answer.headers, "cursor")
    };
    Ok(Page {
        found,
        listed,
        next,
    })
}

/// The headers that identify a delivery.
fn known_headers(
    webhook: &GitHubWebhook,
    guid: &str,
    event: &str,
) -> Result<HeaderMap, Unreadable> {
    let unusable = |_| Unreadable("usable name of an event");
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("x-github-delivery"),
        HeaderValue::from_str(guid).map_err(unusable)?,
    );
    headers.insert(
        HeaderName::from_static("x-github-event"),
        HeaderValue::from_str(event).map_err(unusable)?,
    );
    match webhook {
        GitHubWebhook::Repository { hook, .. } | GitHubWebhook::Organization { hook, .. } => {
            headers.insert(
                HeaderName::from_static("x-github-hook-id"),
                HeaderValue::from(*hook),
            );
        }
        // The id of an app's webhook is in the content only.
        GitHubWebhook::App { .. } => {}
    }
    Ok(headers)
}

/// Reads the content of a delivery. `None`: GitHub has it no more.
pub(crate) fn delivery(answer: &Answer) -> Result<Option<Delivery>, Unreadable> {
    let detail: Detail<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| Unreadable("delivery"))?;
    let sent = detail.request.ok_or(Unreadable("request"))?;
    let Some(payload) = sent.payload else {
        return Ok(None);
    };
    let headers = sent_headers(sent.headers.ok_or(Unreadable("headers"))?);

    let body = document(payload, &answer.body)?;
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
    let body = if is_form { form(&body)? } else { body };
    Ok(Some(Delivery { headers, body }))
}

fn sent_headers(typed: BTreeMap<String, serde_json::Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in typed {
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&text)) {
            headers.append(name, value);
        }
    }

    for name in [HOST, CONTENT_LENGTH, CONTENT_ENCODING] {
        headers.remove(name);
    }
    for name in SIGNATURES {
        headers.remove(name);
    }
    headers
}

/// The document as the API wrote it, so that numbers stay as they are.
fn document(payload: &RawValue, whole: &Bytes) -> Result<Bytes, Unreadable> {
    let text = payload.get();
    if text.starts_with('"') {
        let text: String = serde_json::from_str(text).map_err(|_| Unreadable("payload"))?;
        return Ok(text.into());
    }
    Ok(whole.slice_ref(text.as_bytes()))
}

/// The body of a webhook whose content type is a form.
fn form(document: &Bytes) -> Result<Bytes, Unreadable> {
    let text = std::str::from_utf8(document).map_err(|_| Unreadable("payload"))?;
    let body = Serializer::new(String::new())
        .append_pair("payload", text)
        .finish();
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Window = Window {
        since_ms: 0,
        until_ms: i64::MAX,
    };

    fn webhook() -> GitHubWebhook {
        GitHubWebhook::Repository {
            owner: "octo".into(),
            repo: "site".into(),
            hook: 42,
        }
    }

    /// The shape of "List deliveries for a repository webhook" in the documentation.
    fn items(codes: &[i64]) -> String {
        let items: Vec<String> = codes
            .iter()
            .enumerate()
            .map(|(index, code)| {
                let minute = 59 - index;
                format!(
                    r#"{{"id":{id},"guid":"0b989ba4-242f-11e5-81e1-00000000000{index}",
                    "delivered_at":"2026-11-29T11:{minute:02}:44Z","redelivery":false,"duration":0.27,
                    "status":"x","status_code":{code},"event":"issues","action":"opened","installation_id":null,
                    "repository_id":123,"throttled_at":null}}"#,
                    id = 12_345_678 + index
                )
            })
            .collect();
        format!("[{}]", items.join(","))
    }

    fn answer(body: String, next: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(cursor) = next {
            let link = format!(
                "<https://api.github.com/repositories/1/hooks/42/deliveries?cursor={cursor}>; rel=\"next\""
            );
            headers.insert(http::header::LINK, link.parse().unwrap());
        }
        Answer {
            headers,
            body: body.into(),
        }
    }

    #[test]
    fn failed_deliveries_are_found() {
        let answer = answer(items(&[200, 502, 0, 204]), Some("v1_7"));
        let read = page(&webhook(), FindMissed::Failed, ALL, &answer).unwrap();
        let ids: Vec<&str> = read.found.iter().map(|found| &found.id[35..]).collect();
        assert_eq!(ids, ["2", "1"], "oldest first");
        assert_eq!((read.listed, read.next.as_deref()), (4, Some("v1_7")));
        assert_eq!(read.found[0].headers["x-github-hook-id"], "42");
        let Content::At(get) = &read.found[0].content else {
            panic!("the list has no content");
        };
        assert_eq!(get.path, "/repos/octo/site/hooks/42/deliveries/12345680");

        let all = page(&webhook(), FindMissed::Missing, ALL, &answer).unwrap();
        assert_eq!(all.found.len(), 4);
    }

    #[test]
    fn pages_end_with_the_window() {
        let since = time_ms("2026-11-29T11:58:30Z").unwrap();
        let window = Window {
            since_ms: since,
            ..ALL
        };
        let answer = answer(items(&[500, 500, 500]), Some("v1_7"));
        let read = page(&webhook(), FindMissed::Failed, window, &answer).unwrap();
        assert_eq!((read.found.len(), read.next), (2, None));
    }

    #[test]
    fn redeliveries_count_once() {
        let twice = items(&[500, 500]).replace("00000000001", "00000000000");
        let read = page(&webhook(), FindMissed::Failed, ALL, &answer(twice, None)).unwrap();
        assert_eq!(read.found.len(), 1);
    }

    /// The shape of "Get a delivery for a repository webhook" in the documentation.
    fn detail(content_type: &str, payload: &str) -> Answer {
        let body = format!(
            r#"{{"id":12345678,"guid":"0b989ba4-242f-11e5-81e1-c7b6966d2516","delivered_at":"2019-06-03T00:57:16Z",
            "redelivery":false,"duration":0.27,"status":"OK","status_code":500,"event":"issues","action":"opened",
            "installation_id":123,"repository_id":456,"url":"https://www.example.com","request":{{"headers":{{
            "X-GitHub-Delivery":"0b989ba4-242f-11e5-81e1-c7b6966d2516","X-Hub-Signature-256":"sha256=6dcb","Accept":"*/*",
            "X-GitHub-Hook-ID":"42","User-Agent":"GitHub-Hookshot/b8c71d8","X-GitHub-Event":"issues",
            "content-type":"{content_type}"}},"payload":{payload}}},"response":{{"headers":{{}},"payload":"ok"}}}}"#
        );
        answer(body, None)
    }

    #[test]
    fn contents_keep_their_numbers() {
        let payload = r#"{"id": 123456789012345678901, "a": 1.10}"#;
        let read = delivery(&detail("application/json", payload)).unwrap();
        let read = read.expect("it has a content");
        assert_eq!(read.body, payload);
        assert_eq!(read.headers["x-github-hook-id"], "42");
        assert!(!read.headers.contains_key("x-hub-signature-256"));
    }

    #[test]
    fn forms_become_forms_again() {
        let read = delivery(&detail(
            "application/x-www-form-urlencoded",
            r#"{"a":"b c"}"#,
        ));
        assert_eq!(
            read.unwrap().unwrap().body,
            "payload=%7B%22a%22%3A%22b+c%22%7D".as_bytes()
        );
    }

    #[test]
    fn contents_that_are_gone_are_named() {
        let gone = answer(
            r#"{"id":1,"request":{"headers":null,"payload":null}}"#.into(),
            None,
        );
        assert!(delivery(&gone).unwrap().is_none());
    }

    #[test]
    fn garbage_is_no_content() {
        for (text, missing) in [
            ("<html>Bad gateway</html>", "delivery"),
            ("[]", "delivery"),
            ("{\"message\":\"Moved\"}", "request"),
            ("{\"request\":{\"payload\":{}}}", "headers"),
        ] {
            let read = delivery(&answer(text.into(), None));
            assert_eq!(read.unwrap_err(), Unreadable(missing), "{text}");
        }
    }

    #[test]
    fn garbage_is_no_list() {
        for text in [
            "",
            "{}",
            "<html>Sign in</html>",
            "[{}]",
            "[null]",
            &items(&[500]).replace("12345678", "-1"),
            &items(&[500]).replace("2026-11-29T", "yesterday"),
            &items(&[500]).replace("issues", "is\\nsues"),
            &items(&[500]).replace("0b989ba4", &"x".repeat(300)),
        ] {
            let read = page(
                &webhook(),
                FindMissed::Failed,
                ALL,
                &answer(text.into(), None),
            );
            assert!(read.is_err(), "{text}");
        }
    }

    #[test]
    fn huge_pages_are_refused() {
        let one = items(&[200]);
        let one = one.trim_matches(['[', ']']);
        let many = |count: usize| answer(format!("[{}]", vec![one; count].join(",")), None);
        let read = |count: usize| page(&webhook(), FindMissed::Failed, ALL, &many(count));
        assert!(read(1000).is_ok());
        assert!(read(1001).is_err());
    }
}
