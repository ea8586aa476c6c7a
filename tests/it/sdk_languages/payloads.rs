//! The payload types of the TypeScript SDK (`sdk/js/lib/providers`). They are written from those of the Rust SDK, so that both have the
//! same types, fields and optional fields.

use std::collections::BTreeSet;
use std::fmt::Write;

use landfall_tests::root;
use landfall_tests::sdks::{Sdk, SdkFolder, succeeded};
use reqwest::Url;
use serde_json::Value;

/// A provider whose payloads have types.
struct Provider {
    name: &'static str,
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

const PROVIDERS: [Provider; 4] = [
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
type Place = (&'static str, &'static str, &'static str);

/// Fields that have a default in Rust, and that the provider leaves out of some payloads, or sends as null.
const LEFT_OUT: [Place; 24] = [
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

#[test]
fn payload_types_are_those_of_rust() {
    let mut used = BTreeSet::new();
    for provider in &PROVIDERS {
        let name = format!("sdk/js/lib/providers/{}.d.ts", provider.name);
        let path = root().join(&name);
        let expected = provider.declarations(&mut used);
        if std::env::var_os("LANDFALL_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &expected).expect("the file can be written");
        }
        let present = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == expected,
            "{name} differs from sdk/src/providers: write it anew with LANDFALL_UPDATE_DOCS=1"
        );
    }
    for left_out in LEFT_OUT {
        assert!(used.contains(&left_out), "{left_out:?} is not in Rust");
    }
}

/// Whole payloads that GitHub and Slack document fit their types. The samples of packs are cut short: what they have fits.
#[test]
fn payload_types_accept_the_samples() {
    let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript) else {
        return;
    };
    let mut text = String::from(
        "import type * as github from \"landfall-sdk/github\";\n\
         import type * as shopify from \"landfall-sdk/shopify\";\n\
         import type * as slack from \"landfall-sdk/slack\";\n\
         import type * as stripe from \"landfall-sdk/stripe\";\n\n\
         type Part<T> = T extends (infer E)[] ? Part<E>[] : T extends object ? { [K in keyof T]?: Part<T[K]> } : T;\n\
         declare function fits<T>(): <S extends T>(payload: S) => void;\n\n",
    );
    let recorded = recorded();
    assert!(recorded.len() >= 15, "{} payloads", recorded.len());
    for (kind, payload) in &recorded {
        writeln!(text, "fits<github.Events[{kind:?}]>()({payload});")
            .expect("a String takes any text");
    }
    let samples = [
        ("github", "Part<github.Events[\"push\"]>"),
        ("stripe", "Part<stripe.Event>"),
        ("shopify", "Part<shopify.Events[\"orders/create\"]>"),
        ("slack", "slack.Callback"),
        ("slack-interactivity", "Part<slack.Interaction>"),
    ];
    for (pack, ty) in samples {
        writeln!(text, "fits<{ty}>()({});", sample(pack)).expect("a String takes any text");
    }
    text.push_str(
        "// @ts-expect-error a number is no text\nfits<github.Events[\"push\"]>()({ ref: 1 });\n\
         // @ts-expect-error the field is not optional\nfits<stripe.Payout>()({ id: \"po_1\" });\n",
    );
    succeeded(&folder.file("src/payloads.ts", &text).check_types());
}

/// GitHub and Stripe publish types of what they send.
#[test]
fn payload_types_accept_published_types() {
    let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript)
        .and_then(|folder| folder.with_package("@octokit/openapi-webhooks-types"))
        .and_then(|folder| folder.with_package("stripe"))
    else {
        return;
    };
    let config = folder.path().join("tsconfig.json");
    let config = std::fs::read_to_string(config).expect("the cases have one");
    // Their declarations name types of Node.js.
    let config = config.replace("\"strict\"", "\"skipLibCheck\": true,\n    \"strict\"");
    let folder = folder
        .file("tsconfig.json", &config)
        // The cases expect that there is no Node.js.
        .file("src/types.ts", "export {};\n")
        .file("src/published.ts", include_str!("published.ts"));
    succeeded(&folder.check_types());
}

/// Payloads that were recorded at GitHub, with their kinds. Kinds without a type are left out.
fn recorded() -> Vec<(String, String)> {
    let typed: BTreeSet<String> = PROVIDERS[0]
        .kinds()
        .into_iter()
        .map(|kind| kind.value)
        .collect();
    let files = std::fs::read_dir(root().join("tests/fixtures/github")).expect("the folder exists");
    let mut recorded: Vec<(String, String)> = files
        .filter_map(|file| {
            let path = file.expect("the folder can be read").path();
            let (kind, _) = path.file_stem()?.to_str()?.split_once('-')?;
            let payload = std::fs::read_to_string(&path).expect("the file is text");
            typed
                .contains(kind)
                .then(|| (kind.to_owned(), payload.trim().to_owned()))
        })
        .collect();
    recorded.sort();
    recorded
}

/// The sample of a provider pack, as JSON.
fn sample(pack: &str) -> String {
    let path = root().join(format!("host/verify/src/packs/{pack}.toml"));
    let pack: toml::Table = std::fs::read_to_string(path)
        .expect("the pack exists")
        .parse()
        .expect("a pack is TOML");
    let sample = pack["sample"].as_str().expect("a sample is text");
    if serde_json::from_str::<Value>(sample).is_ok() {
        return sample.to_owned();
    }
    let form = Url::parse(&format!("http://form/?{sample}")).expect("a form");
    let mut fields = form.query_pairs();
    let payload = fields.find(|(name, _)| name == "payload");
    payload.expect("a form with a payload").1.into_owned()
}

// === impl Provider ===

impl Provider {
    fn source(&self, file: &str) -> String {
        let path = root().join("sdk/src/providers").join(file);
        let text = std::fs::read_to_string(&path).expect("the file exists");
        let code = text.split("#[cfg(test)]").next();
        code.unwrap_or_default().to_owned()
    }

