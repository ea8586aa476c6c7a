//! Who may see the pages: the guard's checks of the sender, the login, and the check of each form.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use askama::Template;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use landfall_admin::{Caller, Refused};
use landfall_model::Peer;

use crate::fields::{FORM_MAX, Fields, link};
use crate::page::{Page, go_to, show, show_with};
use crate::session::set_cookie;
use crate::state::{Operator, Shared};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The time that a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Passes on what a logged-in operator sends. Each form must carry the token of the session. A
/// session that may only read can send no form but the one that ends it.
pub(crate) async fn require_session(
    State(dashboard): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(refused) = dashboard.setup.admin.guard.check_page(&request) {
        return refuse(&dashboard, refused, &request);
    }

    let Some(session) = dashboard.session(request.headers()) else {
        return ask_to_log_in(&request);
    };

    let caller = Caller::new(session.role, &session.token, client(&request));
    let by = Operator { session, caller };
    if request.method() == Method::POST {
        if !by.session.may_change() && request.uri().path() != "/logout" {
            let text = "this session may only read: log in with the token of admin.token\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }

        let (parts, body) = request.into_parts();
        let body = match read_form(body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let fields = Fields::of_body(&body);
        if !by.session.is_own_form(fields.get("csrf")) {
            let text = "the form does not belong to this session: load the page again\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }

        request = Request::from_parts(parts, body.into());
        request.extensions_mut().insert(fields);
    }

    request.extensions_mut().insert(by);
    next.run(request).await
}

pub(crate) async fn login_form(State(dashboard): State<Shared>, request: Request) -> Response {
    if let Err(refused) = dashboard.setup.admin.guard.check_page(&request) {
        return refuse(&dashboard, refused, &request);
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
        return refuse(&dashboard, refused, &request);
    }

    let (parts, body) = request.into_parts();
    let body = match read_form(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let fields = Fields::of_body(&body);
    let next = own_path(fields.get("next")).to_owned();
    let token = fields.get("token").trim().to_owned();
    if let Err(refused) = guard.check_typed(&token).await {
        let page = LoginPage {
            page: Page::before_login("Log in"),
            next,
            problem: format!("{}: {}", refused.detail, refused.hint),
        };
        let status = refused.status;
        let peer = parts.extensions.get::<Peer>();
        guard.report(refused, peer.map(|Peer(peer)| peer.ip().to_canonical()));
        return show_with(status, &page);
    }

    let secret = match dashboard.sessions.open(&token, Instant::now()) {
        Ok(secret) => secret,
        Err(error) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
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

/// The whole form. A sender that is slow or silent does not keep its connection: others, such as
/// probes, wait for it.
async fn read_form(body: Body) -> Result<Bytes, Response> {
    let refused = |status, text: &'static str| (status, text).into_response();
    match tokio::time::timeout(FORM_TIMEOUT, to_bytes(body, FORM_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the form is too large\n",
        )),
        Err(_) => {
            let text = "the form did not arrive within 5 s\n";
            Err(refused(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
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
        let text = "the session has ended: log in again\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
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
fn client(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>();
    peer.map(|Peer(peer)| peer.ip().to_canonical())
}

fn refuse(dashboard: &Shared, refused: Refused, request: &Request) -> Response {
    let text = format!("{}: {}\n", refused.detail, refused.hint);
    let status = refused.status;
    let guard = &dashboard.setup.admin.guard;
    guard.report(refused, client(request));
    (status, text).into_response()
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
