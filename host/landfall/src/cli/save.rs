//! `landfall events save`: a stored event becomes a test case.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use landfall_offline::SavedCase;

use super::listing::query;
use super::output::say;
use super::target::LedgerFlags;

#[derive(Debug, Args)]
pub(super) struct SaveFlags {
    /// The event's id, or the beginning of it.
    event: String,
    /// The name of the case.
    #[arg(long = "as", value_name = "CASE")]
    name: String,
    /// The handler's folder. The files are cases/CASE.toml and samples/CASE.json.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// Runs `landfall events save`.
pub(super) async fn save(
    node: &LedgerFlags,
    flags: &SaveFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/events/{}?whole=true", query(&flags.event));
    let shown = node.ask(&path, None).await?;
    let saved = SavedCase::new(&flags.name, &shown)?;

    let (case, sample) = (flags.dir.join(&saved.case), flags.dir.join(&saved.sample));
    for path in [&case, &sample] {
        if path.exists() {
            bail!(
                "{} exists: choose another name with --as, or remove it",
                path.display()
            );
        }
    }
    write(&sample, &saved.body)?;
    write(&case, saved.text.as_bytes())?;

    if as_json {
        say!("{}", serde_json::json!({ "case": case, "sample": sample }));
    } else {
        say!("{}\n{}", case.display(), sample.display());
    }
    Ok(())
}

/// Creates a file that does not exist yet.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} cannot be created", folder.display()))?;
    File::create_new(path)
        .and_then(|mut file| file.write_all(bytes))
        .with_context(|| format!("{} cannot be written", path.display()))
}
