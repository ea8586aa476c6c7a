//! The text of a hook file, and everything that is made from it without the engine.

use std::path::Path;

use super::error::HookError;
use super::files::Files;
use landfall_config::{ConfigError, HookSource, Manifest, parse_hook};
use landfall_engine::{CAPABILITIES, Component};
use landfall_flow::Flow;
use landfall_model::{
    DedupId, HookName, HookSpec, IdMatch, Mode, ReconcileSource, SecretRef, Sizes,
};
use landfall_verify::{Packs, Verifier};

/// A hook file. A component without one has an empty hook file.
pub struct HookFile<'a> {
    name: &'a HookName,
    text: &'a str,
    /// Relative `file:` references start here.
    dir: &'a Path,
}

// === impl HookFile ===

impl<'a> HookFile<'a> {
    pub(crate) fn new(
        name: &'a HookName,
        files: &'a Files,
        dir: &'a Path,
    ) -> Result<HookFile<'a>, HookError> {
        let content = match &files.hook_file {
            None => return Ok(HookFile::with_text(name, "", dir)),
            Some(content) => content,
        };
        let text = content
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|content| content.text())
            .map_err(|error| HookError::File {
                file: format!("{name}.toml"),
                error,
            })?;
        Ok(HookFile::with_text(name, text, dir))
    }

    /// The hook file of `name` with this text. Relative `file:` references start at `dir`.
    pub fn with_text(name: &'a HookName, text: &'a str, dir: &'a Path) -> HookFile<'a> {
        HookFile { name, text, dir }
    }

    /// The rules of the hook, with the suggestions of the component's manifest.
    pub fn spec(&self, manifest: Option<&Manifest>) -> Result<HookSpec, ConfigError> {
        parse_hook(HookSource {
            name: self.name,
            text: self.text,
            manifest,
            dir: self.dir,
            capabilities: CAPABILITIES,
        })
    }

    /// Who may call, what identifies a delivery, what orders events, and what is answered.
    pub fn verifier(&self, spec: &HookSpec, packs: &Packs) -> Result<Verifier, ConfigError> {
        let verifier = Verifier::build(&spec.verify, packs)
            .map_err(|mistake| self.error_at(&["verify", mistake.key], mistake.message))?;

        if let Some(problem) = verifier.unused_secret() {
            return Err(self.error_at(&["verify", "secret"], problem));
        }
        if let Some(problem) = verifier.path_problem(&spec.path) {
            return Err(self.error_at(&["path"], problem));
        }
        let verifier = verifier
            .with_locations(&spec.dedup, spec.order_by.clone(), &spec.path)
            .map_err(|error| self.error_at(&[error.key], error.message))?
            .with_accepted(&spec.accepted)
            .map_err(|error| self.error_at(&["accepted", error.key], error.message))?;
        let is_removed = |place| spec.redact.covers(place);
        if verifier.recorded_places().any(is_removed) {
            let why = "the provider's event type or delivery id is a value that [redact] removes, and both are stored as \
                       text: remove less, or set `id` in [dedup] to other fields";
            return Err(self.error_at(&["redact"], why));
        }
        match reconcile_problem(spec, &verifier) {
            Some(problem) => Err(self.error_at(&["reconcile"], problem)),
            None => Ok(verifier),
        }
    }

    /// The sizes of bodies. `bodies` is what the node has for all bodies together.
    pub fn sizes(
        &self,
        spec: &HookSpec,
        verifier: &Verifier,
        bodies: usize,
    ) -> Result<Sizes, ConfigError> {
        spec.sizes
            .resolve(verifier.max_body(), bodies)
            .map_err(|(key, message)| self.error_at(key, message))
    }

    /// What happens to events before they run, checked: keys, and the template.
    pub fn flow(&self, spec: &HookSpec, sizes: &Sizes) -> Result<Flow, ConfigError> {
        Flow::new(&spec.flow, spec.order_by.as_ref(), sizes.max_body)
            .map_err(|mistake| self.error_at(&mistake.key, mistake.message))
    }

    /// Checks the settings against the schema in the component's manifest, if there is one.
    pub fn check_settings(&self, spec: &HookSpec, manifest: &Manifest) -> Result<(), ConfigError> {
        let Some(schema) = &manifest.settings_schema else {
            return Ok(());
        };

        schema
            .check(&spec.settings, &spec.allow)
            .map_err(|mistake| {
                let path: Vec<&str> = ["settings"]
                    .into_iter()
                    .chain(mistake.path.iter().map(String::as_str))
                    .collect();
                self.error_at(&path, format!("[settings] {}", mistake.message))
            })
    }

    /// `strip_prefix` is only for components that receive a path as an HTTP request.
    pub fn check_strip_prefix(
        &self,
        spec: &HookSpec,
        component: Option<&Component>,
    ) -> Result<(), ConfigError> {
        let is_mounted = component.is_none_or(|component| component.inspected().is_proxy());
        if spec.strips.is_none() || is_mounted {
            return Ok(());
        }
        let why = "strip_prefix is for components that export wasi:http/incoming-handler: this one finds the rest in \
                   the attribute `param:NAME`";
        Err(self.error_at(&["strip_prefix"], why))
    }

    fn error_at(&self, key: &[&str], message: impl Into<String>) -> ConfigError {
        ConfigError::at_key(&format!("{}.toml", self.name), self.text, key, message)
    }
}

