// Written from the Rust SDK: `LANDFALL_UPDATE_DOCS=1 cargo test --test it sdk_languages::payloads`.

/** GitHub. Source: docs.github.com/en/webhooks/webhook-events-and-payloads. */

/** The payloads, by event type: `event.json<Events["…"]>()`. */
export interface Events {
  /** Commits were pushed, or a branch or tag was created or deleted. */
  push: Push;
  /** A branch or a tag was created. */
  create: RefEvent;
  /** A branch or a tag was deleted. */
  delete: RefEvent;
  /** A pull request changed. */
  pull_request: PullRequestEvent;
  /** A review of a pull request changed. */
  pull_request_review: ReviewEvent;
  /** A comment on a line of a pull request changed. */
  pull_request_review_comment: ReviewCommentEvent;
  /** An issue changed. */
  issues: IssuesEvent;
  /** A comment on an issue or a pull request changed. */
  issue_comment: IssueCommentEvent;
  /** A discussion changed. */
  discussion: DiscussionEvent;
  /** A release changed. */
  release: ReleaseEvent;
  /** A run of a workflow was requested, started or ended. */
  workflow_run: WorkflowRunEvent;
  /** A job of a workflow was queued, started or ended. */
  workflow_job: WorkflowJobEvent;
  /** A check run changed. */
  check_run: CheckRunEvent;
  /** A check suite changed. */
  check_suite: CheckSuiteEvent;
  /** The status of a commit changed. */
  status: StatusEvent;
  /** A deployment was created. */
  deployment: DeploymentEvent;
  /** A deployment has a new status. */
  deployment_status: DeploymentStatusEvent;
  /** A star was given or taken back. */
  star: StarEvent;
  /** A repository was forked. */
  fork: ForkEvent;
  /** A repository was created, renamed, archived, … */
  repository: RepositoryEvent;
  /** A GitHub App was installed, changed or removed. */
  installation: InstallationEvent;
  /** The webhook was created. */
  ping: Ping;
}

/** Commits were pushed, or a branch or tag was created or deleted. */
export interface Push {
  /** `refs/heads/main`, `refs/tags/v1`. */
  ref: string;
  /** The commit before; zeros for a new ref. */
  before: string;
  /** The commit after; zeros for a deleted ref. */
  after: string;
  /** The ref is new. */
  created: boolean;
  /** The ref was deleted. */
  deleted: boolean;
  /** History was rewritten. */
  forced: boolean;
  /** A page that shows the difference. */
  compare: string;
  /** At most 2048, oldest first. */
  commits: Commit[];
  /** The newest commit; `null` for a deleted ref. */
  head_commit?: Commit | null;
  /** The repository. */
  repository: Repository;
  /** The account that pushed. */
  pusher: Person;
  /** The account that caused the event. */
  sender?: User | null;
}

