//! The events in `samples/`, and the request that carries one to the hook as its provider would
//! send it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use http::Method;

use crate::project::Project;
use landfall_config::{HookSource, parse_hook};
use landfall_engine::CAPABILITIES;
use landfall_model::{HookName, Secret, SecretRef, VerifySpec};
use landfall_verify::{Guide, Packs, SampleRequest};

/// The file of a sample that has no event type.
pub(crate) const UNTYPED: &str = "event";

/// The body of an event.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// The type of the event, if the provider has types: that of the case with the same name and
    /// body, otherwise the name of the file.
    pub event: Option<String>,
    /// What is sent.
    pub body: Vec<u8>,
}

/// Where requests for the hook go, and how they are signed.
#[derive(Debug, Clone)]
pub struct Target {
    /// The hook's URL on this machine.
    pub url: String,
    /// Its secrets. A node accepts what was signed with any of them.
    pub secrets: Vec<SecretRef>,
    verify: VerifySpec,
    methods: Vec<Method>,
}

// === impl Sample ===

impl Sample {
    /// The first file in `samples/`.
    pub fn first(project: &Project) -> anyhow::Result<Option<Sample>> {
        let dir = project.dir.join("samples");
        let Ok(entries) = std::fs::read_dir(&dir) else {
            return Ok(None);
        };

        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.is_file() && !is_hidden(path));
        paths.sort();
        let Some(path) = paths.into_iter().next() else {
            return Ok(None);
        };

        let body =
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let event = type_in_case(&project.dir, &path).or(stem);
        Ok(Some(Sample {
            event: event.filter(|event| event != UNTYPED),
            path,
            body,
        }))
    }
}

/// The event type of a sample, if a case has the same name and this sample as its body: then the
/// name is that of the case, as in what `landfall events save` writes.
fn type_in_case(dir: &Path, sample: &Path) -> Option<String> {
    let path = dir
        .join("cases")
        .join(sample.file_name()?)
        .with_extension("toml");
    if !path.is_file() {
        return None;
    }
    let case: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
    let event = case.get("event")?.as_table()?;
    let body = Path::new(event.get("body")?.as_str()?);
    if body.file_name() != sample.file_name() {
        return None;
    }
    let named = event.get("event-type").or_else(|| event.get("sample"))?;
    named.as_str().map(str::to_owned)
}

/// The name of the file of an event type, without its ending: a slash cannot be in it, and a dash
/// at its beginning would be a flag on a command line.
pub(crate) fn file_stem(event_type: &str) -> String {
    let stem = event_type.replace('/', "-");
    stem.trim_start_matches('-').to_owned()
}

/// The event type of a file. `typical` is the one of the provider's sample.
fn event_type(stem: &str, typical: Option<&str>) -> String {
    let typical = typical.filter(|typical| file_stem(typical) == stem);
    typical.unwrap_or(stem).to_owned()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

// === impl Target ===

impl Target {
    /// Of the hook file in `plugins`. `base` is the address of the node: `http://127.0.0.1:8080`.
    pub fn read(project: &Project, plugins: &Path, base: &str) -> anyhow::Result<Target> {
        let path = plugins.join(format!("{}.toml", project.hook));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let name: HookName = project.hook.parse()?;
        let spec = parse_hook(HookSource {
            name: &name,
            text: &text,
            manifest: None,
            dir: plugins,
            capabilities: CAPABILITIES,
        })?;
        // A segment `{name}` is sent as `name`; signing replaces the one that holds the secret.
        let path = spec.path.replace(['{', '}'], "");
        Ok(Target {
            url: format!("{base}{path}"),
            secrets: spec.verify.secret.clone(),
            verify: spec.verify,
            methods: spec.methods,
        })
    }

    /// Why requests of the hook's provider cannot be signed here; `None` if they can, and for a
    /// hook without one.
    pub fn cannot_sign(&self, packs: &Packs) -> Option<String> {
        let provider = self.verify.provider.as_ref()?;
        let guide = match Guide::new(provider, packs) {
            Ok(guide) => guide,
            Err(error) => return Some(error.to_string()),
        };
        guide.cannot_sign().map(str::to_owned)
    }

    /// The request that carries this sample.
    pub fn request(
        &self,
        sample: Option<&Sample>,
        secret: Option<Secret>,
        packs: &Packs,
    ) -> SampleRequest {
        let VerifySpec {
            url, public_url, ..
        } = &self.verify;
        let provider = self.verify.provider.as_ref();
        let guide = provider.and_then(|provider| Guide::new(provider, packs).ok());
        let typical = guide.as_ref().and_then(Guide::sample_event);
        let stem = sample.and_then(|sample| sample.event.as_deref());
        SampleRequest {
            verify: self.verify.clone(),
            methods: self.methods.clone(),
            event: stem.map(|stem| event_type(stem, typical.as_deref())),
            url: self.url.clone(),
            public_url: url.clone().or(public_url.clone()),
            secret,
            body: sample.map(|sample| sample.body.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_providers_types() {
        assert_eq!(
            event_type("orders-create", Some("orders/create")),
            "orders/create"
        );
        assert_eq!(event_type("other", Some("orders/create")), "other");
        assert_eq!(event_type("push", None), "push");
    }

    #[test]
    fn saved_events_keep_their_type() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cases")).unwrap();
        let sample = dir.path().join("samples/a.json");
        let of = |case: &str| {
            std::fs::write(dir.path().join("cases/a.toml"), case).unwrap();
            type_in_case(dir.path(), &sample)
        };
        let saved = "[event]\nbody = \"../samples/a.json\"\nevent-type = \"orders/create\"\n";
        assert_eq!(of(saved).as_deref(), Some("orders/create"));
        assert_eq!(of(&saved.replace("a.json", "b.json")), None);
        assert_eq!(of("[event]\nbody = \"../samples/a.json\"\n"), None);
        assert_eq!(of("not a case"), None);
    }
}
