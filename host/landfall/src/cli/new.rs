//! `landfall new`: writes the folder of a new handler. On a terminal it asks for what is missing.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use dialoguer::{Input, Select};
use landfall_author::{Language, NewHandler, Template, check_name, write};
use serde_json::json;

use super::output::say;
use super::providers::named_packs;

/// What to write.
#[derive(Debug, Args)]
pub(super) struct NewFlags {
    /// The name of the handler, of its hook and of the folder: a-z, 0-9, `-` and `_`.
    name: Option<String>,
    /// The language: rust, ts, js or python.
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
    /// Who sends the events: a provider pack, such as github. `landfall providers` lists them
    /// [default: generic].
    #[arg(long)]
    provider: Option<String>,
    /// What the handler does: empty, forward, store or trigger [default: empty].
    #[arg(long)]
    template: Option<Template>,
    /// Print the languages and templates.
    #[arg(long)]
    list: bool,
    /// JSON: the files that were written, or with `--list` the languages and templates.
    #[arg(long)]
    json: bool,
    /// A directory of provider packs of your own, such as plugins/providers.
    #[arg(long, value_name = "DIR")]
    providers: Option<std::path::PathBuf>,
}

/// Writes the folder, or prints the choices.
pub(super) fn new(flags: NewFlags) -> anyhow::Result<ExitCode> {
    if flags.list {
        list(flags.json);
        return Ok(ExitCode::SUCCESS);
    }

    let packs = named_packs(flags.providers.as_deref())?;
    let (as_json, handler) = (flags.json, complete(flags)?);
    let written = write(&handler, Path::new("."), &packs)?;
    if as_json {
        say!(
            "{}",
            json!({ "dir": written.dir, "files": written.files, "cannot_sign": written.cannot_sign })
        );
        return Ok(ExitCode::SUCCESS);
    }

    say!("{}", handler.name);
    for file in &written.files {
        say!("  {}", file.display());
    }
    say!("  vendor/ (the SDK)");
    if let Some(why) = &written.cannot_sign {
        say!("\nno test request of this provider can be signed: {why}");
    }
    say!(
        "\nnext: cd {} && landfall dev --install, then edit {}",
        handler.name,
        handler.language.source()
    );
    Ok(ExitCode::SUCCESS)
}

fn list(as_json: bool) {
    let languages = Language::ALL.map(|language| (language.word(), language.about()));
    let templates = Template::ALL.map(|template| (template.word(), template.about()));
    if as_json {
        let listed = |all: [(&str, &str); 4]| {
            all.map(|(name, about)| json!({ "name": name, "about": about }))
        };
        say!(
            "{}",
            json!({ "languages": listed(languages), "templates": listed(templates) })
        );
        return;
    }

    for (title, all) in [("--lang", languages), ("--template", templates)] {
        say!("{title}");
        for (name, about) in all {
            say!("  {name:<8} {about}");
        }
    }
}

/// Asks for what is missing if a person can answer.
fn complete(flags: NewFlags) -> anyhow::Result<NewHandler> {
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let name = match flags.name {
        Some(name) => name,
        None => {
            ensure!(
                can_ask,
                "a name is missing: landfall new NAME --lang LANGUAGE"
            );
            Input::new()
                .with_prompt("name")
                .validate_with(|name: &String| check_name(name))
                .interact_text()
                .context("no name was given")?
        }
    };
    check_name(&name)?;
    let asks_all = can_ask && flags.lang.is_none();
    let language = match flags.lang {
        Some(language) => language,
        None => {
            ensure!(
                can_ask,
                "a language is missing: add --lang rust, --lang ts, --lang js or --lang python"
            );
            let lines = Language::ALL.map(Language::about);
            Language::ALL[choose("language", &lines)?]
        }
    };
    let template = match flags.template {
        Some(template) => template,
        None if asks_all => {
            let lines = Template::ALL
                .map(|template| format!("{:<8} {}", template.word(), template.about()));
            Template::ALL[choose("template", &lines)?]
        }
        None => Template::Empty,
    };
    let provider = match flags.provider {
        None if asks_all => Some(
            Input::new()
                .with_prompt("provider (`landfall providers` lists them)")
                .default("generic".to_owned())
                .interact_text()
                .context("no provider was given")?,
        ),
        provider => provider,
    };

    Ok(NewHandler {
        name,
        language,
        provider,
        template,
    })
}

fn choose(what: &str, lines: &[impl std::fmt::Display]) -> anyhow::Result<usize> {
    let chosen = Select::new()
        .with_prompt(what)
        .items(lines)
        .default(0)
        .interact();
    chosen.with_context(|| format!("no {what} was chosen"))
}
