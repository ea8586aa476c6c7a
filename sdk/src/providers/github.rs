//! GitHub. Source: docs.github.com/en/webhooks/webhook-events-and-payloads.

use crate::{Failure, FromEvent, Payload};
use serde::Deserialize;
use serde_json::Value;

/// One event, by its kind; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Commits, or a branch or tag that came or went.
    Push(Push),
    /// Something became of a pull request.
    PullRequest(PullRequestEvent),
    /// Something became of an issue.
    Issues(IssuesEvent),
    /// A comment on an issue or a pull request.
    IssueComment(IssueCommentEvent),
    /// Something became of a release.
    Release(ReleaseEvent),
    /// A run of a workflow was asked for, began or ended.
    WorkflowRun(WorkflowRunEvent),
    /// The hook was made.
    Ping(Ping),
    /// Any other kind, with its body.
    Other(String, Value),
}

/// Commits were pushed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Push {
    /// `refs/heads/main`, `refs/tags/v1`.
    pub r#ref: String,
    /// The commit before; zeros for a new ref.
    pub before: String,
    /// The commit after; zeros for a deleted ref.
    pub after: String,
    /// The ref is new.
    pub created: bool,
    /// The ref is gone.
    pub deleted: bool,
    /// History was rewritten.
    pub forced: bool,
    /// A page that shows the difference.
    pub compare: String,
    /// At most 2048, oldest first.
    pub commits: Vec<Commit>,
    /// The newest commit; none for a deleted ref.
    pub head_commit: Option<Commit>,
    /// Where.
    pub repository: Repository,
    /// Who pushed.
    pub pusher: Person,
    /// Whose action made the event.
    pub sender: User,
}

impl Push {
    /// The branch, where it is one.
    pub fn branch(&self) -> Option<&str> {
        self.r#ref.strip_prefix("refs/heads/")
    }

    /// The tag, where it is one.
    pub fn tag(&self) -> Option<&str> {
        self.r#ref.strip_prefix("refs/tags/")
    }
}

/// A commit of a push.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Commit {
    /// Its SHA.
    pub id: String,
    /// The whole text.
    pub message: String,
    /// ISO 8601 with an offset.
    pub timestamp: String,
    /// Its page.
    pub url: String,
    /// Who wrote it.
    pub author: Person,
    /// Paths of new files.
    #[serde(default)]
    pub added: Vec<String>,
    /// Paths of deleted files.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Paths of changed files.
    #[serde(default)]
    pub modified: Vec<String>,
}

/// The author of a commit, or the pusher.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Person {
    /// As written in the commit.
    pub name: String,
    /// As written in the commit.
    pub email: Option<String>,
    /// The account, where there is one.
    pub username: Option<String>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct User {
    /// The name of the account.
    pub login: String,
    /// Stays when the name changes.
    pub id: u64,
    /// Its page.
    pub html_url: String,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Repository {
    /// Stays when the name changes.
    pub id: u64,
    /// Without the owner.
    pub name: String,
    /// `owner/name`.
    pub full_name: String,
    /// Not everybody may see it.
    pub private: bool,
    /// Its page.
    pub html_url: String,
    /// `main`, as a rule.
    pub default_branch: String,
}

/// Something became of a pull request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PullRequestEvent {
    /// `opened`, `closed`, `synchronize`, …
    pub action: String,
    /// Of the pull request.
    pub number: u64,
    /// As it is now.
    pub pull_request: PullRequest,
    /// Where.
    pub repository: Repository,
    /// Whose action made the event.
    pub sender: User,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PullRequest {
    /// Its first line.
    pub title: String,
    /// What was written below; none where nothing was.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// Not ready for review.
    #[serde(default)]
    pub draft: bool,
    /// Closed by being merged.
    pub merged: bool,
    /// Its page.
    pub html_url: String,
    /// Who opened it; none where the account is gone.
    pub user: Option<User>,
    /// What is to be merged.
    pub head: Branch,
    /// Into what.
    pub base: Branch,
}

/// One end of a pull request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Branch {
    /// The name of the branch.
    pub r#ref: String,
    /// Its newest commit.
    pub sha: String,
}

/// Something became of an issue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IssuesEvent {
    /// `opened`, `closed`, `labeled`, …
    pub action: String,
    /// As it is now.
    pub issue: Issue,
    /// Where.
    pub repository: Repository,
    /// Whose action made the event.
    pub sender: User,
}

