//! `landfall add`: fetches a component, asks for each grant that it needs, and writes it beside a
//! hook file that pins its digest.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::check::{print_receipt, receipt};
use super::flags::{NodeFlags, node_config};
use super::listing::printable;
use super::output::say;
use crate::app::{
    self, CAPABILITIES, Callers, Fetched, FoundSignature, Guide, Inspected, NewHookFile, Source,
};
use landfall_config::{Config, HookSource, Manifest, Need, parse_hook};
use landfall_model::{Allow, ComponentDigest, HookName, HookSpec, SecretRef, TrustedKey};

/// `landfall.toml` is no hook file.
const SETTINGS_NAME: &str = "landfall";

/// What is added, and what the operator decides without being asked.
#[derive(Debug, Args)]
pub(super) struct AddFlags {
    /// The component: a file, `https://…/x.wasm#sha256=HEX`, or `oci://REGISTRY/REPOSITORY:TAG`.
    source: String,
    /// The plugins directory [default: plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The name of the hook [default: the name of the file or repository].
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// The digest that the component must have: `sha256:HEX`.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<ComponentDigest>,
    /// Grant everything that the component needs.
    #[arg(long)]
    yes: bool,
    /// Grant this, and nothing else without being asked: `kv`, or one entry of a list, such as
    /// `http=https://slack.com/api/`. Can be repeated.
    #[arg(long, value_name = "KEY[=VALUE]", conflicts_with = "yes")]
    grant: Vec<String>,
    /// The provider that may call a new hook. Without it, a new hook is closed.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// A reference to the provider's secret, such as `env:GITHUB_SECRET`. Can be repeated.
    #[arg(long, value_name = "REFERENCE", requires = "provider", value_parser = reference)]
    secret: Vec<SecretRef>,
    /// The settings file of the node [default: landfall.toml, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A component that was fetched and read.
struct Candidate {
    fetched: Fetched,
    /// A trusted key has signed it. Without `components.trusted_keys` nothing is checked.
    is_signed: bool,
    inspected: Inspected,
    manifest: Manifest,
}

/// What the component needs and the hook file does not grant, as the operator decided.
#[derive(Default)]
struct Decided {
    granted: Vec<Need>,
    refused: Vec<Need>,
}

/// A hook file that the operator has.
struct Present {
    text: String,
    spec: HookSpec,
}

/// Puts a component in place of the one of a hook, if it needs no further grant. The file of the
/// previous one stays beside it, as `NAME.wasm.previous`. Returns its path, if there is one. A
/// component that is in place already replaces none.
pub(super) async fn promote(
    component: &Path,
    plugins: &Path,
    name: &HookName,
    as_json: bool,
) -> anyhow::Result<Option<PathBuf>> {
    let served = plugins.join(format!("{name}.wasm"));
    let previous = plugins.join(format!("{name}.wasm.previous"));
    // Until the component is in place, the one that was previous before stays.
    let copy = plugins.join(format!("{name}.wasm.previous.new"));
    let before = match std::fs::read(&served) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", served.display()));
        }
    };
    let cannot_keep = || format!("{} cannot be kept", served.display());
    if let Some(bytes) = &before {
        std::fs::write(&copy, bytes).with_context(cannot_keep)?;
    }

    let added = add(AddFlags {
        source: component.display().to_string(),
        plugins: Some(plugins.to_owned()),
        name: Some(name.to_string()),
        digest: None,
        yes: false,
        grant: Vec::new(),
        provider: None,
        secret: Vec::new(),
        config: None,
        json: as_json,
    })
    .await;
    let is_replaced = added.is_ok()
        && before.is_some_and(|before| std::fs::read(&served).is_ok_and(|after| after != before));
    if is_replaced {
        std::fs::rename(&copy, &previous).with_context(cannot_keep)?;
    } else {
        std::fs::remove_file(&copy).ok();
    }
    added?;
    Ok(previous.is_file().then_some(previous))
}

