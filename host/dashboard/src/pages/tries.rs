//! Published reports of `landfall try`: a list for each hook, and the page of one report with what
//! differed.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use landfall_admin::InProcess;
use landfall_model::recording::DifferenceKind;
use serde::Deserialize;

use super::row::{Time, short};
use crate::api::{self, ApiError};
use crate::curl::quote;
use crate::fields::segment;
use crate::page::{self, Page, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// The first characters of a digest, which tell versions apart.
const DIGEST_SHOWN: usize = 12;
/// The most characters of a place.
const PLACE_MAX: usize = 400;

#[derive(Template)]
#[template(path = "try.html")]
struct TryPage {
    page: Page,
    hook: String,
    /// The hook as a part of an address.
    segment: String,
    component: String,
    at: Time,
    verdict: Verdict,
    facts: Vec<(&'static str, String)>,
    kinds: Vec<KindView>,
    /// How many groups are gone; empty if none is.
    gone: String,
    promotion: Promotion,
}

/// What a report says in a few words.
pub(super) struct Verdict {
    pub(super) words: String,
    /// A class of the style sheet.
    pub(super) tone: &'static str,
}

/// A line of the list.
pub(super) struct TryRow {
    pub(super) at: Time,
    pub(super) link: String,
    pub(super) component: String,
    pub(super) digest: String,
    pub(super) by: String,
    pub(super) attempts: u64,
    pub(super) verdict: Verdict,
}

/// The differences of one kind.
struct KindView {
    kind: String,
    groups: Vec<GroupView>,
}

struct GroupView {
    place: String,
    attempts: String,
    /// Why it does not count; empty if it does.
    note: &'static str,
    /// The page of the event of the sample.
    link: String,
    event: String,
    attempt: u64,
    is_masked: bool,
    /// Empty: nothing.
    recorded: String,
    found: String,
}

/// How the component comes to serve.
struct Promotion {
    /// It serves.
    is_serving: bool,
    /// It is the candidate of the hook, which can be promoted.
    is_candidate: bool,
    /// The command that tries it again, and puts it in place if nothing differs.
    command: String,
}

/// As `GET /api/v1/hooks/{hook}/tries` answers.
#[derive(Debug, Deserialize)]
struct Listed {
    tries: Vec<Summary>,
}

/// As `GET /api/v1/hooks/{hook}/tries/{id}` answers.
#[derive(Debug, Deserialize)]
struct Shown {
    summary: Summary,
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Summary {
    id: String,
    at: String,
    role: String,
    token: String,
    component: String,
    digest: String,
    attempts: u64,
    same: u64,
    allowed: u64,
    differs: u64,
    unanswered: u64,
    truncated: u64,
    not_run: BTreeMap<String, u64>,
    is_same: bool,
    groups: usize,
}

#[derive(Debug, Deserialize)]
struct Group {
    kind: String,
    place: String,
    attempts: u64,
    allowed: bool,
    follows: bool,
    sample: Sample,
}

#[derive(Debug, Deserialize)]
struct Sample {
    event: String,
    attempt: u64,
    masked: bool,
    recorded: String,
    found: String,
}

/// The published reports of a hook, newest first.
pub(super) async fn rows(api: &InProcess, hook: &str) -> Result<Vec<TryRow>, ApiError> {
    let path = format!("/hooks/{}/tries", segment(hook));
    let listed: Listed = api::get(api, &path).await?;
    let tries = listed.tries.iter();
    Ok(tries.map(|one| TryRow::new(hook, one)).collect())
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path((hook, id)): Path<(String, String)>,
) -> Response {
    let path = format!("/hooks/{}/tries/{}", segment(&hook), segment(&id));
    let found: Shown = match api::get(&dashboard.api, &path).await {
        Ok(found) => found,
        Err(error) => return page::problem(&dashboard, &by, &error),
    };

    let Shown { summary, groups } = found;
    let gone = summary.groups.saturating_sub(groups.len()) as u64;
    show(&TryPage {
        page: Page::new(&dashboard, &by, &title(&hook), "/recordings"),
        component: text::line(&summary.component, 200),
        at: Time::new(&summary.at),
        verdict: Verdict::of(&summary),
        facts: facts(&summary),
        kinds: kinds(&groups),
        gone: match gone {
            0 => String::new(),
            gone => text::count(gone, "difference is", "differences are"),
        },
        promotion: promotion(&dashboard, &hook, &summary),
        segment: segment(&hook),
        hook: text::line(&hook, 64),
    })
}

fn title(hook: &str) -> String {
    format!("Try on {}", text::line(hook, 64))
}

fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let allowed = match summary.allowed {
        0 => String::new(),
        allowed => format!(", {allowed} of them with allowed differences"),
    };
    let mut facts = vec![
        ("File", text::line(&summary.component, 200)),
        ("SHA-256", text::line(&summary.digest, 64)),
        ("Published by", by(summary)),
        ("Attempts", summary.attempts.to_string()),
        ("Same", format!("{}{allowed}", summary.same)),
        ("Different", summary.differs.to_string()),
        (
            "Unanswered: asked for something that is not recorded",
            summary.unanswered.to_string(),
        ),
        (
            "Truncated: exceed a limit, and prove nothing",
            summary.truncated.to_string(),
        ),
    ];
    let not_run = summary.not_run.iter();
    facts.extend(
        not_run.map(|(why, count)| ("Not run", text::line(&format!("{count}: {why}"), 250))),
    );
    facts
}

fn by(summary: &Summary) -> String {
    let by = match summary.token.as_str() {
        "" => summary.role.clone(),
        token => format!("{}, token {token}", summary.role),
    };
    text::line(&by, 40)
}

/// The groups by kind, in the order of the report.
fn kinds(groups: &[Group]) -> Vec<KindView> {
    let mut kinds: Vec<KindView> = Vec::new();
    for group in groups {
        let view = GroupView::new(group);
        match kinds.iter_mut().find(|one| one.kind == group.kind) {
            Some(kind) => kind.groups.push(view),
            None => kinds.push(KindView {
                kind: group.kind.clone(),
                groups: vec![view],
            }),
        }
    }
    for one in &mut kinds {
        one.kind = text::line(&one.kind.replace('_', " "), 40);
    }
    kinds
}

fn promotion(dashboard: &Dashboard, hook: &str, summary: &Summary) -> Promotion {
    let admin = &dashboard.setup.admin;
    let statuses = admin.hooks.statuses();
    let status = statuses.iter().find(|status| status.name == hook);
    let serving = status.and_then(|status| status.digest.as_deref());
    let candidate = admin.candidates.report(hook);
    let is_candidate = candidate.is_some_and(|report| {
        let can_serve = ["shadow", "canary", "rolled-back", "superseded"].contains(&report.phase);
        can_serve && report.digest.as_deref() == Some(summary.digest.as_str())
    });
    let (component, name) = (quote(&summary.component), quote(hook));
    Promotion {
        is_serving: serving == Some(summary.digest.as_str()),
        is_candidate,
        command: format!(
            "landfall try {component} --hook {name} --last {} --promote",
            summary.attempts
        ),
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(summary: &Summary) -> Verdict {
        if summary.is_same {
            let words = match summary.allowed {
                0 => "Nothing differs".to_owned(),
                _ => "Nothing differs except what is allowed".to_owned(),
            };
            return Verdict {
                words,
                tone: "good",
            };
        }

        let counts = [
            (summary.differs, "different"),
            (summary.unanswered, "unanswered"),
            (summary.truncated, "truncated"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        Verdict {
            words: words.join(", "),
            tone: "bad",
        }
    }
}

// === impl TryRow ===

impl TryRow {
    fn new(hook: &str, summary: &Summary) -> TryRow {
        let digest = &summary.digest;
        TryRow {
            at: Time::new(&summary.at),
            link: format!("/tries/{}/{}", segment(hook), segment(&summary.id)),
            component: text::line(&summary.component, 80),
            digest: text::line(digest.get(..DIGEST_SHOWN).unwrap_or(digest), 40),
            by: by(summary),
            attempts: summary.attempts,
            verdict: Verdict::of(summary),
        }
    }
}

// === impl GroupView ===

impl GroupView {
    fn new(group: &Group) -> GroupView {
        let is_measured =
            DifferenceKind::of_word(&group.kind).is_some_and(DifferenceKind::is_measured);
        let note = if group.allowed {
            "allowed"
        } else if is_measured {
            "measured: does not count"
        } else if group.follows {
            "follows from what is not recorded: does not count"
        } else {
            ""
        };
        let sample = &group.sample;
        GroupView {
            place: text::line(&group.place, PLACE_MAX),
            attempts: text::count(group.attempts, "attempt", "attempts"),
            note,
            link: format!("/events/{}", segment(&sample.event)),
            event: short(&sample.event),
            attempt: sample.attempt,
            is_masked: sample.masked,
            recorded: text::visible(&sample.recorded),
            found: text::visible(&sample.found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(same: u64, differs: u64, unanswered: u64, allowed: u64) -> Summary {
        Summary {
            id: "0190f3c1-8a5e-7000-8000-0123456789ab".to_owned(),
            at: "2026-01-31T08:15:30Z".to_owned(),
            role: "operate".to_owned(),
            token: "01234567".to_owned(),
            component: "next.wasm".to_owned(),
            digest: "0a".repeat(32),
            attempts: same + differs + unanswered,
            same,
            allowed,
            differs,
            unanswered,
            truncated: 0,
            not_run: BTreeMap::new(),
            is_same: differs + unanswered == 0,
            groups: 0,
        }
    }

    fn group(kind: &str, found: &str) -> Group {
        Group {
            kind: kind.to_owned(),
            place: "body/\u{202e}total".to_owned(),
            attempts: 2,
            allowed: false,
            follows: false,
            sample: Sample {
                event: "0190f3c1-8a5e-7000-8000-0123456789ab".to_owned(),
                attempt: 1,
                masked: false,
                recorded: String::new(),
                found: found.to_owned(),
            },
        }
    }

    #[test]
    fn verdicts_are_said_in_words() {
        for (report, words, tone) in [
            (summary(3, 0, 0, 0), "Nothing differs", "good"),
            (
                summary(3, 0, 0, 1),
                "Nothing differs except what is allowed",
                "good",
            ),
            (summary(3, 2, 1, 0), "2 different, 1 unanswered", "bad"),
        ] {
            let verdict = Verdict::of(&report);
            assert_eq!((verdict.words.as_str(), verdict.tone), (words, tone));
        }
    }

    #[test]
    fn groups_stand_below_their_kind() {
        let groups = [
            group("unanswered_call", "a"),
            group("rows", "b\u{1b}"),
            group("rows", "c"),
            group("duration", "9 ms"),
        ];
        let kinds = kinds(&groups);
        let names: Vec<(&str, usize)> = kinds
            .iter()
            .map(|kind| (kind.kind.as_str(), kind.groups.len()))
            .collect();
        assert_eq!(
            names,
            [("unanswered call", 1), ("rows", 2), ("duration", 1)]
        );
        let rows = &kinds[1].groups[0];
        assert!(!rows.place.contains('\u{202e}') && !rows.found.contains('\u{1b}'));
        assert_eq!((rows.note, rows.attempts.as_str()), ("", "2 attempts"));
        assert_eq!(kinds[2].groups[0].note, "measured: does not count");
    }
}
