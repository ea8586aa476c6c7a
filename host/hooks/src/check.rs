//! Checks the text of a hook file against what the node knows, without loading it.

use std::sync::Arc;

use super::load::Loader;
use super::served::Hooks;
use landfall_config::Manifest;
use landfall_model::HookName;

/// What is wrong with the text of a hook file, and what was not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedHookFile {
    /// Why the file would not be loaded. Each text says what to do.
    pub problems: Vec<String>,
    /// What was not checked, and what the hook would not do.
    pub notes: Vec<String>,
    /// The path that the hook would serve. `None` if the file cannot be read.
    pub path: Option<String>,
    /// The file name of its component. `None` if the file cannot be read.
    pub component: Option<String>,
}

// === impl Hooks ===

impl Hooks {
    /// Checks the text of a hook file. Reads no file and no secret, and changes nothing.
    pub fn check_file(&self, name: &HookName, text: &str) -> CheckedHookFile {
        let Some(loader) = self.loader() else {
            return CheckedHookFile::of_problem("this process loads no hooks".into());
        };

        match self.check_with(loader, name, text) {
            Ok(checked) => checked,
            Err(problem) => CheckedHookFile::of_problem(problem),
        }
    }

    fn check_with(
        &self,
        loader: &Loader,
        name: &HookName,
        text: &str,
    ) -> Result<CheckedHookFile, String> {
        let manifest = Manifest::default();
        let alone = loader.check_text(name, text, &manifest);
        let component = alone.map_err(|error| error.to_string())?.spec.component;

        let mut notes = Vec::new();
        let manifest = self.manifest_of(&component).unwrap_or_else(|| {
            notes.push(format!(
                "no hook serves {component} now: its settings and the grants that it needs were not checked"
            ));
            Arc::new(manifest)
        });
        let text = loader.check_text(name, text, &manifest);
        let text = text.map_err(|error| error.to_string())?;
        if text.is_closed {
            notes.push(
                "no caller is allowed, because there is no [verify]: the hook would be closed, and answer 503".into(),
            );
        }

        let mut problems = text.problems;
        problems.extend(self.owner_of(name, &text.spec.path).map(|owner| {
            let path = &text.spec.path;
            format!("the path {path} is that of hook `{owner}`, which keeps it: write another path")
        }));
        Ok(CheckedHookFile {
            problems,
            notes,
            path: Some(text.spec.path),
            component: Some(component),
        })
    }

    /// The manifest of a component that a hook serves.
    fn manifest_of(&self, component: &str) -> Option<Arc<Manifest>> {
        let names = self.names();
        let mut hooks = names.iter().filter_map(|name| self.named(name));
        hooks
            .find(|hook| hook.is_ready() && hook.spec.component == component)
            .map(|hook| hook.manifest.clone())
    }

    /// Another hook with the same path.
    fn owner_of(&self, name: &HookName, path: &str) -> Option<Arc<str>> {
        let mut others = self.names().into_iter();
        others.find(|other| {
            let hook = self.named(other);
            hook.is_some_and(|hook| hook.spec.name != *name && hook.spec.path == path)
        })
    }
}

// === impl CheckedHookFile ===

impl CheckedHookFile {
    fn of_problem(problem: String) -> CheckedHookFile {
        CheckedHookFile {
            problems: vec![problem],
            ..CheckedHookFile::default()
        }
    }
}
