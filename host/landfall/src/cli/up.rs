//! `landfall up`: builds the demonstration handlers, writes their hook files, and serves them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::changes::PrintedStatuses;
use super::demos::{AdminTarget, Demo, demos};
use super::flags::{NodeFlags, node_config};
use super::output::say;
use crate::app::{App, HookState, Hooks};
use crate::shutdown::Shutdown;
use crate::telemetry;
use landfall_author::{What, build_workspace};
use landfall_config::Config;

/// The handlers of the demonstrations. `landfall build plugins` builds the others.
const COMPONENTS: [&str; 4] = ["echo", "forward", "store", "trigger"];
/// After this time it is said that the compilation of the handlers goes on.
const SAY_COMPILING_AFTER: Duration = Duration::from_secs(20);
/// Pause between two polls of the hooks' statuses.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Builds, writes, serves, prints.
pub(super) async fn up(mut flags: NodeFlags) -> anyhow::Result<ExitCode> {
    let is_typed = flags.listen.is_some();
    // Not ./plugins: in a clone of Landfall, that directory contains the sources.
    flags.plugins = flags.plugins.or(Some(".landfall/plugins".into()));
    flags.log = flags.log.or(Some("warn,handler=info".into()));
    let mut config = node_config(flags)?;
    // `up` is for trying things out: it listens on loopback unless an address was given.
    if !is_typed && config.settings.listen.0.ip().is_unspecified() {
        config.settings.listen.0.set_ip(Ipv4Addr::LOCALHOST.into());
    }

    let _log = telemetry::start(config.settings.log.format, &config.settings.log.level)?;
    place_components(&config)?;
    let secrets = config
        .settings
        .plugins
        .parent()
        .unwrap_or(Path::new("."))
        .join("secrets");
    std::fs::create_dir_all(&secrets)
        .with_context(|| format!("{} cannot be created", secrets.display()))?;
    let shutdown = Shutdown::on_signals()?;
    let plugins = config.settings.plugins.clone();
    let own_token = config
        .admin_token()
        .is_none()
        .then(|| config.settings.data.clone());
    ensure!(
        config.settings.listen.0.port() != 0,
        "`up` prints addresses to paste: name a port with --listen"
    );
    let demos = demos(config.settings.listen.0);
    demos
        .iter()
        .try_for_each(|demo| demo.write(&plugins, &secrets))?;
    let app = App::start(config).await?;
    let (listen, admin) = app.addresses()?;
    let hooks = app.hooks().clone();
    let serving = tokio::spawn(app.serve(shutdown));
    wait_until_loaded(&hooks).await;
    let asking = AdminTarget {
        admin,
        data: own_token.as_deref(),
    };
    print(&demos, listen, &asking, &plugins, &secrets)?;
    for status in hooks
        .statuses()
        .iter()
        .filter(|status| status.state != HookState::Serving)
    {
        say!(
            "! {}: {}",
            status.name,
            status.problem.as_deref().unwrap_or("not serving")
        );
    }
    let telling = tokio::spawn(tell_changes(hooks));
    let served = serving.await;
    telling.abort();
    served.context("serving panicked")??;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line for each hook that becomes ready, fails, changes or is removed.
async fn tell_changes(hooks: Hooks) {
    let mut printed = PrintedStatuses::new(hooks.statuses());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for line in printed.update(hooks.statuses()) {
            say!("{line}");
        }
    }
}

/// The components of `bundled`, if that was set. Otherwise builds them from the sources, if there
/// are any.
fn place_components(config: &Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.settings.plugins)
        .with_context(|| format!("{} cannot be created", config.settings.plugins.display()))?;
    let bundled = config
        .settings
        .bundled
        .as_ref()
        .is_some_and(|dir| dir.join("echo.wasm").is_file());
    if let Some(sources) = sources().filter(|_| !bundled) {
        say!("building the bundled handlers (the first time takes a minute)");
        return build_workspace(
            &sources,
            &config.settings.plugins,
            What::Packages(&COMPONENTS),
            true,
        )
        .map(drop);
    }

    ensure!(
        bundled,
        "no sources of the bundled handlers and none in --bundled: run this in a clone of Landfall"
    );
    Ok(())
}

/// The directory that this binary was built from, if it still exists.
pub(super) fn sources() -> Option<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()?
        .parent()?
        .join("plugins");
    let here = PathBuf::from("plugins");
    [here, built_from]
        .into_iter()
        .find(|dir| dir.join("Cargo.toml").is_file() && dir.join("echo").is_dir())
}

/// Each load ends by limits of its own, so this does too.
async fn wait_until_loaded(hooks: &Hooks) {
    let began = Instant::now();
    let mut has_said = false;
    while !hooks.is_complete() {
        if !has_said && began.elapsed() > SAY_COMPILING_AFTER {
            say!("the node is still compiling the handlers");
            has_said = true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn print(
    demos: &[Demo],
    listen: SocketAddr,
    asking: &AdminTarget<'_>,
    plugins: &Path,
    secrets: &Path,
) -> anyhow::Result<()> {
    say!("\nserving {} — paste any of these:\n", plugins.display());
    for demo in demos {
        say!(
            "{:<8} http://{listen}/{:<8} {}",
            demo.name,
            demo.name,
            demo.about
        );
        say!("  {}", demo.curl(listen, secrets)?);
        if let Some(rows) = demo.rows(asking) {
            say!("  {rows}");
        }

        say!("");
    }

    say!("status of each hook: {}", asking.command("hooks"));
    say!(
        "copy your own NAME.wasm and NAME.toml to {}; stop with Ctrl-C",
        plugins.display()
    );
    Ok(())
}
