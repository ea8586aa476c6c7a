//! The refusal of a name that no hook has.

use axum::http::StatusCode;
use landfall_model::printable;

use super::error::{Refusal, error_response};
use crate::node::Admin;

/// What to do if no name is like the typed one.
const HOOKS: &str = "`landfall hooks`, or GET /api/v1/hooks, lists the names";

/// A response with status 404 that names the hook that may be meant, or says where the names are.
pub(crate) fn no_hook(admin: &Admin, typed: &str) -> Refusal {
    let hint = match admin.hooks.nearest_name(typed) {
        Some(near) => format!("did you mean `{}`? {HOOKS}", printable(&near)),
        None => HOOKS.to_owned(),
    };
    let why = "no hook has this name".to_owned();
    Box::new(error_response(StatusCode::NOT_FOUND, why, Some(hint)))
}
