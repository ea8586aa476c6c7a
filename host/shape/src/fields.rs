//! The places of a shape as a list, for people.

use super::difference::pointer;
use super::node::Node;

/// One place of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// A JSON pointer; `*` is every element of an array, or every value of a map.
    pub pointer: String,
    /// The types in words: `string or null`. `any`: it was not learned.
    pub types: String,
    /// The format that every string has: `date-time`, `date`, `uuid` or `uri`.
    pub format: Option<&'static str>,
    /// The values, if they are words of the provider's vocabulary, and few.
    pub words: Vec<String>,
    /// Whether every object has the field. True for what is no field.
    pub required: bool,
}

/// The places below a node, without the node. At most `max`, in the order of their names.
pub(crate) fn fields(root: &Node, max: usize) -> Vec<Field> {
    let mut listed = Vec::new();
    add(root, &mut Vec::new(), max, &mut listed);
    listed
}

fn add(node: &Node, path: &mut Vec<String>, max: usize, listed: &mut Vec<Field>) {
    let named = node
        .fields
        .iter()
        .map(|(name, field)| (name.as_str(), field, node.is_required(field)));
    let others = [&node.rest, &node.items].into_iter().flatten();
    let others = others.map(|below| ("*", &**below, true));
    for (name, below, required) in named.chain(others) {
        if listed.len() >= max {
            return;
        }
        path.push(name.to_owned());
        let words = below.vocabulary().unwrap_or_default();
        listed.push(Field {
            pointer: pointer(path),
            types: if below.any {
                "any".to_owned()
            } else {
                below.types.to_string()
            },
            format: below.format().map(|format| format.word()),
            words: words.into_iter().map(str::to_owned).collect(),
            required,
        });
        add(below, path, max, listed);
        path.pop();
    }
}
