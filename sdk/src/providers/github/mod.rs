//! GitHub. Source: docs.github.com/en/webhooks/webhook-events-and-payloads.

mod objects;
mod payloads;

pub use objects::*;
pub use payloads::*;

use super::typed;
use crate::{Failure, FromEvent};
use serde_json::Value;

macro_rules! events {
    ($($(#[$about:meta])* $variant:ident($payload:ty) = $kind:literal,)*) => {
        /// One event, by its kind. It can be an argument of a handler.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$about])* $variant(Box<$payload>),)*
            /// Any other kind, or a body that does not fit its kind: the kind, and the body.
            Other(String, Value),
        }

        impl Event {
            /// The kind as GitHub calls it: `pull_request`.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Other(kind, _) => kind,
                }
            }

            fn of(kind: &str, event: &crate::Event) -> Result<Self, Failure> {
                let other = |body| Self::Other(kind.to_owned(), body);
                match kind {
                    $($kind => typed(event, kind, |payload| Self::$variant(Box::new(payload)), other),)*
                    _ => event.json().map(other),
                }
            }
        }
    };
}

events! {
    /// Commits were pushed, or a branch or tag was created or deleted.
    Push(Push) = "push",
    /// A branch or a tag was created.
    Create(RefEvent) = "create",
    /// A branch or a tag was deleted.
    Delete(RefEvent) = "delete",
    /// A pull request changed.
    PullRequest(PullRequestEvent) = "pull_request",
    /// A review of a pull request changed.
    PullRequestReview(ReviewEvent) = "pull_request_review",
    /// A comment on a line of a pull request changed.
    PullRequestReviewComment(ReviewCommentEvent) = "pull_request_review_comment",
    /// An issue changed.
    Issues(IssuesEvent) = "issues",
    /// A comment on an issue or a pull request changed.
    IssueComment(IssueCommentEvent) = "issue_comment",
    /// A discussion changed.
    Discussion(DiscussionEvent) = "discussion",
    /// A release changed.
    Release(ReleaseEvent) = "release",
    /// A run of a workflow was requested, started or ended.
    WorkflowRun(WorkflowRunEvent) = "workflow_run",
    /// A job of a workflow was queued, started or ended.
    WorkflowJob(WorkflowJobEvent) = "workflow_job",
    /// A check run changed.
    CheckRun(CheckRunEvent) = "check_run",
    /// A check suite changed.
    CheckSuite(CheckSuiteEvent) = "check_suite",
    /// The status of a commit changed.
    Status(StatusEvent) = "status",
    /// A deployment was created.
    Deployment(DeploymentEvent) = "deployment",
    /// A deployment has a new status.
    DeploymentStatus(DeploymentStatusEvent) = "deployment_status",
    /// A star was given or taken back.
    Star(StarEvent) = "star",
    /// A repository was forked.
    Fork(ForkEvent) = "fork",
    /// A repository was created, renamed, archived, …
    Repository(RepositoryEvent) = "repository",
    /// A GitHub App was installed, changed or removed.
    Installation(InstallationEvent) = "installation",
    /// The webhook was created.
    Ping(Ping) = "ping",
}

/// By the event type that the host found, otherwise by the header `x-github-event`.
impl TryFrom<&crate::Event> for Event {
    type Error = Failure;

    /// The body is JSON, or a form with JSON in its field `payload`, as the webhook's settings at
    /// GitHub say.
    fn try_from(event: &crate::Event) -> Result<Self, Failure> {
        let kind = event.event_type.as_deref();
        let kind = kind.or_else(|| event.header("x-github-event"));
        let kind = kind
            .ok_or_else(|| Failure::reject("no header says which kind of GitHub event this is"))?;
        Self::of(kind, &event.with_json_body("payload"))
    }
}

impl FromEvent for Event {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::try_from(&event)
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        Self::try_from(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, testing};
    use std::path::Path;

    /// Recorded at GitHub; the file's name says what kind it is.
    #[test]
    fn recorded_events_are_of_their_kind() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/github");
        let (mut typed_ones, mut others) = (0, 0);
        for entry in std::fs::read_dir(recorded).unwrap() {
            let path = entry.unwrap().path();
            let Some((kind, _)) = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.split_once('-'))
            else {
                continue;
            };
            let body = std::fs::read_to_string(&path).unwrap();
            let event = testing::post_raw(body)
                .header("X-GitHub-Event", kind)
                .build();
            let typed = Event::try_from(&event)
                .unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
            assert_eq!(typed.kind(), kind);
            assert_eq!(
                matches!(typed, Event::Other(..)),
                kind == "member",
                "{kind}"
            );
            *if matches!(typed, Event::Other(..)) {
                &mut others
            } else {
                &mut typed_ones
            } += 1;
        }
        assert!(
            typed_ones >= 15 && others >= 1,
            "{typed_ones} typed, {others} others"
        );
    }

    #[test]
    fn a_push_knows_its_branch() {
        let body = include_str!("../../../../tests/fixtures/github/push-1.json");
        let event = testing::post_raw(body).event_type("push").build();
        let Ok(Event::Push(push)) = Event::from_event(event) else {
            panic!("this is a push")
        };
        assert_eq!(
            (push.branch(), push.tag(), push.commits.len()),
            (Some("master"), None, 1)
        );
        assert_eq!(push.commits[0].added, ["README.md"]);
    }

    #[test]
    fn a_form_holds_the_same() {
        let form = "payload=%7B%22zen%22%3A%22Keep+it+logically+awesome.%22%2C%22hook_id%22%3A7%7D";
        let event =
            testing::post_raw(form).header("Content-Type", "application/x-www-form-urlencoded");
        let event = event.header("X-GitHub-Event", "ping").build();
        assert!(matches!(Event::from_event(event), Ok(Event::Ping(ping)) if ping.hook_id == 7));
    }

    #[test]
    fn payloads_that_differ_are_kept() {
        let kind = |body: Value, kind: &str| {
            let event = testing::post(body).header("x-github-event", kind);
            Event::from_event(event.build()).unwrap()
        };
        let foreign = json!({ "ref": 1 });
        assert_eq!(
            kind(foreign.clone(), "push"),
            Event::Other("push".into(), foreign)
        );
        let sparse = kind(json!({ "ref": "refs/tags/v1", "commits": null }), "push");
        assert!(
            matches!(sparse, Event::Push(push) if push.tag() == Some("v1") && push.commits.is_empty())
        );
        assert!(matches!(kind(json!({}), "star"), Event::Star(_)));
        assert!(
            matches!(kind(json!({}), "sponsorship"), Event::Other(kind, _) if kind == "sponsorship")
        );
    }

    #[test]
    fn bodies_without_kind_are_rejected() {
        let no_kind = Event::from_event(testing::event(json!({})));
        assert!(matches!(no_kind, Err(Failure::Reject { .. })));
        let no_json = testing::post_raw("{").event_type("push").build();
        assert!(matches!(
            Event::from_event(no_json),
            Err(Failure::Reject { .. })
        ));
    }
}
