//! The events of a Stripe account, newest first, with their contents. Stripe keeps them for 30
//! days.
//!
//! Source: docs.stripe.com/api/events/list. `delivery_success=false` means: pending, or failed at
//! some endpoint of the account; which of the endpoints is not in the API, so that the ledger says
//! what this hook has received.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::listing::{
    Answer, Content, Found, Get, Page, Unreadable, Window, checked_id, few, with_query,
};
use landfall_model::FindMissed;

/// Events of a page. Their contents come with it.
const LIMIT: &str = "50";
const PATH: &str = "/v1/events";

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    /// Seconds since 1970.
    created: i64,
    r#type: String,
}

/// The call for a page. The cursor is the id of the last event of the page before.
pub(crate) fn list(
    account: Option<&str>,
    types: &[String],
    find: FindMissed,
    window: Window,
    cursor: Option<&str>,
) -> Get {
    let since = (window.since_ms / 1000).to_string();
    let until = (window.until_ms / 1000).to_string();
    let mut pairs = vec![
        ("limit", LIMIT),
        ("created[gte]", since.as_str()),
        ("created[lte]", until.as_str()),
    ];
    if find == FindMissed::Failed {
        pairs.push(("delivery_success", "false"));
    }
    pairs.extend(types.iter().map(|name| ("types[]", name.as_str())));
    pairs.extend(cursor.map(|cursor| ("starting_after", cursor)));

    let account = account.map(|account| ("stripe-account".to_owned(), account.to_owned()));
    Get {
        path: with_query(PATH, &pairs),
        headers: account.into_iter().collect(),
    }
}

/// Reads a page.
pub(crate) fn page(window: Window, answer: &Answer) -> Result<Page, Unreadable> {
    let list: List<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| Unreadable("list of events"))?;
    let events = few(list.data)?;

    let listed = events.len();
    let (mut found, mut last) = (Vec::with_capacity(listed), None);
    for raw in events {
        let item: Item = serde_json::from_str(raw.get()).map_err(|_| Unreadable("event"))?;
        let id = checked_id(item.id)?;
        last = Some(id.clone());
        let at_ms = item.created.saturating_mul(1000);
        if !(window.since_ms - 1000..=window.until_ms).contains(&at_ms) {
            continue;
        }

        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
        found.push(Found {
            id,
            at_ms,
            kind: item.r#type,
            headers,
            content: Content::Here(answer.body.slice_ref(raw.get().as_bytes())),
        });
    }

    found.reverse();
    Ok(Page {
        found,
        listed,
        next: last.filter(|_| list.has_more),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        since_ms: 1_686_000_000_000,
        until_ms: 1_686_100_000_000,
    };

    #[test]
    fn lists_ask_for_undelivered_events() {
        let types = ["charge.succeeded".to_owned(), "invoice.*".to_owned()];
        let get = list(
            Some("acct_1"),
            &types,
            FindMissed::Failed,
            WINDOW,
            Some("evt_9"),
        );
        assert_eq!(
            get.path,
            "/v1/events?limit=50&created%5Bgte%5D=1686000000&created%5Blte%5D=1686100000&delivery_success=false\
             &types%5B%5D=charge.succeeded&types%5B%5D=invoice.*&starting_after=evt_9"
        );
        assert_eq!(
            get.headers,
            [("stripe-account".to_owned(), "acct_1".to_owned())]
        );
        let all = list(None, &[], FindMissed::Missing, WINDOW, None);
        assert!(!all.path.contains("delivery_success"), "{}", all.path);
    }

    #[test]
    fn garbage_is_no_list() {
        for text in [
            "",
            "[]",
            "<html>Sign in</html>",
            r#"{"data": []}"#,
            r#"{"data": null, "has_more": false}"#,
            r#"{"data": [{"id": "evt_1"}], "has_more": false}"#,
            r#"{"data": [{"id": "evt 1", "created": 1, "type": "a"}], "has_more": false}"#,
        ] {
            let answer = Answer {
                headers: HeaderMap::new(),
                body: text.into(),
            };
            assert!(page(WINDOW, &answer).is_err(), "{text}");
        }

        let empty = Answer {
            headers: HeaderMap::new(),
            body: r#"{"data": [], "has_more": true}"#.into(),
        };
        assert_eq!(page(WINDOW, &empty).unwrap().next, None, "it ends");
    }

    /// The shape of "List all events" in the documentation.
    #[test]
    fn events_keep_their_bytes() {
        let event = r#"{"id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "object": "event", "api_version": "2019-02-19",
            "created": 1686089970, "data": {"object": {"id": "seti_1", "object": "setup_intent"}}, "livemode": false,
            "pending_webhooks": 0, "request": {"id": null, "idempotency_key": null}, "type": "setup_intent.created"}"#;
        let old = event
            .replace("1686089970", "1600000000")
            .replace("NG8", "OLD");
        let body = format!(
            r#"{{"object": "list", "url": "/v1/events", "has_more": true, "data": [{event}, {old}]}}"#
        );
        let answer = Answer {
            headers: HeaderMap::new(),
            body: body.into(),
        };

        let read = page(WINDOW, &answer).unwrap();
        assert_eq!((read.listed, read.found.len()), (2, 1));
        assert_eq!(
            read.next.as_deref(),
            Some("evt_1OLDDu2eZvKYlo2CUI79vXWy"),
            "the cursor is the last event"
        );
        let Content::Here(body) = &read.found[0].content else {
            panic!("the list has the content");
        };
        assert_eq!(body, event);
        assert_eq!(read.found[0].kind, "setup_intent.created");
    }
}
