//! Checks the text of a hook file without loading it.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiJson, Refusal, answered, bad_request, refusal};
use crate::command_head::check_content_type;
use crate::node::Admin;
use crate::role::Caller;
use landfall_hooks::CheckedHookFile;
use landfall_model::HookName;

/// The most bytes of a text.
const TEXT_MAX: usize = 256 << 10;

/// A hook file that is not in the plugins directory.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckOrder {
    /// The name of the hook: that of the file without `.toml`.
    hook: String,
    /// The text of the file, at most 256 KiB.
    text: String,
}

/// What is wrong with a hook file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileChecked {
    /// Whether a node like this would load it, apart from what `notes` leaves open.
    ok: bool,
    /// What is wrong and what to do. Mistakes of the syntax hide all others.
    problems: Vec<String>,
    /// What was not checked, and what the hook would not do.
    notes: Vec<String>,
    /// The path that the hook would serve. Null if the file cannot be read.
    path: Option<String>,
    /// The file name of its component. Null if the file cannot be read.
    component: Option<String>,
}

/// Checks the text of a hook file against the packs, the grants of secrets and the components of
/// this node.
///
/// Nothing is loaded or stored, and no file and no secret is read.
#[utoipa::path(
    post,
    path = "/api/v1/check",
    operation_id = "check_hook_file",
    tag = "hooks",
    request_body = CheckOrder,
    responses(
        (status = 200, body = FileChecked),
        (status = 400, description = "The request is wrong", body = ApiError),
        (status = 413, description = "The text is too large", body = ApiError),
    )
)]
pub(crate) async fn check(
    State(admin): State<Admin>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    ApiJson(order): ApiJson<CheckOrder>,
) -> Response {
    match check_content_type(&headers) {
        Ok(()) => answered(checked(&admin, order).await),
        Err(why) => {
            let client = caller.and_then(|Extension(caller)| caller.address);
            admin.guard.refuse(why, client)
        }
    }
}

async fn checked(admin: &Admin, order: CheckOrder) -> Result<FileChecked, Refusal> {
    let CheckOrder { hook, text } = order;
    if text.len() > TEXT_MAX {
        let why = "the text has more than 256 KiB";
        return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, why));
    }

    let name: HookName = hook.parse().map_err(bad_request)?;
    let hooks = admin.hooks.clone();
    // A large file takes a moment.
    let check = tokio::task::spawn_blocking(move || hooks.check_file(&name, &text));
    let checked = check.await.map_err(|_| {
        let why = "the check failed: the log of the node says why";
        refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
    })?;
    Ok(FileChecked::from(checked))
}

// === impl FileChecked ===

impl From<CheckedHookFile> for FileChecked {
    fn from(checked: CheckedHookFile) -> FileChecked {
        FileChecked {
            ok: checked.problems.is_empty(),
            problems: checked.problems,
            notes: checked.notes,
            path: checked.path,
            component: checked.component,
        }
    }
}
