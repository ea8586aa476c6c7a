//! The learned shapes of a hook's events: shows them, writes them as types, accepts what has
//! changed, and begins anew.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use landfall_model::clock::from_ms;
use landfall_shape::{Difference, Field, Summary, Written, rust, schema, typescript};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::error::{
    ApiError, ApiJson, ApiPath, ApiQuery, Refusal, answered, bad_request, error_response, failed,
};
use super::no_hook::no_hook;
use super::params::HookPath;
use crate::node::Admin;
use crate::shapes::{LearnedHook, ShapeChange};

/// The most places of one type that are listed.
const FIELDS_MAX: usize = 1_000;
/// The most memory of the shapes that are written as one text, in bytes: 8 MiB. One shape is
/// smaller.
const WRITTEN_MAX: usize = 8 << 20;

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
    /// The size of the shape in the ledger, in bytes.
    bytes: usize,
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

/// The responses of every endpoint of shapes with other statuses than 200.
#[derive(IntoResponses)]
#[allow(dead_code)]
enum ShapeRefusals {
    /// A parameter or the order is wrong
    #[response(status = 400)]
    Wrong(ApiError),
    /// No hook has this name, or nothing was learned of it, or of this event type
    #[response(status = 404)]
    Nothing(ApiError),
    /// The ledger cannot answer, or store it, now
    #[response(status = 503)]
    Ledger(ApiError),
}

/// The learned shapes of a hook's events.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/shape",
    operation_id = "show_shapes",
    tag = "hooks",
    params(HookPath, ShapeQuery),
    responses(
        (status = 200, body = HookShapes),
        ShapeRefusals,
    )
)]
pub(crate) async fn show(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiQuery(query): ApiQuery<ShapeQuery>,
) -> Response {
    answered(shown(&admin, &hook, query.event_type.as_deref()).await)
}

/// Types of a hook's events, from their learned shapes.
#[utoipa::path(
    get,
    path = "/api/v1/hooks/{hook}/types",
    operation_id = "write_types",
    tag = "hooks",
    params(HookPath, TypesQuery),
    responses(
        (status = 200, body = WrittenTypes),
        (status = 422, description = "The shapes of all event types are too large for one text", body = ApiError),
        ShapeRefusals,
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
    params(HookPath),
    request_body = ShapeOrder,
    responses((status = 200, body = ShapeChanged), ShapeRefusals)
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
    params(HookPath),
    request_body = ShapeOrder,
    responses((status = 200, body = ShapeChanged), ShapeRefusals)
)]
pub(crate) async fn forget(
    State(admin): State<Admin>,
    ApiPath(hook): ApiPath<String>,
    ApiJson(order): ApiJson<ShapeOrder>,
) -> Response {
    answered(change(&admin, &hook, order, ShapeChange::Forget).await)
}

/// The event types of a hook, or this one of them.
async fn learned(
    admin: &Admin,
    hook: &str,
    event_type: Option<&str>,
) -> Result<LearnedHook, Refusal> {
    let found = admin.shapes.learned(hook).await.map_err(failed)?;
    let Some(mut learned) = found else {
        return Err(nothing_learned(admin, hook));
    };
    if let Some(wanted) = event_type {
        learned.types.retain(|known| known == wanted);
        if learned.types.is_empty() {
            return Err(unknown_type());
        }
    }
    Ok(learned)
}

/// Says why nothing was learned: no such hook, its events are not learned, or it had no event yet.
fn nothing_learned(admin: &Admin, hook: &str) -> Refusal {
    let statuses = admin.hooks.statuses();
    if !statuses.iter().any(|status| status.name == hook) {
        return no_hook(admin, hook);
    }

    let (why, hint) = if admin.shapes.is_learned(hook) {
        (
            "nothing was learned of this hook yet",
            "send an event to it, for example with `landfall send`: events are learned within `shape.interval` after \
             they are stored",
        )
    } else {
        (
            "the events of this hook are not learned",
            "`learn` under [shape] of its hook file, or `shape.learn` of the node, is false, or the hook does not \
             serve: `landfall hooks` says whether it does",
        )
    };
    not_found(why, hint)
}

fn unknown_type() -> Refusal {
    not_found(
        "nothing was learned of this event type",
        "the same request without a type, or `landfall shape HOOK`, lists those that are known",
    )
}

fn not_found(why: &str, hint: &str) -> Refusal {
    let response = error_response(StatusCode::NOT_FOUND, why.to_owned(), Some(hint.to_owned()));
    Box::new(response)
}

/// All event types in short, or one with its places. Only one shape is in memory at a time.
async fn shown(admin: &Admin, hook: &str, event_type: Option<&str>) -> Result<HookShapes, Refusal> {
    let learned = learned(admin, hook, event_type).await?;
    let mut types = Vec::with_capacity(learned.types.len());
    for known in learned.types {
        let summary = admin.shapes.summary(hook, &known).await.map_err(failed)?;
        let Some(summary) = summary else {
            continue;
        };

        let fields = match event_type {
            None => None,
            Some(_) => {
                let shape = admin.shapes.shape(hook, &known).await.map_err(failed)?;
                shape.map(|shape| shape.fields(FIELDS_MAX))
            }
        };
        types.push(TypeShape::new(known, summary, fields));
    }
    if event_type.is_some() && types.is_empty() {
        return Err(unknown_type());
    }
    Ok(HookShapes {
        learned: admin.shapes.is_learned(hook),
        types,
        untyped: learned.untyped,
    })
}

async fn written(admin: &Admin, hook: &str, query: &TypesQuery) -> Result<WrittenTypes, Refusal> {
    let write = match query.format.as_str() {
        "schema" => schema,
        "ts" => typescript,
        "rust" => rust,
        _ => return Err(bad_request("format is schema, ts or rust")),
    };
    let learned = learned(admin, hook, query.event_type.as_deref()).await?;
    let (mut shapes, mut bytes) = (Vec::new(), 0);
    for known in learned.types {
        let shape = admin.shapes.shape(hook, &known).await.map_err(failed)?;
        let Some(shape) = shape.filter(|shape| shape.has_types()) else {
            continue;
        };

        bytes += shape.bytes();
        if bytes > WRITTEN_MAX && !shapes.is_empty() {
            return Err(too_large());
        }
        shapes.push((known, shape));
    }
    if shapes.is_empty() {
        return Err(not_found(
            "there is nothing to write yet",
            "no body was JSON or a form so far: `landfall shape HOOK` shows what has come",
        ));
    }

    let shapes: Vec<Written<'_>> = shapes
        .iter()
        .map(|(event_type, shape)| Written { event_type, shape })
        .collect();
    Ok(WrittenTypes {
        text: write(hook, &shapes),
    })
}

fn too_large() -> Refusal {
    let why = "the shapes of all event types are too large for one text".to_owned();
    let hint = "name one event type, with `type` or `landfall shape HOOK --type TYPE`; the same without a format lists \
                the types with their sizes"
        .to_owned();
    Box::new(error_response(
        StatusCode::UNPROCESSABLE_ENTITY,
        why,
        Some(hint),
    ))
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

// === impl TypeShape ===

impl TypeShape {
    fn new(event_type: String, summary: Summary, fields: Option<Vec<Field>>) -> TypeShape {
        TypeShape {
            event_type,
            state: if summary.is_known() {
                "known"
            } else {
                "learning"
            },
            bytes: summary.bytes,
            events: summary.events,
            forms: summary.forms,
            others: summary.others,
            first_at: rfc3339(summary.first_ms),
            last_at: rfc3339(summary.last_ms),
            differences: summary
                .differences
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
