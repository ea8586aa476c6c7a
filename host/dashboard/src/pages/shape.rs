//! What was learned of a hook's events: their types, where new events differ, and what to do.

use askama::Template;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::event::event_path;
use super::row::Time;
use crate::api::{self, ApiError};
use crate::fields::{Fields, link, segment};
use crate::page::{self, Page, download, go_to, show};
use crate::state::{Dashboard, Operator, Shared};
use crate::text;

/// What the types can be written as: the word of the API, a name, and the end of the file name.
const FORMATS: [(&str, &str, &str); 3] = [
    ("schema", "JSON Schema", "schema.json"),
    ("ts", "TypeScript", "ts"),
    ("rust", "Rust", "rs"),
];
/// The most characters of an event type, and of a pointer.
const NAME_MAX: usize = 200;

#[derive(Template)]
#[template(path = "shape.html")]
struct ShapePage {
    page: Page,
    /// The hooks to choose from; the second part says whether it is chosen.
    hooks: Vec<(String, bool)>,
    hook: String,
    /// Why there is nothing to show; empty if there is.
    nothing: String,
    /// What is not learned; empty if all is.
    left_out: String,
    types: Vec<TypeView>,
    /// Files with types: name and address.
    files: Vec<(&'static str, String)>,
    /// Only one event type is shown, with its places.
    is_one: bool,
}

struct TypeView {
    /// For people.
    name: String,
    /// For a form.
    field: String,
    /// The page of this type.
    link: String,
    words: String,
    tone: &'static str,
    last: Time,
    differences: Vec<DifferenceView>,
    places: Vec<PlaceView>,
}

struct DifferenceView {
    sentence: String,
    first: Time,
    count: String,
    /// The page of the first event with it.
    link: String,
}

struct PlaceView {
    pointer: String,
    types: String,
    note: String,
    presence: &'static str,
}

/// As `GET /api/v1/hooks/{hook}/shape` answers.
#[derive(Deserialize)]
struct Shapes {
    learned: bool,
    types: Vec<TypeShape>,
    untyped: u64,
}

#[derive(Deserialize)]
struct TypeShape {
    event_type: String,
    state: String,
    events: u64,
    others: u64,
    last_at: String,
    differences: Vec<Difference>,
    #[serde(default)]
    fields: Vec<Place>,
}

#[derive(Deserialize)]
struct Difference {
    sentence: String,
    event: String,
    events: u64,
    first_at: String,
}

#[derive(Deserialize)]
struct Place {
    pointer: String,
    types: String,
    format: Option<String>,
    #[serde(default)]
    words: Vec<String>,
    required: bool,
}

/// As `GET /api/v1/hooks/{hook}/types` answers.
#[derive(Deserialize)]
struct Written {
    text: String,
}

pub(crate) async fn page(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let hook = fields.get("hook").to_owned();
    let event_type = fields.has("type").then(|| fields.get("type").to_owned());
    let view = match read(&dashboard, &hook, event_type.as_deref()).await {
        Ok(shapes) => shapes,
        Err(error) => return page::problem(&dashboard, &by, &error),
    };
    let names = dashboard.setup.admin.hooks.names().into_iter();
    let hooks = names.map(|name| (name.to_string(), *name == *hook));
    let (nothing, left_out, types) = match view {
        None if hook.is_empty() => (String::new(), String::new(), Vec::new()),
        None => (nothing(&dashboard, &hook), String::new(), Vec::new()),
        Some(shapes) => {
            let left_out = left_out(&shapes);
            let types = shapes.types.into_iter();
            let types = types.map(|one| TypeView::new(&hook, one)).collect();
            (String::new(), left_out, types)
        }
    };
    let files = FORMATS.map(|(format, name, _)| (name, file_path(&hook, format, &event_type)));
    show(&ShapePage {
        page: Page::new(&dashboard, &by, "Shapes", "/shape"),
        hooks: hooks.collect(),
        nothing,
        left_out,
        files: if types.is_empty() {
            Vec::new()
        } else {
            files.into()
        },
        types,
        hook: text::line(&hook, NAME_MAX),
        is_one: event_type.is_some(),
    })
}

/// The types of a hook as a file.
pub(crate) async fn file(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query());
    let (hook, format) = (fields.get("hook"), fields.get("format"));
    let event_type = fields.has("type").then(|| fields.get("type"));
    let path = path_of(hook, "types", event_type);
    let join = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{join}format={}", segment(format));
    match api::get::<Written>(&dashboard.api, &path).await {
        Ok(written) => {
            let ending = FORMATS.iter().find(|(word, _, _)| *word == format);
            let ending = ending.map_or("txt", |(_, _, ending)| ending);
            let name = format!("{hook}.{ending}");
            download(&name, "text/plain; charset=utf-8", written.text)
        }
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

/// Accepts what has changed, or begins anew.
pub(crate) async fn change(
    State(dashboard): State<Shared>,
    Extension(by): Extension<Operator>,
    Path(hook): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let (command, result) = match fields.get("command") {
        "accept" => ("accept-shape", "What has come is a part of the shape now"),
        "forget" => ("forget-shape", "The shape is learned anew"),
        _ => {
            let error = ApiError {
                status: 400,
                text: "choose to accept or to forget a shape".to_owned(),
            };
            return page::problem(&dashboard, &by, &error);
        }
    };

    let mut order = json!({});
    if fields.has("type") {
        order["event_type"] = json!(fields.get("type"));
    }
    let path = format!("/hooks/{}/{command}", segment(&hook));
    match api::post::<Value>(&dashboard.api, &by.caller, &path, &order).await {
        Ok(answer) => {
            let result = match answer["done"].as_bool() {
                Some(true) => format!("{result}: {hook}"),
                _ => format!("The node that learns changes the shape of {hook} at its next look"),
            };
            dashboard.notify(&by, &text::line(&result, NAME_MAX));
            go_to(&link("/shape", &[("hook", &hook)]))
        }
        Err(error) => page::problem(&dashboard, &by, &error),
    }
}

/// What was learned. `None`: nothing, or no hook is chosen.
async fn read(
    dashboard: &Dashboard,
    hook: &str,
    event_type: Option<&str>,
) -> Result<Option<Shapes>, ApiError> {
    if hook.is_empty() {
        return Ok(None);
    }
    match api::get(&dashboard.api, &path_of(hook, "shape", event_type)).await {
        Ok(shapes) => Ok(Some(shapes)),
        Err(error) if error.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path of an endpoint of the API. An empty type is one, too.
fn path_of(hook: &str, endpoint: &str, event_type: Option<&str>) -> String {
    let path = format!("/hooks/{}/{endpoint}", segment(hook));
    match event_type {
        Some(event_type) => format!("{path}?type={}", segment(event_type)),
        None => path,
    }
}

fn file_path(hook: &str, format: &str, event_type: &Option<String>) -> String {
    let path = link("/shape-file", &[("hook", hook), ("format", format)]);
    match event_type {
        Some(event_type) => format!("{path}&type={}", segment(event_type)),
        None => path,
    }
}

/// Why there is nothing to show of a hook.
fn nothing(dashboard: &Dashboard, hook: &str) -> String {
    if dashboard.setup.admin.hooks.named(hook).is_none() {
        dashboard.no_hook(hook)
    } else if dashboard.setup.admin.shapes.is_learned(hook) {
        format!(
            "Nothing was learned of {} yet: its events are learned some seconds after they were stored.",
            text::line(hook, 64)
        )
    } else {
        "Learning is switched off for this hook: `learn` under [shape] of its hook file, or \
         `shape.learn` of the node."
            .to_owned()
    }
}

fn left_out(shapes: &Shapes) -> String {
    let mut left_out = Vec::new();
    if !shapes.learned {
        left_out.push("Learning is switched off for this hook.".to_owned());
    }
    if shapes.untyped > 0 {
        let events = text::count(shapes.untyped, "event was", "events were");
        left_out.push(format!(
            "{events} not learned, because there are too many event types."
        ));
    }
    left_out.join(" ")
}

// === impl TypeView ===

impl TypeView {
    fn new(hook: &str, shape: TypeShape) -> TypeView {
        let name = if shape.event_type.is_empty() {
            "Events without a type".to_owned()
        } else {
            text::line(&shape.event_type, NAME_MAX)
        };
        let (state, tone) = match (shape.state.as_str(), shape.differences.len() as u64) {
            ("known", 0) => ("Known".to_owned(), "good"),
            ("known", count) => {
                let count = text::count(count, "difference", "differences");
                (count, "bad")
            }
            _ => ("Still learning".to_owned(), "plain"),
        };
        let events = text::count(shape.events, "event", "events");
        let others = match shape.others {
            0 => String::new(),
            others => format!(", {others} of them neither JSON nor a form"),
        };
        TypeView {
            field: text::field(&shape.event_type),
            link: format!(
                "{}&type={}",
                link("/shape", &[("hook", hook)]),
                segment(&shape.event_type)
            ),
            name,
            words: format!("{state}, {events}{others}"),
            tone,
            last: Time::new(&shape.last_at),
            differences: shape.differences.iter().map(DifferenceView::new).collect(),
            places: shape.fields.into_iter().map(PlaceView::new).collect(),
        }
    }
}

// === impl DifferenceView ===

impl DifferenceView {
    fn new(difference: &Difference) -> DifferenceView {
        DifferenceView {
            sentence: text::line(&difference.sentence, 2 * NAME_MAX),
            first: Time::new(&difference.first_at),
            count: text::count(difference.events, "event", "events"),
            link: event_path(&difference.event),
        }
    }
}

// === impl PlaceView ===

impl PlaceView {
    fn new(place: Place) -> PlaceView {
        let words = (!place.words.is_empty()).then(|| place.words.join(", "));
        let note = [place.format, words].into_iter().flatten();
        PlaceView {
            pointer: text::line(&place.pointer, NAME_MAX),
            types: text::line(&place.types, NAME_MAX),
            note: text::line(&note.collect::<Vec<_>>().join(": "), NAME_MAX),
            presence: if place.required {
                "always"
            } else {
                "sometimes"
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(state: &str, differences: usize) -> TypeShape {
        let difference = || Difference {
            sentence: "/id is missing".to_owned(),
            event: "0190f3c1-8a5e-7000-8000-0123456789ab".to_owned(),
            events: 2,
            first_at: "2026-01-31T08:15:30Z".to_owned(),
        };
        TypeShape {
            event_type: "order paid".to_owned(),
            state: state.to_owned(),
            events: 7,
            others: 0,
            last_at: "2026-01-31T08:15:30Z".to_owned(),
            differences: (0..differences).map(|_| difference()).collect(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn states_are_said_in_words() {
        for (state, differences, expected) in [
            ("learning", 0, "Still learning, 7 events"),
            ("known", 0, "Known, 7 events"),
            ("known", 2, "2 differences, 7 events"),
        ] {
            let view = TypeView::new("in", shape(state, differences));
            assert_eq!(view.words, expected);
            assert_eq!(view.link, "/shape?hook=in&type=order%20paid");
        }
    }

    #[test]
    fn empty_types_are_types() {
        assert_eq!(path_of("in", "shape", None), "/hooks/in/shape");
        assert_eq!(path_of("in", "shape", Some("")), "/hooks/in/shape?type=");
    }
}
