//! `sync`: a component in mode `sync` beside plain axum with the same work, and beside programs of
//! others, alternating.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::page;
use crate::report::{measured_as_json, ms, round, us};
use crate::server::Server;

const WARM_UP: Duration = Duration::from_secs(1);
/// How much longer than its time a run may take.
const STALLED: Duration = Duration::from_secs(30);
const NODE: &str = "component, a fresh instance for each request";
const PLAIN: &str = "plain axum";

#[derive(Debug, Default, Args)]
pub(crate) struct SyncFlags {
    /// Also measure a program. COMMAND is run by `sh`; `{port}` in it is the port to listen on, and
    /// `SECRET_FILE` names the file with the secret of the HMAC. A program that does not answer is
    /// left out with a message.
    #[arg(long = "program", value_name = "NAME=COMMAND", value_parser = parse_program)]
    programs: Vec<Program>,
}

/// A program of others.
#[derive(Debug, Clone)]
struct Program {
    name: String,
    command: String,
}

/// A server, and the median of its runs.
struct Side {
    name: String,
    run: ServerRun,
    memory_mib: f64,
}

/// One run of a server.
pub(crate) struct ServerRun {
    pub(crate) measured: Measured,
    /// The processor time of the server for each request.
    pub(crate) processor: Duration,
}

/// What `sync` measured.
struct Report {
    node: Side,
    plain: Side,
    programs: Vec<Side>,
    /// Programs that were left out, and why.
    left_out: Vec<String>,
    start: Duration,
}

pub(crate) async fn measure(flags: &RunFlags, sync: &SyncFlags) -> anyhow::Result<()> {
    let env = BenchEnv::create(flags, "echo", "mode = \"sync\"\n", "")?;
    let node = env.start_node().await?;
    let plain = env.start_plain_server(None).await?;
    let mut left_out = Vec::new();
    let mut programs = Vec::new();
    for program in &sync.programs {
        match env.start_program(&program.command).await {
            Ok(server) => programs.push((program.name.clone(), server)),
            Err(error) => leave_out(&mut left_out, &program.name, &error),
        }
    }

    let mut servers = vec![&plain, &node];
    servers.extend(programs.iter().map(|(_, server)| server));
    let mut runs = alternate(flags, &env, &servers).await.into_iter();
    let of_plain = Side::of(PLAIN, &plain, runs.next().expect("one for each server")?);
    let of_node = Side::of(NODE, &node, runs.next().expect("one for each server")?);
    let mut of_programs = Vec::new();
    for ((name, server), run) in programs.iter().zip(runs) {
        match run {
            Ok(run) => of_programs.push(Side::of(name, server, run)),
            Err(error) => leave_out(&mut left_out, name, &error),
        }
    }

    node.stop().await?;
    plain.stop().await?;
    for (_, server) in programs {
        server.stop().await?;
    }

    let report = Report {
        node: of_node,
        plain: of_plain,
        programs: of_programs,
        left_out,
        start: env.time_to_first_200().await?,
    };
    page::publish(flags, "sync", &report.table(flags))?;
    if flags.json {
        println!("{}", report.as_json(flags));
    } else {
        print!("{}", report.table(flags));
    }

    Ok(())
}

fn leave_out(left_out: &mut Vec<String>, name: &str, error: &anyhow::Error) {
    eprintln!("landfall-bench: {name} is not measured: {error:#}");
    left_out.push(name.to_owned());
}

fn parse_program(text: &str) -> Result<Program, &'static str> {
    let (name, command) = text.split_once('=').ok_or("write NAME=COMMAND")?;
    Ok(Program {
        name: name.to_owned(),
        command: command.to_owned(),
    })
}

/// The medians of the node and of the plain server, measured in turns after a warm-up.
pub(crate) async fn alternate_two(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    plain: &Server,
) -> anyhow::Result<(ServerRun, ServerRun)> {
    let mut runs = alternate(flags, env, &[plain, node]).await.into_iter();
    let of_plain = runs.next().expect("one for each server")?;
    let of_node = runs.next().expect("one for each server")?;

    Ok((of_node, of_plain))
}