/// An issue, or the same side of a pull request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Issue {
    /// In its repository.
    pub number: u64,
    /// Its first line.
    pub title: String,
    /// What was written below; none where nothing was.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// Its page.
    pub html_url: String,
    /// Who opened it; none where the account is gone.
    pub user: Option<User>,
    /// In no order.
    #[serde(default)]
    pub labels: Vec<Label>,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Label {
    /// As shown.
    pub name: String,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IssueCommentEvent {
    /// `created`, `edited` or `deleted`.
    pub action: String,
    /// What it is about.
    pub issue: Issue,
    /// What was said.
    pub comment: Comment,
    /// Where.
    pub repository: Repository,
    /// Whose action made the event.
    pub sender: User,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Comment {
    /// The text, in Markdown.
    pub body: String,
    /// Its page.
    pub html_url: String,
    /// Who wrote it; none where the account is gone.
    pub user: Option<User>,
}

/// Something became of a release.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ReleaseEvent {
    /// `published`, `edited`, …
    pub action: String,
    /// As it is now.
    pub release: Release,
    /// Where.
    pub repository: Repository,
    /// Whose action made the event.
    pub sender: User,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Release {
    /// The tag that it is made of.
    pub tag_name: String,
    /// Its title, if it has one.
    pub name: Option<String>,
    /// The notes, if it has any.
    pub body: Option<String>,
    /// Not to be seen yet.
    pub draft: bool,
    /// Not for everybody yet.
    pub prerelease: bool,
    /// Its page.
    pub html_url: String,
}

/// A run of a workflow was asked for, began or ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WorkflowRunEvent {
    /// `requested`, `in_progress` or `completed`.
    pub action: String,
    /// As it is now.
    pub workflow_run: WorkflowRun,
    /// Where.
    pub repository: Repository,
    /// Whose action made the event.
    pub sender: User,
}

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WorkflowRun {
    /// Of the workflow; none where it has none.
    pub name: Option<String>,
    /// On which branch; none for a detached one.
    pub head_branch: Option<String>,
    /// On which commit.
    pub head_sha: String,
    /// The kind of event that started it.
    pub event: String,
    /// `queued`, `in_progress`, `completed`, …
    pub status: Option<String>,
    /// `success`, `failure`, …; none until it is over.
    pub conclusion: Option<String>,
    /// Counts the runs of this workflow.
    pub run_number: u64,
    /// 1, and more when it was run again.
    pub run_attempt: u64,
    /// Its page.
    pub html_url: String,
}

/// The hook was made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ping {
    /// A word of wisdom.
    pub zen: String,
    /// Of the hook, at GitHub.
    pub hook_id: u64,
}

impl Event {
    /// The kind as GitHub calls it: `pull_request`.
    pub fn kind(&self) -> &str {
        match self {
            Self::Push(_) => "push",
            Self::PullRequest(_) => "pull_request",
            Self::Issues(_) => "issues",
            Self::IssueComment(_) => "issue_comment",
            Self::Release(_) => "release",
            Self::WorkflowRun(_) => "workflow_run",
            Self::Ping(_) => "ping",
            Self::Other(kind, _) => kind,
        }
    }
}

#[derive(Deserialize)]
struct Form {
    payload: String,
}

/// By the event type that the host found, else by the header `x-github-event`.
impl TryFrom<&crate::Event> for Event {
    type Error = Failure;

    /// The body is JSON, or a form with JSON in its field `payload`, as the hook's settings at GitHub say.
    fn try_from(event: &crate::Event) -> Result<Self, Failure> {
        let is_form = event
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            let payload = Payload::from(event.form::<Form>()?.payload);
            let headers = event
                .headers
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"))
                .cloned()
                .collect();
            return Self::try_from(&crate::Event {
                body: payload,
                headers,
                ..event.clone()
            });
        }
        let kind = event
            .event_type
            .as_deref()
            .or_else(|| event.header("x-github-event"));
        Ok(
            match kind.ok_or_else(|| {
                Failure::reject("no header says what kind of event of GitHub's this is")
            })? {
                "push" => Self::Push(event.json()?),
                "pull_request" => Self::PullRequest(event.json()?),
                "issues" => Self::Issues(event.json()?),
                "issue_comment" => Self::IssueComment(event.json()?),
                "release" => Self::Release(event.json()?),
                "workflow_run" => Self::WorkflowRun(event.json()?),
                "ping" => Self::Ping(event.json()?),
                other => Self::Other(other.to_owned(), event.json()?),
            },
        )
    }
}

impl FromEvent for Event {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::try_from(&event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
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
            *if matches!(typed, Event::Other(..)) {
                &mut others
            } else {
                &mut typed_ones
            } += 1;
        }
        assert!(
            typed_ones >= 10 && others >= 5,
            "{typed_ones} typed, {others} others"
        );
    }

    #[test]
    fn a_push_knows_its_branch() {
        let body = include_str!("../../../tests/fixtures/github/push-1.json");
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
    fn foreign_payloads_are_rejected() {
        assert!(matches!(
            Event::from_event(testing::event(serde_json::json!({}))),
            Err(Failure::Reject { .. })
        ));
        let event = testing::post(serde_json::json!({ "ref": 1 }))
            .header("x-github-event", "push")
            .build();
        assert!(matches!(
            Event::from_event(event),
            Err(Failure::Reject { .. })
        ));
    }
}
