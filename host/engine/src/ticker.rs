//! Advances the epoch, so that running guests check their deadline. An OS thread, since it must
//! tick when the executor is busy.

use std::time::Duration;

use wasmtime::EngineWeak;

/// How often a running guest checks its deadline.
const TICK: Duration = Duration::from_millis(2);

/// Ticks until the engine is dropped.
pub(crate) fn start(engine: EngineWeak) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("epoch-ticker".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
