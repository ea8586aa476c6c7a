//! `landfall shape`: what was learned of a hook's events, as a list, as types, and what to do about
//! differences.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::listing::{printable, query, text};
use super::output::{say, untrusted};
use super::target::{AdminFlags, NO_ADMIN};

/// Which hook, and what of it.
#[derive(Debug, Args)]
pub(super) struct ShapeFlags {
    /// The hook.
    hook: String,
    /// Only events of this type, with every field. "": events without a type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Print a JSON Schema (2020-12) that accepts the learned bodies.
    #[arg(long, group = "act")]
    schema: bool,
    /// Print TypeScript types of the learned bodies.
    #[arg(long, group = "act")]
    ts: bool,
    /// Print Rust types of the learned bodies, for serde.
    #[arg(long, group = "act")]
    rust: bool,
    /// Make what has come a part of the shape: it is no difference any more.
    #[arg(long, group = "act")]
    accept: bool,
    /// Forget what was learned, and learn anew.
    #[arg(long, group = "act")]
    forget: bool,
    #[command(flatten)]
    admin: AdminFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `landfall shape`. Without a flag, prints each event type with its differences, and exits
/// with 0 also if there are some.
pub(super) async fn shape(flags: &ShapeFlags) -> anyhow::Result<ExitCode> {
    if let Some(format) = flags.format() {
        print_types(flags, format).await?;
    } else if flags.accept {
        change(flags, "accept-shape").await?;
    } else if flags.forget {
        change(flags, "forget-shape").await?;
    } else {
        let answer = flags.admin.ask(&flags.path("shape", &[]), None).await?;
        if flags.json {
            say!("{answer}");
        } else {
            print(&answer)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_types(flags: &ShapeFlags, format: &str) -> anyhow::Result<()> {
    let path = flags.path("types", &[("format", format)]);
    let answer = flags.admin.ask(&path, None).await?;
    if flags.json {
        say!("{answer}");
    } else {
        // Names in it are in literals, in which control characters are escaped.
        let text = answer["text"].as_str().context(NO_ADMIN)?;
        untrusted("", text);
    }
    Ok(())
}

async fn change(flags: &ShapeFlags, command: &str) -> anyhow::Result<()> {
    let mut order = json!({});
    if let Some(event_type) = &flags.event_type {
        order["event_type"] = json!(event_type);
    }
    let path = format!("/api/v1/hooks/{}/{command}", query(&flags.hook));
    let answer = flags.admin.ask(&path, Some(&order)).await?;
    let is_done = answer["done"].as_bool().context(NO_ADMIN)?;
    if flags.json {
        say!("{answer}");
    } else if is_done {
        say!("{}: done", printable(&flags.hook));
    } else {
        say!(
            "{}: the node that learns does it at its next look",
            printable(&flags.hook)
        );
    }
    Ok(())
}

fn print(answer: &Value) -> anyhow::Result<()> {
    if answer["learned"] == false {
        say!("learning is switched off for this hook");
    }
    for one in answer["types"].as_array().context(NO_ADMIN)? {
        let event_type = match one["event_type"].as_str() {
            None | Some("") => "(no type)".to_owned(),
            Some(event_type) => printable(event_type),
        };
        let others = match one["others"].as_u64() {
            None | Some(0) => String::new(),
            Some(others) => format!(", {others} neither JSON nor a form"),
        };
        let kib = one["bytes"].as_u64().unwrap_or_default().div_ceil(1024);
        say!(
            "{event_type}  {}  {} events{others}  {kib} KiB  last {}",
            text(&one["state"]),
            one["events"],
            text(&one["last_at"])
        );
        for difference in listed(&one["differences"]) {
            say!(
                "  {}  ({} events, first {} in {})",
                text(&difference["sentence"]),
                difference["events"],
                text(&difference["first_at"]),
                text(&difference["event"])
            );
        }
        for field in listed(&one["fields"]) {
            say!("  {}", line(field));
        }
    }
    if let Some(untyped) = answer["untyped"].as_u64().filter(|count| *count > 0) {
        say!("{untyped} events not learned: there are too many event types");
    }
    Ok(())
}

/// A field: pointer, types, format or values, and whether it may be missing.
fn line(field: &Value) -> String {
    let words: Vec<String> = listed(&field["words"]).iter().map(text).collect();
    let notes = [
        field["format"].as_str().map(str::to_owned),
        (!words.is_empty()).then(|| words.join(" | ")),
        (field["required"] == false).then(|| "optional".to_owned()),
    ];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!("  ({})", notes.join(", "))
    };
    format!(
        "{}  {}{notes}",
        text(&field["pointer"]),
        text(&field["types"])
    )
}

fn listed(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

// === impl ShapeFlags ===

impl ShapeFlags {
    /// What the types are written as.
    fn format(&self) -> Option<&'static str> {
        let asked = [
            (self.schema, "schema"),
            (self.ts, "ts"),
            (self.rust, "rust"),
        ];
        asked
            .into_iter()
            .find(|(is_asked, _)| *is_asked)
            .map(|(_, word)| word)
    }

    /// The path of an endpoint that reads, with these parameters and the event type.
    fn path(&self, endpoint: &str, parameters: &[(&str, &str)]) -> String {
        let event_type = self.event_type.as_deref();
        let all = parameters
            .iter()
            .copied()
            .chain(event_type.map(|one| ("type", one)));
        let all: Vec<String> = all
            .map(|(name, value)| format!("{name}={}", query(value)))
            .collect();
        let path = format!("/api/v1/hooks/{}/{endpoint}", query(&self.hook));
        if all.is_empty() {
            path
        } else {
            format!("{path}?{}", all.join("&"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_notes() {
        for (field, expected) in [
            (
                json!({ "pointer": "/id", "types": "integer", "format": null, "required": true }),
                "/id  integer",
            ),
            (
                json!({ "pointer": "/a\n", "types": "string", "format": "date", "required": false }),
                "/a\\n  string  (date, optional)",
            ),
            (
                json!({ "pointer": "/s", "types": "string", "words": ["a", "b"], "required": true }),
                "/s  string  (a | b)",
            ),
        ] {
            assert_eq!(line(&field), expected);
        }
    }
}
