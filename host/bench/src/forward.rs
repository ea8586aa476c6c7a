//! `forward`: the bundled `forward` to a local server, beside the same relay in plain axum and
//! reqwest, and the number of connections that each of them opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::page;
use crate::report::{measured_as_json, ms, round};
use crate::sync::alternate_two;

const REQUEST_BYTES_MAX: usize = 64 << 10;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that answers 200 on connections that stay open, and counts.
struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connects: AtomicU64,
    requests: AtomicU64,
}

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    // One for each side, so that their connections are counted separately.
    let (node_sink, plain_sink) = (Sink::start().await?, Sink::start().await?);
    let url = node_sink.url();
    let tables = format!("[settings]\ntargets = [\"{url}\"]\n[allow]\nhttp = [\"{url}\"]\n");
    let env = BenchEnv::create(
        flags,
        "forward",
        "mode = \"sync\"\naccepted.status = 200\n",
        &tables,
    )?;
    let node = env.start_node().await?;
    let plain = env.start_plain_server(Some(&plain_sink.url())).await?;

    let (of_node, of_plain) = alternate_two(flags, &env, &node, &plain).await?;
    node.stop().await?;
    plain.stop().await?;

    let (of_node, of_plain) = (of_node.measured, of_plain.measured);
    let ratio = of_node.per_second / of_plain.per_second;
    let table = format!(
        "| | events/s | p50 | p99 | connections opened for 1,000 events |\n|---|--:|--:|--:|--:|\n{}{}\n\
         The ratio is {ratio:.2}. Connections: {}. Runs of each side: {}, of {} s each, in turns.\n",
        row("`forward`", &of_node, &node_sink),
        row("plain axum and reqwest", &of_plain, &plain_sink),
        flags.connections,
        flags.rounds.max(1),
        flags.seconds
    );
    page::publish(flags, "forward", &table)?;
    if flags.json {
        let report = json!({
            "ratio": round(ratio, 3),
            "component": with_connects(&of_node, &node_sink),
            "plain_axum_reqwest": with_connects(&of_plain, &plain_sink),
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
        return Ok(());
    }

    print!("{table}");
    Ok(())
}

fn with_connects(measured: &Measured, sink: &Sink) -> Value {
    let mut side = measured_as_json(measured);
    side["connects"] = sink.connects().into();
    side["connects_per_1000_events"] = sink.connects_per_1000().into();
    side
}

fn row(name: &str, measured: &Measured, sink: &Sink) -> String {
    format!(
        "| {name} | {:.0} | {:.2} ms | {:.2} ms | {:.2} |\n",
        measured.per_second,
        ms(measured.p50),
        ms(measured.p99),
        sink.connects_per_1000()
    )
}

// === impl Sink ===

impl Sink {
    async fn start() -> anyhow::Result<Sink> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no port is free")?;
        let sink = Sink {
            address: listener.local_addr()?,
            counts: Arc::default(),
        };
        tokio::spawn(accept(listener, sink.counts.clone()));
        Ok(sink)
    }

    fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    fn connects(&self) -> u64 {
        self.counts.connects.load(Ordering::Relaxed)
    }

    fn connects_per_1000(&self) -> f64 {
        let requests = self.counts.requests.load(Ordering::Relaxed).max(1);
        round(self.connects() as f64 * 1000.0 / requests as f64, 2)
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        counts.connects.fetch_add(1, Ordering::Relaxed);
        let counts = counts.clone();
        // Ends with the connection.
        tokio::spawn(async move { answer_all(stream, &counts).await.ok() });
    }
}

async fn answer_all(mut stream: TcpStream, counts: &Counts) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = (vec![0; REQUEST_BYTES_MAX], 0);

    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }

        filled += read;

        while let Some(bytes) = load::message_bytes(&buffer[..filled])?
            && bytes <= filled
        {
            counts.requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await?;
            buffer.copy_within(bytes..filled, 0);
            filled -= bytes;
        }
    }
}