/// Fetches, shows, asks, writes.
pub(super) async fn add(flags: AddFlags) -> anyhow::Result<ExitCode> {
    let source: Source = flags.source.parse()?;
    let name = flags
        .name
        .clone()
        .unwrap_or_else(|| source.suggested_name());
    let name: HookName = name.parse().context("name the hook with --as NAME")?;
    ensure!(
        *name != *SETTINGS_NAME,
        "{name}.toml is the settings file of a node and no hook file: name the hook with --as NAME"
    );
    let config = node_config(NodeFlags {
        plugins: flags.plugins.clone(),
        config: flags.config.clone(),
        ..NodeFlags::default()
    })?;
    let plugins = &config.settings.plugins;
    ensure!(
        plugins.is_dir(),
        "plugins = {} is not a directory: create it, or name another with --plugins",
        plugins.display()
    );
    let present = present_hook(plugins, &name)?;
    check_callers(&flags, plugins, &name, present.is_some())?;

    let fetched = app::fetch(&source, flags.digest).await?;
    check_other_users(plugins, &name, &fetched)?;
    let candidate = read(&config, &name, fetched)?;
    if !flags.json {
        say!("from     {}", printable(&candidate.fetched.from));
        print_receipt(&candidate.inspected)?;
    }

    let allow = present.as_ref().map(|present| present.spec.allow.clone());
    let decided = decide(&flags, &candidate.manifest, &allow.unwrap_or_default())?;
    let has_same_version = present
        .as_ref()
        .is_some_and(|present| present.spec.digest == Some(candidate.fetched.digest));
    if present.is_some() && !has_same_version && !decided.refused.is_empty() {
        bail!(
            "{name} keeps its old version, because the new one also needs: {}",
            words(&decided.refused)
        );
    }

    let text = match &present {
        Some(present) if has_same_version && decided.granted.is_empty() => present.text.clone(),
        Some(present) => app::updated(
            &present.text,
            &name,
            candidate.fetched.digest,
            &decided.granted,
        )?,
        None => new_text(&flags, &name, &candidate, &decided),
    };
    check_text(plugins, &name, &text, candidate.fetched.digest)?;
    app::install(plugins, &name, &candidate.fetched, &text)?;
    print(
        &flags,
        plugins,
        &name,
        &candidate,
        &decided,
        present.as_ref(),
        &text,
    )?;
    Ok(ExitCode::SUCCESS)
}

fn reference(text: &str) -> Result<SecretRef, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// The hook file of this name, if there is one.
fn present_hook(plugins: &Path, name: &HookName) -> anyhow::Result<Option<Present>> {
    let path = plugins.join(format!("{name}.toml"));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    };
    let spec =
        spec(plugins, name, &text).context("nothing was changed: mend the hook file first")?;
    Ok(Some(Present { text, spec }))
}

fn spec(plugins: &Path, name: &HookName, text: &str) -> anyhow::Result<HookSpec> {
    Ok(parse_hook(HookSource {
        name,
        text,
        manifest: None,
        dir: plugins,
        capabilities: CAPABILITIES,
    })?)
}

/// `--provider` is for new hook files, and names a provider that there is.
fn check_callers(
    flags: &AddFlags,
    plugins: &Path,
    name: &HookName,
    is_present: bool,
) -> anyhow::Result<()> {
    let Some(provider) = &flags.provider else {
        return Ok(());
    };
    ensure!(
        !is_present,
        "--provider is for new hooks: {name}.toml exists, so change its [verify] table instead"
    );
    let packs = app::packs(Some(&plugins.join("providers")))?;
    Guide::new(provider, &packs).map_err(anyhow::Error::msg)?;
    Ok(())
}

/// Another hook must not get a new version with the grants that it has.
fn check_other_users(plugins: &Path, name: &HookName, fetched: &Fetched) -> anyhow::Result<()> {
    let component = plugins.join(format!("{name}.wasm"));
    if std::fs::read(&component).is_ok_and(|present| present == fetched.bytes) {
        return Ok(());
    }

    let others = app::other_users(plugins, name)
        .with_context(|| format!("{} cannot be read", plugins.display()))?;
    if let Some(other) = others.first() {
        bail!(
            "{name}.wasm is also the component of {}, which would run the new version with its own grants: nothing was \
             changed; name the hook with --as NAME, or give {other} a copy of its own: copy {name}.wasm, and write the name of the copy \
             into {other}",
            others.join(", ")
        );
    }
    Ok(())
}

/// Reads the component without running it.
fn read(config: &Config, name: &HookName, fetched: Fetched) -> anyhow::Result<Candidate> {
    let file = format!("{name}.wasm");
    if let Some(keys) = config.trusted_keys() {
        let signature = match &fetched.signature {
            FoundSignature::Text(signature) => signature,
            FoundSignature::Unusable(why) => bail!("{why}"),
            FoundSignature::None => bail!(
                "{} has no signature, and components.trusted_keys requires one: ask its author for {file}.minisig, and put it \
                 beside the file",
                fetched.from
            ),
        };
        TrustedKey::check(keys, &fetched.bytes, signature)
            .map_err(|why| anyhow::anyhow!("the signature of {} {why}", fetched.from))?;
    } else if let FoundSignature::Unusable(why) = &fetched.signature {
        eprintln!("landfall: {}: it is left out", printable(why));
    }

    let inspected = app::inspect(&file, &fetched.bytes)?;
    let manifest = match &inspected.manifest {
        Some(text) => Manifest::parse("manifest", text, CAPABILITIES)?,
        None => Manifest::default(),
    };
    Ok(Candidate {
        fetched,
        is_signed: config.trusted_keys().is_some(),
        inspected,
        manifest,
    })
}

