//! `landfall mcp`: the tools of a running node for an MCP client, over standard input and output.
//! Each call of a tool is a request to the admin API, which checks the token and its role.

mod trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use clap::Args;
use landfall_admin::Caller;
use landfall_mcp::{
    AdminApi, ComponentProblem, ComponentTrial, Components, Server, Unreachable, serve_stdio,
};
use serde_json::Value;
use tokio::sync::Mutex;

use self::trials::Trials;
use super::check::receipt;
use super::target::AdminFlags;
use crate::app;

/// The most bytes of a component that is loaded.
const COMPONENT_MAX: u64 = 256 << 20;

/// Which node, and which files.
#[derive(Debug, Args)]
pub(super) struct McpFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// A folder of components that the tools `inspect_file` and `try_component` may load. Without
    /// it, the tools are not there.
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// The folder of the hook files whose grants apply in `try_component` [default: plugins].
    #[arg(long, value_name = "DIR", requires = "components")]
    plugins: Option<PathBuf>,
}

/// Serves one client until it closes standard input.
pub(super) async fn mcp(flags: McpFlags) -> anyhow::Result<ExitCode> {
    let mut server = Server::new(Arc::new(RunningNode(flags.admin)));
    if let Some(dir) = &flags.components {
        server = server.with_components(Arc::new(Folder::new(dir, flags.plugins)?));
    }

    serve_stdio(server).await?;
    Ok(ExitCode::SUCCESS)
}

/// The admin listener that the flags name.
struct RunningNode(AdminFlags);

// === impl RunningNode ===

#[async_trait]
impl AdminApi for RunningNode {
    async fn ask(
        &self,
        _caller: Option<&Caller>,
        path: &str,
        post: Option<String>,
    ) -> Result<(u16, String), Unreachable> {
        let answer = self.0.ask_for_mcp(path, post).await;
        answer.map_err(|error| Unreachable(format!("{error:#}")))
    }
}

/// A folder of components.
struct Folder {
    /// Without links.
    dir: PathBuf,
    /// One component is compiled at a time.
    turn: Mutex<()>,
    trials: Trials,
}

// === impl Folder ===

impl Folder {
    fn new(dir: &Path, plugins: Option<PathBuf>) -> anyhow::Result<Folder> {
        let real = dir.canonicalize();
        let real = real.with_context(|| format!("--components {}", dir.display()))?;
        ensure!(
            real.is_dir(),
            "--components {} is not a folder",
            dir.display()
        );
        Ok(Folder {
            dir: real,
            turn: Mutex::new(()),
            trials: Trials::new(plugins),
        })
    }

    /// The file that a call names.
    fn named(&self, file: &str) -> Result<PathBuf, ComponentProblem> {
        self.find(file).ok_or_else(|| {
            ComponentProblem(
                "the folder of --components has no such .wasm file: write the name of a file in it, without a path"
                    .to_owned(),
            )
        })
    }

    /// A regular file of the folder itself, named by one plain word that ends with `.wasm`.
    fn find(&self, file: &str) -> Option<PathBuf> {
        let is_plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !is_plain || !file.ends_with(".wasm") {
            return None;
        }

        let found = self.dir.join(file).canonicalize().ok()?;
        let about = found.metadata().ok()?;
        let is_inside = found.parent() == Some(self.dir.as_path());
        (is_inside && about.is_file() && about.len() <= COMPONENT_MAX).then_some(found)
    }
}

#[async_trait]
impl Components for Folder {
    async fn inspect(&self, file: &str) -> Result<Value, ComponentProblem> {
        let path = self.named(file)?;
        let _turn = self.turn.lock().await;
        let inspected = app::try_component(&path).await;
        let receipt = inspected.and_then(|inspected| receipt(&inspected));
        receipt.map_err(problem)
    }

    async fn load_trial(
        &self,
        file: &str,
        hook: &str,
        allow: &[String],
    ) -> Result<Box<dyn ComponentTrial>, ComponentProblem> {
        let path = self.named(file)?;
        let loaded = self.trials.load(path, hook, allow, &self.turn).await;
        Ok(Box::new(loaded.map_err(problem)?))
    }
}

fn problem(error: anyhow::Error) -> ComponentProblem {
    ComponentProblem(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let outside = tempfile::tempdir().unwrap();
        let dir = outside.path().join("components");
        std::fs::create_dir(&dir).unwrap();
        std::fs::create_dir(dir.join("inner.wasm")).unwrap();
        for file in ["../secret.wasm", "a.wasm", "b.txt", "inner.wasm/c.wasm"] {
            std::fs::write(dir.join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("../secret.wasm", dir.join("link.wasm")).unwrap();
        std::os::unix::fs::symlink("a.wasm", dir.join("alias.wasm")).unwrap();

        let folder = Folder::new(&dir, None).unwrap();
        assert!(folder.find("a.wasm").is_some());
        assert!(folder.find("alias.wasm").is_some());
        let secret = outside.path().join("secret.wasm");
        for file in [
            "../secret.wasm",
            secret.to_str().unwrap(),
            "link.wasm",
            "b.txt",
            "inner.wasm",
            "inner.wasm/c.wasm",
            "./a.wasm",
            "absent.wasm",
            "",
            ".wasm",
            "a.wasm/",
        ] {
            assert!(folder.find(file).is_none(), "{file}");
        }
        assert!(Folder::new(&dir.join("a.wasm"), None).is_err());
    }
}
