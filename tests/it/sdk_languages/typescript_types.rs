//! Writes the payload types of the TypeScript SDK from those of the Rust SDK, so that both have the same types, fields and optional
//! fields.

use std::collections::BTreeSet;
use std::fmt::Write;

use landfall_tests::root;

use super::rust_types::{Field, Kind, Struct, listed_kinds, matched_kinds, structs};

/// A provider whose payloads have types.
pub(super) struct Provider {
    pub(super) name: &'static str,
    /// Below `sdk/src/providers`: first the one with the kinds of events.
    sources: &'static [&'static str],
    kinds: Kinds,
}

/// How a payload says what it is about.
enum Kinds {
    /// The event type does, which is not part of the payload: `Events` has the types by event type.
    ByEventType,
    /// A field does: the type `name` is one of several, by its field `tag`.
    ByField {
        name: &'static str,
        tag: &'static str,
        about: &'static str,
    },
}

pub(super) const PROVIDERS: [Provider; 4] = [
    Provider {
        name: "github",
        sources: &["github/mod.rs", "github/payloads.rs", "github/objects.rs"],
        kinds: Kinds::ByEventType,
    },
    Provider {
        name: "stripe",
        sources: &["stripe/mod.rs", "stripe/objects.rs"],
        kinds: Kinds::ByField {
            name: "Object",
            tag: "object",
            about: "The object of an event, by its field `object`. Stripe has more kinds than these.",
        },
    },
    Provider {
        name: "shopify",
        sources: &["shopify/mod.rs", "shopify/objects.rs"],
        kinds: Kinds::ByEventType,
    },
    Provider {
        name: "slack",
        sources: &["slack.rs"],
        kinds: Kinds::ByField {
            name: "Event",
            tag: "type",
            about: "What happened in a workspace, by the field `type`. Slack has more kinds than these.",
        },
    },
];

/// Columns of a line.
const WIDTH: usize = 120;