/// Decides on each grant: by the flags, or by asking on a terminal.
fn decide(flags: &AddFlags, manifest: &Manifest, allow: &Allow) -> anyhow::Result<Decided> {
    let lacking = manifest.lacking(allow);
    let named = |need: &Need| flags.grant.iter().any(|flag| *flag == need.to_string());
    // A grant that the hook file has already is named again when the command is repeated.
    let needs = manifest.lacking(&Allow::default());
    let is_needed = |flag: &&String| needs.iter().any(|need| need.to_string() == **flag);
    if let Some(unknown) = flags.grant.iter().find(|flag| !is_needed(flag)) {
        let needed = if needs.is_empty() {
            "It needs no grant".to_owned()
        } else {
            format!("It needs: {}", words(&needs))
        };
        bail!("--grant {unknown}: the component does not need that. {needed}");
    }

    let is_terminal = std::io::stdin().is_terminal() && !flags.json;
    if !lacking.is_empty() && !is_terminal && !flags.yes && flags.grant.is_empty() {
        let flags: Vec<String> = lacking.iter().map(grant_flag).collect();
        bail!(
            "the component needs grants, and there is no terminal to ask on: pass --yes for all of them, or those that you grant: {}",
            flags.join(" ")
        );
    }

    let mut decided = Decided::default();
    for need in lacking {
        let is_granted = flags.yes || named(&need) || (is_terminal && ask(&need)?);
        if is_granted {
            decided.granted.push(need);
        } else {
            decided.refused.push(need);
        }
    }
    Ok(decided)
}

/// Asks on the terminal. Everything but a yes is a no.
fn ask(need: &Need) -> anyhow::Result<bool> {
    eprint!("grant    {}? [y/N] ", printable(&need.to_string()));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// `--grant 'http=https://slack.com/api/'`, to be pasted into a shell.
fn grant_flag(need: &Need) -> String {
    let text = printable(&need.to_string());
    format!("--grant '{}'", text.replace('\'', r"'\''"))
}

fn words(needs: &[Need]) -> String {
    let words: Vec<String> = needs
        .iter()
        .map(|need| printable(&need.to_string()))
        .collect();
    words.join(", ")
}

fn new_text(flags: &AddFlags, name: &HookName, candidate: &Candidate, decided: &Decided) -> String {
    let from = format!("Added from {}", candidate.fetched.from);
    let callers = flags.provider.as_ref().map(|provider| Callers {
        provider,
        secrets: &flags.secret,
    });
    let file = NewHookFile {
        name,
        digest: candidate.fetched.digest,
        from: &from,
        manifest: &candidate.manifest,
        callers,
        granted: &decided.granted,
        refused: &decided.refused,
    };
    file.text()
}

/// Reads the hook file as the node will: it must run this component, and no other.
fn check_text(
    plugins: &Path,
    name: &HookName,
    text: &str,
    digest: ComponentDigest,
) -> anyhow::Result<()> {
    let spec = spec(plugins, name, text).context("nothing was changed")?;
    ensure!(
        spec.digest == Some(digest) && spec.component == format!("{name}.wasm"),
        "{name}.toml cannot be changed: write component = \"{name}.wasm\" and digest = \"{digest}\" into it yourself"
    );
    Ok(())
}

fn print(
    flags: &AddFlags,
    plugins: &Path,
    name: &HookName,
    candidate: &Candidate,
    decided: &Decided,
    present: Option<&Present>,
    text: &str,
) -> anyhow::Result<()> {
    let spec = spec(plugins, name, text)?;
    let is_closed = spec.verify.scheme.is_none() && spec.verify.provider.is_none();
    let todo = missing_setting(&candidate.manifest, &spec);
    if flags.json {
        let list = |needs: &[Need]| needs.iter().map(Need::to_string).collect::<Value>();
        say!(
            "{}",
            json!({
                "hook": **name,
                "component": plugins.join(format!("{name}.wasm")),
                "hook_file": plugins.join(format!("{name}.toml")),
                "is_new": present.is_none(),
                "from": candidate.fetched.from,
                "digest": candidate.fetched.digest.to_string(),
                "signed": candidate.is_signed,
                "granted": list(&decided.granted),
                "refused": list(&decided.refused),
                "closed": is_closed,
                "setting": todo,
                "receipt": receipt(&candidate.inspected)?,
            })
        );
        return Ok(());
    }

    say!("");
    for need in &decided.refused {
        say!("refused  {}", printable(&need.to_string()));
    }
    let file = plugins.join(name.to_string());
    say!("wrote    {}.wasm", file.display());
    match present {
        None => say!("wrote    {}.toml, which pins the digest", file.display()),
        Some(present) if present.text == text => say!("as it is {}.toml", file.display()),
        Some(_) => say!("changed  {}.toml: the digest", file.display()),
    }
    if is_closed {
        say!(
            "next     write [verify] into {}.toml: until then the hook is closed (503)",
            file.display()
        );
    }
    if let Some(todo) = todo {
        say!("next     {}.toml: {}", file.display(), printable(&todo));
    }
    Ok(())
}

/// The first mistake in `[settings]`, such as a required key that is missing.
fn missing_setting(manifest: &Manifest, spec: &HookSpec) -> Option<String> {
    let mut settings = spec.settings.clone();
    let schema = manifest.settings_schema.as_ref()?;
    for (name, ..) in schema.listed() {
        if let Some(value) = manifest.suggested_setting(&name)
            && !settings.contains_key(&name)
        {
            settings.insert(name, serde_json::to_value(value).ok()?);
        }
    }
    let mistake = schema.check(&settings, &spec.allow).err()?;
    Some(format!("[settings] {mistake}"))
}
