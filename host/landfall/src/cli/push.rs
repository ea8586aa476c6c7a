//! `landfall push`: publishes a component in a registry.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::json;

use super::output::say;
use crate::app::{self, CAPABILITIES, FoundSignature, Source};
use landfall_config::Manifest;

/// What is published, and where.
#[derive(Debug, Args)]
pub(super) struct PushFlags {
    /// The component: a .wasm file. A signature FILE.minisig beside it is published with it.
    file: PathBuf,
    /// `oci://REGISTRY/REPOSITORY:TAG`
    target: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Publishes the component, and prints the name by which it can be added.
pub(super) async fn push(flags: PushFlags) -> anyhow::Result<ExitCode> {
    let Source::Registry(target) = flags.target.parse()? else {
        bail!(
            "{} is not a registry: write oci://REGISTRY/REPOSITORY:TAG",
            flags.target
        )
    };
    ensure!(
        target.is_tag(),
        "{target} has a digest, which only the registry can tell: write oci://REGISTRY/REPOSITORY:TAG"
    );
    let fetched = app::fetch(&Source::File(flags.file.clone()), None).await?;
    let inspected = app::inspect(&file_name(&flags.file)?, &fetched.bytes)?;
    let manifest = match &inspected.manifest {
        Some(text) => Manifest::parse("manifest", text, CAPABILITIES)?,
        None => Manifest::default(),
    };

    let signature = match fetched.signature {
        FoundSignature::None => None,
        FoundSignature::Text(text) => Some(text),
        FoundSignature::Unusable(why) => bail!("{why}, or remove that file"),
    };
    let is_signed = signature.is_some();
    let pushed = app::push(&target, fetched.bytes, &inspected, &manifest, signature).await?;
    if flags.json {
        say!(
            "{}",
            json!({
                "reference": target.to_string(),
                "pinned": pushed.reference.to_string(),
                "digest": pushed.digest.to_string(),
                "signed": is_signed,
            })
        );
        return Ok(ExitCode::SUCCESS);
    }

    say!("pushed   {target}");
    say!("digest   {}", pushed.digest);
    say!("signed   {}", if is_signed { "yes" } else { "no" });
    say!("add it   landfall add {}", pushed.reference);
    Ok(ExitCode::SUCCESS)
}

fn file_name(file: &Path) -> anyhow::Result<String> {
    let name = file.file_name().context("name a .wasm file")?;
    Ok(name.to_string_lossy().into_owned())
}
