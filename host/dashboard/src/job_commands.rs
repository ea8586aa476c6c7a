//! The start and the cancel of a job, each with its entry in the audit record. The requests of a
//! job to the admin API have entries of their own.

use std::sync::Arc;

use landfall_admin::Role;
use serde::Serialize;

use crate::api::ApiError;
use crate::jobs::{Command, Job, Pace, Selection, Starter};
use crate::query::without_content;
use crate::state::{Operator, Shared};

/// The word for a start in the audit record.
pub(crate) const START: &str = "start-job";
/// The word for a cancel in the audit record.
pub(crate) const CANCEL: &str = "cancel-job";
/// The most event ids of one entry of the audit record.
const LISTED_MAX: usize = 20;

/// What a start asks for.
#[derive(Serialize)]
struct Start {
    command: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    /// Ids that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    more_events: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    search: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    rate: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
}

/// What a cancel asks for.
#[derive(Serialize)]
struct Cancel {
    job: u64,
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Came {
    Started {
        job: u64,
        #[serde(skip)]
        started: Arc<Job>,
    },
    Refused {
        status: u16,
        error: String,
    },
}

/// Starts a job that ends with the token of its session.
pub(crate) async fn start(
    dashboard: &Shared,
    by: &Operator,
    command: Command,
    selection: Selection,
    pace: Pace,
) -> Result<Arc<Job>, ApiError> {
    let (guard, token) = (dashboard.setup.admin.guard.clone(), by.session.token);
    let starter = Starter {
        api: dashboard.api.clone(),
        caller: by.caller.clone(),
        may_go_on: Box::new(move || guard.role_of_digest(&token) == Some(Role::Operate)),
    };

    let listed = selection.events.len().min(LISTED_MAX);
    let detail = Start {
        command: command.word(),
        events: selection.events[..listed].to_vec(),
        more_events: selection.events.len() - listed,
        search: match command {
            Command::Erase => without_content(&selection.search),
            _ => selection.search.clone(),
        },
        group: selection.group.clone(),
        rate: pace.rate,
        reason: pace.reason.clone(),
    };
    let work = async {
        match dashboard.jobs.start(starter, command, selection, pace) {
            Ok(started) => Came::Started {
                job: started.id,
                started,
            },
            Err(busy) => Came::Refused {
                status: 400,
                error: busy.to_string(),
            },
        }
    };
    let came = dashboard
        .api
        .audited(&by.caller, START, None, &detail, work);
    match came.await.map_err(unrecorded)? {
        Came::Started { started, .. } => Ok(started),
        Came::Refused { status, error } => Err(ApiError {
            status,
            text: error,
        }),
    }
}

/// Cancels a job.
pub(crate) async fn cancel(dashboard: &Shared, by: &Operator, job: &Job) -> Result<(), ApiError> {
    let asked = Cancel { job: job.id };
    let work = async {
        job.cancel();
        Cancel { job: job.id }
    };
    let cancelled = dashboard
        .api
        .audited(&by.caller, CANCEL, None, &asked, work);
    cancelled.await.map(drop).map_err(unrecorded)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn unrecorded(error: anyhow::Error) -> ApiError {
    ApiError {
        status: 503,
        text: error.to_string(),
    }
}
