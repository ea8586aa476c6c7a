//! Makes one hook from its files: spec, verifier, component, handler. All refusals of bad files come from here.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::hook::{Hook, Serving};
use super::scan::Content;
use crate::config::{ConfigError, HookSource, parse_hook, parse_manifest};
use crate::engine::{Component, Engine, Handler, LoadError};
use crate::model::{Credential, DedupId, HookName, HookSpec, SecretRef, SecretSource, VerifySpec};
use crate::verify::{Packs, Verifier};

/// What the loader needs of the process.
pub struct Loader {
    pub engine: Arc<Engine>,
    pub secrets: Arc<dyn SecretSource>,
    /// Relative `file:` references start here.
    pub dir: PathBuf,
    /// How providers sign; changes with the files of `providers`.
    pub packs: ArcSwap<Packs>,
    /// Components in memory at once, besides those that serve.
    pub turns: Semaphore,
}

/// For `Loader::turns`.
pub const LOADS_MAX: usize = 16;

/// The files of one hook, as the last look found them.
#[derive(Debug, Clone)]
pub struct Files {
    /// `NAME.toml`, where there is one.
    pub hook_file: Option<Result<Content, String>>,
    /// The component, where it was found.
    pub component: Option<Result<Content, String>>,
    /// The component's file name.
    pub component_name: String,
    /// Digest of the operator's own provider packs.
    pub packs: u64,
}

/// Why a hook cannot be made.
#[derive(Debug)]
pub struct Problem {
    /// A sentence with the way out.
    pub why: String,
    /// Not the files' fault: worth another try with the same ones.
    pub is_passing: bool,
}

impl From<String> for Problem {
    fn from(why: String) -> Problem {
        Problem { why, is_passing: false }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Problem {
        Problem { why: error.to_string(), is_passing: error.is_passing }
    }
}

// === impl Loader ===

impl Loader {
    /// The hook, ready to serve, or why it cannot be made from these files.
    pub async fn load(&self, name: &HookName, files: &Files) -> Result<Hook, Problem> {
        let text = hook_text(name, files)?;
        let component = match &files.component {
            Some(content) => Some(self.component(files, content).await?),
            None => None,
        };
        let manifest = manifest(component.as_ref())?;
        let source = HookSource { name, text: &text, manifest: manifest.as_ref(), dir: &self.dir };
        let spec = parse_hook(source).map_err(|error| error.to_string())?;
        let verifier = Verifier::build(&spec.verify, &self.packs.load()).map_err(|mistake| {
            ConfigError::at_key(&format!("{name}.toml"), &text, &["verify", mistake.key], mistake.message).to_string()
        })?;
        let verifier = placed(name, &text, &spec, verifier)?;
        self.track(&spec).await;
        let serving = match component {
            Some(component) => Serving::Ready(Arc::new(self.handler(&component, &spec).await?)),
            None => Serving::Unavailable(missing(&spec.component)),
        };
        let slots = self.engine.slots(spec.concurrency);
        Ok(Hook { spec, verifier, serving, slots })
    }

    /// Who may call, by the hook file alone.
    pub fn verifier(&self, name: &HookName, files: &Files) -> Result<(VerifySpec, Verifier), String> {
        let text = hook_text(name, files)?;
        let source = HookSource { name, text: &text, manifest: None, dir: &self.dir };
        let spec = parse_hook(source).map_err(|error| error.to_string())?;
        let verifier = Verifier::build(&spec.verify, &self.packs.load()).map_err(|mistake| mistake.message)?;
        let verifier = placed(name, &text, &spec, verifier)?;
        Ok((spec.verify, verifier))
    }

