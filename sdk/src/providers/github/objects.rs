//! The objects of GitHub's payloads.

use serde::Deserialize;

/// A commit of a push.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// The SHA.
    pub id: String,
    /// The whole message.
    pub message: String,
    /// ISO 8601 with an offset.
    pub timestamp: String,
    /// The page of the commit.
    pub url: String,
    /// The author.
    pub author: Person,
    /// Paths of new files.
    pub added: Vec<String>,
    /// Paths of deleted files.
    pub removed: Vec<String>,
    /// Paths of changed files.
    pub modified: Vec<String>,
}

/// The author of a commit, or the pusher.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Person {
    /// As written in the commit.
    pub name: String,
    /// As written in the commit.
    pub email: Option<String>,
    /// The account, if there is one.
    pub username: Option<String>,
}

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct User {
    /// The name of the account.
    pub login: String,
    /// Does not change with the name.
    pub id: u64,
    /// The page of the account.
    pub html_url: String,
}

/// A repository.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// Does not change with the name.
    pub id: u64,
    /// Without the owner.
    pub name: String,
    /// `owner/name`.
    pub full_name: String,
    /// Whether the repository is private.
    pub private: bool,
    /// The page of the repository.
    pub html_url: String,
    /// `main`, as a rule.
    pub default_branch: String,
}

/// A pull request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PullRequest {
    /// Unique in its repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The description.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// Not ready for review.
    pub draft: bool,
    /// Closed by a merge.
    pub merged: bool,
    /// The page of the pull request.
    pub html_url: String,
    /// The author; `None` if the account is deleted.
    pub user: Option<User>,
    /// The branch to merge.
    pub head: Branch,
    /// The branch to merge into.
    pub base: Branch,
}

/// One end of a pull request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Branch {
    /// The name of the branch.
    pub r#ref: String,
    /// The newest commit.
    pub sha: String,
}

/// An issue, or a pull request as an issue.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Issue {
    /// Unique in its repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// The description.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// The page of the issue.
    pub html_url: String,
    /// The author; `None` if the account is deleted.
    pub user: Option<User>,
    /// In no order.
    pub labels: Vec<Label>,
}

/// A label.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Label {
    /// As shown.
    pub name: String,
}

/// A comment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Comment {
    /// Markdown.
    pub body: String,
    /// The page of the comment.
    pub html_url: String,
    /// The author; `None` if the account is deleted.
    pub user: Option<User>,
    /// The file, for comments on a review.
    pub path: Option<String>,
}

/// A review of a pull request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Review {
    /// `approved`, `changes_requested`, `commented` or `dismissed`.
    pub state: String,
    /// Markdown.
    pub body: Option<String>,
    /// The page of the review.
    pub html_url: String,
    /// The reviewer; `None` if the account is deleted.
    pub user: Option<User>,
    /// The reviewed commit.
    pub commit_id: Option<String>,
}

/// A release.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Release {
    /// The tag.
    pub tag_name: String,
    /// The title.
    pub name: Option<String>,
    /// The notes.
    pub body: Option<String>,
    /// Not published.
    pub draft: bool,
    /// A preview.
    pub prerelease: bool,
    /// The page of the release.
    pub html_url: String,
}

/// A run of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WorkflowRun {
    /// Unique.
    pub id: u64,
    /// The name of the workflow.
    pub name: Option<String>,
    /// `None` for a detached commit.
    pub head_branch: Option<String>,
    /// The commit.
    pub head_sha: String,
    /// The kind of event that started the run.
    pub event: String,
    /// `queued`, `in_progress`, `completed`, …
    pub status: Option<String>,
    /// `success`, `failure`, …; `None` until the run has ended.
    pub conclusion: Option<String>,
    /// Counts the runs of this workflow.
    pub run_number: u64,
    /// 1, and more after a rerun.
    pub run_attempt: u64,
    /// The page of the run.
    pub html_url: String,
}

/// A job of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WorkflowJob {
    /// Unique.
    pub id: u64,
    /// The run that the job belongs to.
    pub run_id: u64,
    /// The name of the job.
    pub name: String,
    /// The name of the workflow.
    pub workflow_name: Option<String>,
    /// `None` for a detached commit.
    pub head_branch: Option<String>,
    /// The commit.
    pub head_sha: String,
    /// `queued`, `in_progress`, `completed` or `waiting`.
    pub status: String,
    /// `success`, `failure`, …; `None` until the job has ended.
    pub conclusion: Option<String>,
    /// The labels of the runner.
    pub labels: Vec<String>,
    /// The page of the job.
    pub html_url: Option<String>,
}

/// A check run or a check suite.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Check {
    /// Unique.
    pub id: u64,
    /// The name of a check run; `None` for a suite.
    pub name: Option<String>,
    /// The commit.
    pub head_sha: String,
    /// `queued`, `in_progress`, `completed`, …
    pub status: Option<String>,
    /// `success`, `failure`, …; `None` until the check has ended.
    pub conclusion: Option<String>,
    /// The page of a check run.
    pub html_url: Option<String>,
    /// The page of the tool that checks.
    pub details_url: Option<String>,
}

/// A deployment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// Unique.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// The branch, tag or commit that was asked for.
    pub r#ref: String,
    /// `deploy`, as a rule.
    pub task: String,
    /// `production`, …
    pub environment: String,
    /// Text of the author.
    pub description: Option<String>,
}

/// The status of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeploymentStatus {
    /// `success`, `failure`, `in_progress`, …
    pub state: String,
    /// Text of the author.
    pub description: Option<String>,
    /// `production`, …
    pub environment: String,
    /// Where the result runs.
    pub environment_url: Option<String>,
    /// The log of the deployment.
    pub log_url: Option<String>,
}

/// A discussion.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Discussion {
    /// Unique in its repository.
    pub number: u64,
    /// The title.
    pub title: String,
    /// Markdown.
    pub body: Option<String>,
    /// `open` or `closed`.
    pub state: String,
    /// The page of the discussion.
    pub html_url: String,
    /// The author; `None` if the account is deleted.
    pub user: Option<User>,
}

/// An installation of a GitHub App.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Installation {
    /// Unique.
    pub id: u64,
    /// The account that installed the app.
    pub account: Option<User>,
    /// `all` or `selected`.
    pub repository_selection: Option<String>,
}
