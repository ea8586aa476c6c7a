//! TypeScript types of learned bodies. Each learned body can be assigned to its type.

use super::escape::quoted;
use super::identifier::{Taken, nested_type, root_type};
use super::node::Node;
use super::types::Types;
use super::written::Written;

/// Names of the language and of this file.
const RESERVED: [&str; 8] = [
    "Array",
    "Date",
    "EventTypes",
    "Function",
    "Object",
    "Promise",
    "Record",
    "String",
];

/// A module that exports a type for each event type, and `EventTypes`, which maps the words of
/// event types to them.
pub fn typescript(hook: &str, shapes: &[Written<'_>]) -> String {
    let mut writer = Writer {
        taken: Taken::reserving(&RESERVED),
        parts: Vec::new(),
    };
    let names: Vec<String> = shapes
        .iter()
        .map(|one| writer.taken.unique(root_type(hook, one.event_type)))
        .collect();
    for (one, name) in shapes.iter().zip(&names) {
        writer.root(one.root(), name, &one.comment(hook));
    }

    let typed = shapes.iter().zip(&names);
    let entries: Vec<String> = typed
        .filter(|(one, _)| !one.event_type.is_empty())
        .map(|(one, name)| format!("  {}: {name};\n", quoted(one.event_type)))
        .collect();
    if !entries.is_empty() {
        let entries = entries.concat();
        writer.parts.push(format!(
            "/** The bodies by event type. */\nexport interface EventTypes {{\n{entries}}}\n"
        ));
    }
    format!(
        "// The events of the hook {hook}, as learned from its traffic.\n// Written by `landfall shape {hook} --ts`.\n\n{}",
        writer.parts.join("\n")
    )
}

struct Writer {
    taken: Taken,
    /// Declarations, outer ones first.
    parts: Vec<String>,
}

// === impl Writer ===

impl Writer {
    fn root(&mut self, node: &Node, name: &str, comment: &str) {
        let about = format!("/** {comment} */\n");
        if is_interface(node) {
            self.interface(node, name, &about);
            return;
        }
        let at = self.reserve();
        let value = self.value(node, name, "item");
        self.parts[at] = format!("{about}export type {name} = {value};\n");
    }

    /// Keeps the place of a declaration before those that it needs.
    fn reserve(&mut self) -> usize {
        self.parts.push(String::new());
        self.parts.len() - 1
    }

    fn interface(&mut self, node: &Node, name: &str, about: &str) {
        let at = self.reserve();
        let mut text = format!("{about}export interface {name} {{\n");
        for (key, field) in &node.fields {
            if field.unsafe_integer {
                text.push_str("  /** Some values are not exact in JavaScript. */\n");
            }
            let mark = if node.is_required(field) { "" } else { "?" };
            let value = self.value(field, name, key);
            text.push_str(&format!("  {}{mark}: {value};\n", property(key)));
        }
        if node.rest.is_some() {
            text.push_str("  [name: string]: unknown;\n");
        }
        text.push_str("}\n");
        self.parts[at] = text;
    }

    /// The type of a value. `parent` and `field` name the interface of an object.
    fn value(&mut self, node: &Node, parent: &str, field: &str) -> String {
        if node.any || node.types.is_empty() {
            return "unknown".to_owned();
        }

        let mut kinds = Vec::new();
        if node.types.has(Types::OBJECT) {
            kinds.push(self.object(node, parent, field));
        }
        if node.types.has(Types::ARRAY) {
            let item = match &node.items {
                Some(items) => self.value(items, parent, field),
                None => "unknown".to_owned(),
            };
            kinds.push(format!("Array<{item}>"));
        }
        if node.types.has(Types::STRING) {
            match node.vocabulary() {
                Some(words) => kinds.extend(words.into_iter().map(quoted)),
                None => kinds.push("string".to_owned()),
            }
        }
        if node.types.has(Types::INTEGER.with(Types::NUMBER)) {
            kinds.push("number".to_owned());
        }
        if node.types.has(Types::BOOLEAN) {
            kinds.push("boolean".to_owned());
        }
        if node.types.has(Types::NULL) {
            kinds.push("null".to_owned());
        }
        kinds.join(" | ")
    }

    fn object(&mut self, node: &Node, parent: &str, field: &str) -> String {
        match &node.rest {
            Some(rest) if node.fields.is_empty() => {
                let value = self.value(rest, parent, field);
                format!("Record<string, {value}>")
            }
            _ => {
                let name = self.taken.unique(nested_type(parent, field));
                self.interface(node, &name, "");
                name
            }
        }
    }
}

/// Whether a body is one interface.
fn is_interface(node: &Node) -> bool {
    let is_map = node.fields.is_empty() && node.rest.is_some();
    !node.any && node.types == Types::OBJECT && !is_map
}

/// The name of a property.
fn property(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_identifier = name.bytes().all(is_plain)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if is_identifier {
        name.to_owned()
    } else {
        quoted(name)
    }
}
