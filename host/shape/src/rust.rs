//! Rust types of learned bodies, with serde. Each learned body deserialises into its type.

use super::identifier::{Taken, nested_type, root_type, snake};
use super::node::Node;
use super::types::Types;
use super::written::Written;

/// Types that the fields name.
const RESERVED: [&str; 12] = [
    "BTreeMap",
    "Box",
    "Clone",
    "Debug",
    "Default",
    "Deserialize",
    "Option",
    "PartialEq",
    "Self",
    "Serialize",
    "String",
    "Vec",
];
/// Words that are no names of fields.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "union",
];
const DERIVE: &str = "#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]\n";
const VALUE: &str = "serde_json::Value";
const MAP: &str = "std::collections::BTreeMap";

/// A module with a type for each event type. It needs the crates `serde`, with the feature
/// `derive`, and `serde_json`.
pub fn rust(hook: &str, shapes: &[Written<'_>]) -> String {
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
    format!(
        "// The events of the hook {hook}, as learned from its traffic.\n// Written by `landfall shape {hook} --rust`.\n\n{}",
        writer.parts.join("\n")
    )
}

/// The type of a value, and whether it can be null.
struct Type {
    text: String,
    is_nullable: bool,
}

struct Writer {
    taken: Taken,
    /// Declarations, outer ones first.
    parts: Vec<String>,
}

// === impl Type ===

impl Type {
    fn new(text: impl Into<String>, is_nullable: bool) -> Type {
        Type {
            text: text.into(),
            is_nullable,
        }
    }

    /// The type of a value that may be null.
    fn with_null(&self) -> String {
        if self.is_nullable {
            format!("Option<{}>", self.text)
        } else {
            self.text.clone()
        }
    }
}

// === impl Writer ===

impl Writer {
    fn root(&mut self, node: &Node, name: &str, comment: &str) {
        let about = format!("/// {comment}\n");
        if is_struct(node) {
            self.structure(node, name, &about);
            return;
        }
        let at = self.reserve();
        let value = self.value(node, name, "item").with_null();
        self.parts[at] = format!("{about}pub type {name} = {value};\n");
    }

    /// Keeps the place of a declaration before those that it needs.
    fn reserve(&mut self) -> usize {
        self.parts.push(String::new());
        self.parts.len() - 1
    }

    fn structure(&mut self, node: &Node, name: &str, about: &str) {
        let at = self.reserve();
        let mut taken = Taken::default();
        let mut text = format!("{about}{DERIVE}pub struct {name} {{\n");
        for (key, field) in &node.fields {
            let mut identifier = snake(key);
            if KEYWORDS.contains(&identifier.as_str()) {
                identifier.push('_');
            }
            let identifier = taken.unique(identifier);
            let value = self.value(field, name, key);
            let is_required = node.is_required(field);

            let mut attributes = Vec::new();
            if identifier != *key {
                attributes.push(format!("rename = {key:?}"));
            }
            if !is_required {
                attributes.push("default".to_owned());
                attributes.push("skip_serializing_if = \"Option::is_none\"".to_owned());
            }
            if let Some(words) = field.vocabulary() {
                text.push_str(&format!("    /// One of: {}.\n", words.join(", ")));
            }
            if !attributes.is_empty() {
                text.push_str(&format!("    #[serde({})]\n", attributes.join(", ")));
            }
            let value = if is_required {
                value.with_null()
            } else {
                format!("Option<{}>", value.text)
            };
            text.push_str(&format!("    pub {identifier}: {value},\n"));
        }
        if let Some(rest) = &node.rest {
            let identifier = taken.unique("rest".to_owned());
            let value = self.value(rest, name, "rest").with_null();
            text.push_str(&format!(
                "    /// The other names.\n    #[serde(flatten)]\n    pub {identifier}: {MAP}<String, {value}>,\n"
            ));
        }
        text.push_str("}\n");
        self.parts[at] = text;
    }

    /// The type of a value. `parent` and `field` name the struct of an object.
    fn value(&mut self, node: &Node, parent: &str, field: &str) -> Type {
        let is_nullable = node.types.has(Types::NULL);
        let kind = node.types.reduced().without(Types::NULL);
        if node.any {
            return Type::new(VALUE, false);
        }
        match kind {
            Types::BOOLEAN => Type::new("bool", is_nullable),
            Types::INTEGER => Type::new(integer(node), is_nullable),
            Types::NUMBER => Type::new("f64", is_nullable),
            Types::STRING => Type::new("String", is_nullable),
            Types::ARRAY => {
                let item = match &node.items {
                    Some(items) => self.value(items, parent, field).with_null(),
                    None => VALUE.to_owned(),
                };
                Type::new(format!("Vec<{item}>"), is_nullable)
            }
            Types::OBJECT => Type::new(self.object(node, parent, field), is_nullable),
            // None, or several types.
            _ => Type::new(VALUE, false),
        }
    }

    fn object(&mut self, node: &Node, parent: &str, field: &str) -> String {
        if node.has_twice {
            // A struct of serde refuses a name that an object has twice.
            return format!("serde_json::Map<String, {VALUE}>");
        }
        match &node.rest {
            Some(rest) if node.fields.is_empty() => {
                let value = self.value(rest, parent, field).with_null();
                format!("{MAP}<String, {value}>")
            }
            _ => {
                let name = self.taken.unique(nested_type(parent, field));
                self.structure(node, &name, "");
                name
            }
        }
    }
}

/// Whether a body is one struct.
fn is_struct(node: &Node) -> bool {
    let is_map = node.fields.is_empty() && node.rest.is_some();
    !node.any && node.types == Types::OBJECT && !is_map && !node.has_twice
}

fn integer(node: &Node) -> &'static str {
    match (node.above_i64, node.negative) {
        (false, _) => "i64",
        (true, false) => "u64",
        (true, true) => "serde_json::Number",
    }
}
