//! Deploys what was pushed to a branch, or built by a workflow, and sets a status on the commit.
//!
//! A commit status `pending`, then the deployment (a `repository_dispatch` or a call of a URL),
//! then `success` or `error`. Sources: docs.github.com/en/rest/repos/repos (create a repository
//! dispatch event), .../commits/statuses.

use landfall_calls::{Target, send};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, handler, json, log, settings};
use serde::Deserialize;

const API: &str = "https://api.github.com";
/// The version of the REST API.
const VERSION: &str = "2022-11-28";

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    branch: String,
    /// `owner/name`; default: any that sends.
    repository: Option<String>,
    /// Of a workflow whose success deploys, instead of the push itself.
    workflow: Option<String>,
    /// Of the `repository_dispatch`, where no `deploy` is given.
    #[serde(default = "deploy")]
    event_type: String,
    /// What is called instead of a dispatch.
    deploy: Option<Target>,
    /// Whether the commit gets a status.
    #[serde(default = "yes")]
    status: bool,
    #[serde(default = "context")]
    context: String,
    #[schemars(extend("x-landfall" = "base-url"))]
    api: Option<String>,
}

fn deploy() -> String {
    "deploy".into()
}

fn context() -> String {
    "landfall/deploy".into()
}

fn yes() -> bool {
    true
}

/// What is to be deployed.
struct Commit {
    repository: String,
    sha: String,
}

/// The one function of this component.
#[handler(manifest = "manifest.toml", settings = Settings)]
pub fn github_deploy(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    let commit = match settings.commit(&event)? {
        Ok(commit) => commit,
        Err(because) => {
            log::info(format!("nothing deployed: {because}"));
            return Ok(());
        }
    };
    settings.say(&commit, "pending", "is being deployed")?;
    let deployed = match &settings.deploy {
        Some(target) => target.call(&event).map(drop),
        None => settings.dispatch(&commit, &event),
    };
    match &deployed {
        // If the status cannot be set, the event still succeeds: a retry would deploy again.
        Ok(()) => settings
            .say(&commit, "success", "deployed")
            .unwrap_or_else(|failure| log::warn(failure.to_string())),
        // The reason is the operator's alone; a status is for everybody.
        Err(_) => drop(settings.say(
            &commit,
            "error",
            "not deployed: the log of the attempt says why",
        )),
    }
    deployed?;
    log::info(format!("deployed {} {}", commit.repository, commit.sha));
    Ok(())
}

impl Settings {
    /// Or why there is nothing to deploy.
    fn commit(&self, event: &Event) -> Result<Result<Commit, String>, Failure> {
        let body: Value = event.json()?;
        let (branch, sha) = match (
            event
                .event_type
                .as_deref()
                .or(event.header("x-github-event")),
            &self.workflow,
        ) {
            (Some("push"), None) => {
                let branch = body["ref"]
                    .as_str()
                    .and_then(|name| name.strip_prefix("refs/heads/"));
                (branch, &body["after"])
            }
            (Some("workflow_run"), Some(name)) => {
                let run = &body["workflow_run"];
                if body["action"] != "completed"
                    || run["conclusion"] != "success"
                    || run["name"] != name.as_str()
                {
                    return Ok(Err(format!("this is no success of workflow {name}")));
                }
                // A pull request from a fork may come from a branch of the same name.
                let from = &run["head_repository"]["full_name"];
                if *from != body["repository"]["full_name"]
                    || run["event"]
                        .as_str()
                        .is_none_or(|event| event.starts_with("pull_request"))
                {
                    return Ok(Err("the workflow ran for a pull request or a fork".into()));
                }
                (run["head_branch"].as_str(), &run["head_sha"])
            }
            (kind, _) => {
                return Ok(Err(format!(
                    "the event is {}",
                    kind.unwrap_or("of no known type")
                )));
            }
        };
        let repository = body["repository"]["full_name"].as_str().unwrap_or_default();
        Ok(if branch != Some(&self.branch) {
            Err(format!("the branch is {}", branch.unwrap_or("none")))
        } else if self
            .repository
            .as_deref()
            .is_some_and(|wanted| wanted != repository)
        {
            Err(format!("the repository is {repository}"))
        } else if body["deleted"] == true {
            Err("the branch was deleted".into())
        } else {
            let sha = sha
                .as_str()
                .ok_or_else(|| Failure::reject("the event names no commit"))?;
            Ok(Commit {
                repository: checked(repository, '/')?,
                sha: checked(sha, '0')?,
            })
        })
    }

    fn dispatch(&self, commit: &Commit, event: &Event) -> Result<(), Failure> {
        let payload = json!({ "sha": commit.sha, "branch": self.branch, "event": event.id });
        let body = json!({ "event_type": self.event_type, "client_payload": payload });
        self.call(&format!("repos/{}/dispatches", commit.repository), &body)
    }

