//! A JSON Schema (2020-12) of learned bodies. It accepts every body that was learned.

use serde_json::{Map, Value, json};

use super::escape::ascii;
use super::identifier::{Taken, root_type};
use super::node::Node;
use super::types::Types;
use super::written::Written;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema as indented text. With several types, it accepts the bodies of each, and has them
/// under `$defs`.
pub fn schema(hook: &str, shapes: &[Written<'_>]) -> String {
    let mut document = Map::from_iter([("$schema".to_owned(), json!(DIALECT))]);
    if let [one] = shapes {
        document.insert("title".to_owned(), json!(one.title(hook)));
        let Value::Object(of_body) = of_node(one.root()) else {
            return pretty(&document);
        };
        document.extend(of_body);
        return pretty(&document);
    }

    let mut taken = Taken::default();
    let (mut types, mut references) = (Map::new(), Vec::new());
    for one in shapes {
        let name = taken.unique(root_type(hook, one.event_type));
        references.push(json!({ "$ref": format!("#/$defs/{name}") }));
        let mut of_body = of_node(one.root());
        if let Value::Object(of_body) = &mut of_body {
            of_body.insert("title".to_owned(), json!(one.title(hook)));
        }
        types.insert(name, of_body);
    }
    document.insert("title".to_owned(), json!(hook));
    document.insert("anyOf".to_owned(), Value::Array(references));
    document.insert("$defs".to_owned(), Value::Object(types));
    pretty(&document)
}

fn pretty(document: &Map<String, Value>) -> String {
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    ascii(&text) + "\n"
}

fn of_node(node: &Node) -> Value {
    if node.any {
        return Value::Bool(true);
    }

    let mut schema = Map::new();
    match &node.types.words()[..] {
        [] => {}
        [one] => {
            schema.insert("type".to_owned(), json!(one));
        }
        several => {
            schema.insert("type".to_owned(), json!(several));
        }
    }
    if let Some(format) = node.format() {
        schema.insert("format".to_owned(), json!(format.word()));
    }
    if let Some(values) = values(node) {
        schema.insert("enum".to_owned(), values);
    }
    if let Some(items) = &node.items {
        schema.insert("items".to_owned(), of_node(items));
    }
    if node.types.has(Types::OBJECT) {
        add_fields(&mut schema, node);
    }
    Value::Object(schema)
}

/// The values, if the place has only words of a vocabulary, and perhaps null.
fn values(node: &Node) -> Option<Value> {
    let words = node.vocabulary()?;
    let is_nullable = node.types == Types::STRING.with(Types::NULL);
    if !is_nullable && node.types != Types::STRING {
        return None;
    }
    let null = is_nullable.then_some(Value::Null);
    Some(words.into_iter().map(Value::from).chain(null).collect())
}

fn add_fields(schema: &mut Map<String, Value>, node: &Node) {
    let fields = node.fields.iter();
    let properties: Map<String, Value> = fields
        .clone()
        .map(|(name, field)| (name.clone(), of_node(field)))
        .collect();
    let required: Vec<&String> = fields
        .filter(|(_, field)| node.is_required(field))
        .map(|(name, _)| name)
        .collect();
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(properties));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    if let Some(rest) = &node.rest {
        schema.insert("additionalProperties".to_owned(), of_node(rest));
    }
}
