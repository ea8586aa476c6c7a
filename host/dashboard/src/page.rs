//! What all pages have: title, navigation, the form token, and one message.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::api::ApiError;
use crate::assets::ASSETS;
use crate::state::{Dashboard, Operator};

/// The pages of the navigation: path, name, and the key after `g`.
const PAGES: [(&str, &str, &str); 12] = [
    ("/", "Overview", "o"),
    ("/events", "Events", "e"),
    ("/failures", "Failures", "f"),
    ("/why", "Why", "w"),
    ("/missed", "Missed", "m"),
    ("/bulk", "Bulk", "b"),
    ("/send", "Send", "s"),
    ("/components", "Components", "c"),
    ("/recordings", "Recordings", "t"),
    ("/shape", "Shapes", "h"),
    ("/data", "Data", "d"),
    ("/audit", "Audit", "a"),
];

/// The frame of a page.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) nav: Vec<NavItem>,
    /// The token of each form; empty before the login.
    pub(crate) csrf: String,
    /// Whether the session may change something: pages of others have no such buttons.
    pub(crate) can_change: bool,
    /// What came of the last form.
    pub(crate) notice: String,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) icon: &'static str,
}

/// A link of the navigation.
pub(crate) struct NavItem {
    pub(crate) href: &'static str,
    pub(crate) name: &'static str,
    pub(crate) key: &'static str,
    pub(crate) is_current: bool,
}

/// What the forms of a live fragment need of their page.
#[derive(Clone)]
pub(crate) struct Forms {
    pub(crate) csrf: String,
    pub(crate) can_change: bool,
}

/// The title of a page that says what went wrong.
pub(crate) const REFUSED: &str = "Not possible";

/// Why there is no page, or why a page tells of an error: an extension of the response. `errors`
/// and the audit record show it.
#[derive(Debug, Clone)]
pub(crate) struct Problem(pub(crate) String);

/// A page that says why there is no other.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    page: Page,
    text: String,
}

// === impl Page ===

impl Page {
    /// A page for an operator. `current` is a path of the navigation.
    pub(crate) fn new(dashboard: &Dashboard, by: &Operator, title: &str, current: &str) -> Page {
        let nav = PAGES.into_iter().map(|(href, name, key)| NavItem {
            href,
            name,
            key,
            is_current: href == current,
        });
        Page {
            nav: nav.collect(),
            csrf: by.session.csrf.to_string(),
            can_change: by.session.may_change(),
            notice: dashboard.sessions.take_notice(&by.session),
            ..Page::before_login(title)
        }
    }

    /// A page without navigation and forms of a session.
    pub(crate) fn before_login(title: &str) -> Page {
        Page {
            title: title.to_owned(),
            nav: Vec::new(),
            csrf: String::new(),
            can_change: false,
            notice: String::new(),
            style: &ASSETS.style,
            script: &ASSETS.script,
            icon: &ASSETS.icon,
        }
    }
}

// === impl Forms ===

impl Forms {
    pub(crate) fn new(by: &Operator) -> Forms {
        Forms {
            csrf: by.session.csrf.to_string(),
            can_change: by.session.may_change(),
        }
    }
}

/// The answer with a page.
pub(crate) fn show(template: &impl Template) -> Response {
    show_with(StatusCode::OK, template)
}

/// The same with another status.
pub(crate) fn show_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            let text = "the page cannot be rendered: the log says why\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// A page that says what went wrong.
pub(crate) fn problem(dashboard: &Dashboard, by: &Operator, error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = Page::new(dashboard, by, REFUSED, "");
    with_problem(message(page, status, &error.text), &error.text)
}

/// A page with one sentence.
pub(crate) fn message(page: Page, status: StatusCode, text: &str) -> Response {
    let page = MessagePage {
        page,
        text: crate::text::visible(text),
    };
    show_with(status, &page)
}

/// A refusal without a page: `errors` makes it.
pub(crate) fn refuse(status: StatusCode, text: &str) -> Response {
    with_problem(status.into_response(), text)
}

/// The page of a form that was not carried out. The page says why.
pub(crate) fn show_refused(status: StatusCode, template: &impl Template, why: &str) -> Response {
    with_problem(show_with(status, template), why)
}

fn with_problem(mut response: Response, text: &str) -> Response {
    response.extensions_mut().insert(Problem(text.to_owned()));
    response
}

/// Goes to a page of the dashboard after a form.
pub(crate) fn go_to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// A file for the browser to save.
pub(crate) fn download(name: &str, content_type: &'static str, text: String) -> Response {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{plain}\""),
        ),
    ];
    (headers, text).into_response()
}