/// A hook file with only the `path` of this one. It is read line by line up to the first table, so
/// that a mistake elsewhere in the file does not hide the path.
pub(crate) fn path_alone(text: &str) -> String {
    let above_tables = text
        .lines()
        .take_while(|line| !line.trim_start().starts_with('['));
    above_tables
        .filter_map(|line| line.parse::<toml::Table>().ok())
        .find(|table| table.contains_key("path"))
        .unwrap_or_default()
        .to_string()
}

/// Why missed deliveries of this hook could run twice, or cannot be stored.
fn reconcile_problem(spec: &HookSpec, verifier: &Verifier) -> Option<String> {
    let reconcile = spec.reconcile.as_ref()?;
    let is_shopify = matches!(reconcile.source, ReconcileSource::Shopify { .. });
    let problem = match &spec.dedup.id {
        _ if spec.mode == Mode::Sync => {
            "[reconcile] stores what was missed: write mode = \"async\" or \"auto\""
        }
        _ if spec.path.contains('{') => {
            "[reconcile] cannot know the parameters of a path: write a path without `{`"
        }
        DedupId::Nothing | DedupId::BodyDigest => {
            "[reconcile] tells by the provider's delivery id what the hook has received: leave out `id` in [dedup], \
             or name the fields"
        }
        DedupId::OfPack if is_shopify => {
            "Shopify's API does not know the id of a webhook, so write an identity that both have: [dedup] id = \
             [{ header = \"X-Shopify-Topic\" }, { json = \"/id\" }, { json = \"/updated_at\" }]"
        }
        _ if verifier.id_match() != IdMatch::Id => {
            "the API does not return the bytes of the webhook, and a late webhook would run again: write match = \
             \"id\" in [dedup]"
        }
        _ if spec.dedup.window < reconcile.since => {
            "[dedup] window is shorter than [reconcile] since, so that older deliveries would run again: make the window \
             at least as long"
        }
        _ => return None,
    };
    Some(problem.to_owned())
}

/// Every secret that a hook names.
pub(crate) fn references(spec: &HookSpec) -> Vec<SecretRef> {
    spec.secrets().cloned().collect()
}

/// The manifest of a component; an empty one if it has none.
pub fn manifest(component: Option<&Component>) -> Result<Manifest, ConfigError> {
    let Some(inspected) = component.map(Component::inspected) else {
        return Ok(Manifest::default());
    };
    match &inspected.manifest {
        Some(text) => {
            let file = format!("manifest of {}", inspected.file);
            Manifest::parse(&file, text, CAPABILITIES)
        }
        None => Ok(Manifest::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_elsewhere_keep_the_path() {
        for text in [
            "path = \"/in/{id}\"\nmode = auto\n[verify]\nprovider = \"github\"\n",
            "path = \"/in/{id}\" # all of them\n[verify\nprovider = \"github\"\n",
            "mode = \"async\npath = \"/in/{id}\"\n",
            "methods = [\"POST\"\n  path = \"/in/{id}\"\n[verify]\n",
            "path = \"/in/{id}\"\npath = \"/out\"\n",
        ] {
            assert_eq!(path_alone(text), "path = \"/in/{id}\"\n", "{text}");
        }
        assert_eq!(path_alone("[settings]\npath = \"/out\"\n"), "");
    }
}
