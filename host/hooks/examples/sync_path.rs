//! Handles events on the path of mode `sync`, for `.ci/instructions`, which counts instructions:
//! authenticate the sender while the body arrives, find out what the event is, run the component in
//! a fresh instance. It has one thread, no HTTP, and requests that are the same in each run.
//!
//! `sync_path COMPONENT CACHE EVENTS`. `CACHE` is a directory for the machine code. `sync_path
//! compile …` is the compiler that the engine starts.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use landfall_engine::{Component, Engine, EngineSettings, Handler, compile_child};
use landfall_hooks::HookFile;
use landfall_metrics::HookMetrics;
use landfall_model::{
    Clock, ComponentLimits, HookName, Outcome, Secret, SecretError, SecretRef, SecretSource,
};
use landfall_verify::{
    Keys, NoKeyDocuments, Packs, Unverified, Verdict, Verifier, VerifyContext, check_or_return,
    sign, streaming_mac,
};

/// What a node has for all bodies, by default.
const BODIES: usize = 256 << 20;
const LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "a secret for the count";
/// Seconds after 1970.
const NOW: u64 = 1_770_000_000;

/// `generic` only signs the body. GitHub's event type is in a header, Stripe's in the body.
const PROVIDERS: [&str; 3] = ["generic", "github", "stripe"];

/// A hook, and the request that it receives again and again.
struct CountedHook {
    name: HookName,
    verifier: Verifier,
    /// Those of all events, as a node keeps them.
    keys: Keys,
    handler: Arc<Handler>,
    request: Unverified,
}

struct OneSecret;

impl SecretSource for OneSecret {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new(SECRET))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["compile", target] => compile_child(Path::new(target), None, None),
        [component, cache, events] => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let events = events.parse().context("EVENTS is a number")?;
            runtime.block_on(handle_events(component, cache, events))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("usage: sync_path COMPONENT CACHE EVENTS"),
    }
}

async fn handle_events(component: &str, cache: &str, events: usize) -> anyhow::Result<()> {
    let engine = engine(cache)?;
    let bytes = std::fs::read(component).with_context(|| component.to_owned())?;
    let component = engine.load(component, bytes).await?;

    let mut hooks = Vec::new();
    for provider in PROVIDERS {
        hooks.push(CountedHook::load(&engine, &component, provider).await?);
    }

    for hook in hooks.iter().cycle().take(events) {
        hook.handle_event().await?;
    }
    Ok(())
}

fn engine(cache: &str) -> anyhow::Result<Engine> {
    let settings = EngineSettings {
        cache: cache.into(),
        cache_max_size: 1 << 30,
        bundled: None,
        compiler: std::env::current_exe()?,
        running: 1,
        limits: ComponentLimits::DEFAULT,
        clear_stacks: false,
        clock: Clock::fixed_at(NOW),
        metrics: Arc::default(),
        functions: None,
        keeps_sent: false,
        passes_traces: false,
    };
    Engine::uninterrupted(settings)
}

// === impl CountedHook ===

impl CountedHook {
    async fn load(
        engine: &Engine,
        component: &Component,
        provider: &str,
    ) -> anyhow::Result<CountedHook> {
        let name: HookName = provider.parse()?;
        let text = format!(
            "mode = \"sync\"\n[verify]\nprovider = \"{provider}\"\nsecret = \"env:SECRET\"\n"
        );
        let file = HookFile::with_text(&name, &text, Path::new("."));
        let spec = file.spec(None)?;
        let packs = Packs::default();
        let verifier = file.verifier(&spec, &packs)?;
        let sizes = file.sizes(&spec, &verifier, BODIES)?;
        let handler = engine
            .prepare(
                component,
                &spec,
                sizes,
                Arc::new(OneSecret),
                HookMetrics::detached(provider),
            )
            .await?;

        let mut draft = packs.find(provider)?.draft_with_id(
            None,
            "https://landfall.example/hook",
            "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        )?;
        if provider == "generic" {
            draft.body = push().into();
        }
        let request = sign(&verifier, draft, SECRET.as_bytes(), now())?;

        let keys = Keys::new([(verifier.key_form(), OneSecret.value(&verifier.secrets()[0]))]);
        Ok(CountedHook {
            name,
            verifier,
            keys,
            handler: Arc::new(handler),
            request,
        })
    }

    async fn handle_event(&self) -> anyhow::Result<()> {
        let (verifier, keys) = (&self.verifier, &self.keys);
        let context = VerifyContext {
            keys,
            documents: &NoKeyDocuments,
            now: Some(now()),
        };

        let mut request = self.request.clone();
        let body = std::mem::take(&mut request.body);
        let mut mac = streaming_mac(verifier, &request, keys);
        if let Some(mac) = &mut mac {
            mac.update(&body);
        }
        request.body = body;
        let verified = match check_or_return(verifier, request, &context, mac) {
            Ok(Verdict::Verified(verified)) => verified,
            Ok(Verdict::Challenge(_)) => bail!("{}: taken for an ownership check", self.name),
            Err((refusal, _)) => bail!("{}: {refusal}", self.name),
        };

        let attributes = vec![("client-address".to_owned(), "192.0.2.7".to_owned())];
        let event = verified.into_event(&self.name, now(), attributes);
        let attempt = self.handler.run(Arc::new(event), 1, LIMIT).await;
        let (outcome, name) = (&attempt.outcome, &self.name);
        ensure!(
            matches!(outcome, Outcome::Done(Some(_))),
            "{name}: {outcome:?}"
        );
        Ok(())
    }
}

fn now() -> SystemTime {
    Clock::fixed_at(NOW).now()
}

/// A push of GitHub's shape, about 1.1 kB.
fn push() -> String {
    let commit = "{\"id\":\"7fd1a60b01f91b314f59955a4e4d4e80d8edf11d\",\"message\":\"A commit\",\
                  \"added\":[\"README.md\"],\"author\":{\"name\":\"Mona\",\"email\":\"mona@example.com\"},\
                  \"timestamp\":\"2026-01-31T08:15:30Z\",\"distinct\":true}";
    let commits = [commit; 4].join(",");
    format!("{{\"ref\":\"refs/heads/main\",\"created\":false,\"commits\":[{commits}]}}")
}
