//! Moves the epoch on, so that running guests are looked at. An OS thread: it must tick when the executor is busy.

use std::time::Duration;

use wasmtime::EngineWeak;

/// How often a running guest yields and its deadline is looked at.
pub const TICK: Duration = Duration::from_millis(2);

/// Ticks until the engine is gone.
pub fn start(engine: EngineWeak) -> std::io::Result<()> {
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
