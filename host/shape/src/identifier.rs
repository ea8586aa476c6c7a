//! Names of types and fields in source code, made from names in JSON.

use std::collections::BTreeSet;

/// The name of a nested type begins with that of its parent, up to this length.
const NESTED_BYTES_MAX: usize = 60;

/// Names that are taken in one scope.
#[derive(Debug, Default)]
pub(crate) struct Taken(BTreeSet<String>);

// === impl Taken ===

impl Taken {
    /// These names cannot be used.
    pub(crate) fn reserving(names: &[&str]) -> Taken {
        Taken(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// The wanted name, or that name with a number.
    pub(crate) fn unique(&mut self, wanted: String) -> String {
        if self.0.insert(wanted.clone()) {
            return wanted;
        }
        let mut number = 2;
        loop {
            let numbered = format!("{wanted}{number}");
            if self.0.insert(numbered.clone()) {
                return numbered;
            }
            number += 1;
        }
    }
}

/// The name of the type of a whole body: of its event type, or of its hook.
pub(crate) fn root_type(hook: &str, event_type: &str) -> String {
    let name = if event_type.is_empty() {
        hook
    } else {
        event_type
    };
    let name = pascal(name);
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("Event{name}")
    }
}

/// The name of the type of a field.
pub(crate) fn nested_type(parent: &str, field: &str) -> String {
    let field = pascal(field);
    let whole = format!("{parent}{field}");
    if whole.len() <= NESTED_BYTES_MAX {
        whole
    } else if field.starts_with(|c: char| c.is_ascii_alphabetic()) && field.len() < whole.len() {
        field
    } else {
        "Nested".to_owned()
    }
}

/// `order_created` becomes `OrderCreated`. Other characters than ASCII letters and digits are left
/// out.
fn pascal(text: &str) -> String {
    let words = words(text).into_iter().map(|word| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    words.collect()
}

/// `orderCreated` becomes `order_created`. A name without letters and digits becomes `field`.
pub(crate) fn snake(text: &str) -> String {
    let name = words(text).join("_");
    if name.is_empty() {
        "field".to_owned()
    } else if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// The words of a name in lower case.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in text.chars() {
        let begins = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_lower);
        if begins {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers() {
        for (text, type_name, field) in [
            ("order_created", "OrderCreated", "order_created"),
            ("order.created/v2", "OrderCreatedV2", "order_created_v2"),
            ("orderCreated", "OrderCreated", "order_created"),
            ("HTTPServer", "Httpserver", "httpserver"),
            ("1st", "Event1st", "_1st"),
            ("größe", "GrE", "gr_e"),
            ("", "Event", "field"),
            ("日本", "Event", "field"),
            ("a\"b\\\n", "AB", "a_b"),
        ] {
            assert_eq!(root_type("", text), type_name, "{text}");
            assert_eq!(snake(text), field, "{text}");
        }
        assert_eq!(root_type("my-hook", ""), "MyHook");
    }

    #[test]
    fn nested_names_stay_short() {
        assert_eq!(nested_type("Order", "customer"), "OrderCustomer");
        let long = "A".repeat(NESTED_BYTES_MAX);
        assert_eq!(nested_type(&long, "customer"), "Customer");
        assert_eq!(nested_type(&long, "1"), "Nested");
    }

    #[test]
    fn names_are_used_once() {
        let mut taken = Taken::reserving(&["String"]);
        let given = ["String", "A", "A", "A2"].map(|name| taken.unique(name.to_owned()));
        assert_eq!(given, ["String2", "A", "A2", "A22"]);
    }
}
