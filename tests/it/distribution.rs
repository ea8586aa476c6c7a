//! Components on their way: `landfall add` and `landfall push`, pinned digests, signatures.

mod docs;
mod files;
mod pinned;
mod registry;
mod signatures;
mod urls;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use landfall_tests::manifest::with_manifest;
use landfall_tests::{component, landfall};
use serde_json::Value;
use sha2::{Digest, Sha256};

const NEEDS: &str = "manifest = 1\nname = \"one\"\nversion = \"1.2.0\"\n\
    [needs]\nhttp = [\"https://a.example/\", \"https://b.example/\"]\nkv = true\n";

/// A folder with an empty plugins directory, in which `landfall` is run.
struct Desk {
    dir: tempfile::TempDir,
}

// === impl Desk ===

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plugins")).unwrap();
        Desk { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names in the plugins directory.
    fn plugins(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("plugins")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, &[]).await
    }

    async fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = tokio::process::Command::new(landfall());
        let output = command
            .args(args)
            .current_dir(self.dir.path())
            .env("DOCKER_CONFIG", self.path("docker"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .output()
            .await;
        Said::of(output.unwrap())
    }
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

// === impl Said ===

impl Said {
    fn of(output: Output) -> Said {
        Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.errors);
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    #[track_caller]
    fn refused(self, words: &str) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.errors);
        assert!(
            self.errors.contains(words),
            "no {words:?} in: {}",
            self.errors
        );
        self.errors
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A component that answers `one`, with a manifest that needs grants.
fn needy() -> Vec<u8> {
    with_manifest(&component("answers_one"), NEEDS)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