/** A branch or a tag was created or deleted. */
export interface RefEvent {
  /** The name, without `refs/`. */
  ref: string;
  /** `branch` or `tag`. */
  ref_type: string;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A pull request changed. */
export interface PullRequestEvent {
  /** `opened`, `closed`, `synchronize`, … */
  action: string;
  /** The number of the pull request. */
  number: number;
  /** As it is now. */
  pull_request: PullRequest;
  /** The label, for `labeled` and `unlabeled`. */
  label?: Label | null;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A review of a pull request changed. */
export interface ReviewEvent {
  /** `submitted`, `edited` or `dismissed`. */
  action: string;
  /** The review. */
  review: Review;
  /** What is reviewed. */
  pull_request: PullRequest;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A comment on a line of a pull request changed. */
export interface ReviewCommentEvent {
  /** `created`, `edited` or `deleted`. */
  action: string;
  /** The comment. */
  comment: Comment;
  /** What is reviewed. */
  pull_request: PullRequest;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** An issue changed. */
export interface IssuesEvent {
  /** `opened`, `closed`, `labeled`, … */
  action: string;
  /** As it is now. */
  issue: Issue;
  /** The label, for `labeled` and `unlabeled`. */
  label?: Label | null;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A comment on an issue or a pull request changed. */
export interface IssueCommentEvent {
  /** `created`, `edited` or `deleted`. */
  action: string;
  /** What the comment is about. */
  issue: Issue;
  /** The comment. */
  comment: Comment;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A discussion changed. */
export interface DiscussionEvent {
  /** `created`, `answered`, `closed`, … */
  action: string;
  /** As it is now. */
  discussion: Discussion;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A release changed. */
export interface ReleaseEvent {
  /** `published`, `edited`, … */
  action: string;
  /** As it is now. */
  release: Release;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender?: User | null;
}

/** A run of a workflow was requested, started or ended. */
export interface WorkflowRunEvent {
  /** `requested`, `in_progress` or `completed`. */
  action: string;
  /** As it is now. */
  workflow_run: WorkflowRun;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A job of a workflow was queued, started or ended. */
export interface WorkflowJobEvent {
  /** `queued`, `in_progress`, `completed` or `waiting`. */
  action: string;
  /** As it is now. */
  workflow_job: WorkflowJob;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A check run changed. */
export interface CheckRunEvent {
  /** `created`, `completed`, `rerequested` or `requested_action`. */
  action: string;
  /** As it is now. */
  check_run: Check;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A check suite changed. */
export interface CheckSuiteEvent {
  /** `completed`, `requested` or `rerequested`. */
  action: string;
  /** As it is now. */
  check_suite: Check;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** The status of a commit changed. */
export interface StatusEvent {
  /** The commit. */
  sha: string;
  /** `pending`, `success`, `failure` or `error`. */
  state: string;
  /** The name of the tool. */
  context: string;
  /** Text of the tool. */
  description?: string | null;
  /** The page of the tool. */
  target_url?: string | null;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A deployment was created. */
export interface DeploymentEvent {
  /** `created`. */
  action: string;
  /** The deployment. */
  deployment: Deployment;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A deployment has a new status. */
export interface DeploymentStatusEvent {
  /** `created`. */
  action: string;
  /** The status. */
  deployment_status: DeploymentStatus;
  /** The deployment. */
  deployment: Deployment;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A star was given or taken back. */
export interface StarEvent {
  /** `created` or `deleted`. */
  action: string;
  /** `null` if the star was taken back. */
  starred_at?: string | null;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A repository was forked. */
export interface ForkEvent {
  /** The fork. */
  forkee: Repository;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A repository was created, renamed, archived, … */
export interface RepositoryEvent {
  /** `created`, `renamed`, `archived`, … */
  action: string;
  /** The repository. */
  repository: Repository;
  /** The account that caused the event. */
  sender: User;
}

/** A GitHub App was installed, changed or removed. */
export interface InstallationEvent {
  /** `created`, `deleted`, `suspend`, … */
  action: string;
  /** The installation. */
  installation: Installation;
  /** The repositories that the app may use, when it is installed. */
  repositories?: Repository[] | null;
  /** The account that caused the event. */
  sender: User;
}

/** The webhook was created. */
export interface Ping {
  /** A sentence of GitHub. */
  zen?: string | null;
  /** The id of the webhook. */
  hook_id?: number | null;
}

/** A commit of a push. */
export interface Commit {
  /** The SHA. */
  id: string;
  /** The whole message. */
  message: string;
  /** ISO 8601 with an offset. */
  timestamp: string;
  /** The page of the commit. */
  url: string;
  /** The author. */
  author: Person;
  /** Paths of new files. */
  added?: string[] | null;
  /** Paths of deleted files. */
  removed?: string[] | null;
  /** Paths of changed files. */
  modified?: string[] | null;
}

/** The author of a commit, or the pusher. */
export interface Person {
  /** As written in the commit. */
  name: string;
  /** As written in the commit. */
  email?: string | null;
  /** The account, if there is one. */
  username?: string | null;
}

/** An account. */
export interface User {
  /** The name of the account. */
  login: string;
  /** Does not change with the name. */
  id: number;
  /** The page of the account. */
  html_url?: string | null;
}

/** A repository. */
export interface Repository {
  /** Does not change with the name. */
  id: number;
  /** Without the owner. */
  name: string;
  /** `owner/name`. */
  full_name: string;
  /** Whether the repository is private. */
  private: boolean;
  /** The page of the repository. */
  html_url?: string | null;
  /** `main`, as a rule. */
  default_branch?: string | null;
}

/** A pull request. */
export interface PullRequest {
  /** Unique in its repository. */
  number: number;
  /** The title. */
  title: string;
  /** The description. */
  body?: string | null;
  /** `open` or `closed`. */
  state: string;
  /** Not ready for review. */
  draft?: boolean | null;
  /** Closed by a merge. */
  merged?: boolean | null;
  /** The page of the pull request. */
  html_url: string;
  /** The author; `null` if the account is deleted. */
  user?: User | null;
  /** The branch to merge. */
  head: Branch;
  /** The branch to merge into. */
  base: Branch;
}

/** One end of a pull request. */
export interface Branch {
  /** The name of the branch. */
  ref: string;
  /** The newest commit. */
  sha: string;
}

/** An issue, or a pull request as an issue. */
export interface Issue {
  /** Unique in its repository. */
  number: number;
  /** The title. */
  title: string;
  /** The description. */
  body?: string | null;
  /** `open` or `closed`. */
  state?: string | null;
  /** The page of the issue. */
  html_url: string;
  /** The author; `null` if the account is deleted. */
  user?: User | null;
  /** In no order. */
  labels?: Label[] | null;
}

/** A label. */
export interface Label {
  /** As shown. */
  name: string;
}

/** A comment. */
export interface Comment {
  /** Markdown. */
  body: string;
  /** The page of the comment. */
  html_url: string;
  /** The author; `null` if the account is deleted. */
  user?: User | null;
  /** The file, for comments on a review. */
  path?: string | null;
}

/** A review of a pull request. */
export interface Review {
  /** `approved`, `changes_requested`, `commented` or `dismissed`. */
  state: string;
  /** Markdown. */
  body?: string | null;
  /** The page of the review. */
  html_url: string;
  /** The reviewer; `null` if the account is deleted. */
  user?: User | null;
  /** The reviewed commit. */
  commit_id?: string | null;
}

/** A release. */
export interface Release {
  /** The tag. */
  tag_name: string;
  /** The title. */
  name?: string | null;
  /** The notes. */
  body?: string | null;
  /** Not published. */
  draft: boolean;
  /** A preview. */
  prerelease: boolean;
  /** The page of the release. */
  html_url: string;
}

/** A run of a workflow. */
export interface WorkflowRun {
  /** Unique. */
  id: number;
  /** The name of the workflow. */
  name?: string | null;
  /** `null` for a detached commit. */
  head_branch?: string | null;
  /** The commit. */
  head_sha: string;
  /** The kind of event that started the run. */
  event: string;
  /** `queued`, `in_progress`, `completed`, … */
  status?: string | null;
  /** `success`, `failure`, …; `null` until the run has ended. */
  conclusion?: string | null;
  /** Counts the runs of this workflow. */
  run_number: number;
  /** 1, and more after a rerun. */
  run_attempt: number;
  /** The page of the run. */
  html_url: string;
}

/** A job of a workflow. */
export interface WorkflowJob {
  /** Unique. */
  id: number;
  /** The run that the job belongs to. */
  run_id: number;
  /** The name of the job. */
  name: string;
  /** The name of the workflow. */
  workflow_name?: string | null;
  /** `null` for a detached commit. */
  head_branch?: string | null;
  /** The commit. */
  head_sha: string;
  /** `queued`, `in_progress`, `completed` or `waiting`. */
  status: string;
  /** `success`, `failure`, …; `null` until the job has ended. */
  conclusion?: string | null;
  /** The labels of the runner. */
  labels: string[];
  /** The page of the job. */
  html_url?: string | null;
}

/** A check run or a check suite. */
export interface Check {
  /** Unique. */
  id: number;
  /** The name of a check run; `null` for a suite. */
  name?: string | null;
  /** The commit. */
  head_sha: string;
  /** `queued`, `in_progress`, `completed`, … */
  status?: string | null;
  /** `success`, `failure`, …; `null` until the check has ended. */
  conclusion?: string | null;
  /** The page of a check run. */
  html_url?: string | null;
  /** The page of the tool that checks. */
  details_url?: string | null;
}

/** A deployment. */
export interface Deployment {
  /** Unique. */
  id: number;
  /** The commit. */
  sha: string;
  /** The branch, tag or commit that was asked for. */
  ref: string;
  /** `deploy`, as a rule. */
  task: string;
  /** `production`, … */
  environment: string;
  /** Text of the author. */
  description?: string | null;
}

/** The status of a deployment. */
export interface DeploymentStatus {
  /** `success`, `failure`, `in_progress`, … */
  state: string;
  /** Text of the author. */
  description?: string | null;
  /** `production`, … */
  environment: string;
  /** Where the result runs. */
  environment_url?: string | null;
  /** The log of the deployment. */
  log_url?: string | null;
}

/** A discussion. */
export interface Discussion {
  /** Unique in its repository. */
  number: number;
  /** The title. */
  title: string;
  /** Markdown. */
  body?: string | null;
  /** `open` or `closed`. */
  state: string;
  /** The page of the discussion. */
  html_url: string;
  /** The author; `null` if the account is deleted. */
  user?: User | null;
}

/** An installation of a GitHub App. */
export interface Installation {
  /** Unique. */
  id: number;
  /** The account that installed the app. */
  account?: User | null;
  /** `all` or `selected`. */
  repository_selection?: string | null;
}
