//! `landfall bench --idle N`: what N open connections without a request cost a node, and what a request costs beside them.

use super::output::say;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::net::TcpStream;

use super::bench::{Arena, BenchFlags};
use super::load;

/// How long the connections are left alone while the processor time is taken.
const QUIET: Duration = Duration::from_secs(10);
const BUFFER: usize = 64 << 10;

/// Opens `count` connections, sends one request on each, and then measures.
pub async fn bench(flags: &BenchFlags, count: usize) -> anyhow::Result<ExitCode> {
    let arena = Arena::make(flags.component.as_deref(), "mode = \"sync\"\n", "")?;
    let node = arena.serve().await?;
    let (request, time) = (arena.request(), Duration::from_secs(flags.seconds));
    let alone = load::run(node.address, &request, flags.connections, time).await?;
    let before_kib = node.resident_kib();

    let (mut idle, mut buffer) = (Vec::with_capacity(count), vec![0; BUFFER]);
    for _ in 0..count {
        let mut stream = TcpStream::connect(node.address)
            .await
            .context("cannot connect: is `ulimit -n` large enough?")?;
        let status = load::exchange(&mut stream, &request, &mut buffer).await?;
        ensure!(status == 200, "an answer of {status} instead of 200");
        idle.push(stream);
    }
    let each_kib = node.resident_kib().saturating_sub(before_kib) as f64 / count.max(1) as f64;
    let used = node.processor_time();
    tokio::time::sleep(QUIET).await;
    let share = (node.processor_time() - used).as_secs_f64() / QUIET.as_secs_f64() * 100.0;
    let beside = load::run(node.address, &request, flags.connections, time).await?;
    let mut open = 0;
    for stream in &mut idle {
        open += usize::from(
            load::exchange(stream, &request, &mut buffer)
                .await
                .is_ok_and(|status| status == 200),
        );
    }
    node.end().await?;

    let ms = |time: Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    if flags.json {
        let side = |measured: &load::Measured| json!({ "requests_per_second": measured.per_second.round(), "p99_ms": ms(measured.p99) });
        let report = json!({
            "idle_connections": count, "still_open": open, "kib_each": (each_kib * 10.0).round() / 10.0,
            "processor_percent": (share * 100.0).round() / 100.0, "without": side(&alone), "beside": side(&beside),
        });
        say!("{report}");
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{count} idle connections: {each_kib:.1} KiB each, {share:.2} % of one processor, {open} still open at the end"
    );
    for (name, measured) in [("without them", alone), ("beside them", beside)] {
        say!(
            "{name:<13} {:>8.0} requests/s, p99 {:.2} ms",
            measured.per_second,
            ms(measured.p99)
        );
    }
    Ok(ExitCode::SUCCESS)
}
