//! Loads a component as a node would, without a hook: what `landfall inspect` finds is what loading
//! refuses.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use landfall_config::{HookSource, Manifest, parse_hook};
use landfall_engine::{CAPABILITIES, Engine, EngineSettings, Inspected, grant_for, inspect};
use landfall_metrics::HookMetrics;
use landfall_model::{Clock, ComponentLimits, HookSpec};

use crate::setup::compiler;
use crate::tools::untracked_secrets;

/// The hook file with which a component is tried: nothing but its name and the defaults.
const HOOK: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";
/// The most bytes of compiled components. One is made.
const CACHE_BYTES_MAX: u64 = 1 << 30;
/// The memory of all bodies of a node with the default settings.
const BODIES_BYTES: usize = 256 << 20;

/// Checks, compiles, links and starts a component, with every grant that it needs and the default
/// limits.
pub async fn try_component(file: &Path) -> anyhow::Result<Inspected> {
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let name = file.display().to_string();
    let inspected = inspect(&name, &bytes)?;
    let manifest = match &inspected.manifest {
        Some(text) => Manifest::parse("manifest", text, CAPABILITIES)?,
        None => Manifest::default(),
    };

    let scratch = tempfile::tempdir().context("no place for what is compiled")?;
    let settings = EngineSettings {
        cache: scratch.path().join("compiled"),
        cache_max_size: CACHE_BYTES_MAX,
        bundled: None,
        compiler: compiler()?,
        running: 1,
        limits: ComponentLimits::DEFAULT,
        clear_stacks: false,
        clock: Clock::System,
        metrics: Arc::default(),
        functions: None,
        keeps_sent: false,
        passes_traces: false,
    };
    let engine = Engine::new(settings, None)?;
    let component = engine.load(&name, bytes).await?;
    let spec = generous_hook(&inspected, &manifest, scratch.path())?;
    let sizes = spec
        .sizes
        .resolve(None, BODIES_BYTES)
        .map_err(|(_, message)| anyhow::anyhow!(message))?;
    let metrics = HookMetrics::detached(&spec.name);
    let secrets = Arc::new(untracked_secrets());
    engine
        .prepare(&component, &spec, sizes, secrets, metrics)
        .await?;
    Ok(component.inspected().clone())
}

/// A hook that grants what the component imports.
fn generous_hook(
    inspected: &Inspected,
    manifest: &Manifest,
    dir: &Path,
) -> anyhow::Result<HookSpec> {
    let mut spec = parse_hook(HookSource {
        name: &"inspected".parse()?,
        text: HOOK,
        manifest: Some(manifest),
        dir,
        capabilities: CAPABILITIES,
    })?;
    for key in inspected.imports.iter().filter_map(|name| grant_for(name)) {
        spec.allow.capabilities.grant(key.name);
    }
    Ok(spec)
}
