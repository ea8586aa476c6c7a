//! The payloads of GitHub's events.

use super::objects::{
    Check, Comment, Commit, Deployment, DeploymentStatus, Discussion, Installation, Issue, Label,
    Person, PullRequest, Release, Repository, Review, User, WorkflowJob, WorkflowRun,
};
use serde::Deserialize;

/// Commits were pushed, or a branch or tag was created or deleted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Push {
    /// `refs/heads/main`, `refs/tags/v1`.
    pub r#ref: String,
    /// The commit before; zeros for a new ref.
    pub before: String,
    /// The commit after; zeros for a deleted ref.
    pub after: String,
    /// The ref is new.
    pub created: bool,
    /// The ref was deleted.
    pub deleted: bool,
    /// History was rewritten.
    pub forced: bool,
    /// A page that shows the difference.
    pub compare: String,
    /// At most 2048, oldest first.
    pub commits: Vec<Commit>,
    /// The newest commit; `None` for a deleted ref.
    pub head_commit: Option<Commit>,
    /// The repository.
    pub repository: Repository,
    /// The account that pushed.
    pub pusher: Person,
    /// The account that caused the event.
    pub sender: User,
}

impl Push {
    /// The branch; `None` for a tag.
    pub fn branch(&self) -> Option<&str> {
        self.r#ref.strip_prefix("refs/heads/")
    }

    /// The tag; `None` for a branch.
    pub fn tag(&self) -> Option<&str> {
        self.r#ref.strip_prefix("refs/tags/")
    }
}

/// A branch or a tag was created or deleted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RefEvent {
    /// The name, without `refs/`.
    pub r#ref: String,
    /// `branch` or `tag`.
    pub ref_type: String,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A pull request changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PullRequestEvent {
    /// `opened`, `closed`, `synchronize`, …
    pub action: String,
    /// The number of the pull request.
    pub number: u64,
    /// As it is now.
    pub pull_request: PullRequest,
    /// The label, for `labeled` and `unlabeled`.
    pub label: Option<Label>,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A review of a pull request changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReviewEvent {
    /// `submitted`, `edited` or `dismissed`.
    pub action: String,
    /// The review.
    pub review: Review,
    /// What is reviewed.
    pub pull_request: PullRequest,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A comment on a line of a pull request changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReviewCommentEvent {
    /// `created`, `edited` or `deleted`.
    pub action: String,
    /// The comment.
    pub comment: Comment,
    /// What is reviewed.
    pub pull_request: PullRequest,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// An issue changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IssuesEvent {
    /// `opened`, `closed`, `labeled`, …
    pub action: String,
    /// As it is now.
    pub issue: Issue,
    /// The label, for `labeled` and `unlabeled`.
    pub label: Option<Label>,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A comment on an issue or a pull request changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IssueCommentEvent {
    /// `created`, `edited` or `deleted`.
    pub action: String,
    /// What the comment is about.
    pub issue: Issue,
    /// The comment.
    pub comment: Comment,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A discussion changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DiscussionEvent {
    /// `created`, `answered`, `closed`, …
    pub action: String,
    /// As it is now.
    pub discussion: Discussion,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A release changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReleaseEvent {
    /// `published`, `edited`, …
    pub action: String,
    /// As it is now.
    pub release: Release,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A run of a workflow was requested, started or ended.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WorkflowRunEvent {
    /// `requested`, `in_progress` or `completed`.
    pub action: String,
    /// As it is now.
    pub workflow_run: WorkflowRun,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A job of a workflow was queued, started or ended.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WorkflowJobEvent {
    /// `queued`, `in_progress`, `completed` or `waiting`.
    pub action: String,
    /// As it is now.
    pub workflow_job: WorkflowJob,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A check run changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CheckRunEvent {
    /// `created`, `completed`, `rerequested` or `requested_action`.
    pub action: String,
    /// As it is now.
    pub check_run: Check,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A check suite changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CheckSuiteEvent {
    /// `completed`, `requested` or `rerequested`.
    pub action: String,
    /// As it is now.
    pub check_suite: Check,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// The status of a commit changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StatusEvent {
    /// The commit.
    pub sha: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// The name of the tool.
    pub context: String,
    /// Text of the tool.
    pub description: Option<String>,
    /// The page of the tool.
    pub target_url: Option<String>,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A deployment was created.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeploymentEvent {
    /// `created`.
    pub action: String,
    /// The deployment.
    pub deployment: Deployment,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A deployment has a new status.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeploymentStatusEvent {
    /// `created`.
    pub action: String,
    /// The status.
    pub deployment_status: DeploymentStatus,
    /// The deployment.
    pub deployment: Deployment,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A star was given or taken back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StarEvent {
    /// `created` or `deleted`.
    pub action: String,
    /// `None` if the star was taken back.
    pub starred_at: Option<String>,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A repository was forked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ForkEvent {
    /// The fork.
    pub forkee: Repository,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A repository was created, renamed, archived, …
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RepositoryEvent {
    /// `created`, `renamed`, `archived`, …
    pub action: String,
    /// The repository.
    pub repository: Repository,
    /// The account that caused the event.
    pub sender: User,
}

/// A GitHub App was installed, changed or removed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct InstallationEvent {
    /// `created`, `deleted`, `suspend`, …
    pub action: String,
    /// The installation.
    pub installation: Installation,
    /// The repositories that the app may use, when it is installed.
    pub repositories: Vec<Repository>,
    /// The account that caused the event.
    pub sender: User,
}

/// The webhook was created.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Ping {
    /// A sentence of GitHub.
    pub zen: String,
    /// The id of the webhook.
    pub hook_id: u64,
}