/// A field of a type of a provider.
pub(super) type Place = (&'static str, &'static str, &'static str);

/// Fields that have a default in Rust, and that the provider leaves out of some payloads, or sends as null.
pub(super) const LEFT_OUT: [Place; 24] = [
    // As GitHub's description of its API says.
    ("github", "Commit", "added"),
    ("github", "Commit", "removed"),
    ("github", "Commit", "modified"),
    ("github", "User", "html_url"),
    ("github", "PullRequest", "draft"),
    ("github", "Issue", "state"),
    ("github", "Issue", "labels"),
    ("github", "Push", "sender"),
    ("github", "ReleaseEvent", "sender"),
    ("github", "Ping", "zen"),
    ("github", "Ping", "hook_id"),
    // Payloads of reviews have a short form of the pull request.
    ("github", "PullRequest", "merged"),
    // The repositories of an installation have a short form.
    ("github", "Repository", "html_url"),
    ("github", "Repository", "default_branch"),
    ("github", "InstallationEvent", "repositories"),
    // Only in events `….updated`.
    ("stripe", "About", "previous_attributes"),
    ("stripe", "CheckoutSession", "customer_details"),
    ("stripe", "CheckoutSession", "metadata"),
    ("stripe", "Invoice", "metadata"),
    ("stripe", "Payout", "metadata"),
    ("stripe", "Refund", "metadata"),
    // A message that was changed or deleted has its text in another object.
    ("slack", "Message", "text"),
    ("slack", "AppHome", "tab"),
    ("slack", "Callback", "event"),
];

/// Fields that are any JSON in Rust, where a method finds the type.
const TYPED: [(Place, &str); 2] = [
    (("stripe", "About", "object"), "Object"),
    (("slack", "Callback", "event"), "Event"),
];

// === impl Provider ===

impl Provider {
    fn source(&self, file: &str) -> String {
        let path = root().join("sdk/src/providers").join(file);
        let text = std::fs::read_to_string(&path).expect("the file exists");
        let code = text.split("#[cfg(test)]").next();
        code.unwrap_or_default().to_owned()
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        let code = self.source(self.sources[0]);
        let listed = listed_kinds(&code);
        if listed.is_empty() {
            matched_kinds(&code)
        } else {
            listed
        }
    }

    /// The whole file.
    pub(super) fn declarations(&self, used: &mut BTreeSet<Place>) -> String {
        let sources = self.sources.iter().map(|file| self.source(file));
        let sources: Vec<String> = sources.collect();
        let types: Vec<Struct> = sources.iter().flat_map(|code| structs(code)).collect();
        let names: BTreeSet<&str> = types.iter().map(|ty| ty.name.as_str()).collect();

        let about: Vec<&str> = sources[0]
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .collect();
        let mut text = String::from(
            "// Written from the Rust SDK: `LANDFALL_UPDATE_DOCS=1 cargo test --test it sdk_languages::payloads`.\n\n",
        );
        text.push_str(&comment(&about.join(" "), ""));
        text.push('\n');
        self.write_kinds(&mut text);
        for ty in &types {
            let about = first_sentence(&ty.about);
            write!(
                text,
                "\n{}export interface {} {{\n",
                comment(about, ""),
                ty.name
            )
            .expect("a String takes any text");
            for field in &ty.fields {
                self.write_field(&mut text, ty, field, &names, used);
            }
            text.push_str("}\n");
        }
        text
    }

    fn write_kinds(&self, text: &mut String) {
        let kinds = self.kinds();
        assert!(kinds.len() >= 7, "{}: {} kinds", self.name, kinds.len());
        match self.kinds {
            Kinds::ByEventType => {
                text.push_str("/** The payloads, by event type: `event.json<Events[\"…\"]>()`. */\nexport interface Events {\n");
                for kind in kinds {
                    if !kind.about.is_empty() {
                        text.push_str(&comment(&kind.about, "  "));
                    }
                    let key = if kind.value.contains('/') {
                        format!("{:?}", kind.value)
                    } else {
                        kind.value
                    };
                    writeln!(text, "  {key}: {};", kind.ty).expect("a String takes any text");
                }
                text.push_str("}\n");
            }
            Kinds::ByField { name, tag, about } => {
                write!(text, "{}export type {name} =", comment(about, ""))
                    .expect("a String takes any text");
                for kind in kinds {
                    write!(text, "\n  | ({{ {tag}: {:?} }} & {})", kind.value, kind.ty)
                        .expect("a String takes any text");
                }
                text.push_str(";\n");
            }
        }
    }

    fn write_field(
        &self,
        text: &mut String,
        ty: &Struct,
        field: &Field,
        names: &BTreeSet<&str>,
        used: &mut BTreeSet<Place>,
    ) {
        let here = (self.name, ty.name.as_str(), field.name.as_str());
        let left_out = LEFT_OUT.into_iter().find(|place| *place == here);
        used.extend(left_out);
        let optional = field
            .ty
            .strip_prefix("Option<")
            .and_then(|inner| inner.strip_suffix('>'));

        let typed = TYPED.into_iter().find(|(place, _)| *place == here);
        let spelled = match typed {
            Some((_, name)) => name.to_owned(),
            None => spelled(optional.unwrap_or(&field.ty), names),
        };

        text.push_str(&comment(&field.about, "  "));
        let is_optional = optional.is_some() || left_out.is_some();
        let (mark, null) = match (is_optional, spelled.as_str()) {
            // Any JSON, also null or nothing.
            (_, "unknown") => ("?", ""),
            (true, _) => ("?", " | null"),
            (false, _) => ("", ""),
        };
        writeln!(text, "  {}{mark}: {spelled}{null};", field.name)
            .expect("a String takes any text");
    }
}

fn comment(text: &str, indent: &str) -> String {
    let text = text.replace("`None`", "`null`");
    let line = format!("{indent}/** {text} */\n");
    if line.len() <= WIDTH {
        return line;
    }

    let mut lines = vec![format!("{indent} *")];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one");
        if last.len() + 1 + word.len() > WIDTH {
            lines.push(format!("{indent} * {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    format!("{indent}/**\n{}\n{indent} */\n", lines.join("\n"))
}

/// The others of a type's comment are about Rust.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ")
        .map_or(text, |(first, _)| &text[..=first.len()])
}

/// A type of Rust in TypeScript.
fn spelled(ty: &str, names: &BTreeSet<&str>) -> String {
    if let Some(element) = ty
        .strip_prefix("Vec<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return format!("{}[]", spelled(element, names));
    }
    let known = match ty {
        "String" => "string",
        "bool" => "boolean",
        "u64" | "i64" => "number",
        "Value" => "unknown",
        "Map<String, Value>" => "Record<string, unknown>",
        "BTreeMap<String, String>" => "Record<string, string>",
        name if names.contains(name) => name,
        other => panic!("{other} has no spelling in TypeScript"),
    };
    known.to_owned()
}
