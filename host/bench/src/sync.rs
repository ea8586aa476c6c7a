//! `sync`: a component in mode `sync` beside plain axum with the same work, alternating.

use std::time::Duration;

use serde_json::{Value, json};

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::report::{measured_as_json, ms, round, us};
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);

/// One run of a server.
pub(crate) struct ServerRun {
    pub(crate) measured: Measured,
    /// The processor time of the server for each request.
    processor: Duration,
}

pub(crate) async fn measure(flags: &RunFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let node = env.start_node().await?;
    let plain = env.start_plain_server(None).await?;

    let (of_node, of_plain) = alternate(flags, &env, &node, &plain).await?;
    let (node_mib, plain_mib) = (mib(&node), mib(&plain));
    node.stop().await?;
    plain.stop().await?;
    let start = env.time_to_first_200().await?;

    let ratio = of_node.measured.per_second / of_plain.measured.per_second;
    if flags.json {
        let report = json!({
            "ratio": round(ratio, 3),
            "component": side_as_json(&of_node, node_mib),
            "plain_axum": side_as_json(&of_plain, plain_mib),
            "start_to_first_200_ms": ms(start),
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        });
        println!("{report}");
        return Ok(());
    }

    println!(
        "{:<12} {:>10} {:>9} {:>9} {:>14} {:>10}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "memory MiB"
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
) -> anyhow::Result<(ServerRun, ServerRun)> {
    let request = env.request();
    let time = Duration::from_secs(flags.seconds);
    for server in [plain, node] {
        load::run(server.address, &request, flags.connections, WARM_UP).await?;
    }

    let (mut of_node, mut of_plain) = (Vec::new(), Vec::new());
    for _ in 0..flags.rounds.max(1) {
        of_plain.push(ServerRun::of(plain, &request, flags.connections, time).await?);
        of_node.push(ServerRun::of(node, &request, flags.connections, time).await?);
    }

    Ok((median(of_node), median(of_plain)))
}

fn median(mut runs: Vec<ServerRun>) -> ServerRun {
    runs.sort_by(|one, other| {
        let (one, other) = (&one.measured, &other.measured);
        one.per_second.total_cmp(&other.per_second)
    });
    runs.swap_remove(runs.len() / 2)
}

// === impl ServerRun ===

impl ServerRun {
    async fn of(
        server: &Server,
        request: &[u8],
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<ServerRun> {
        let before = server.processor_time();
        let measured = load::run(server.address, request, connections, time).await?;
        let used = server.processor_time() - before;

        Ok(ServerRun {
            processor: used.div_f64(measured.count().max(1) as f64),
            measured,
        })
    }
}

fn mib(server: &Server) -> f64 {
    round(server.peak_memory_kib() as f64 / 1024.0, 1)
}

fn side_as_json(run: &ServerRun, memory_mib: f64) -> Value {
    let mut side = measured_as_json(&run.measured);
    side["processor_us"] = us(run.processor).into();
    side["memory_mib"] = memory_mib.into();
    side
}

fn print_row(name: &str, run: &ServerRun, memory_mib: f64) {
    println!(
        "{name:<12} {:>10.0} {:>9.2} {:>9.2} {:>14.1} {memory_mib:>10.1}",
        run.measured.per_second,
        ms(run.measured.p50),
        ms(run.measured.p99),
        us(run.processor)
    );
}
