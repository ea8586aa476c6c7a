//! A stand-in for the APIs of GitHub, Stripe and Shopify. Its pages are small, so that lists have
//! several.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use landfall_tests::eventually;
use landfall_tests::ports::listener;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Entries of a page.
const PAGE: usize = 4;
/// GitHub's lists of deliveries: of the hook of a repository, and of an app.
const DELIVERIES: [&str; 2] = [
    "/repos/octo/site/hooks/42/deliveries",
    "/app/hook/deliveries",
];

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// GitHub's list of deliveries.
    Deliveries,
    /// The content of one of GitHub's deliveries.
    Delivery(u64),
    /// Stripe's list of events.
    Events,
    /// Shopify's list of orders.
    Orders,
}

/// A list that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endless {
    /// The last page leads to the first one.
    Circle,
    /// Each page leads to a new one with the same entries.
    Fresh,
}

/// An answer that no API of a provider gives.
#[derive(Debug, Clone)]
pub(super) enum Odd {
    /// To this URL.
    Redirect(String),
    /// This text, with status 200.
    Text(String),
    /// So many bytes, with status 200.
    Huge(usize),
}

/// A delivery that GitHub lists.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: u64,
    pub(super) guid: String,
    pub(super) code: u16,
    pub(super) at: String,
    pub(super) body: String,
}

