//! `landfall completions` and `landfall man`; and parsing. Hidden commands are in none of them, and
//! are never suggested.

use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory, FromArgMatches};

use super::command::Cli;
use super::output::written;

/// The commands that `--help` lists.
fn visible() -> Command {
    let all = Cli::command();
    let shown = all
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .cloned()
        .collect::<Vec<_>>();
    let about = all.get_about().cloned().unwrap_or_default();
    Command::new("landfall")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(shown)
}

/// The command of these arguments. A hidden one must be written as it is.
pub(super) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut all = Cli::command();
    let first = arguments.get(1).and_then(|first| first.to_str());
    let is_hidden = all
        .get_subcommands()
        .any(|command| command.is_hide_set() && first == Some(command.get_name()));
    let mut visible = visible();
    let commands = if is_hidden { &mut all } else { &mut visible };
    let mut matches = commands.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// Prints the script of a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(), "landfall", &mut script);
    written(stdout().lock().write_all(&script));
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page, or writes one for each command.
pub(super) fn man(out: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(dir) = out {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("{} cannot be created", dir.display()))?;
        clap_mangen::generate_to(visible(), dir)
            .with_context(|| format!("manual pages cannot be written to {}", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }

    let mut page = Vec::new();
    clap_mangen::Man::new(visible()).render(&mut page)?;
    written(stdout().lock().write_all(&page));
    Ok(ExitCode::SUCCESS)
}
