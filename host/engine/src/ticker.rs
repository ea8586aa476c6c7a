//! Advances the epoch, so that running guests check their deadline. An OS thread, since it must
//! tick when the executor is busy. It rests while there is no guest: an idle node is not woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How often a running guest checks its deadline.
const TICK: Duration = Duration::from_millis(2);
/// The ticker rests after a second without a guest, so that the guests of a node with few events do
/// not wake it one by one.
const IDLE_TICKS_MAX: u32 = 500;

/// Ticks while there are guests, until it is dropped.
pub(crate) struct Ticker {
    state: Arc<TickerState>,
    /// `None`: it never ticks.
    thread: Option<Thread>,
}

/// A guest, which may run until this is dropped.
pub(crate) struct TickedGuest<'a>(&'a TickerState);

/// The order of `guests` and `rests` decides: a guest is counted before it looks whether the ticker
/// rests, and the ticker says that it rests before it looks for guests. One of them sees the other.
/// Only the ticker changes `rests`. Each guest that sees it at rest wakes it, because another guest
/// that saw it may have lost its processor before it could.
#[derive(Default)]
struct TickerState {
    guests: AtomicUsize,
    rests: AtomicBool,
    is_dropped: AtomicBool,
}

// === impl Ticker ===

impl Ticker {
    /// Ticks until the engine is dropped, at the latest.
    pub(crate) fn start(engine: EngineWeak) -> std::io::Result<Ticker> {
        let state = Arc::<TickerState>::default();
        let ticked = state.clone();
        let handle = thread::Builder::new()
            .name("epoch-ticker".into())
            .spawn(move || ticked.tick(&engine))?;
        Ok(Ticker {
            state,
            thread: Some(handle.thread().clone()),
        })
    }

    /// One that never ticks: nothing stops a guest that computes for ever.
    pub(crate) fn never() -> Ticker {
        Ticker {
            state: Arc::default(),
            thread: None,
        }
    }

    /// A guest begins.
    pub(crate) fn guest(&self) -> TickedGuest<'_> {
        self.state.guests.fetch_add(1, Ordering::SeqCst);
        if self.state.rests.load(Ordering::SeqCst) {
            self.wake();
        }
        TickedGuest(&self.state)
    }

    #[cold]
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.is_dropped.store(true, Ordering::SeqCst);
        self.wake();
    }
}

// === impl TickedGuest ===

impl Drop for TickedGuest<'_> {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl TickerState ===

impl TickerState {
    fn tick(&self, engine: &EngineWeak) {
        let mut idle_ticks = 0;
        while !self.is_dropped.load(Ordering::SeqCst) {
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);

            if self.guests.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
            } else if idle_ticks < IDLE_TICKS_MAX {
                idle_ticks += 1;
            } else {
                idle_ticks = 0;
                self.rest();
            }
        }
    }

    /// Returns when a guest begins, or earlier: the ticker then ticks for another second.
    fn rest(&self) {
        self.rests.store(true, Ordering::SeqCst);
        let has_guests = self.guests.load(Ordering::SeqCst) > 0;
        if !has_guests && !self.is_dropped.load(Ordering::SeqCst) {
            thread::park();
        }
        self.rests.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;
    use crate::settings;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn eventually(what: &str, is_true: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_true() {
            assert!(Instant::now() < until, "{what}");
            thread::sleep(TICK);
        }
    }

    fn rests(ticker: &Ticker) -> bool {
        ticker.state.rests.load(Ordering::SeqCst)
    }

    /// Whether a guest that computes for ever is stopped in time.
    fn is_stopped(engine: &Engine) -> bool {
        let endless = r#"(module (func (export "run") (loop (br 0))))"#;
        let module = Module::new(engine, wat::parse_str(endless).unwrap()).unwrap();
        let (stopped, result) = mpsc::channel();
        let engine = engine.clone();
        thread::spawn(move || {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1);
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let run = instance.get_typed_func::<(), ()>(&mut store, "run");
            let ended = run.unwrap().call(&mut store, ());
            stopped.send(ended.is_err()).ok();
        });
        result.recv_timeout(PATIENCE) == Ok(true)
    }

    #[test]
    fn guests_wake_a_resting_ticker() {
        let engine = Engine::new(&settings::compiling()).unwrap();
        let ticker = Ticker::start(engine.weak()).unwrap();
        for _ in 0..2 {
            eventually("it rests without a guest", || rests(&ticker));
            let guest = ticker.guest();
            assert!(is_stopped(&engine));
            drop(guest);
        }
    }

    #[test]
    fn dropped_tickers_end() {
        let engine = Engine::new(&settings::compiling()).unwrap();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let state = Arc::downgrade(&ticker.state);
        eventually("it rests", || rests(&ticker));
        drop(ticker);
        eventually("its thread ends", || state.strong_count() == 0);
    }
}
