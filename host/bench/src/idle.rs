//! `idle`: what open connections without a request cost a node, and what a request costs beside
//! them.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::net::TcpStream;

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load::{self, ANSWER_BYTES_MAX};
use crate::page;
use crate::report::{measured_as_json, ms, round};

/// How long no request is sent while the processor time is measured.
const QUIET: Duration = Duration::from_secs(10);

/// Opens `count` connections, sends one request on each, and measures.
pub(crate) async fn measure(flags: &RunFlags, count: usize) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let node = env.start_node().await?;
    let (request, time) = (env.request(), Duration::from_secs(flags.seconds));
    let without = load::run(node.address, &request, flags.connections, time).await?;
    let before_kib = node.resident_kib();

    let (mut idle, mut buffer) = (Vec::with_capacity(count), vec![0; ANSWER_BYTES_MAX]);
    for _ in 0..count {
        let mut stream = TcpStream::connect(node.address)
            .await
            .context("cannot connect: is `ulimit -n` large enough?")?;
        let status = load::exchange(&mut stream, &request, &mut buffer).await?;
        ensure!(status == 200, "the node answered {status} instead of 200");
        idle.push(stream);
    }

    let added_kib = node.resident_kib().saturating_sub(before_kib);
    let kib_each = added_kib as f64 / count.max(1) as f64;

    let used = node.processor_time();
    tokio::time::sleep(QUIET).await;
    let share = (node.processor_time() - used).as_secs_f64() / QUIET.as_secs_f64();

    let beside = load::run(node.address, &request, flags.connections, time).await?;
    let mut still_open = 0;
    for stream in &mut idle {
        let answer = load::exchange(stream, &request, &mut buffer).await;
        still_open += usize::from(answer.is_ok_and(|status| status == 200));
    }

    node.stop().await?;

    let mut table = format!(
        "{count} idle connections cost {kib_each:.1} KiB of memory each, and the node {:.2} % of one processor. \
         {still_open} were still open at the end.\n\n| | requests/s | p99 |\n|---|--:|--:|\n",
        share * 100.0
    );
    for (name, measured) in [("without them", &without), ("beside them", &beside)] {
        table.push_str(&format!(
            "| {name} | {:.0} | {:.2} ms |\n",
            measured.per_second,
            ms(measured.p99)
        ));
    }
    page::publish(flags, "idle", &table)?;

    if flags.json {
        let report = json!({
            "idle_connections": count,
            "still_open": still_open,
            "kib_each": round(kib_each, 1),
            "processor_percent": round(share * 100.0, 2),
            "without": measured_as_json(&without),
            "beside": measured_as_json(&beside),
        });
        println!("{report}");
        return Ok(());
    }

    print!("{table}");
    Ok(())
}
