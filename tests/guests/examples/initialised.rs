//! Computes a table in `init`, and answers with what each event finds: the table, how often anything has run, and random numbers
//! and the time of day, those of `init` and those of the event.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, SystemTimeError};

use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, handler, init, json, log};
use wasip2::random::random::{get_random_bytes, get_random_u64};

static PREPARED: OnceLock<Prepared> = OnceLock::new();
/// Of `init` and the handler.
static RUNS: AtomicU32 = AtomicU32::new(0);

struct Prepared {
    squares: Vec<u64>,
    random: u64,
    now: Duration,
}

#[init]
fn prepare() -> Result<(), SystemTimeError> {
    let prepared = Prepared {
        squares: (0..100_000).map(|number| number * number).collect(),
        random: get_random_u64(),
        now: now()?,
    };
    log::info(format!("prepared {} squares", prepared.squares.len()));
    RUNS.fetch_add(1, Ordering::Relaxed);
    PREPARED.get_or_init(|| prepared);
    Ok(())
}

#[handler]
fn on_event(_: Event) -> Result<Json<Value>, Failure> {
    let prepared = PREPARED
        .get()
        .ok_or_else(|| Failure::reject("init has not run"))?;
    let runs = RUNS.fetch_add(1, Ordering::Relaxed) + 1;

    Ok(Json(json!({
        "squares": prepared.squares.len(),
        "last": prepared.squares.last(),
        "runs": runs,
        "init_random": prepared.random.to_string(),
        "init_now_s": prepared.now.as_secs(),
        "random": get_random_u64().to_string(),
        "bytes": get_random_bytes(16),
        "now_ms": now()?.as_millis() as u64,
    })))
}

fn now() -> Result<Duration, SystemTimeError> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)
}