    /// A hook with nothing to run, where its file says. If all of that can be read, events may wait for it; else it is closed, and
    /// the sender comes again.
    pub fn unavailable(&self, name: &HookName, files: &Files, why: &str) -> Hook {
        let text = hook_text(name, files).unwrap_or_default();
        if let Some(hook) = self.waiting(name, &text, why) {
            return hook;
        }
        let parse = |text: &str| parse_hook(HookSource { name, text, manifest: None, dir: &self.dir });
        let spec = parse(&text).or_else(|_| parse(&path_alone(&text))).or_else(|_| parse(""));
        let mut spec = spec.expect("an empty hook file is a good one");
        spec.verify = Default::default();
        let verifier = Verifier::build(&spec.verify, &Packs::default()).expect("an absent [verify] builds");
        let slots = self.engine.slots(spec.concurrency);
        Hook { spec, verifier, serving: Serving::Unavailable(why.into()), slots }
    }

    /// Everything but its component is there.
    fn waiting(&self, name: &HookName, text: &str, why: &str) -> Option<Hook> {
        let spec = parse_hook(HookSource { name, text, manifest: None, dir: &self.dir }).ok()?;
        let verifier = Verifier::build(&spec.verify, &self.packs.load()).ok()?;
        let verifier = placed(name, text, &spec, verifier).ok()?;
        tokio::task::block_in_place(|| self.secrets.track(&references(&spec)));
        let slots = self.engine.slots(spec.concurrency);
        Some(Hook { spec, verifier, serving: Serving::Unavailable(why.into()), slots })
    }

    async fn component(&self, files: &Files, content: &Result<Content, String>) -> Result<Component, Problem> {
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        let name = &files.component_name;
        let content = content.as_ref().map_err(|why| format!("component {name} {why}"))?;
        Ok(self.engine.load(name, content.bytes.to_vec()).await?)
    }

    async fn handler(&self, component: &Component, spec: &HookSpec) -> Result<Handler, LoadError> {
        self.engine.prepare(component, spec, self.secrets.clone()).await
    }

    /// Reads the secrets ahead: a file may be slow.
    async fn track(&self, spec: &HookSpec) {
        let (secrets, references) = (self.secrets.clone(), references(spec));
        let reading = tokio::task::spawn_blocking(move || secrets.track(&references));
        if let Err(error) = reading.await
            && error.is_panic()
        {
            tracing::error!(%error, "reading secrets panicked");
        }
    }
}

/// The verifier also finds what duplicates are known by, and what events are ordered by.
fn placed(name: &HookName, text: &str, spec: &HookSpec, verifier: Verifier) -> Result<Verifier, String> {
    let delivery_id = if let DedupId::At(place) = &spec.dedup.id { Some(place.clone()) } else { None };
    verifier
        .with_places(delivery_id, spec.order_by.clone())
        .map_err(|(key, message)| ConfigError::at_key(&format!("{name}.toml"), text, &[key], message).to_string())
}

/// Every secret that a hook names.
pub fn references(spec: &HookSpec) -> Vec<SecretRef> {
    let in_credentials = spec.credentials.iter().flat_map(Credential::secrets).cloned();
    spec.verify.secret.iter().chain(&spec.verify.challenge_secret).cloned().chain(in_credentials).collect()
}

fn hook_text(name: &HookName, files: &Files) -> Result<String, String> {
    match &files.hook_file {
        None => Ok(String::new()),
        Some(Err(why)) => Err(format!("{name}.toml {why}")),
        Some(Ok(content)) => {
            String::from_utf8(content.bytes.to_vec()).map_err(|_| format!("{name}.toml is not UTF-8 text"))
        }
    }
}

/// A hook file with nothing but its path.
fn path_alone(text: &str) -> String {
    let table: toml::Table = text.parse().unwrap_or_default();
    table.into_iter().filter(|(key, _)| key == "path").collect::<toml::Table>().to_string()
}

fn manifest(component: Option<&Component>) -> Result<Option<toml::Table>, String> {
    let Some(inspected) = component.map(Component::inspected) else { return Ok(None) };
    let Some(text) = &inspected.manifest else { return Ok(None) };
    let file = format!("manifest of {}", inspected.file);
    parse_manifest(&file, text).map(Some).map_err(|error| error.to_string())
}

fn missing(component: &str) -> String {
    format!("component {component} is missing: put it into the plugins directory")
}