    /// The commit's status, if it is to have one.
    fn say(&self, commit: &Commit, state: &str, description: &str) -> Result<(), Failure> {
        if !self.status {
            return Ok(());
        }
        let description: String = description.chars().take(140).collect();
        let body = json!({ "state": state, "context": self.context, "description": description });
        self.call(
            &format!("repos/{}/statuses/{}", commit.repository, commit.sha),
            &body,
        )
    }

    fn call(&self, path: &str, body: &Value) -> Result<(), Failure> {
        let api = self.api.as_deref().unwrap_or(API).trim_end_matches('/');
        let request = Request::post(format!("{api}/{path}"))
            .json(body)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", VERSION);
        let response = send(request)?;
        match response.status {
            // A token without the right, or a repository that it does not see: the operator's to
            // mend.
            401 | 403 | 404 => Err(Failure::retry(format!(
                "{path}: GitHub answered {}",
                response.status
            ))),
            _ => response.error_for_status().map(drop),
        }
    }
}

/// Part of a path: nothing that could lead elsewhere.
fn checked(text: &str, also: char) -> Result<String, Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || c == also;
    match !text.is_empty() && text.chars().all(is_plain) && !text.contains("..") {
        true => Ok(text.to_owned()),
        false => Err(Failure::reject(
            "the event names its repository or commit in a way that GitHub does not",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing::{self, Host};

    const SHA: &str = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d";

    fn push(branch: &str) -> Event {
        let body = json!({ "ref": format!("refs/heads/{branch}"), "after": SHA, "repository": { "full_name": "octo/site" } });
        testing::post(body).header("X-GitHub-Event", "push").build()
    }

    fn paths(host: &Host) -> Vec<String> {
        let text = |call: &Request| {
            let body: Value = call.body.clone().unwrap().json().unwrap();
            let word = body["state"]
                .as_str()
                .or(body["event_type"].as_str())
                .unwrap_or("-")
                .to_owned();
            format!(
                "{} {word}",
                call.url
                    .trim_start_matches("https://api.github.com/repos/octo/site/")
            )
        };
        host.calls().iter().map(text).collect()
    }

    #[test]
    fn pushes_deploy_and_set_a_status() {
        let host = testing::host().setting("branch", "main").answer(
            "https://api.github.com/repos/octo/site/",
            204,
            "",
        );
        github_deploy(push("main")).unwrap();
        assert_eq!(host.logs(), [format!("info: deployed octo/site {SHA}")]);
        let status = format!("statuses/{SHA}");
        assert_eq!(
            paths(&host),
            [
                format!("{status} pending"),
                "dispatches deploy".into(),
                format!("{status} success")
            ]
        );
    }

    #[test]
    fn failed_deployments_fail_the_event() {
        let host = testing::host()
            .setting("branch", "main")
            .setting("deploy", "https://deploy.example.com/run")
            .answer("https://api.github.com/", 201, "{}")
            .answer("https://deploy.example.com/", 503, "");
        assert!(matches!(
            github_deploy(push("main")),
            Err(Failure::Retry { .. })
        ));
        assert_eq!(host.calls().len(), 3);
        assert!(paths(&host)[2].ends_with(" error"));
    }

    #[test]
    fn successful_workflows_deploy() {
        let run_of = |conclusion: &str, event: &str, from: &str| {
            let run = json!({ "name": "build", "conclusion": conclusion, "event": event, "head_branch": "main", "head_sha": SHA,
                "head_repository": { "full_name": from } });
            let body = json!({ "action": "completed", "workflow_run": run, "repository": { "full_name": "octo/site" } });
            testing::post(body)
                .header("x-github-event", "workflow_run")
                .build()
        };
        let run = |conclusion: &str| run_of(conclusion, "push", "octo/site");
        let settings = || {
            testing::host()
                .setting("branch", "main")
                .setting("workflow", "build")
                .setting("status", false)
        };
        let host = settings().answer("https://api.github.com/", 204, "");
        github_deploy(run("success")).unwrap();
        assert_eq!(paths(&host), ["dispatches deploy"]);
        let host = settings();
        github_deploy(run("failure")).unwrap();
        github_deploy(push("main")).unwrap();
        // A branch of the same name in a fork deploys nothing.
        github_deploy(run_of("success", "pull_request", "octo/site")).unwrap();
        github_deploy(run_of("success", "push", "mallory/site")).unwrap();
        assert!(host.calls().is_empty());
    }

    #[test]
    fn other_branches_deploy_nothing() {
        let host = testing::host().setting("branch", "main");
        github_deploy(push("next")).unwrap();
        assert_eq!(host.logs(), ["info: nothing deployed: the branch is next"]);
        let mut odd = push("main");
        odd.body = odd
            .body
            .as_text()
            .unwrap()
            .replace("octo/site", "octo/../../user")
            .into();
        assert!(matches!(github_deploy(odd), Err(Failure::Reject { .. })));
        assert!(host.calls().is_empty());
    }
}
