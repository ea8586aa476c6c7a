//! `sync`: a component in mode `sync` beside plain axum with the same work, alternating.

use std::time::Duration;

use serde_json::{Value, json};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::report::{measured_as_json, ms, round};
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let node = env.start_node().await?;
    let plain = env.start_plain_server(None).await?;

    let (of_node, of_plain) = alternate(flags, &env, &node, &plain).await?;
    let (node_mib, plain_mib) = (mib(&node), mib(&plain));
    node.stop().await?;
    plain.stop().await?;
    let start = env.time_to_first_200().await?;

    let ratio = of_node.per_second / of_plain.per_second;
    if flags.json {
        let report = json!({
            "ratio": round(ratio, 3),
            "component": with_memory(&of_node, node_mib),
            "plain_axum": with_memory(&of_plain, plain_mib),
            "start_to_first_200_ms": ms(start),
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
        return Ok(());
    }

    println!(
        "{:<12} {:>10} {:>9} {:>9} {:>10}",
        "", "requests/s", "p50 ms", "p99 ms", "memory MiB"
    );
    print_row("component", &of_node, node_mib);
    print_row("plain axum", &of_plain, plain_mib);
    println!("ratio component / plain axum: {ratio:.3}");
    println!(
        "process start to first 200, warm cache: {:.1} ms",
        ms(start)
    );
    Ok(())
}

/// The medians of the node and of the plain server, measured in turns after a warm-up.
pub(crate) async fn alternate(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    plain: &Server,
) -> anyhow::Result<(Measured, Measured)> {
    let request = env.request();
    let time = Duration::from_secs(flags.seconds);
    for server in [plain, node] {
        load::run(server.address, &request, flags.connections, WARM_UP).await?;
    }

    let (mut of_node, mut of_plain) = (Vec::new(), Vec::new());
    for _ in 0..flags.rounds.max(1) {
        of_plain.push(load::run(plain.address, &request, flags.connections, time).await?);
        of_node.push(load::run(node.address, &request, flags.connections, time).await?);
    }

    Ok((median(of_node), median(of_plain)))
}

fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    runs.swap_remove(runs.len() / 2)
}

fn mib(server: &Server) -> f64 {
    round(server.peak_memory_kib() as f64 / 1024.0, 1)
}

fn with_memory(measured: &Measured, memory_mib: f64) -> Value {
    let mut side = measured_as_json(measured);
    side["memory_mib"] = memory_mib.into();
    side
}

fn print_row(name: &str, measured: &Measured, memory_mib: f64) {
    println!(
        "{name:<12} {:>10.0} {:>9.2} {:>9.2} {memory_mib:>10.1}",
        measured.per_second,
        ms(measured.p50),
        ms(measured.p99)
    );
}
