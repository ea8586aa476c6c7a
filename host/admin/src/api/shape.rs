//! The learned shapes of a hook's events: shows them, writes them as types, accepts what has
//! changed, and begins anew.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use landfall_model::clock::from_ms;
use landfall_shape::{Difference, Field, Shape, Written, rust, schema, typescript};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{
    ApiError, ApiJson, ApiPath, ApiQuery, Refusal, answered, bad_request, failed, refusal,
};
use crate::node::Admin;
use crate::shapes::{LearnedHook, ShapeChange};

/// The most places of one type that are listed.
const FIELDS_MAX: usize = 1_000;

/// What was learned of a hook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookShapes {
    /// Whether its events are learned now.
    learned: bool,
    /// Event types, in the order of their names. At most 64.
    types: Vec<TypeShape>,
    /// Events whose type was not learned, because there were too many types.
    untyped: u64,
}

/// The shape of the events of one type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TypeShape {
    /// Empty for events without a type.
    event_type: String,
    /// `learning`, or `known`: differences are reported.
    #[schema(example = "known")]
    state: &'static str,
    /// Learned events.
    events: u64,
    /// Those of them whose body was a form.
    forms: u64,
    /// Those of them whose body was neither JSON nor a form.
    others: u64,
    /// When the first of them was received, in RFC 3339.
    first_at: String,
    /// When the last of them was received, in RFC 3339.
    last_at: String,
    /// The open differences, oldest first. At most 20.
    differences: Vec<ShapeDifference>,
    /// The places of the bodies, if the request asked for one type. At most 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<ShapeField>>,
}

/// An open difference between events and their shape.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShapeDifference {
    /// `missing`, `new` or `retyped`.
    #[schema(example = "missing")]
    kind: &'static str,
    /// A JSON pointer. `*` is every element of an array, or every value of a map. Empty: the body.
    #[schema(example = "/customer/email")]
    pointer: String,
    /// What the shape has there, in words.
    expected: String,
    /// What the event has there, in words.
    seen: String,
    /// The difference as a sentence.
    sentence: String,
    /// The id of the first event with it.
    event: String,
    /// Events with it.
    events: u64,
    /// When the first of them was received, in RFC 3339.
    first_at: String,
    /// When the last of them was received, in RFC 3339.
    last_at: String,
}

/// One place of the bodies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShapeField {
    /// A JSON pointer. `*` is every element of an array, or every value of a map.
    #[schema(example = "/customer/email")]
    pointer: String,
    /// The types in words. `any`: the place was not learned.
    #[schema(example = "string or null")]
    types: String,
    /// `date-time`, `date`, `uuid` or `uri`, if every string has this format.
    format: Option<&'static str>,
    /// The values, if they are few words of the provider's vocabulary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    words: Vec<String>,
    /// Whether every object has the field.
    required: bool,
}

/// The parameters of the shapes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShapeQuery {
    /// Only this event type, with its places. Empty: events without a type.
    #[serde(default, rename = "type")]
    #[param(required = false)]
    event_type: Option<String>,
}

/// The parameters of types.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypesQuery {
    /// `schema` (JSON Schema 2020-12), `ts` (TypeScript) or `rust`.
    format: String,
    /// Only this event type. Empty: events without a type.
    #[serde(default, rename = "type")]
    #[param(required = false)]
    event_type: Option<String>,
}

/// Types of a hook's events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WrittenTypes {
    /// The text of the schema or of the source file.
    text: String,
}

/// Which shapes to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShapeOrder {
    /// Only this event type. Empty: events without a type. Default: all types.
    #[serde(default)]
    event_type: Option<String>,
}

/// The response to a change of shapes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShapeChanged {
    /// Whether it is done. If not, the node that learns does it at its next look.
    done: bool,
}

/// The learned shapes of a hook's events.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/shape",
    operation_id = "show_shapes",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook"), ShapeQuery),
    responses(
        (status = 200, body = HookShapes),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "Nothing was learned of this hook, or of this type", body = ApiError),
        (status = 503, description = "The ledger cannot answer now", body = ApiError),
    )
)]
pub(crate) async fn show(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiQuery(query): ApiQuery<ShapeQuery>,
) -> Response {
    let found = learned(&admin, &hook, query.event_type.as_deref()).await;
    answered(found.map(|found| HookShapes::new(found, query.event_type.is_some())))
}

/// Types of a hook's events, from their learned shapes.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/types",
    operation_id = "write_types",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook"), TypesQuery),
    responses(
        (status = 200, body = WrittenTypes),
        (status = 400, description = "A parameter is wrong", body = ApiError),
        (status = 404, description = "Nothing was learned of this hook, or of this type", body = ApiError),
        (status = 503, description = "The ledger cannot answer now", body = ApiError),
    )
)]
pub(crate) async fn types(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiQuery(query): ApiQuery<TypesQuery>,
) -> Response {
    answered(written(&admin, &hook, &query).await)
}

