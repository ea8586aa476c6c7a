//! Components that are not in a node yet.

use async_trait::async_trait;
use serde_json::Value;

/// Loads components from one folder, as a node would. The crate `landfall` implements it for
/// `landfall mcp --components DIR`; the server of the admin listener reads no files.
#[async_trait]
pub trait Components: Send + Sync {
    /// What `landfall inspect --json` prints for this file of the folder.
    async fn inspect(&self, file: &str) -> Result<Value, ComponentProblem>;

    /// Loads this file of the folder for runs on recorded attempts of a hook, with the grants of
    /// its hook file. `allow`: as in `landfall try --allow`. A second trial at a time is refused.
    async fn load_trial(
        &self,
        file: &str,
        hook: &str,
        allow: &[String],
    ) -> Result<Box<dyn ComponentTrial>, ComponentProblem>;
}

/// A component that runs recorded attempts. Nothing that it does leaves a run.
#[async_trait]
pub trait ComponentTrial: Send {
    /// Runs one recorded attempt, as the admin API shows it.
    async fn run(&mut self, shown: &Value);

    /// What `landfall try --json` prints.
    fn into_report(self: Box<Self>) -> Value;
}

/// Why a node would refuse the component, why it cannot be read, or why it cannot be tried. A
/// sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentProblem(pub String);
