//! The tool `try_component` of `landfall mcp`: what `landfall try` does, one call at a time. It
//! never promotes, and leaves no file behind.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use landfall_mcp::ComponentTrial;
use landfall_model::HookName;
use landfall_offline::{Allowed, Trial, TryPlan};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::cli::flags::{NodeFlags, node_config};
use crate::offline;

/// The hook files, and the turn of the trial that runs.
pub(super) struct Trials {
    /// `None`: the plugins directory of the settings.
    plugins: Option<PathBuf>,
    turn: Arc<Mutex<()>>,
}

/// A component that is loaded under the hook file of a hook.
pub(super) struct RunningTrial {
    trial: Trial,
    /// What is compiled. Removed after the trial.
    _scratch: TempDir,
    _turn: OwnedMutexGuard<()>,
}

// === impl Trials ===

impl Trials {
    pub(super) fn new(plugins: Option<PathBuf>) -> Trials {
        Trials {
            plugins,
            turn: Arc::default(),
        }
    }

    /// Loads a component. `allow`: differences that are meant. `compiling` is held meanwhile.
    pub(super) async fn load(
        &self,
        component: PathBuf,
        hook: &str,
        allow: &[String],
        compiling: &Mutex<()>,
    ) -> anyhow::Result<RunningTrial> {
        let hook: HookName = hook.parse()?;
        let allowed = allow.iter().map(|text| text.parse::<Allowed>());
        let plan = TryPlan {
            component,
            allowed: allowed.collect::<Result<Vec<_>, _>>()?,
            hook_file: Some(self.hook_file(&hook)?),
            hook: hook.to_string(),
        };
        let Ok(turn) = self.turn.clone().try_lock_owned() else {
            bail!(
                "another call of `try_component` runs: wait for its answer, then repeat this one"
            );
        };

        let scratch = tempfile::tempdir().context("no place for what is compiled")?;
        let _compiling = compiling.lock().await;
        let cache = scratch.path().join("compiled");
        let trial = offline::try_component_in(cache, plan).await?;
        Ok(RunningTrial {
            trial,
            _scratch: scratch,
            _turn: turn,
        })
    }

    fn hook_file(&self, hook: &HookName) -> anyhow::Result<PathBuf> {
        let plugins = match &self.plugins {
            Some(plugins) => plugins.clone(),
            None => node_config(NodeFlags::default())?.settings.plugins.clone(),
        };
        let path = plugins.join(format!("{hook}.toml"));
        ensure!(
            path.is_file(),
            "{} is not there: the grants of the hook file apply. Start `landfall mcp` with --plugins DIR, the folder of the hook files",
            path.display()
        );
        Ok(path)
    }
}

#[async_trait]
impl ComponentTrial for RunningTrial {
    async fn run(&mut self, shown: &Value) {
        self.trial.run(shown).await;
    }

    fn into_report(self: Box<Self>) -> Value {
        self.trial.into_report().to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why nothing is loaded.
    async fn problem(trials: &Trials, hook: &str, allow: &str) -> String {
        let compiling = Mutex::new(());
        let component = PathBuf::from("absent.wasm");
        let allow = [allow.to_owned()];
        let loaded = trials.load(component, hook, &allow, &compiling).await;
        loaded.map(drop).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn one_trial_runs_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("shop.toml"),
            "[verify]\nscheme = \"none\"\n",
        )
        .unwrap();
        let trials = Trials::new(Some(dir.path().to_owned()));
        for (hook, allow, why) in [
            ("../shop", "rows", "cannot name a hook"),
            ("shop", "speed", "no kind of difference"),
            ("absent", "rows", "--plugins"),
            ("shop", "rows", "absent.wasm"),
        ] {
            let said = problem(&trials, hook, allow).await;
            assert!(said.contains(why), "{said}");
        }

        let running = trials.turn.clone().try_lock_owned().unwrap();
        let said = problem(&trials, "shop", "rows").await;
        assert!(said.contains("another call"), "{said}");
        drop(running);
        let said = problem(&trials, "shop", "rows").await;
        assert!(said.contains("absent.wasm"), "{said}");
    }
}
