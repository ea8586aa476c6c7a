//! Accepting alone: the hook is paused, so that its events are stored and not run. Beside it,
//! SQLite with group commit stores the same bodies.

use std::time::Duration;

use serde_json::{Value, json};

use crate::async_hook::{self, HOOK_FILE};
use crate::env::BenchEnv;
use crate::flags::RunFlags;
use crate::group_commit::{self, GroupCommit};
use crate::load::{self, Measured};
use crate::report::{measured_as_json, ms, round, us};
use crate::request;
use crate::server::Server;
use crate::sync::ServerRun;

const HOOK: &str = "bench";
const WARM_UP: Duration = Duration::from_secs(1);

/// One number of connections.
pub(crate) struct Accepting {
    connections: usize,
    node: ServerRun,
    /// SQLite behind plain axum, with the HMAC checked.
    behind_axum: ServerRun,
    /// SQLite without HTTP, called by as many tasks of one process.
    alone: Measured,
}

/// Measures in an environment of its own: its events wait for ever.
pub(crate) async fn measure(
    flags: &RunFlags,
    connections: &[usize],
) -> anyhow::Result<Vec<Accepting>> {
    let env = BenchEnv::create(flags, "echo", HOOK_FILE, "")?;
    let plain = env.start_storing_server().await?;
    let (node, admin) = env.start_node_with_admin().await?;
    async_hook::pause(&admin, HOOK).await?;

    let request = env.request_with(&request::padded_body());
    for server in [&node, &plain] {
        load::run(server.address, &request, flags.connections, WARM_UP).await?;
    }
    let mut all = Vec::new();
    for number in connections {
        all.push(measure_at(flags, &env, (&node, &plain), *number).await?);
    }

    node.stop().await?;
    plain.stop().await?;
    Ok(all)
}

/// The node, SQLite behind plain axum, and SQLite alone, one after another.
async fn measure_at(
    flags: &RunFlags,
    env: &BenchEnv,
    (node, plain): (&Server, &Server),
    connections: usize,
) -> anyhow::Result<Accepting> {
    let body = request::padded_body();
    let requests = [env.request_with(&body)];
    let time = Duration::from_secs(flags.seconds);
    let of_node = ServerRun::of(node, &requests, connections, time).await?;
    let behind_axum = ServerRun::of(plain, &requests, connections, time).await?;

    let file = env.path().join(format!("alone-{connections}.sqlite"));
    let writer = GroupCommit::open(&file)?;
    Ok(Accepting {
        connections,
        node: of_node,
        behind_axum,
        alone: group_commit::run_alone(&writer, &body, connections, time).await?,
    })
}

/// The table, one row for each number of connections.
pub(crate) fn table(all: &[Accepting]) -> String {
    let mut text = "| connections | accepted alone/s | p99 | processor time | SQLite behind plain axum/s | p99 | processor time | \
                    Landfall to it | SQLite alone/s | p99 | Landfall to it |\n\
                    |--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    text.extend(all.iter().map(Accepting::row));
    text
}

// === impl Accepting ===

impl Accepting {
    fn to_behind_axum(&self) -> f64 {
        self.node.measured.per_second / self.behind_axum.measured.per_second
    }

    fn to_alone(&self) -> f64 {
        self.node.measured.per_second / self.alone.per_second
    }

    fn row(&self) -> String {
        let (node, behind_axum) = (&self.node.measured, &self.behind_axum.measured);
        format!(
            "| {} | {:.0} | {:.2} ms | {:.1} µs | {:.0} | {:.2} ms | {:.1} µs | {:.2} | {:.0} | {:.2} ms | {:.2} |\n",
            self.connections,
            node.per_second,
            ms(node.p99),
            us(self.node.processor),
            behind_axum.per_second,
            ms(behind_axum.p99),
            us(self.behind_axum.processor),
            self.to_behind_axum(),
            self.alone.per_second,
            ms(self.alone.p99),
            self.to_alone()
        )
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "node": self.node.as_json(),
            "sqlite_behind_axum": self.behind_axum.as_json(),
            "sqlite_alone": measured_as_json(&self.alone),
            "to_sqlite_behind_axum": round(self.to_behind_axum(), 3),
            "to_sqlite_alone": round(self.to_alone(), 3),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(per_second: f64, processor_us: u64) -> ServerRun {
        ServerRun {
            measured: measured(per_second),
            processor: Duration::from_micros(processor_us),
        }
    }

    fn measured(per_second: f64) -> Measured {
        Measured {
            per_second,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(4),
            elapsed: Duration::from_secs(1),
        }
    }

    #[test]
    fn rows_compare_with_both() {
        let one = Accepting {
            connections: 64,
            node: run(8000.0, 50),
            behind_axum: run(10_000.0, 25),
            alone: measured(16_000.0),
        };
        let row = "| 64 | 8000 | 4.00 ms | 50.0 µs | 10000 | 4.00 ms | 25.0 µs | 0.80 | 16000 | 4.00 ms | 0.50 |";
        let text = table(&[one]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], row);
        // Each line has as many columns.
        let columns = |line: &&str| line.matches('|').count();
        assert!(lines.iter().all(|line| columns(line) == 12), "{text}");
    }
}
