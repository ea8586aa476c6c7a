//! Makes one hook from its files: spec, verifier, component, handler. All refusals of bad files come from here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::hook::{ANSWER_WITHIN, Hook, Serving};
use super::scan::Content;
use landfall_config::{
    ConfigError, HookSource, parse_hook, parse_manifest, settings_schema, suggested_answer_within,
};
use landfall_engine::{Component, Engine, Handler, LoadError};
use landfall_model::{
    Credential, EnvironmentVariable, HookName, HookSpec, Mode, SecretRef, SecretSource, SizeSpec,
    Sizes, VerifySpec,
};
use landfall_verify::{Packs, Verifier};

/// What the loader needs of the process.
pub struct Loader {
    pub engine: Arc<Engine>,
    pub secrets: Arc<dyn SecretSource>,
    /// Relative `file:` references start here.
    pub dir: PathBuf,
    /// How providers sign; changes with the files of `providers`.
    pub packs: ArcSwap<Packs>,
    /// Why no event can wait here, if none can.
    pub cannot_queue: Option<&'static str>,
    /// Why no row and no value can be kept here, if none can.
    pub cannot_keep: Option<&'static str>,
    /// The queue keeps no order.
    pub cannot_order: bool,
    /// What the platform makes of requests.
    pub platform: Platform,
    /// Bytes that the node has for all bodies together.
    pub bodies: usize,
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
    /// A component with a similar name, where that one is missing.
    pub similar: Option<String>,
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
        Problem {
            why,
            is_passing: false,
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Problem {
        Problem {
            why: error.to_string(),
            is_passing: error.is_passing,
        }
    }
}

/// What the platform that we run on makes of requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Platform {
    /// After which it ends one, whatever we say.
    pub timeout: Option<Duration>,
    /// Attempts are made while a request of the queue is open.
    pub runs_in_requests: bool,
}

// === impl Platform ===

impl Platform {
    /// The shorter time counts, and whoever wrote the longer one is told.
    fn shorten(self, spec: &mut HookSpec, usual: Option<Duration>) {
        let Some(timeout) = self.timeout else { return };
        // The answer has to be out before.
        let most = timeout - (timeout / 10).min(Duration::from_secs(1));
        let shorten = |key: &str, time: &mut Duration| {
            if *time > most {
                let (time, hook) = (std::mem::replace(time, most), &*spec.name);
                tracing::warn!(
                    hook,
                    key,
                    ?time,
                    platform_timeout = ?timeout,
                    "the platform ends requests sooner: its time counts; raise its request time-out, and platform_timeout with it, or lower the key"
                );
            }
        };
        if spec.mode == Mode::Sync || self.runs_in_requests {
            shorten("deadline", &mut spec.deadline);
        }
        match &mut spec.answer_within {
            Some(within) => shorten("answer_within", within),
            None => {
                spec.answer_within = Some(usual.unwrap_or(ANSWER_WITHIN))
                    .filter(|usual| *usual > most)
                    .map(|_| most)
            }
        }
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
        let source = HookSource {
            name,
            text: &text,
            manifest: manifest.as_ref(),
            dir: &self.dir,
        };
        let mut spec = parse_hook(source).map_err(|error| error.to_string())?;
        let verifier = Verifier::build(&spec.verify, &self.packs.load()).map_err(|mistake| {
            ConfigError::at_key(
                &format!("{name}.toml"),
                &text,
                &["verify", mistake.key],
                mistake.message,
            )
            .to_string()
        })?;
        let verifier = placed(name, &text, &spec, verifier)?;
        self.check_secrets(name, &spec)?;
        check_settings(name, &text, &spec, component.as_ref())?;
        let sizes = self.sizes(name, &text, &spec, &verifier)?;
        self.check_queue(&spec)?;
        let is_mounted = component
            .as_ref()
            .is_none_or(|component| component.inspected().is_proxy());
        if spec.strips.is_some() && !is_mounted {
            let why = "strip_prefix is for components that export wasi:http/incoming-handler: this one finds the rest in \
                       the attribute `param:NAME`";
            return Err(ConfigError::at_key(
                &format!("{name}.toml"),
                &text,
                &["strip_prefix"],
                why,
            )
            .to_string()
            .into());
        }
        if spec.answer_within.is_none() {
            spec.answer_within = manifest
                .as_ref()
                .and_then(|manifest| shorter_answer(manifest, &spec, &verifier));
        }
        self.platform.shorten(&mut spec, verifier.answer_within());
        self.secrets.track(&references(&spec)).await;
        let serving = match component {
            Some(component) => {
                Serving::Ready(Arc::new(self.handler(&component, &spec, sizes).await?))
            }
            None => Serving::Unavailable(missing(&spec.component, files.similar.as_deref())),
        };
        let slots = self.engine.slots(spec.concurrency);
        Ok(Hook {
            spec,
            verifier,
            sizes,
            serving,
            slots,
        })
    }