/// What is told to the stand-in, and what it has seen.
#[derive(Default)]
struct Told {
    /// Oldest first.
    deliveries: Vec<Delivery>,
    /// Oldest first.
    events: Vec<Value>,
    orders: Vec<Value>,
    /// Answers of 403 that are left, and their `Retry-After`.
    limits: (usize, Option<&'static str>),
    limited: usize,
    /// The answer to calls for a list, and to calls for a content.
    odd_list: Option<Odd>,
    odd_content: Option<Odd>,
    /// Of this delivery alone.
    odd_delivery: Option<u64>,
    /// Every page of GitHub names a next one: the page after it, and after the last one the first;
    /// or a page of its own.
    endless: Option<Endless>,
    /// Pages of GitHub from this one on are held; from 1.
    held_from: Option<usize>,
    held: usize,
    /// Paths of the calls for lists.
    lists: Vec<String>,
    contents: usize,
    credentials: Vec<String>,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Provider {
    told: Arc<Mutex<Told>>,
    is_held: watch::Sender<bool>,
    address: SocketAddr,
}

// === impl Asked ===

impl Asked {
    /// None: the APIs have no such path.
    fn at(path: &str) -> Option<Asked> {
        if path == "/v1/events" {
            return Some(Asked::Events);
        }
        if path.ends_with("/orders.json") {
            return Some(Asked::Orders);
        }

        let rest = DELIVERIES.iter().find_map(|list| path.strip_prefix(list))?;
        if rest.is_empty() {
            return Some(Asked::Deliveries);
        }
        rest.strip_prefix('/')?.parse().ok().map(Asked::Delivery)
    }
}

// === impl Provider ===

impl Provider {
    /// Listens on a free loopback port. Its lists are empty.
    pub(crate) async fn start() -> Provider {
        let listener = listener();
        let provider = Provider {
            told: Arc::default(),
            is_held: watch::Sender::new(true),
            address: listener.local_addr().unwrap(),
        };
        let router = Router::new().fallback(answer).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn list(&self, deliveries: Vec<Delivery>) {
        self.told.lock().unwrap().deliveries = deliveries;
    }

    pub(super) fn list_events(&self, events: Vec<Value>) {
        self.told.lock().unwrap().events = events;
    }

    pub(super) fn list_orders(&self, orders: Vec<Value>) {
        self.told.lock().unwrap().orders = orders;
    }

    /// So many of the next answers are 403.
    pub(crate) fn limit(&self, times: usize, retry_after: Option<&'static str>) {
        self.told.lock().unwrap().limits = (times, retry_after);
    }

    /// Every call for a list is answered so from now on.
    pub(super) fn answer_lists(&self, odd: Option<Odd>) {
        self.told.lock().unwrap().odd_list = odd;
    }

    /// Every call for a content is answered so from now on.
    pub(super) fn answer_contents(&self, odd: Option<Odd>) {
        let mut told = self.told.lock().unwrap();
        told.odd_content = odd;
        told.odd_delivery = None;
    }

    /// Every call for this content is answered so from now on.
    pub(super) fn answer_content(&self, delivery: u64, odd: Odd) {
        let mut told = self.told.lock().unwrap();
        told.odd_content = Some(odd);
        told.odd_delivery = Some(delivery);
    }

    /// The lists of GitHub do not end from now on.
    pub(super) fn go_on_for_ever(&self, endless: Option<Endless>) {
        self.told.lock().unwrap().endless = endless;
    }

    pub(super) fn credentials(&self) -> Vec<String> {
        self.told.lock().unwrap().credentials.clone()
    }

    pub(super) fn limited(&self) -> usize {
        self.told.lock().unwrap().limited
    }

    /// Holds pages of GitHub's list from this one on until `release`.
    pub(super) fn hold_from_page(&self, number: usize) {
        self.told.lock().unwrap().held_from = Some(number);
    }

    pub(super) fn release(&self) {
        self.told.lock().unwrap().held_from = None;
        self.is_held.send_replace(false);
    }

    /// Waits until a page is held.
    pub(super) async fn until_held(&self) {
        eventually("a page is held", || async {
            (self.told.lock().unwrap().held > 0).then_some(())
        })
        .await;
    }

    pub(super) fn lists_read(&self) -> usize {
        self.told.lock().unwrap().lists.len()
    }

    pub(super) fn contents_read(&self) -> usize {
        self.told.lock().unwrap().contents
    }

    /// The path of the call for a list with this number, from 0.
    pub(super) async fn list_call(&self, number: usize) -> String {
        eventually("the list is asked for", || async {
            self.told.lock().unwrap().lists.get(number).cloned()
        })
        .await
    }

    /// Whether every call had this credential.
    pub(super) fn was_authorized(&self, credential: &str) -> bool {
        let told = self.told.lock().unwrap();
        !told.credentials.is_empty() && told.credentials.iter().all(|one| one == credential)
    }
}

async fn answer(State(provider): State<Provider>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let Some(asked) = Asked::at(uri.path()) else {
        return not_found();
    };
    let credential = headers
        .get("authorization")
        .or(headers.get("x-shopify-access-token"))
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let whole = uri.to_string();
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    {
        let mut told = provider.told.lock().unwrap();
        told.credentials.extend(credential);
        if told.limits.0 > 0 {
            told.limits.0 -= 1;
            told.limited += 1;
            return refused(told.limits.1);
        }
    }

    let odd = {
        let told = provider.told.lock().unwrap();
        match asked {
            Asked::Delivery(id) if told.odd_delivery.is_some_and(|odd| odd != id) => None,
            Asked::Delivery(_) => told.odd_content.clone(),
            Asked::Deliveries | Asked::Events | Asked::Orders => told.odd_list.clone(),
        }
    };
    if let Some(odd) = odd {
        return odd_answer(odd);
    }

    let answer = match asked {
        Asked::Deliveries => page_of_github(&provider, &whole, &query).await,
        Asked::Delivery(id) => content_of_github(&provider, id),
        Asked::Events => page_of_stripe(&provider, whole, &query),
        Asked::Orders => page_of_shopify(&provider, whole, &query),
    };
    answer.unwrap_or_else(not_found)
}

fn not_found() -> Response<Body> {
    let builder = Response::builder().status(StatusCode::NOT_FOUND);
    builder.body(Body::empty()).unwrap()
}

fn odd_answer(odd: Odd) -> Response<Body> {
    let builder = Response::builder();
    match odd {
        Odd::Redirect(to) => builder
            .status(302)
            .header("location", to)
            .body(Body::empty()),
        Odd::Text(text) => builder.body(Body::from(text)),
        Odd::Huge(bytes) => builder.body(Body::from(vec![b' '; bytes])),
    }
    .unwrap()
}

fn refused(retry_after: Option<&str>) -> Response<Body> {
    let builder = Response::builder().status(StatusCode::FORBIDDEN);
    let builder = match retry_after {
        Some(seconds) => builder.header("retry-after", seconds),
        None => builder,
    };
    let body = r#"{"message":"Must have admin rights to Repository."}"#;
    builder.body(Body::from(body)).unwrap()
}

fn ok(body: &Value, link: Option<String>) -> Response<Body> {
    let builder = Response::builder().header("content-type", "application/json");
    let builder = match link {
        Some(url) => builder.header("link", format!("<{url}>; rel=\"next\"")),
        None => builder,
    };
    builder.body(Body::from(body.to_string())).unwrap()
}

/// The part of a list that begins here, and where the next one does.
fn cut<T: Clone>(all: &[T], from: usize) -> (Vec<T>, Option<usize>) {
    let from = from.min(all.len());
    let to = (from + PAGE).min(all.len());
    (all[from..to].to_vec(), (to < all.len()).then_some(to))
}

/// The place that a cursor names, or the first; none if it names none.
fn place(cursor: Option<&String>) -> Option<usize> {
    match cursor {
        Some(cursor) => cursor.trim_start_matches("v1_").parse().ok(),
        None => Some(0),
    }
}

async fn page_of_github(
    provider: &Provider,
    whole: &str,
    query: &BTreeMap<String, String>,
) -> Option<Response<Body>> {
    let from = place(query.get("cursor"))?;
    let is_held = {
        let mut told = provider.told.lock().unwrap();
        told.lists.push(whole.to_owned());
        let is_held = told
            .held_from
            .is_some_and(|number| from / PAGE + 1 >= number);
        told.held += usize::from(is_held);
        is_held
    };
    if is_held {
        let mut released = provider.is_held.subscribe();
        released.wait_for(|is_held| !is_held).await.ok();
    }

    let newest_first: Vec<Delivery> = {
        let told = provider.told.lock().unwrap();
        told.deliveries.iter().rev().cloned().collect()
    };
    let endless = provider.told.lock().unwrap().endless;
    let place = if endless == Some(Endless::Fresh) {
        0
    } else {
        from
    };
    let (part, next) = cut(&newest_first, place);
    let next = match endless {
        None => next,
        Some(Endless::Circle) => Some(next.unwrap_or(0)),
        Some(Endless::Fresh) => Some(from + 1),
    };
    let items: Vec<Value> = part
        .iter()
        .map(|one| {
            json!({ "id": one.id, "guid": one.guid, "delivered_at": one.at, "redelivery": false, "duration": 0.27,
                "status": "x", "status_code": one.code, "event": "push", "action": null, "installation_id": null,
                "repository_id": 1, "throttled_at": null })
        })
        .collect();
    let url = next.map(|next| {
        format!(
            "https://api.github.com/repositories/1/hooks/42/deliveries?per_page=4&cursor=v1_{next}"
        )
    });
    Some(ok(&items.into(), url))
}

fn content_of_github(provider: &Provider, id: u64) -> Option<Response<Body>> {
    let mut told = provider.told.lock().unwrap();
    let one = told.deliveries.iter().find(|one| one.id == id).cloned()?;
    told.contents += 1;
    drop(told);
    let payload: Value = serde_json::from_str(&one.body).unwrap();
    let headers = json!({ "X-GitHub-Delivery": one.guid, "X-GitHub-Hook-ID": "42", "X-GitHub-Event": "push",
        "X-Hub-Signature-256": "sha256=0", "content-type": "application/json", "User-Agent": "GitHub-Hookshot/b8c71d8" });
    let content = json!({ "id": id, "guid": one.guid, "delivered_at": one.at, "status_code": one.code, "event": "push",
        "request": { "headers": headers, "payload": payload }, "response": { "headers": {}, "payload": null } });
    Some(ok(&content, None))
}

fn page_of_stripe(
    provider: &Provider,
    whole: String,
    query: &BTreeMap<String, String>,
) -> Option<Response<Body>> {
    let mut told = provider.told.lock().unwrap();
    let newest_first: Vec<Value> = told.events.iter().rev().cloned().collect();
    let from = match query.get("starting_after") {
        Some(id) => 1 + newest_first.iter().position(|event| event["id"] == *id)?,
        None => 0,
    };
    told.lists.push(whole);
    let (part, next) = cut(&newest_first, from);
    let has_more = next.is_some();
    let page = json!({ "object": "list", "url": "/v1/events", "has_more": has_more, "data": part });
    Some(ok(&page, None))
}

fn page_of_shopify(
    provider: &Provider,
    whole: String,
    query: &BTreeMap<String, String>,
) -> Option<Response<Body>> {
    let from = place(query.get("page_info"))?;
    let mut told = provider.told.lock().unwrap();
    told.lists.push(whole);
    let (part, next) = cut(&told.orders, from);
    let url = next.map(|next| {
        format!(
            "https://lamps.myshopify.com/admin/api/2026-07/orders.json?limit=4&page_info={next}"
        )
    });
    Some(ok(&json!({ "orders": part }), url))
}
