//! The resources of a Shopify shop that have changed. Shopify has no list of webhooks, so a changed
//! resource stands for the webhook of its last change, whose body is the same document of the REST
//! Admin API. Earlier changes and deletions cannot be recovered.
//!
//! Sources: shopify.dev/docs/api/admin-rest/latest/resources/order (`updated_at_min`, `status`,
//! only the last 60 days by default), shopify.dev/docs/api/admin-rest/usage/pagination (`page_info`
//! in `Link`; no other filter beside it).

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::link::next_parameter;
use super::listing::{
    Answer, Content, Found, Get, Page, Unreadable, Window, checked_id, few, time_ms, with_query,
};
use landfall_model::ShopifyResource;
use landfall_model::clock::from_ms;

/// Resources of a page. Their contents come with it.
const LIMIT: &str = "50";

#[derive(Deserialize)]
struct Item {
    id: u64,
    updated_at: String,
}

/// The call for a page.
pub(crate) fn list(
    resource: ShopifyResource,
    version: &str,
    window: Window,
    cursor: Option<&str>,
) -> Get {
    let path = format!("/admin/api/{version}/{}.json", resource.word());
    let time = |ms: i64| humantime::format_rfc3339_seconds(from_ms(ms)).to_string();
    let (since, until) = (time(window.since_ms), time(window.until_ms));
    let path = match cursor {
        Some(cursor) => with_query(&path, &[("limit", LIMIT), ("page_info", cursor)]),
        None => {
            let mut pairs = vec![
                ("limit", LIMIT),
                ("updated_at_min", since.as_str()),
                ("updated_at_max", until.as_str()),
            ];
            if resource == ShopifyResource::Orders {
                pairs.push(("status", "any"));
            }
            with_query(&path, &pairs)
        }
    };
    Get {
        path,
        headers: vec![("accept".into(), "application/json".into())],
    }
}

/// Reads a page.
pub(crate) fn page(
    shop: &str,
    resource: ShopifyResource,
    version: &str,
    window: Window,
    answer: &Answer,
) -> Result<Page, Unreadable> {
    let mut lists: BTreeMap<String, Vec<&RawValue>> =
        serde_json::from_slice(&answer.body).map_err(|_| Unreadable("list of resources"))?;
    let items = lists
        .remove(resource.word())
        .ok_or(Unreadable("list of resources"))?;
    let items = few(items)?;

    let headers = headers(shop, resource, version)?;
    let listed = items.len();
    let mut found = Vec::with_capacity(listed);
    for raw in items {
        let item: Item = serde_json::from_str(raw.get()).map_err(|_| Unreadable("resource"))?;
        let at_ms = time_ms(&item.updated_at)?;
        if !(window.since_ms - 1000..=window.until_ms).contains(&at_ms) {
            continue;
        }

        found.push(Found {
            id: checked_id(format!(
                "{}/{}/{}",
                resource.word(),
                item.id,
                item.updated_at
            ))?,
            at_ms,
            kind: resource.topic().to_owned(),
            headers: headers.clone(),
            content: Content::Here(answer.body.slice_ref(raw.get().as_bytes())),
        });
    }

    found.sort_by_key(|one| one.at_ms);
    Ok(Page {
        found,
        listed,
        next: next_parameter(&answer.headers, "page_info"),
    })
}

/// The headers that the webhook would have had. It would also have had ids, which the API does not
/// know.
fn headers(shop: &str, resource: ShopifyResource, version: &str) -> Result<HeaderMap, Unreadable> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Unreadable("usable name"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, text) in [
        ("x-shopify-topic", resource.topic()),
        ("x-shopify-shop-domain", shop),
        ("x-shopify-api-version", version),
    ] {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window {
        since_ms: 1_764_000_000_000,
        until_ms: 1_765_000_000_000,
    };

    #[test]
    fn later_pages_have_no_filter() {
        let first = list(ShopifyResource::Orders, "2026-07", WINDOW, None).path;
        assert_eq!(
            first,
            "/admin/api/2026-07/orders.json?limit=50&updated_at_min=2025-11-24T16%3A00%3A00Z\
             &updated_at_max=2025-12-06T05%3A46%3A40Z&status=any"
        );
        let next = list(ShopifyResource::Orders, "2026-07", WINDOW, Some("eyJ0"));
        assert_eq!(
            next.path,
            "/admin/api/2026-07/orders.json?limit=50&page_info=eyJ0"
        );
    }

    #[test]
    fn garbage_is_no_list() {
        for text in [
            "",
            "[]",
            "<html>Sign in</html>",
            r#"{"errors": "Not Found"}"#,
            r#"{"products": []}"#,
            r#"{"orders": [{"id": 1}]}"#,
            r#"{"orders": [{"id": "1", "updated_at": "2025-11-30T19:10:29-05:00"}]}"#,
            r#"{"orders": [{"id": 1, "updated_at": "yesterday"}]}"#,
        ] {
            let answer = Answer {
                headers: HeaderMap::new(),
                body: text.into(),
            };
            let read = page("lamps", ShopifyResource::Orders, "2026-07", WINDOW, &answer);
            assert!(read.is_err(), "{text}");
        }
    }

    /// The shape of "Retrieve a list of orders" in the documentation.
    #[test]
    fn orders_become_their_webhooks() {
        let order = r#"{"id":450789469,"email":"bob.norman@mail.example.com","total_price":"598.94",
            "updated_at":"2025-11-30T19:10:29-05:00","line_items":[]}"#;
        let old = r#"{"id":1,"updated_at":"2008-01-10T11:00:00-05:00"}"#;
        let mut headers = HeaderMap::new();
        let link = "<https://lamps.myshopify.com/admin/api/2026-07/orders.json?limit=50&page_info=eyJ0>; rel=\"next\"";
        headers.insert(http::header::LINK, link.parse().unwrap());
        let answer = Answer {
            headers,
            body: format!(r#"{{"orders":[{order},{old}]}}"#).into(),
        };

        let read = page(
            "lamps.myshopify.com",
            ShopifyResource::Orders,
            "2026-07",
            WINDOW,
            &answer,
        )
        .unwrap();
        assert_eq!((read.listed, read.found.len()), (2, 1));
        assert_eq!(read.next.as_deref(), Some("eyJ0"));
        let one = &read.found[0];
        assert_eq!(one.id, "orders/450789469/2025-11-30T19:10:29-05:00");
        assert_eq!(one.headers["x-shopify-topic"], "orders/updated");
        assert!(matches!(&one.content, Content::Here(body) if body == order));
    }
}
