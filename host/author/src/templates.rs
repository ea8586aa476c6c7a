//! The templates of new handlers: files in `templates/`, in the binary. `all/` is for every
//! language; each of its folders and of those of a language has `base/`, and a folder for each
//! template.
//!
//! In a path, `NAME` is the name of the handler, `SAMPLE` that of the sample, and a `_` at the
//! beginning is a dot. A file that ends in `.j2` is a template of minijinja; one that comes out
//! empty is not written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::project::Language;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// What a new handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Answers each event.
    Empty,
    /// Sends each event to a URL.
    Forward,
    /// Stores each event as a row.
    Store,
    /// Calls a URL after some events.
    Trigger,
}

/// What the templates read.
#[derive(Debug, Serialize)]
pub(crate) struct Values {
    /// The name of the handler.
    pub(crate) name: String,
    /// As a module of Rust or Python.
    pub(crate) module: String,
    /// The word of the template.
    pub(crate) template: &'static str,
    pub(crate) language: &'static str,
    /// The file that the author edits.
    pub(crate) source: &'static str,
    pub(crate) provider: String,
    /// The provider's name for people.
    pub(crate) title: String,
    /// The event type of the sample; empty without one.
    pub(crate) event: String,
    /// The file of the sample.
    pub(crate) sample: String,
    /// The `[verify]` table.
    pub(crate) verify: String,
    /// The hook's path; empty for the default.
    pub(crate) path: String,
    /// Whether there is a made-up secret.
    pub(crate) has_secret: bool,
    /// Whether the secret is a key that only the provider has.
    pub(crate) needs_key: bool,
}

// === impl Template ===

impl Template {
    /// Every template, in the order in which they are listed.
    pub const ALL: [Template; 4] = [
        Template::Empty,
        Template::Forward,
        Template::Store,
        Template::Trigger,
    ];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Template::Empty => "empty",
            Template::Forward => "forward",
            Template::Store => "store",
            Template::Trigger => "trigger",
        }
    }

    /// One line for a list.
    pub fn about(self) -> &'static str {
        match self {
            Template::Empty => "logs each event and answers it: a beginning for anything",
            Template::Forward => "sends each event to a URL",
            Template::Store => "stores each event as a row of a table",
            Template::Trigger => "calls a URL after the events of one type",
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(word: &str) -> Result<Template, String> {
        Template::ALL
            .into_iter()
            .find(|template| template.word() == word)
            .ok_or_else(|| "the templates are empty, forward, store and trigger".into())
    }
}

/// The files of a new handler, without its SDK, its secret and its sample.
pub(crate) fn files(
    language: Language,
    template: Template,
    values: &Values,
    sample_stem: &str,
) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .lstrip_blocks(true);
    environment.set_syntax(syntax.build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);

    let folders = ["all", language.folder()]
        .into_iter()
        .flat_map(|first| ["base", template.word()].map(|second| format!("{first}/{second}/")));
    let mut written = Vec::new();
    for folder in folders {
        for (path, bytes) in TEMPLATES {
            let Some(inner) = path.strip_prefix(&folder) else {
                continue;
            };

            let target = target(inner, &values.name, sample_stem);
            if !path.ends_with(".j2") {
                written.push((target, bytes.to_vec()));
                continue;
            }
            let text = std::str::from_utf8(bytes).context("a template is text")?;
            let rendered = environment
                .render_named_str(path, text, Serde(values))
                .with_context(|| format!("the template {path} is wrong"))?;
            if !rendered.trim().is_empty() {
                written.push((target, rendered.into_bytes()));
            }
        }
    }
    Ok(written)
}

/// Where the file of a template goes.
fn target(inner: &str, name: &str, sample_stem: &str) -> PathBuf {
    let parts = inner.trim_end_matches(".j2").split('/').map(|part| {
        let part = match part.strip_prefix('_') {
            Some(rest) => format!(".{rest}"),
            None => part.to_owned(),
        };
        part.replace("NAME", name).replace("SAMPLE", sample_stem)
    });
    parts.collect()
}
