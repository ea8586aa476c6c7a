//! GitLab. Source: docs.gitlab.com/user/project/integrations/webhook_events.

use crate::{Failure, FromEvent};
use serde::Deserialize;
use serde_json::Value;

/// One event, by its `object_kind`; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Commits, or a branch that came or went.
    Push(Push),
    /// A tag that came or went.
    TagPush(Push),
    /// Something became of a merge request.
    MergeRequest(MergeRequestEvent),
    /// A pipeline changed its status.
    Pipeline(PipelineEvent),
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
    /// Who pushed.
    pub user_username: String,
    /// Where.
    pub project: Project,
    /// The newest 20.
    pub commits: Vec<Commit>,
    /// How many there are in all.
    pub total_commits_count: u64,
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
}

/// A project.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Project {
    /// Stays when the name changes.
    pub id: u64,
    /// As shown.
    pub name: String,
    /// `group/project`.
    pub path_with_namespace: String,
    /// Its page.
    pub web_url: String,
    /// None in an empty project.
    pub default_branch: Option<String>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct User {
    /// The name of the account.
    pub username: String,
    /// As shown.
    pub name: String,
}

/// Something became of a merge request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MergeRequestEvent {
    /// Whose action made the event.
    pub user: User,
    /// Where.
    pub project: Project,
    /// The merge request, as it is now.
    pub object_attributes: MergeRequest,
}

/// A merge request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MergeRequest {
    /// In its project.
    pub iid: u64,
    /// Its first line.
    pub title: String,
    /// What was written below.
    pub description: Option<String>,
    /// `opened`, `merged`, `closed`, `locked`.
    pub state: String,
    /// `open`, `update`, `merge`, …; none in a test from GitLab's pages.
    pub action: Option<String>,
    /// What is to be merged.
    pub source_branch: String,
    /// Into what.
    pub target_branch: String,
    /// Its page.
    pub url: String,
}

/// A pipeline changed its status.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PipelineEvent {
    /// Who started it.
    pub user: User,
    /// Where.
    pub project: Project,
    /// The pipeline, as it is now.
    pub object_attributes: Pipeline,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Pipeline {
    /// Counts all pipelines.
    pub id: u64,
    /// The branch or tag.
    pub r#ref: String,
    /// Whether `ref` is a tag.
    pub tag: bool,
    /// On which commit.
    pub sha: String,
    /// `pending`, `running`, `success`, `failed`, …
    pub status: String,
}

/// By `object_kind` in the body.
impl TryFrom<&crate::Event> for Event {
    type Error = Failure;

    fn try_from(event: &crate::Event) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Kind {
            object_kind: String,
        }
        let Kind { object_kind } = event.json()?;
        Ok(match object_kind.as_str() {
            "push" => Self::Push(event.json()?),
            "tag_push" => Self::TagPush(event.json()?),
            "merge_request" => Self::MergeRequest(event.json()?),
            "pipeline" => Self::Pipeline(event.json()?),
            _ => Self::Other(object_kind, event.json()?),
        })
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
    use serde_json::json;

    fn project() -> Value {
        json!({ "id": 7, "name": "Site", "path_with_namespace": "team/site", "web_url": "https://gitlab.example/team/site",
            "default_branch": "main", "visibility_level": 0 })
    }

    #[test]
    fn events_are_of_their_kind() {
        let user = json!({ "name": "Ada", "username": "ada" });
        let commit = json!({ "id": "1", "message": "m", "timestamp": "2026-01-31T08:15:30+01:00", "url": "https://…" });
        let push = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "0", "after": "1",
            "user_username": "ada", "project": project(), "commits": [commit], "total_commits_count": 1 });
        let change = json!({ "object_kind": "merge_request", "user": user, "project": project(), "object_attributes": {
            "iid": 3, "title": "t", "description": null, "state": "opened", "action": "open", "source_branch": "a",
            "target_branch": "main", "url": "https://…" } });
        let pipeline = json!({ "object_kind": "pipeline", "user": user, "project": project(), "object_attributes": {
            "id": 31, "ref": "main", "tag": false, "sha": "1", "status": "success" } });
        let typed = |body: Value| Event::from_event(testing::event(body)).unwrap();
        assert!(matches!(typed(push), Event::Push(push) if push.commits.len() == 1));
        assert!(
            matches!(typed(change), Event::MergeRequest(change) if change.object_attributes.iid == 3)
        );
        assert!(
            matches!(typed(pipeline), Event::Pipeline(pipeline) if pipeline.object_attributes.status == "success")
        );
        assert!(
            matches!(typed(json!({ "object_kind": "note" })), Event::Other(kind, _) if kind == "note")
        );
        assert!(matches!(
            Event::from_event(testing::event(json!({}))),
            Err(Failure::Reject { .. })
        ));
    }
}
