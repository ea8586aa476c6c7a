//! Composes what runs a component without a node.

use std::path::PathBuf;
use std::sync::Arc;

use landfall_model::Clock;
use landfall_offline::{
    Invocation, Invoked, Network, OfflineEngine, OfflineError, Report, TestPlan, Trial, TryPlan,
};

use crate::setup::compiler;
use crate::tools::untracked_secrets;

/// Where `landfall invoke` keeps compiled components.
const INVOKE_CACHE: &str = ".landfall/compiled";

/// Runs the cases of a folder.
pub(crate) async fn run_cases(plan: &TestPlan) -> Result<Report, OfflineError> {
    let engine = engine(plan.folder.cache())?;
    plan.run(&engine).await
}

/// Runs a component once.
pub(crate) async fn invoke(invocation: Invocation) -> Result<Invoked, OfflineError> {
    let engine = engine(INVOKE_CACHE.into())?;
    invocation.run(&engine).await
}

/// Loads a component that is tried on recorded attempts.
pub(crate) async fn try_component(plan: TryPlan) -> Result<Trial, OfflineError> {
    try_component_in(INVOKE_CACHE.into(), plan).await
}

/// As `try_component`, with another folder for what is compiled.
pub(crate) async fn try_component_in(cache: PathBuf, plan: TryPlan) -> Result<Trial, OfflineError> {
    let engine = engine(cache)?;
    plan.load(&engine).await
}

/// The network and the secrets of this machine.
pub(crate) fn network() -> Network {
    Network {
        secrets: Arc::new(untracked_secrets()),
        clock: Clock::System,
    }
}

fn engine(cache: PathBuf) -> Result<OfflineEngine, OfflineError> {
    let compiler = compiler().map_err(|error| OfflineError::Other(error.to_string()))?;
    OfflineEngine::start(cache, compiler, Clock::System)
}