/// Makes what was seen a part of the shape, so that it is no difference.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/accept-shape",
    operation_id = "accept_shape",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    request_body = ShapeOrder,
    responses(
        (status = 200, body = ShapeChanged),
        (status = 400, description = "The order is wrong", body = ApiError),
        (status = 404, description = "Nothing was learned of this hook, or of this type", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn accept(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<ShapeOrder>,
) -> Response {
    answered(change(&admin, &hook, order, ShapeChange::Accept).await)
}

/// Forgets what was learned, so that it is learned anew.
#[utoipa::path(
    post,
    path = "/api/v1/hooks/{hook}/forget-shape",
    operation_id = "forget_shape",
    tag = "hooks",
    params(("hook" = String, Path, description = "The name of the hook")),
    request_body = ShapeOrder,
    responses(
        (status = 200, body = ShapeChanged),
        (status = 400, description = "The order is wrong", body = ApiError),
        (status = 404, description = "Nothing was learned of this hook, or of this type", body = ApiError),
        (status = 503, description = "The ledger cannot store it now", body = ApiError),
    )
)]
pub(crate) async fn forget(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<ShapeOrder>,
) -> Response {
    answered(change(&admin, &hook, order, ShapeChange::Forget).await)
}

async fn learned(
    admin: &Admin,
    hook: &str,
    event_type: Option<&str>,
) -> Result<LearnedHook, Refusal> {
    let found = admin.shapes.read(hook, event_type).await.map_err(failed)?;
    found.ok_or_else(|| {
        let why = match event_type {
            None => {
                "nothing was learned of this hook yet: events are learned within `shape.interval` after \
                 they are stored; `landfall hooks` prints the names of the hooks"
            }
            Some(_) => {
                "nothing was learned of this event type yet: without a type, the same request lists \
                 those that are known"
            }
        };
        refusal(StatusCode::NOT_FOUND, why)
    })
}

async fn written(admin: &Admin, hook: &str, query: &TypesQuery) -> Result<WrittenTypes, Refusal> {
    let write = match query.format.as_str() {
        "schema" => schema,
        "ts" => typescript,
        "rust" => rust,
        _ => return Err(bad_request("format is schema, ts or rust")),
    };
    let found = learned(admin, hook, query.event_type.as_deref()).await?;
    let shapes = found.types.iter().filter(|(_, shape)| shape.has_types());
    let shapes: Vec<Written<'_>> = shapes
        .map(|(event_type, shape)| Written { event_type, shape })
        .collect();
    if shapes.is_empty() {
        let why = "no body was JSON or a form yet";
        return Err(refusal(StatusCode::NOT_FOUND, why));
    }
    Ok(WrittenTypes {
        text: write(hook, &shapes),
    })
}

async fn change(
    admin: &Admin,
    hook: &str,
    order: ShapeOrder,
    change: ShapeChange,
) -> Result<ShapeChanged, Refusal> {
    let event_type = order.event_type.as_deref();
    learned(admin, hook, event_type).await?;
    let done = admin.shapes.change(hook, event_type, change).await;
    Ok(ShapeChanged {
        done: done.map_err(failed)?,
    })
}

fn rfc3339(ms: i64) -> String {
    humantime::format_rfc3339_millis(from_ms(ms)).to_string()
}

// === impl HookShapes ===

impl HookShapes {
    fn new(learned: LearnedHook, has_fields: bool) -> HookShapes {
        let types = learned.types.into_iter();
        HookShapes {
            learned: learned.is_learned,
            types: types
                .map(|(event_type, shape)| TypeShape::new(event_type, &shape, has_fields))
                .collect(),
            untyped: learned.untyped,
        }
    }
}

// === impl TypeShape ===

impl TypeShape {
    fn new(event_type: String, shape: &Shape, has_fields: bool) -> TypeShape {
        let ((first_ms, last_ms), (forms, others)) = (shape.time(), shape.forms_and_others());
        let fields = has_fields.then(|| shape.fields(FIELDS_MAX));
        TypeShape {
            event_type,
            state: if shape.is_known() {
                "known"
            } else {
                "learning"
            },
            events: shape.events(),
            forms,
            others,
            first_at: rfc3339(first_ms),
            last_at: rfc3339(last_ms),
            differences: shape
                .differences()
                .iter()
                .map(ShapeDifference::of)
                .collect(),
            fields: fields.map(|fields| fields.into_iter().map(ShapeField::of).collect()),
        }
    }
}

// === impl ShapeDifference ===

impl ShapeDifference {
    fn of(difference: &Difference) -> ShapeDifference {
        ShapeDifference {
            kind: difference.kind.word(),
            pointer: difference.pointer(),
            expected: difference.expected.clone(),
            seen: difference.seen.clone(),
            sentence: difference.to_string(),
            event: difference.event.clone(),
            events: difference.events,
            first_at: rfc3339(difference.first_ms),
            last_at: rfc3339(difference.last_ms),
        }
    }
}

// === impl ShapeField ===

impl ShapeField {
    fn of(field: Field) -> ShapeField {
        ShapeField {
            pointer: field.pointer,
            types: field.types,
            format: field.format,
            words: field.words,
            required: field.required,
        }
    }
}
