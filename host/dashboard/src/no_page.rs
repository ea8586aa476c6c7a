//! The answer to an address that has no page. A session that asks for a change there is in the
//! audit record.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::auth::{Sender, client, refuse_sender};
use crate::errors::sentence;
use crate::forms;
use crate::page::refuse;
use crate::state::{Operator, Shared};

pub(crate) async fn no_page(State(dashboard): State<Shared>, request: Request) -> Response {
    let status = StatusCode::NOT_FOUND;
    let Some(asked) = forms::asked(request.method(), request.uri().path()) else {
        return refuse(status, sentence(status));
    };

    if let Err(refused) = dashboard.setup.admin.guard.check_page(&request) {
        let sender = Sender::of(&dashboard, &request);
        return refuse_sender(&dashboard, refused, sender).await;
    }

    if let Some(session) = dashboard.session(request.headers()) {
        let by = Operator::new(session, client(&request));
        forms::record_unknown(&dashboard, &by, &asked, status).await;
    }

    refuse(status, sentence(status))
}
