//! `landfall bench --forward`: events through the bundled forward to a local server, beside the same relay in plain axum and
//! reqwest; and how many connections either opened for it.

use super::output::say;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::bench::{Arena, BenchFlags, alternating, built};
use super::load::{self, Measured};

const REQUEST_BYTES_MAX: usize = 64 << 10;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Measures and prints.
pub async fn bench(flags: &BenchFlags) -> anyhow::Result<ExitCode> {
    // One each, so that their connections are told apart.
    let (of_component, of_plain) = (Sink::start().await?, Sink::start().await?);
    let url = of_component.url();
    let more = format!("[settings]\ntargets = [\"{url}\"]\n[allow]\nhttp = [\"{url}\"]\n");
    let place = tempfile::tempdir().context("no place for the bench")?;
    let forward = match &flags.component {
        Some(path) => path.clone(),
        None => built("forward", place.path())?,
    };
    let arena = Arena::make(Some(&forward), "mode = \"sync\"\n", &more)?;
    let (component, plain) = (
        arena.serve().await?,
        arena.plain(Some(&of_plain.url())).await?,
    );
    let measured = alternating(flags, &arena, &component, &plain).await?;
    component.end().await?;
    plain.end().await?;
    report(flags, &measured, &of_component, &of_plain);
    Ok(ExitCode::SUCCESS)
}

fn report(
    flags: &BenchFlags,
    (component, plain): &(Measured, Measured),
    to_component: &Sink,
    to_plain: &Sink,
) {
    let ratio = component.per_second / plain.per_second;
    let ms = |time: std::time::Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    let sides = [
        ("forward", component, to_component),
        ("axum + reqwest", plain, to_plain),
    ];
    if flags.json {
        let side = |measured: &Measured, sink: &Sink| {
            json!({
                "events_per_second": measured.per_second.round(), "p50_ms": ms(measured.p50), "p99_ms": ms(measured.p99),
                "connects": sink.connects(), "connects_per_1000_events": sink.connects_per_1000(),
            })
        };
        let report = json!({
            "ratio": (ratio * 1000.0).round() / 1000.0,
            "component": side(component, to_component), "plain_axum_reqwest": side(plain, to_plain),
            "connections": flags.connections, "seconds": flags.seconds, "rounds": flags.rounds,
        });
        say!("{report}");
        return;
    }
    say!(
        "{:<15} {:>9} {:>9} {:>9} {:>9} {:>15}",
        "",
        "events/s",
        "p50 ms",
        "p99 ms",
        "connects",
        "per 1,000 events"
    );
    for (name, measured, sink) in sides {
        let (p50, p99, connects) = (ms(measured.p50), ms(measured.p99), sink.connects());
        let per_1000 = sink.connects_per_1000();
        say!(
            "{name:<15} {:>9.0} {p50:>9.2} {p99:>9.2} {connects:>9} {per_1000:>15.2}",
            measured.per_second
        );
    }
    say!("ratio forward / axum + reqwest: {ratio:.3}");
}

/// A server that takes everything on connections that stay open, and counts.
struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connects: AtomicU64,
    events: AtomicU64,
}

// === impl Sink ===

impl Sink {
    async fn start() -> anyhow::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let (address, counts) = (listener.local_addr()?, Arc::new(Counts::default()));
        let counting = counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counting.connects.fetch_add(1, Ordering::Relaxed);
                let counts = counting.clone();
                // Ends with the connection.
                tokio::spawn(async move { serve(stream, &counts).await.ok() });
            }
        });
        Ok(Sink { address, counts })
    }

    fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    fn connects(&self) -> u64 {
        self.counts.connects.load(Ordering::Relaxed)
    }

    fn connects_per_1000(&self) -> f64 {
        let events = self.counts.events.load(Ordering::Relaxed).max(1);
        (self.connects() as f64 * 100_000.0 / events as f64).round() / 100.0
    }
}

async fn serve(mut stream: TcpStream, counts: &Counts) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; REQUEST_BYTES_MAX], 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some(bytes) =
            load::request_bytes(&buffer[..filled])?.filter(|bytes| *bytes <= filled)
        {
            counts.events.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await?;
            buffer.copy_within(bytes..filled, 0);
            filled -= bytes;
        }
    }
}
