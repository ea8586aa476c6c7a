//! Dead letters, grouped by hook and by their reason without the parts that differ.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::{Extension, Request, State};
use axum::response::Response;

use super::row::Time;
use crate::api::{self, ApiError, Delivery};
use crate::fields::{Fields, link};
use crate::page::{self, Page, show};
use crate::reason::normalise;
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// The most dead letters that are grouped, newest first.
const DEAD_MAX: usize = 20_000;
const TIME_MAX: Duration = Duration::from_secs(3);
/// The most groups on the page.
const GROUPS_MAX: usize = 200;
const PAGE: &str = "1000";

#[derive(Template)]
#[template(path = "failures.html")]
struct FailuresPage {
    page: Page,
    hook: String,
    hooks: Vec<(String, bool)>,
    groups: Vec<GroupView>,
    /// What was read, as a sentence.
    window: String,
}

struct GroupView {
    hook: String,
    reason: String,
    count: usize,
    first: Time,
    last: Time,
    /// The event of the newest of them.
    sample: String,
    sample_reason: String,
    replay: String,
    discard: String,
    list: String,
}

/// The dead letters of one hook with one normalised reason.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    /// The newest one.
    last: Delivery,
    first_at: String,
}

/// The groups, and how far the search went.
#[derive(Debug, Default)]
struct Groups {
    groups: HashMap<(String, String), Group>,
    read: usize,
    is_complete: bool,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let hook = Fields::of_query(request.uri().query())
        .get("hook")
        .to_owned();
    let groups = match read(&dashboard, &hook).await {
        Ok(groups) => groups,
        Err(error) => return page::problem(&dashboard, &by, &error),
    };

    let window = if groups.is_complete {
        let read = text::count(groups.read as u64, "dead letter", "dead letters");
        format!(
            "{read} in {}.",
            text::count(groups.groups.len() as u64, "group", "groups")
        )
    } else {
        format!(
            "The newest {} dead letters are grouped; older ones are not.",
            groups.read
        )
    };
    let names = dashboard.setup.admin.hooks.names();
    show(&FailuresPage {
        page: Page::new(&dashboard, &by, "Failures", "/failures"),
        hooks: names
            .iter()
            .map(|name| (name.to_string(), **name == *hook))
            .collect(),
        groups: views(groups),
        window,
        hook: text::line(&hook, 64),
    })
}

async fn read(dashboard: &Dashboard, hook: &str) -> Result<Groups, ApiError> {
    let (mut groups, mut before) = (Groups::default(), String::new());
    let began = Instant::now();
    loop {
        let parameters = [
            ("limit", PAGE),
            ("state", "dead"),
            ("hook", hook),
            ("before", before.as_str()),
        ];
        let page = api::deliveries(&dashboard.api, &parameters).await?;
        for one in page.events {
            groups.add(one);
        }

        groups.is_complete = page.next.is_none();
        let is_over = groups.read >= DEAD_MAX || began.elapsed() > TIME_MAX;
        match page.next {
            Some(next) if !is_over => before = next.to_string(),
            _ => return Ok(groups),
        }
    }
}

/// The largest groups first.
fn views(groups: Groups) -> Vec<GroupView> {
    let mut groups: Vec<_> = groups.groups.into_iter().collect();
    groups.sort_by(|(a_key, a), (b_key, b)| b.count.cmp(&a.count).then_with(|| a_key.cmp(b_key)));
    groups.truncate(GROUPS_MAX);
    groups
        .into_iter()
        .map(|((hook, reason), group)| view(&hook, &reason, &group))
        .collect()
}

fn view(hook: &str, reason: &str, group: &Group) -> GroupView {
    let search = format!("hook:{hook} state:dead");
    let bulk = |command: &str| {
        link(
            "/bulk",
            &[("q", &search), ("group", reason), ("command", command)],
        )
    };
    GroupView {
        replay: bulk("replay"),
        discard: bulk("discard"),
        list: link("/events", &[("q", &search)]),
        count: group.count,
        first: Time::new(&group.first_at),
        last: Time::new(&group.last.received_at),
        sample: group.last.event.clone(),
        sample_reason: text::line(group.last.reason.as_deref().unwrap_or_default(), 400),
        reason: match reason {
            "" => "no reason".to_owned(),
            reason => text::line(reason, 300),
        },
        hook: text::line(hook, 64),
    }
}

// === impl Groups ===

impl Groups {
    /// Adds a dead letter. They come newest first.
    fn add(&mut self, one: Delivery) {
        self.read += 1;
        let reason = normalise(one.reason.as_deref().unwrap_or_default());
        let group = self.groups.entry((one.hook.clone(), reason)).or_default();
        group.count += 1;
        group.first_at.clone_from(&one.received_at);
        if group.count == 1 {
            group.last = one;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(hook: &str, at: &str, reason: &str) -> Delivery {
        Delivery {
            hook: hook.into(),
            event: format!("event {at}"),
            received_at: at.into(),
            reason: Some(reason.into()),
            ..Delivery::default()
        }
    }

    #[test]
    fn dead_letters_are_grouped() {
        let mut groups = Groups::default();
        groups.add(dead("a", "2026-01-03T00:00:00Z", "order 503"));
        groups.add(dead("a", "2026-01-02T00:00:00Z", "order 502"));
        groups.add(dead("b", "2026-01-01T00:00:00Z", "order 502"));
        let views = views(groups);
        assert_eq!(views.len(), 2);
        let first = &views[0];
        assert_eq!(
            (first.hook.as_str(), first.reason.as_str(), first.count),
            ("a", "order N", 2)
        );
        assert_eq!(first.sample, "event 2026-01-03T00:00:00Z");
        assert_eq!(first.first.iso, "2026-01-02T00:00:00Z");
        assert_eq!(
            first.replay,
            "/bulk?q=hook%3Aa+state%3Adead&group=order+N&command=replay"
        );
    }
}
