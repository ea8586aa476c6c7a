//! `landfall providers`: lists the provider packs, describes how to connect one, and writes the
//! pages of docs/providers.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::Value;

use super::output::written;
use crate::app::{self, Guide, Packs};

/// What to print.
#[derive(Debug, Args)]
pub(super) struct ProvidersFlags {
    /// Print how to connect this provider. Without it, list all.
    provider: Option<String>,
    /// Print JSON: one object, or an array of all.
    #[arg(long)]
    json: bool,
    /// Print Markdown, as in docs/providers.
    #[arg(long, conflicts_with = "json", requires = "provider")]
    markdown: bool,
    /// Write a page for each provider and an index into this directory. Pages of removed providers
    /// are deleted.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "markdown", "provider"])]
    write: Option<PathBuf>,
    /// A directory of provider packs of your own, such as plugins/providers.
    #[arg(long, value_name = "DIR")]
    providers: Option<PathBuf>,
}

/// The packs of the directory that `--providers` names, added to those in the binary. It must
/// exist.
pub(super) fn named_packs(dir: Option<&Path>) -> anyhow::Result<Packs> {
    if let Some(dir) = dir {
        ensure!(
            dir.is_dir(),
            "--providers {} is not a folder: name the one with your provider packs, such as plugins/providers",
            dir.display()
        );
    }
    app::packs(dir)
}

/// Prints the list, one provider, or writes the pages.
pub(super) fn providers(flags: &ProvidersFlags) -> anyhow::Result<ExitCode> {
    let packs = named_packs(flags.providers.as_deref())?;
    let text = match (&flags.provider, &flags.write) {
        (Some(name), _) => {
            let guide = Guide::new(name, &packs).map_err(anyhow::Error::msg)?;
            match (flags.json, flags.markdown) {
                (true, _) => format!("{:#}\n", guide.json()),
                (_, true) => guide.markdown(),
                _ => guide.text(),
            }
        }
        (None, Some(dir)) => write_pages(dir, &app::guides(&packs).map_err(anyhow::Error::msg)?)?,
        (None, None) => {
            let guides = app::guides(&packs).map_err(anyhow::Error::msg)?;
            if flags.json {
                format!("{:#}\n", guides.iter().map(Guide::json).collect::<Value>())
            } else {
                guides.iter().map(|guide| guide.line() + "\n").collect()
            }
        }
    };

    written(std::io::stdout().lock().write_all(text.as_bytes()));
    Ok(ExitCode::SUCCESS)
}

fn write_pages(dir: &Path, guides: &[Guide]) -> anyhow::Result<String> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be created", dir.display()))?;
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?
    {
        let path = entry?.path();
        let is_page = path.extension().is_some_and(|ending| ending == "md");
        let is_known = guides
            .iter()
            .any(|guide| path.file_stem().is_some_and(|stem| *stem == *guide.name));
        if is_page && !is_known {
            std::fs::remove_file(&path)
                .with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }

    for guide in guides {
        let name = format!("{}.md", guide.name);
        write_page(&dir.join(name), &guide.markdown())?;
    }

    write_page(&dir.join("README.md"), &index(guides))?;

    Ok(format!("{} pages in {}\n", guides.len(), dir.display()))
}

fn write_page(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn index(guides: &[Guide]) -> String {
    let mut text = String::from(
        "# Providers\n\n\
         One page for each provider pack: where the secret is found, a hook file to copy, the handshake, the answer that the \
         provider expects, and a command that sends a signed sample. `landfall providers NAME` prints the same page. A pack's \
         evidence is `vendor` if its facts come from the provider's own documentation or code, and `third-party` otherwise. \
         The pages are generated from the packs in host/verify/src/packs:\n\n\
         ```\n\
         cargo run -p landfall -- providers --write docs/providers\n\
         ```\n\n\
         | provider | `provider =` | evidence | |\n|---|---|---|---|\n",
    );
    for guide in guides {
        writeln!(text, "{}", guide.row()).expect("a string takes text");
    }

    text
}