/// The median of each server, or its first error. They are measured in turns after a warm-up.
async fn alternate(
    flags: &RunFlags,
    env: &BenchEnv,
    servers: &[&Server],
) -> Vec<anyhow::Result<ServerRun>> {
    let requests = [env.request()];
    let time = Duration::from_secs(flags.seconds);
    let mut runs: Vec<anyhow::Result<Vec<ServerRun>>> = Vec::new();
    for server in servers {
        let warm = load::run(server.address, &requests[0], flags.connections, WARM_UP);
        runs.push(within(WARM_UP, warm).await.map(|_| Vec::new()));
    }

    for _ in 0..flags.rounds.max(1) {
        for (server, of_server) in servers.iter().zip(&mut runs) {
            if let Ok(done) = of_server {
                let run = ServerRun::of(server, &requests, flags.connections, time);
                match within(time, run).await {
                    Ok(run) => done.push(run),
                    Err(error) => *of_server = Err(error),
                }
            }
        }
    }

    runs.into_iter().map(|runs| runs.map(median)).collect()
}

/// Ends a run whose server has stopped to answer.
async fn within<T>(
    time: Duration,
    run: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    timeout(time + STALLED, run)
        .await
        .context("the server stopped answering")?
}

/// The run with the median rate.
pub(crate) fn median(mut runs: Vec<ServerRun>) -> ServerRun {
    runs.sort_by(|one, other| {
        let (one, other) = (&one.measured, &other.measured);
        one.per_second.total_cmp(&other.per_second)
    });
    runs.swap_remove(runs.len() / 2)
}

// === impl ServerRun ===

impl ServerRun {
    /// Sends these requests in turns on each connection.
    pub(crate) async fn of(
        server: &Server,
        requests: &[Vec<u8>],
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<ServerRun> {
        let before = server.processor_time();
        let measured = load::run_each(server.address, requests, connections, time).await?;
        let used = server.processor_time().saturating_sub(before);

        Ok(ServerRun {
            processor: used.div_f64(measured.count().max(1) as f64),
            measured,
        })
    }

    pub(crate) fn as_json(&self) -> Value {
        let mut run = measured_as_json(&self.measured);
        run["processor_us"] = us(self.processor).into();
        run
    }
}

// === impl Side ===

impl Side {
    fn of(name: &str, server: &Server, run: ServerRun) -> Side {
        Side {
            name: name.to_owned(),
            run,
            memory_mib: round(server.peak_memory_kib() as f64 / 1024.0, 1),
        }
    }

    fn as_json(&self) -> Value {
        let mut side = self.run.as_json();
        side["memory_mib"] = self.memory_mib.into();
        side
    }

    /// `plain` is the rate of plain axum in the same run.
    fn row(&self, plain: f64) -> String {
        let measured = &self.run.measured;
        format!(
            "| {} | {:.0} | {:.2} | {:.2} ms | {:.2} ms | {:.1} µs | {:.1} MiB |\n",
            self.name,
            measured.per_second,
            measured.per_second / plain,
            ms(measured.p50),
            ms(measured.p99),
            us(self.run.processor),
            self.memory_mib
        )
    }
}

// === impl Report ===

impl Report {
    fn ratio(&self) -> f64 {
        self.node.run.measured.per_second / self.plain.run.measured.per_second
    }

    fn table(&self, flags: &RunFlags) -> String {
        let plain = self.plain.run.measured.per_second;
        let mut text = "| | requests/s | to plain axum | p50 | p99 | processor time | memory |\n\
                        |---|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
        let sides = [&self.node, &self.plain].into_iter().chain(&self.programs);
        text.extend(sides.map(|side| side.row(plain)));
        text.push_str(&format!(
            "\nConnections: {}. Runs of each server: {}, of {} s each, in turns; the row is the run with the median \
             rate. The node answered its first 200 after {:.0} ms, with a warm cache of compiled components.\n",
            flags.connections,
            flags.rounds.max(1),
            flags.seconds,
            ms(self.start)
        ));
        if !self.left_out.is_empty() {
            let names = self.left_out.join("; ");
            text.push_str(&format!(
                "\nNot measured, because it did not run: {names}.\n"
            ));
        }
        text
    }

    fn as_json(&self, flags: &RunFlags) -> Value {
        let programs: Vec<Value> = self
            .programs
            .iter()
            .map(|side| {
                let mut program = side.as_json();
                program["name"] = side.name.as_str().into();
                program
            })
            .collect();
        json!({
            "ratio": round(self.ratio(), 3),
            "component": self.node.as_json(),
            "plain_axum": self.plain.as_json(),
            "programs": programs,
            "left_out": self.left_out,
            "start_to_first_200_ms": ms(self.start),
            "connections": flags.connections,
            "seconds": flags.seconds,
            "rounds": flags.rounds,
        })
    }
}
