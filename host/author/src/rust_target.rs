//! The target that cargo builds a component for. Cargo.toml names it, because `[build] target` of
//! cargo's own settings would also hold for `cargo test`.

use std::fmt;
use std::path::Path;

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

    /// The target of the crate or workspace in `dir`.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<RustTarget> {
        let path = dir.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let manifest: CargoManifest = toml::from_str(&text)
            .with_context(|| format!("{} cannot be parsed", path.display()))?;
        let metadata = [manifest.package, manifest.workspace]
            .into_iter()
            .flatten()
            .find_map(|section| section.metadata?.landfall);
        Ok(metadata
            .and_then(|landfall| landfall.target)
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
    fn triples_are_those_of_manifests() {
        for target in RustTarget::ALL {
            let text = format!("target = \"{target}\"");
            let landfall: Landfall = toml::from_str(&text).unwrap();
            assert_eq!(landfall.target, Some(target));
        }
    }
}