    fn kinds(&self) -> Vec<Kind> {
        let code = self.source(self.sources[0]);
        let listed = listed_kinds(&code);
        if listed.is_empty() {
            matched_kinds(&code)
        } else {
            listed
        }
    }

    /// The whole file.
    fn declarations(&self, used: &mut BTreeSet<Place>) -> String {
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

// === The Rust sources, as rustfmt writes them ===

/// A struct with public fields.
struct Struct {
    about: String,
    name: String,
    fields: Vec<Field>,
}

struct Field {
    about: String,
    name: String,
    ty: String,
}

/// A kind of event, and the type of its payload.
struct Kind {
    about: String,
    value: String,
    ty: String,
}

fn structs(code: &str) -> Vec<Struct> {
    let mut found: Vec<Struct> = Vec::new();
    let mut about = String::new();
    let mut is_open = false;
    for line in code.lines() {
        let trimmed = line.trim();
        if let Some(text) = trimmed.strip_prefix("/// ") {
            about = format!("{about} {text}").trim().to_owned();
        } else if trimmed.starts_with("#[") {
            // Attributes stand between a comment and its item.
        } else if let Some(name) = line
            .strip_prefix("pub struct ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            let about = std::mem::take(&mut about);
            found.push(Struct {
                about,
                name: name.to_owned(),
                fields: Vec::new(),
            });
            is_open = true;
        } else if let Some((name, ty)) = trimmed
            .strip_prefix("pub ")
            .filter(|_| is_open)
            .and_then(|field| field.strip_suffix(',')?.split_once(": "))
        {
            let fields = &mut found.last_mut().expect("a struct is open").fields;
            fields.push(Field {
                about: std::mem::take(&mut about),
                name: name.trim_start_matches("r#").to_owned(),
                ty: ty.to_owned(),
            });
        } else {
            is_open &= line != "}";
            about.clear();
        }
    }
    found
}

/// Lines of a macro: `Push(Push) = "push",` or `Charge = "charge",`.
fn listed_kinds(code: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut about = String::new();
    for line in code.lines().map(str::trim) {
        let line_about = line.strip_prefix("/// ").map(str::to_owned);
        let listed = line
            .strip_suffix("\",")
            .and_then(|rest| rest.split_once(" = \""));
        if let Some((variant, value)) = listed {
            let ty = variant
                .split_once('(')
                .map_or(variant, |(_, ty)| ty.trim_end_matches(')'));
            kinds.push(Kind {
                about: about.clone(),
                value: value.to_owned(),
                ty: ty.to_owned(),
            });
        }
        about = line_about.unwrap_or_default();
    }
    kinds
}

/// The variants of `enum Event`, and the arms of the `match` that chooses one by a text.
fn matched_kinds(code: &str) -> Vec<Kind> {
    let (_, variants) = code.split_once("pub enum Event {").expect("an enum");
    let (variants, _) = variants.split_once("\n}").expect("an enum ends");
    let type_of = |variant: &str| {
        let line = variants.lines().find_map(|line| {
            line.trim()
                .strip_prefix(variant)?
                .strip_prefix('(')?
                .strip_suffix("),")
        });
        let ty = line.unwrap_or_else(|| panic!("no variant {variant}"));
        ty.trim_start_matches("Box<")
            .trim_end_matches('>')
            .to_owned()
    };

    let (_, arms) = code.split_once("        match ").expect("a match");
    let (_, arms) = arms.split_once("{\n").expect("a match has arms");
    let (arms, _) = arms.split_once("\n            _ =>").expect("a last arm");
    // Of every other part, the text is between quotes.
    let mut kinds = Vec::new();
    let mut values: Vec<&str> = Vec::new();
    for (at, part) in arms.split('"').enumerate() {
        if at % 2 == 1 {
            values.push(part);
        } else if let Some((_, variant)) = part
            .split_once("Self::")
            .or_else(|| part.split_once("Event::"))
        {
            let variant: String = variant
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            values.dedup();
            kinds.extend(values.drain(..).map(|value| Kind {
                about: String::new(),
                value: value.to_owned(),
                ty: type_of(&variant),
            }));
        }
    }
    kinds
}

// === TypeScript ===

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