    /// Who may call, by the hook file alone.
    pub fn verifier(
        &self,
        name: &HookName,
        files: &Files,
    ) -> Result<(VerifySpec, Verifier), String> {
        let text = hook_text(name, files)?;
        let source = HookSource {
            name,
            text: &text,
            manifest: None,
            dir: &self.dir,
        };
        let spec = parse_hook(source).map_err(|error| error.to_string())?;
        let verifier =
            Verifier::build(&spec.verify, &self.packs.load()).map_err(|mistake| mistake.message)?;
        let verifier = placed(name, &text, &spec, verifier)?;
        self.check_secrets(name, &spec)?;
        Ok((spec.verify, verifier))
    }

    /// A hook with nothing to run, where its file says. If all of that can be read, events may wait for it; else it is closed, and
    /// the sender comes again.
    pub fn unavailable(&self, name: &HookName, files: &Files, why: &str) -> Hook {
        let text = hook_text(name, files).unwrap_or_default();
        if let Some(hook) = self.waiting(name, &text, why) {
            return hook;
        }
        let parse = |text: &str| {
            parse_hook(HookSource {
                name,
                text,
                manifest: None,
                dir: &self.dir,
            })
        };
        let spec = parse(&text)
            .or_else(|_| parse(&path_alone(&text)))
            .or_else(|_| parse(""));
        let mut spec = spec.expect("an empty hook file is a good one");
        spec.verify = Default::default();
        let verifier =
            Verifier::build(&spec.verify, &Packs::default()).expect("an absent [verify] builds");
        spec.sizes = SizeSpec::default();
        let sizes = spec
            .sizes
            .resolve(None, self.bodies)
            .expect("the defaults fit each other");
        let slots = self.engine.slots(spec.concurrency);
        Hook {
            spec,
            verifier,
            sizes,
            serving: Serving::Unavailable(why.into()),
            slots,
        }
    }

    /// Everything but its component is there.
    fn waiting(&self, name: &HookName, text: &str, why: &str) -> Option<Hook> {
        let spec = parse_hook(HookSource {
            name,
            text,
            manifest: None,
            dir: &self.dir,
        })
        .ok()?;
        let verifier = Verifier::build(&spec.verify, &self.packs.load()).ok()?;
        let verifier = placed(name, text, &spec, verifier).ok()?;
        self.check_secrets(name, &spec).ok()?;
        let sizes = self.sizes(name, text, &spec, &verifier).ok()?;
        self.check_queue(&spec).ok()?;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(self.secrets.track(&references(&spec)))
        });
        let slots = self.engine.slots(spec.concurrency);
        Some(Hook {
            spec,
            verifier,
            sizes,
            serving: Serving::Unavailable(why.into()),
            slots,
        })
    }

    /// Who writes hook files uses only the secrets that the operator of the node grants.
    fn check_secrets(&self, name: &HookName, spec: &HookSpec) -> Result<(), String> {
        let refused = references(spec)
            .iter()
            .find_map(|reference| self.secrets.check(reference).err());
        refused.map_or(Ok(()), |why| Err(format!("{name}.toml: {why}")))
    }

    fn sizes(
        &self,
        name: &HookName,
        text: &str,
        spec: &HookSpec,
        verifier: &Verifier,
    ) -> Result<Sizes, String> {
        spec.sizes
            .resolve(verifier.max_body(), self.bodies)
            .map_err(|(key, message)| {
                ConfigError::at_key(&format!("{name}.toml"), text, key, message).to_string()
            })
    }

    fn check_queue(&self, spec: &HookSpec) -> Result<(), String> {
        let what = match spec.mode {
            Mode::Async => "mode = \"async\"",
            Mode::Auto => "mode = \"auto\"",
            Mode::Sync => "",
        };
        // What a call in mode sync emits is in the ledger when its answer is out.
        let emits = spec.mode == Mode::Sync && !spec.allow.emit.is_empty();
        let keeps = spec.allow.kv || !spec.allow.table.is_empty() || emits;
        let kept = match spec.allow.kv {
            true => "[allow] kv",
            false if emits => "[allow] emit in mode sync",
            false => "[allow] table",
        };
        if spec.order_by.is_some() && self.cannot_order {
            return Err("order_by needs a queue that keeps order, and Cloud Tasks keeps none: use another queue, or leave it out".into());
        }
        match (self.cannot_queue, self.cannot_keep) {
            (Some(why), _) if !what.is_empty() => Err(format!("{what} {why}")),
            (_, Some(why)) if keeps => Err(format!("{kept} {why}")),
            _ => Ok(()),
        }
    }

    async fn component(
        &self,
        files: &Files,
        content: &Result<Content, String>,
    ) -> Result<Component, Problem> {
        let _turn = self
            .turns
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let name = &files.component_name;
        let content = content
            .as_ref()
            .map_err(|why| format!("component {name} {why}"))?;
        Ok(self.engine.load(name, content.bytes.to_vec()).await?)
    }

    async fn handler(
        &self,
        component: &Component,
        spec: &HookSpec,
        sizes: Sizes,
    ) -> Result<Handler, LoadError> {
        self.engine
            .prepare(component, spec, sizes, self.secrets.clone())
            .await
    }
}

