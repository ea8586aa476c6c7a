//! The state of the handlers that need a running node.

use axum::extract::FromRef;

use super::document::Document;
use super::tail::Tail;
use crate::events::Events;
use crate::node::Admin;

/// The state of the handlers that need a running node.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) admin: Admin,
    pub(crate) events: Events,
    pub(crate) tail: Tail,
    pub(crate) document: Document,
}

// === impl ApiState ===

impl FromRef<ApiState> for Admin {
    fn from_ref(state: &ApiState) -> Admin {
        state.admin.clone()
    }
}

impl FromRef<ApiState> for Events {
    fn from_ref(state: &ApiState) -> Events {
        state.events.clone()
    }
}

impl FromRef<ApiState> for Tail {
    fn from_ref(state: &ApiState) -> Tail {
        state.tail.clone()
    }
}

impl FromRef<ApiState> for Document {
    fn from_ref(state: &ApiState) -> Document {
        state.document.clone()
    }
}
