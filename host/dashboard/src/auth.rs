//! Who may see the pages: the guard's checks of the sender, the login, and the sessions.

use std::net::IpAddr;
use std::time::Instant;

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use landfall_admin::{Caller, Refused};
use landfall_model::Peer;
use serde_json::Value;

use crate::fields::{Fields, link};
use crate::forms;
use crate::page::{Page, go_to, refuse, show, show_with};
use crate::session::set_cookie;
use crate::state::{Operator, Shared};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The form that asks for the admin token.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    /// Where to go after the login.
    next: String,
    problem: String,
}

/// Loads the same page again, from a page of this node.
#[derive(Template)]
#[template(path = "continue.html")]
struct ContinuePage {
    page: Page,
    target: String,
}

/// Adds the headers that each page has.
pub(crate) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let constants = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer`, browsers would send forms with the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in constants {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Passes on what a logged-in operator sends.
pub(crate) async fn require_session(
    State(dashboard): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    if let Err(refused) = dashboard.setup.admin.guard.check_page(&request) {
        let sender = Sender::of(&dashboard, &request);
        return refuse_sender(&dashboard, refused, sender).await;
    }

    let Some(session) = dashboard.session(request.headers()) else {
        return ask_to_log_in(&request);
    };

    let by = Operator::new(session, client(&request));
    let mut response = if request.method() == Method::POST {
        forms::pass_on(&dashboard, &by, request, next).await
    } else {
        forms::pass_on_other(&dashboard, &by, request, next).await
    };
    // For the page of an error.
    response.extensions_mut().insert(by);
    response
}

pub(crate) async fn login_form(State(dashboard): State<Shared>, request: Request) -> Response {
    if let Err(refused) = dashboard.setup.admin.guard.check_page(&request) {
        let sender = Sender::of(&dashboard, &request);
        return refuse_sender(&dashboard, refused, sender).await;
    }

    let fields = Fields::of_query(request.uri().query());
    show(&LoginPage {
        page: Page::before_login("Log in"),
        next: own_path(fields.get("next")).to_owned(),
        problem: String::new(),
    })
}

pub(crate) async fn login(State(dashboard): State<Shared>, request: Request) -> Response {
    let guard = &dashboard.setup.admin.guard;
    if let Err(refused) = guard.check_page(&request) {
        let sender = Sender::of(&dashboard, &request);
        return refuse_sender(&dashboard, refused, sender).await;
    }

    let (parts, body) = request.into_parts();
    let body = match forms::read(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let fields = Fields::of_body(&body);
    let next = own_path(fields.get("next")).to_owned();
    let token = fields.get("token").trim().to_owned();
    let peer = parts.extensions.get::<Peer>();
    let client = peer.map(|Peer(peer)| peer.ip().to_canonical());
    if let Err(refused) = guard.check_typed(&token, client).await {
        let page = LoginPage {
            page: Page::before_login("Log in"),
            next,
            problem: format!("{}: {}", refused.detail, refused.hint),
        };
        let status = refused.status;
        guard.report(refused, client);
        return show_with(status, &page);
    }

    let secret = match dashboard.sessions.open(&token, Instant::now()) {
        Ok(secret) => secret,
        Err(error) => {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
        }
    };

    let cookie = set_cookie(&secret, came_by_https(&parts.headers));
    with_cookie(go_to(&next), &cookie)
}

pub(crate) async fn logout(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
) -> Response {
    dashboard.sessions.close(&by.session);
    with_cookie(go_to("/login"), &set_cookie("", false))
}

/// A link from another site brings no cookie. The page that continues is of this site, so that the
/// second request brings it.
fn ask_to_log_in(request: &Request) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let is_page = request.method() == Method::GET && !target.starts_with("/live");
    if !is_page {
        let text = "the session has ended: log in again";
        return refuse(StatusCode::UNAUTHORIZED, text);
    }

    let site = request.headers().get("sec-fetch-site");
    if site.is_some_and(|site| site == "cross-site" || site == "same-site") {
        return show(&ContinuePage {
            page: Page::before_login("One moment"),
            target: own_path(target).to_owned(),
        });
    }

    go_to(&link("/login", &[("next", own_path(target))]))
}

/// A path of this node; anything else becomes the overview. `//host` and `/\host` are other hosts.
fn own_path(path: &str) -> &str {
    let is_own = path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_own { path } else { "/" }
}

/// Browsers send the origin of a form.
fn came_by_https(headers: &HeaderMap) -> bool {
    headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }

    response
}

/// The browser, or the proxy before this node.
pub(crate) fn client(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>();
    peer.map(|Peer(peer)| peer.ip().to_canonical())
}

/// A sender that is not let in, and what it asks for.
pub(crate) struct Sender {
    caller: Caller,
    client: Option<IpAddr>,
    /// What it asks to change. `None`: nothing.
    asked: Option<Value>,
}

// === impl Sender ===

impl Sender {
    pub(crate) fn of(dashboard: &Shared, request: &Request) -> Sender {
        let client = client(request);
        let session = dashboard.session(request.headers());
        Sender {
            caller: session.map_or_else(
                || Caller::unknown(client),
                |session| Operator::new(session, client).caller,
            ),
            client,
            asked: forms::asked(request.method(), request.uri().path()),
        }
    }
}

/// The audit record has an entry if the request asks for a change. A browser sends the cookie of
/// a session also from a page of another port of this host.
pub(crate) async fn refuse_sender(
    dashboard: &Shared,
    refused: Refused,
    sender: Sender,
) -> Response {
    let text = format!("{}: {}", refused.detail, refused.hint);
    let status = refused.status;
    if let Some(asked) = &sender.asked {
        let why = (status.as_u16(), refused.detail.as_str());
        let api = &dashboard.api;
        api.record_foreign(&sender.caller, asked, why).await;
    }

    let guard = &dashboard.setup.admin.guard;
    guard.report(refused, sender.client);
    refuse(status, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_lead_to_own_pages() {
        for (typed, path) in [
            ("/events?q=a%20b", "/events?q=a%20b"),
            ("", "/"),
            ("https://evil.example/", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("javascript:alert(1)", "/"),
        ] {
            assert_eq!(own_path(typed), path, "{typed}");
        }
    }

    #[test]
    fn cookies_are_secure_behind_tls() {
        let headers = |origin: &str| {
            HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_str(origin).unwrap())])
        };
        assert!(came_by_https(&headers("https://admin.example")));
        assert!(!came_by_https(&headers("http://127.0.0.1:8081")));
        assert!(set_cookie("x", true).ends_with("; HttpOnly; SameSite=Strict; Secure"));
    }
}