/// The verifier with the rest of the hook file: what identifies a delivery, what orders events, what is answered.
fn placed(
    name: &HookName,
    text: &str,
    spec: &HookSpec,
    verifier: Verifier,
) -> Result<Verifier, String> {
    let wrong = |key: &[&str], message| {
        ConfigError::at_key(&format!("{name}.toml"), text, key, message).to_string()
    };
    if let Some(problem) = verifier.unused_secret() {
        return Err(wrong(&["verify", "secret"], problem.to_owned()));
    }
    if let Some(problem) = verifier.path_problem(&spec.path) {
        return Err(wrong(&["path"], problem));
    }
    verifier
        .with_locations(&spec.dedup, spec.order_by.clone(), &spec.path)
        .map_err(|error| wrong(&[error.key], error.message))?
        .with_accepted(&spec.accepted)
        .map_err(|error| wrong(&["accepted", error.key], error.message))
}

/// Every secret that a hook names.
pub fn references(spec: &HookSpec) -> Vec<SecretRef> {
    let in_credentials = spec
        .credentials
        .iter()
        .flat_map(Credential::secrets)
        .cloned();
    let in_environment = spec
        .environment
        .iter()
        .flat_map(EnvironmentVariable::secrets)
        .cloned();
    let in_verify = spec
        .verify
        .secret
        .iter()
        .chain(&spec.verify.challenge_secret)
        .cloned();
    in_verify
        .chain(in_credentials)
        .chain(in_environment)
        .collect()
}

fn hook_text(name: &HookName, files: &Files) -> Result<String, String> {
    match &files.hook_file {
        None => Ok(String::new()),
        Some(Err(why)) => Err(format!("{name}.toml {why}")),
        Some(Ok(content)) => String::from_utf8(content.bytes.to_vec())
            .map_err(|_| format!("{name}.toml is not UTF-8 text")),
    }
}

/// A hook file with nothing but its path. Read line by line up to the first table, so that a mistake elsewhere does not hide it.
fn path_alone(text: &str) -> String {
    let above_tables = text
        .lines()
        .take_while(|line| !line.trim_start().starts_with('['));
    let tables = above_tables.filter_map(|line| line.parse::<toml::Table>().ok());
    tables
        .into_iter()
        .find(|table| table.contains_key("path"))
        .unwrap_or_default()
        .to_string()
}

fn manifest(component: Option<&Component>) -> Result<Option<toml::Table>, String> {
    let Some(inspected) = component.map(Component::inspected) else {
        return Ok(None);
    };
    let Some(text) = &inspected.manifest else {
        return Ok(None);
    };
    let file = format!("manifest of {}", inspected.file);
    parse_manifest(&file, text)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// The settings against the schema that the component carries, if it carries one.
fn check_settings(
    name: &HookName,
    text: &str,
    spec: &HookSpec,
    component: Option<&Component>,
) -> Result<(), String> {
    let Some(inspected) = component.map(Component::inspected) else {
        return Ok(());
    };
    let Some(manifest) = &inspected.manifest else {
        return Ok(());
    };
    let file = format!("manifest of {}", inspected.file);
    let schema = settings_schema(&file, manifest).map_err(|error| error.to_string())?;
    let Some(schema) = schema else { return Ok(()) };
    schema
        .check(&spec.settings, &spec.allow.http)
        .map_err(|mistake| {
            let path: Vec<&str> = ["settings"]
                .into_iter()
                .chain(mistake.path.iter().map(String::as_str))
                .collect();
            ConfigError::at_key(
                &format!("{name}.toml"),
                text,
                &path,
                format!("[settings] {}", mistake.message),
            )
            .to_string()
        })
}

/// The time that a manifest suggests, where it is below the default.
fn shorter_answer(
    manifest: &toml::Table,
    spec: &HookSpec,
    verifier: &Verifier,
) -> Option<Duration> {
    let usual = if spec.mode == Mode::Sync {
        spec.deadline
    } else {
        ANSWER_WITHIN
    };
    let usual = verifier.answer_within().unwrap_or(usual);
    suggested_answer_within(manifest).filter(|suggested| *suggested < usual)
}

fn missing(component: &str, similar: Option<&str>) -> String {
    let meant = similar
        .map(|similar| format!("; did you mean {similar}?"))
        .unwrap_or_default();
    format!(
        "component {component} is missing: put it into the plugins directory, or name its folder with --bundled{meant}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_elsewhere_keeps_the_path() {
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
