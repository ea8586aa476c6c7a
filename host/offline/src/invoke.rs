//! Runs a component once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use landfall_model::{Clock, HookName, SecretSource};
use serde_json::Value;

use crate::case::{BodySpec, Case, EventSpec, read_one};
use crate::error::OfflineError;
use crate::hook::{OfflineEngine, Outside, hook_name};
use crate::pointer::Override;
use crate::run::{Run, milliseconds, run};

/// The hook of a component whose file name no hook can have.
const UNNAMED: &str = "component";

/// What to run.
pub struct Invocation {
    /// The component.
    pub component: PathBuf,
    /// The hook file; `None`: one beside the component, or nothing is granted.
    pub hook_file: Option<PathBuf>,
    /// A case in TOML, or the body of the event.
    pub event: PathBuf,
    /// Values that replace some in the body.
    pub overrides: Vec<Override>,
    /// The network; `None`: the answers of the case.
    pub network: Option<Network>,
}

/// What calls over the network need.
pub struct Network {
    /// The secrets of the hook file.
    pub secrets: Arc<dyn SecretSource>,
    /// The clock of the machine.
    pub clock: Clock,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Invoked {
    /// The result.
    pub run: Run,
    /// The time from the component's bytes to its machine code. The first time, it is compiled.
    pub load_time: Duration,
    /// The hook file that was used.
    pub hook_file: Option<PathBuf>,
}

// === impl Invoked ===

impl Invoked {
    /// The result and the time to load, as one object.
    pub fn to_json(&self) -> Value {
        let mut shown = self.run.to_json();
        shown["load_ms"] = milliseconds(self.load_time).into();
        shown["hook_file"] = self
            .hook_file
            .as_ref()
            .map(|path| path.display().to_string())
            .into();
        shown
    }

    /// The peak of the component's memory: `1.2 MiB`.
    pub fn memory(&self) -> String {
        let bytes = bytesize::ByteSize(self.run.memory_peak_bytes as u64);
        bytes.display().iec().to_string()
    }
}

// === impl Invocation ===

impl Invocation {
    /// Runs the component once.
    pub async fn run(self, engine: &OfflineEngine) -> Result<Invoked, OfflineError> {
        let case = case(&self.event)?;
        let hook_file = self.hook_file.or_else(|| nearby_hook_file(&self.component));
        let name = match &hook_file {
            Some(path) => hook_name(path),
            None => name_without_hook_file(&self.component),
        };
        let component = self.component;
        let hook = engine
            .load(hook_file.as_deref(), |_| Ok(component), &name)
            .await?;

        let outside = self.network.map(|network| Outside::Network {
            secrets: network.secrets,
            clock: network.clock,
        });
        let run = run(engine, &hook, &case, &self.overrides, outside).await?;
        Ok(Invoked {
            run,
            load_time: hook.load_time,
            hook_file,
        })
    }
}

/// A TOML file is a case; every other file is the body of an event.
fn case(path: &Path) -> Result<Case, OfflineError> {
    if path.extension().is_some_and(|ending| ending == "toml") {
        return read_one(path);
    }
    let event = EventSpec {
        body: Some(BodySpec::File(path.to_owned())),
        ..EventSpec::default()
    };
    Ok(Case::of_event(&path.display().to_string(), event))
}

/// The name of the component's file, if a hook can have it.
fn name_without_hook_file(component: &Path) -> String {
    let name = hook_name(component);
    match name.parse::<HookName>() {
        Ok(_) => name,
        Err(_) => UNNAMED.into(),
    }
}

/// `NAME.toml` beside `NAME.wasm`, or above the folder `build`.
fn nearby_hook_file(component: &Path) -> Option<PathBuf> {
    let beside = component.with_extension("toml");
    if beside.is_file() {
        return Some(beside);
    }
    let folder = component.parent()?;
    if folder.file_name()? != "build" {
        return None;
    }
    let above = folder.with_file_name(beside.file_name()?);
    above.is_file().then_some(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_name_can_be_invoked() {
        for (file, name) in [
            ("build/pushes.wasm", "pushes"),
            ("Foo.wasm", UNNAMED),
            ("target/my handler.wasm", UNNAMED),
        ] {
            assert_eq!(name_without_hook_file(Path::new(file)), name, "{file}");
        }
    }
}
