//! The formats of a guide: text, Markdown, JSON, and one line in a list.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Guide;
use super::words::{cell, evidence, identity, kebab, pattern};
use crate::pack::Pack;

impl Guide {
    /// The guide as text for a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.pack.name);
        for section in self.sections() {
            if !section.title.is_empty() {
                write!(text, "\n{}\n", section.title.to_uppercase()).expect("a string takes text");
            }

            for block in &section.blocks {
                text.push_str(&block.plain());
            }
        }

        text
    }

    /// The guide as a page of docs/providers.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.pack.name);
        for section in self.sections() {
            if !section.title.is_empty() {
                write!(text, "\n## {}\n", section.title).expect("a string takes text");
            }

            for block in &section.blocks {
                text.push('\n');
                text.push_str(&block.markdown());
            }
        }

        text
    }

    /// The provider's row in the index of docs/providers.
    pub fn row(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        let docs = docs
            .as_ref()
            .map(|docs| format!("[documentation]({docs})"))
            .unwrap_or_default();

        format!(
            "| [{}]({}.md) | `{}` | {} | {docs} |",
            cell(name),
            self.name,
            self.name,
            evidence(&self.pack)
        )
    }

    /// One line with name, title, evidence and documentation.
    pub fn line(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        format!(
            "{:<28} {:<44} {:<12} {}",
            self.name,
            name,
            evidence(&self.pack),
            docs.as_deref().unwrap_or_default()
        )
    }

    /// The guide as JSON.
    pub fn json(&self) -> Value {
        let pack = &self.pack;
        let patterns: Vec<String> = pack.avoid_status.iter().map(pattern).collect();
        let window = self.window();

        json!({
            "provider": self.name,
            "name": pack.name,
            "docs": pack.docs,
            "evidence": pack.evidence,
            "evidence_source": pack.evidence_source,
            "variant_of": pack.variant_of,
            "aliases": pack.aliases,
            "note": pack.note,
            "scheme": self.verifier.auth_scheme().word(),
            "needs_secret": self.needs_secret(),
            "secret_location": pack.secret_location,
            "secret_form": kebab(self.verifier.key_form()),
            "config": pack.config,
            "needs_public_url": self.needs_public_url,
            "needs_challenge_secret": self.needs_challenge_secret(),
            "handshakes": self.handshakes(),
            "deadline_seconds": pack.deadline_seconds,
            "max_body_bytes": pack.max_body_bytes,
            "content_types": pack.content_types,
            "retries": pack.retries,
            "retry_schedule": pack.retry_schedule,
            "retry_span_seconds": pack.retry_span.map(|span| span.as_secs()),
            "retry_resigned": pack.retry_resigned,
            "success": pack.success,
            "avoid_status": patterns,
            "accepted": { "status": self.accepted_status(), "headers": pack.accepted.headers, "body": pack.accepted.body },
            "reply_body": pack.reply_body,
            "delivery_id": pack.delivery_id.as_ref().map(identity),
            "delivery_id_source": pack.delivery_id_source,
            "window_seconds": window.and_then(|window| window.past).map(|past| past.as_secs()),
            "from_addresses": pack.from_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "hook_file": self.hook_file(),
            "test_command": self.test_command(),
            "cannot_sign": self.cannot_sign,
            "handshake_commands": self.handshake_commands(),
        })
    }
}
