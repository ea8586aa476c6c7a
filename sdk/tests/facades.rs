//! The crates `log` and `tracing` write to the log of the attempt.

use landfall_sdk::log::Level;
use landfall_sdk::{facade, testing};

/// One test: the level is that of the process.
#[test]
fn facades_write_log_lines() {
    let host = testing::host();
    log::info!("one {}", 1);
    log::error!("two");
    tracing::warn!(run = 7, name = "x", "three");
    tracing::debug!(status = %200, "four");
    assert_eq!(
        host.logs(),
        [
            "info: one 1",
            "error: two",
            "warn: three run=7 name=\"x\"",
            "debug: four status=200"
        ]
    );

    let host = testing::host();
    log::trace!("left out");
    tracing::trace!("left out");
    facade::set_max_level(Level::Trace);
    log::trace!("kept");
    tracing::trace!("kept");
    facade::set_max_level(Level::Warn);
    log::info!("left out");
    tracing::info!("left out");
    facade::set_max_level(Level::Debug);
    assert_eq!(host.logs(), ["trace: kept", "trace: kept"]);

    let host = testing::host();
    let deploy = tracing::info_span!("deploy", branch = "main", run = tracing::field::Empty);
    let inside = deploy.clone();
    inside.in_scope(|| {
        inside.record("run", 7);
        tracing::info_span!("post").in_scope(|| tracing::info!("sent"));
        tracing::info!(parent: None, "alone");
    });
    tracing::info!(parent: &deploy, "named");
    tracing::info!("outside");
    let source = std::io::Error::other("refused");
    tracing::error!(error = &source as &dyn std::error::Error, "failed");
    assert_eq!(
        host.logs(),
        [
            "info: deploy{branch=\"main\" run=7}: post: sent",
            "info: alone",
            "info: deploy{branch=\"main\" run=7}: named",
            "info: outside",
            "error: failed error=refused",
        ]
    );
}
