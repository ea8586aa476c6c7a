//! Why requests were refused, and duplicates not run: what was expected, what was received, and
//! what to do.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use landfall_model::{ADMIN, KeptRefusal, NO_HOOK, RequestExcerpt};

use super::row::Time;
use crate::fields::{Fields, link};
use crate::page::{Page, show};
use crate::state::{Operator, Shared};
use crate::text::{self, Part};

/// The bytes of a body that an excerpt has at most.
const BODY_BYTES_MAX: usize = 1024;
/// The most hooks and reasons on the page.
const SHOWN_MAX: usize = 200;

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage {
    page: Page,
    hook: String,
    reason: String,
    /// The hooks and reasons to choose from; the second part says whether it is chosen.
    hooks: Vec<(String, bool)>,
    reasons: Vec<(String, bool)>,
    groups: Vec<GroupView>,
    more: usize,
    is_filtered: bool,
}

/// The refusals of one hook with one reason.
struct GroupView {
    hook: String,
    reason: String,
    /// All of them since the start.
    count: String,
    first: Time,
    newest: RefusalView,
    /// The ones before it that are still known.
    earlier: Vec<RefusalView>,
    /// A signed sample for the same hook; empty if there is no hook.
    send: String,
}

struct RefusalView {
    at: Time,
    status: String,
    detail: Vec<Part>,
    hint: Vec<Part>,
    client: String,
    /// The refused request, if it is still known.
    request: Option<ExcerptView>,
}

/// A refused request without its secrets.
struct ExcerptView {
    line: String,
    headers: Vec<(String, String)>,
    /// Headers that are not listed.
    more_headers: usize,
    body: String,
    /// What is to know about the body.
    body_note: String,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let (hook, reason) = (
        fields.get("hook").to_owned(),
        fields.get("reason").to_owned(),
    );
    let all = dashboard.setup.admin.refusals.last();
    let hooks: BTreeSet<&str> = all.iter().map(|kept| kept.request.hook.as_str()).collect();
    let reasons: BTreeSet<&str> = all.iter().map(|kept| kept.request.reason).collect();
    let choices = |names: BTreeSet<&str>, chosen: &str| -> Vec<(String, bool)> {
        let names = names.into_iter();
        names
            .map(|name| (text::line(name, 64), name == chosen))
            .collect()
    };

    let fits = |kept: &&KeptRefusal| {
        (hook.is_empty() || kept.request.hook == hook)
            && (reason.is_empty() || kept.request.reason == reason)
    };
    let mut groups = groups(all.iter().filter(fits));
    let more = groups.len().saturating_sub(SHOWN_MAX);
    groups.truncate(SHOWN_MAX);
    show(&WhyPage {
        page: Page::new(&dashboard, &by, "Why requests were refused", "/why"),
        hooks: choices(hooks, &hook),
        reasons: choices(reasons, &reason),
        groups,
        more,
        is_filtered: !hook.is_empty() || !reason.is_empty(),
        hook: text::line(&hook, 64),
        reason: text::line(&reason, 64),
    })
}

/// The newest first, as the refusals are.
fn groups<'a>(refusals: impl Iterator<Item = &'a KeptRefusal>) -> Vec<GroupView> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    let mut groups: Vec<GroupView> = Vec::new();
    for kept in refusals {
        let key = (kept.request.hook.as_str(), kept.request.reason);
        match keys.iter().position(|known| *known == key) {
            Some(at) => groups[at].earlier.push(refusal_view(kept)),
            None => {
                keys.push(key);
                groups.push(group_view(kept));
            }
        }
    }
    groups
}

fn group_view(kept: &KeptRefusal) -> GroupView {
    let request = &kept.request;
    let is_of_hook = request.hook != NO_HOOK && request.hook != ADMIN;
    GroupView {
        hook: match request.hook.as_str() {
            NO_HOOK => "no hook".to_owned(),
            ADMIN => "the admin listener".to_owned(),
            hook => text::line(hook, 64),
        },
        reason: request.reason.to_owned(),
        count: text::count(kept.count, "request", "requests"),
        first: Time::new(&kept.first_at),
        newest: refusal_view(kept),
        earlier: Vec::new(),
        send: if is_of_hook {
            link("/send", &[("hook", &request.hook)])
        } else {
            String::new()
        },
    }
}

fn refusal_view(kept: &KeptRefusal) -> RefusalView {
    let request = &kept.request;
    RefusalView {
        at: Time::new(&request.at),
        status: match request.status {
            Some(status) => format!("answered {status}"),
            None => "no answer of its own".to_owned(),
        },
        detail: text::sentence(&request.detail),
        hint: text::sentence(request.hint.as_deref().unwrap_or_default()),
        client: text::line(request.client_address.as_deref().unwrap_or("unknown"), 64),
        request: request.request.as_deref().map(excerpt_view),
    }
}

fn excerpt_view(excerpt: &RequestExcerpt) -> ExcerptView {
    let query = excerpt.query.as_deref().map(|query| format!("?{query}"));
    let line = format!(
        "{} {}{}",
        excerpt.method,
        excerpt.path,
        query.unwrap_or_default()
    );
    let headers = excerpt.headers.iter();
    ExcerptView {
        line: text::line(&line, 700),
        headers: headers
            .map(|(name, value)| (text::line(name, 200), text::line(value, 300)))
            .collect(),
        more_headers: excerpt.more_headers,
        body: text::visible(excerpt.body.as_deref().unwrap_or_default()),
        body_note: body_note(excerpt),
    }
}

fn body_note(excerpt: &RequestExcerpt) -> String {
    let size = excerpt.body_bytes.map(|bytes| text::bytes(bytes as u64));
    let form = if excerpt.is_hex {
        ", in hexadecimal digits"
    } else {
        ""
    };
    match (size, &excerpt.body, excerpt.body_bytes) {
        (None, ..) => "The body was not read.".to_owned(),
        (Some(_), _, Some(0)) => "The body is empty.".to_owned(),
        (Some(size), None, _) => format!("{size}, not kept: it contains the proof."),
        (Some(size), Some(_), Some(bytes)) if bytes > BODY_BYTES_MAX => {
            format!("{size}{form}. The first KiB is kept.")
        }
        (Some(size), ..) => format!("{size}{form}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_explained() {
        let excerpt = |body: Option<&str>, body_bytes| RequestExcerpt {
            body: body.map(str::to_owned),
            body_bytes,
            ..RequestExcerpt::default()
        };
        for (excerpt, note) in [
            (excerpt(None, None), "The body was not read."),
            (excerpt(Some(""), Some(0)), "The body is empty."),
            (
                excerpt(None, Some(9)),
                "9 B, not kept: it contains the proof.",
            ),
            (excerpt(Some("a"), Some(1)), "1 B."),
            (
                excerpt(Some("a"), Some(2048)),
                "2.0 KiB. The first KiB is kept.",
            ),
        ] {
            assert_eq!(body_note(&excerpt), note);
        }
    }

    #[test]
    fn excerpts_stay_text() {
        let view = excerpt_view(&RequestExcerpt {
            method: "POST".into(),
            path: "/a\u{1b}".into(),
            query: Some("t=(masked)".into()),
            body: Some("\u{202e}x".into()),
            ..RequestExcerpt::default()
        });
        assert_eq!(view.line, "POST /a\u{241b}?t=(masked)");
        assert_eq!(view.body, "⟨U+202E⟩x");
    }
}
