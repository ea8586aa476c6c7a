//! The API for the pages of the same process: a page and a command get the same answer, and a
//! change by a page is in the audit record like one by a command.

use anyhow::Context;
use axum::body::Body;
use axum::http::{Request, header};
use axum::{Extension, Router};
use serde::Serialize;
use tower::ServiceExt;

use super::api::audit::{Change, FOREIGN, RefusedChange};
use super::api::command::Frame;
use super::api::operations;
use super::api::unknown::unknown_routes;
use super::events::Events;
use super::node::Admin;
use super::role::Caller;
use super::routes::state;

/// The API of a running node without a listener. Its owner checks who sent a request.
#[derive(Clone)]
pub struct InProcess {
    events: Events,
    frame: Frame,
    router: Router,
}

// === impl InProcess ===

impl InProcess {
    /// The API of this node.
    pub fn new(admin: &Admin) -> InProcess {
        let state = state(admin.clone());
        let frame = Frame::new(state.events.clone(), Some(admin.guard.clone()));
        let node: Router = operations::node_routes(&frame).with_state(state.clone());
        let ledger: Router = operations::ledger_routes(&frame).with_state(state.events.clone());
        InProcess {
            router: node.merge(ledger).merge(unknown_routes(&frame)),
            events: state.events,
            frame,
        }
    }

    /// Answers a GET: status and body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let request = Request::get(path).body(Body::empty())?;
        answer(self.router.clone(), request).await
    }

    /// Answers a GET of this caller.
    pub async fn get_as(&self, caller: &Caller, path: &str) -> anyhow::Result<(u16, String)> {
        let router = self.router.clone().layer(Extension(caller.clone()));
        answer(router, Request::get(path).body(Body::empty())?).await
    }

    /// Answers a POST of JSON: status and body. A change by a caller that may only read is
    /// answered 403.
    pub async fn post(
        &self,
        caller: &Caller,
        path: &str,
        json: String,
    ) -> anyhow::Result<(u16, String)> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let router = self.router.clone().layer(Extension(caller.clone()));
        answer(router, request.body(Body::from(json))?).await
    }

    /// Does something that no operation of the API does, and keeps it in the audit record. It is
    /// not done if the record cannot be written.
    pub async fn audited<T: Serialize>(
        &self,
        caller: &Caller,
        action: &'static str,
        hook: Option<&str>,
        detail: &impl Serialize,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<T> {
        anyhow::ensure!(caller.may_change(), "this token may only read");
        let change = Change::new(action, hook, detail);
        let stored = self.events.record(caller, change).await.ok();
        let id = stored.context("the audit record cannot be written now: nothing was done")?;

        let done = work.await;
        self.events.record_result(id, &done).await;
        Ok(done)
    }

    /// Keeps a request in the audit record that was refused before it came to a command.
    pub async fn record_refused(
        &self,
        caller: &Caller,
        action: &'static str,
        hook: Option<&str>,
        detail: &impl Serialize,
        (status, why): (u16, &str),
    ) {
        let change = Change::new(action, hook, detail);
        let refused = RefusedChange::new(status, why);
        self.frame.record_refused(caller, change, refused).await;
    }

    /// Keeps a change in the audit record that a refused sender asked for, such as a page of
    /// another site. An hour has a limited number of these entries.
    pub async fn record_foreign(
        &self,
        caller: &Caller,
        detail: &impl Serialize,
        (status, why): (u16, &str),
    ) {
        let change = Change::new(FOREIGN, None, detail);
        let refused = RefusedChange::new(status, why);
        self.frame.record_foreign(caller, change, refused).await;
    }
}

async fn answer(router: Router, request: Request<Body>) -> anyhow::Result<(u16, String)> {
    let response = router.oneshot(request).await?;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
