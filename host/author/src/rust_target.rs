//! The target that cargo builds a component for. Cargo.toml names it, because `[build] target` of
//! cargo's own settings would also hold for `cargo test`.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

/// A target for which cargo links components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum RustTarget {
    /// Without WASI: the component imports only the contract.
    #[serde(rename = "wasm32-unknown-unknown")]
    Unknown,
    /// With WASI, from which `std` has the clock, random numbers and environment variables. For a
    /// Cargo.toml that names no target.
    #[default]
    #[serde(rename = "wasm32-wasip2")]
    Wasip2,
}

/// What is read of a Cargo.toml: `[package.metadata.landfall]`, or `[workspace.metadata.landfall]`.
#[derive(Deserialize)]
struct CargoManifest {
    package: Option<Section>,
    workspace: Option<Section>,
}

#[derive(Deserialize)]
struct Section {
    metadata: Option<Metadata>,
    /// Of a package: the folder of its workspace, if it is not the nearest one above.
    workspace: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    landfall: Option<Landfall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Landfall {
    target: Option<RustTarget>,
}

// === impl RustTarget ===

impl RustTarget {
    /// Both targets.
    pub(crate) const ALL: [RustTarget; 2] = [RustTarget::Unknown, RustTarget::Wasip2];

    /// The target of the crate or workspace in `dir`. A crate that names none has that of its
    /// workspace.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<RustTarget> {
        let manifest = CargoManifest::read(&dir.join("Cargo.toml"))?;
        if let Some(target) = manifest.target() {
            return Ok(target);
        }

        let workspace = manifest.workspace_above(dir)?;
        Ok(workspace
            .and_then(|workspace| workspace.target())
            .unwrap_or_default())
    }

    /// As cargo and rustup write it.
    pub fn triple(self) -> &'static str {
        match self {
            RustTarget::Unknown => "wasm32-unknown-unknown",
            RustTarget::Wasip2 => "wasm32-wasip2",
        }
    }

    /// One line for the author: the target, and what handlers that are built for it can do.
    pub fn about(self) -> String {
        let about = match self {
            RustTarget::Unknown => {
                "without WASI: std has no clock, threads, files or environment variables"
            }
            RustTarget::Wasip2 => "with WASI",
        };
        format!("{self}, {about}")
    }
}

// === impl CargoManifest ===

impl CargoManifest {
    fn read(path: &Path) -> anyhow::Result<CargoManifest> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} cannot be parsed", path.display()))
    }

    fn target(&self) -> Option<RustTarget> {
        [&self.package, &self.workspace]
            .into_iter()
            .flatten()
            .find_map(|section| section.metadata.as_ref()?.landfall.as_ref()?.target)
    }

    /// The workspace that the crate in `dir` belongs to, as cargo finds it: the one that the crate
    /// names, or the nearest one in a folder above.
    fn workspace_above(&self, dir: &Path) -> anyhow::Result<Option<CargoManifest>> {
        let Some(package) = self.package.as_ref().filter(|_| self.workspace.is_none()) else {
            return Ok(None);
        };
        if let Some(named) = &package.workspace {
            let manifest = CargoManifest::read(&dir.join(named).join("Cargo.toml"))?;
            return Ok(Some(manifest));
        }

        let dir = dir
            .canonicalize()
            .with_context(|| format!("{} cannot be found", dir.display()))?;
        for above in dir.ancestors().skip(1) {
            let path = above.join("Cargo.toml");
            if !path.is_file() {
                continue;
            }
            let manifest = CargoManifest::read(&path)?;
            if manifest.workspace.is_some() {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }
}

impl fmt::Display for RustTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_the_target() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            std::fs::write(dir.path().join("Cargo.toml"), text).unwrap();
            RustTarget::of(dir.path())
        };
        for (text, expected) in [
            ("[package]\nname = \"a\"\n", RustTarget::Wasip2),
            (
                "[package.metadata.docs.rs]\nall-features = true\n",
                RustTarget::Wasip2,
            ),
            ("[package.metadata.landfall]\n", RustTarget::Wasip2),
            (
                "[package.metadata.landfall]\ntarget = \"wasm32-unknown-unknown\"\n[workspace]\n",
                RustTarget::Unknown,
            ),
            (
                "[workspace.metadata.landfall]\ntarget = \"wasm32-unknown-unknown\"\n",
                RustTarget::Unknown,
            ),
        ] {
            assert_eq!(of(text).unwrap(), expected, "{text}");
        }

        for (key, words) in [
            (
                "target = \"wasm32-wasi\"",
                "expected `wasm32-unknown-unknown` or `wasm32-wasip2`",
            ),
            ("taget = \"wasm32-wasip2\"", "expected `target`"),
        ] {
            let error = of(&format!("[package.metadata.landfall]\n{key}\n")).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(words) && error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn members_have_the_target_of_their_workspace() {
        let dir = tempfile::tempdir().unwrap();
        let member = dir.path().join("handlers/member");
        std::fs::create_dir_all(&member).unwrap();
        let plain = "[workspace.metadata.landfall]\ntarget = \"wasm32-unknown-unknown\"\n";
        std::fs::write(dir.path().join("Cargo.toml"), plain).unwrap();
        let of = |text: &str| {
            std::fs::write(member.join("Cargo.toml"), text).unwrap();
            RustTarget::of(&member)
        };

        let package = "[package]\nname = \"a\"\n";
        let own = "[package.metadata.landfall]\ntarget = \"wasm32-wasip2\"\n";
        for (text, expected) in [
            (package.to_owned(), RustTarget::Unknown),
            (format!("{package}{own}"), RustTarget::Wasip2),
            (format!("{package}[workspace]\n"), RustTarget::Wasip2),
            (
                format!("{package}workspace = \"../..\"\n"),
                RustTarget::Unknown,
            ),
        ] {
            assert_eq!(of(&text).unwrap(), expected, "{text}");
        }

        let error = of(&format!("{package}workspace = \"../none\"\n")).unwrap_err();
        assert!(format!("{error:#}").contains("none"), "{error:#}");
        // A folder in between that is no workspace is passed over.
        std::fs::write(dir.path().join("handlers/Cargo.toml"), package).unwrap();
        assert_eq!(of(package).unwrap(), RustTarget::Unknown);
    }

    #[test]
    fn triples_are_those_of_manifests() {
        for target in RustTarget::ALL {
            let text = format!("target = \"{target}\"");
            let landfall: Landfall = toml::from_str(&text).unwrap();
            assert_eq!(landfall.target, Some(target));
        }
    }
}
