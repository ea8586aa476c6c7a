//! Metrics of the engine, the ledger and the dispatcher in the text format of Prometheus. The
//! edge's own metrics come before them.

use std::fmt::Write;

use landfall_dispatch::Dispatcher;
use landfall_engine::Engine;

/// The current gauges and counters.
pub(crate) fn text(dispatcher: &Dispatcher, engine: &Engine) -> String {
    let mut text = String::new();
    let (replies, reply_bytes) = dispatcher.remembered_replies();

    single(
        &mut text,
        "gauge",
        "landfall_attempts_running",
        "Attempts that run now.",
        engine.running() as u64,
    );
    let help = "Deliveries that this node has leased: those that run, and those whose end is not stored yet.";
    single(
        &mut text,
        "gauge",
        "landfall_deliveries_leased",
        help,
        dispatcher.leases() as u64,
    );
    let help = "Ended deliveries that were removed because of ledger.max_size.";
    single(
        &mut text,
        "counter",
        "landfall_ledger_removed_total",
        help,
        dispatcher.ledger().removed_by_size() as u64,
    );
    let help = "Compiled components that were removed because of cache.max_size.";
    single(
        &mut text,
        "counter",
        "landfall_cache_evictions_total",
        help,
        engine.cache_evictions(),
    );
    let help = "Replies that are remembered for callers that come after the end of their event: at most 256.";
    single(
        &mut text,
        "gauge",
        "landfall_remembered_replies",
        help,
        replies as u64,
    );
    let help = "Bytes of the bodies of remembered replies: at most 16 MiB.";
    single(
        &mut text,
        "gauge",
        "landfall_remembered_reply_bytes",
        help,
        reply_bytes as u64,
    );

    let name = "landfall_outbound_failed_total";
    head(
        &mut text,
        "counter",
        name,
        "Outbound calls that were denied or failed, by the word for why.",
    );
    let mut calls = dispatcher.failed_calls();
    calls.sort();
    for (hook, error, count) in calls {
        // Hook names contain no character that needs an escape.
        writeln!(text, "{name}{{error=\"{error}\",hook=\"{hook}\"}} {count}").ok();
    }

    text
}

fn single(text: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    head(text, kind, name, help);
    writeln!(text, "{name} {value}").ok();
}

fn head(text: &mut String, kind: &str, name: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
}
