//! Modes `async` and `auto`: the same component, called in turns over as many connections. Each
//! event is run to its end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::async_hook::{ended_attempts, wait_for_ended};
use crate::env::{Admin, BenchEnv};
use crate::flags::RunFlags;
use crate::load::{self, Measured};
use crate::report::{ms, round, us};
use crate::request;
use crate::server::Server;
use crate::sync::{ServerRun, median};

const WARM_UP: Duration = Duration::from_secs(1);
/// The hook of the environment, in mode `async`.
const ASYNC_HOOK: &str = "bench";
/// The same in mode `auto`: its callers wait for the reply.
const AUTO_HOOK: &str = "auto";

/// The medians of both modes. Their rates are those of the whole cycle.
pub(crate) struct Modes {
    connections: usize,
    of_async: ServerRun,
    of_auto: ServerRun,
}

pub(crate) async fn measure(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
) -> anyhow::Result<Modes> {
    let hook_file = "component = \"bench.wasm\"\nmode = \"auto\"\n";
    env.add_signed_hook(AUTO_HOOK, hook_file, "")?;
    let body = request::padded_body();
    load::wait_for_200(node.address, &env.request_to(AUTO_HOOK, &body)).await?;

    let time = Duration::from_secs(flags.seconds);
    let (mut of_async, mut of_auto) = (Vec::new(), Vec::new());
    for hook in [ASYNC_HOOK, AUTO_HOOK] {
        whole_cycle(flags, env, node, admin, hook, WARM_UP).await?;
    }
    for _ in 0..flags.rounds.max(1) {
        of_async.push(whole_cycle(flags, env, node, admin, ASYNC_HOOK, time).await?);
        of_auto.push(whole_cycle(flags, env, node, admin, AUTO_HOOK, time).await?);
    }

    Ok(Modes {
        connections: flags.connections,
        of_async: median(of_async),
        of_auto: median(of_auto),
    })
}

/// Events of a hook, from the first request to the end of the last attempt.
async fn whole_cycle(
    flags: &RunFlags,
    env: &BenchEnv,
    node: &Server,
    admin: &Admin,
    hook: &str,
    time: Duration,
) -> anyhow::Result<ServerRun> {
    let request = env.request_to(hook, &request::padded_body());
    let (ended, used) = (ended_attempts(admin, hook).await?, node.processor_time());
    let started = Instant::now();
    let answered = load::run(node.address, &request, flags.connections, time).await?;
    let count = answered.count();
    wait_for_ended(admin, hook, ended + count).await?;
    let elapsed = started.elapsed();
    let used = node.processor_time().saturating_sub(used);

    let count = count.max(1) as f64;
    Ok(ServerRun {
        measured: Measured {
            per_second: count / elapsed.as_secs_f64(),
            elapsed,
            ..answered
        },
        processor: used.div_f64(count),
    })
}

// === impl Modes ===

impl Modes {
    /// How many times as fast `async` is.
    fn ratio(&self) -> f64 {
        self.of_async.measured.per_second / self.of_auto.measured.per_second
    }

    pub(crate) fn table(&self, flags: &RunFlags) -> String {
        let mut text =
            "| mode | whole cycle/s | p50 of the answer | p99 of the answer | processor time |\n\
                        |---|--:|--:|--:|--:|\n"
                .to_owned();
        for (mode, run) in [("async", &self.of_async), ("auto", &self.of_auto)] {
            let measured = &run.measured;
            text.push_str(&format!(
                "| `{mode}` | {:.0} | {:.2} ms | {:.2} ms | {:.1} µs |\n",
                measured.per_second,
                ms(measured.p50),
                ms(measured.p99),
                us(run.processor)
            ));
        }
        text.push_str(&format!(
            "\n`async` is {:.2} times as fast as `auto`. Connections: {}. Runs of each: {}, in turns; the row is the run with the \
             median rate.\n",
            self.ratio(),
            self.connections,
            flags.rounds.max(1)
        ));
        text
    }

    pub(crate) fn as_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "async": self.of_async.as_json(),
            "auto": self.of_auto.as_json(),
            "async_to_auto": round(self.ratio(), 3),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        run: RunFlags,
    }

    fn run(per_second: f64, p99_ms: u64) -> ServerRun {
        ServerRun {
            measured: Measured {
                per_second,
                p50: Duration::from_millis(1),
                p99: Duration::from_millis(p99_ms),
                elapsed: Duration::from_secs(1),
            },
            processor: Duration::from_micros(90),
        }
    }

    #[test]
    fn the_ratio_is_of_rates() {
        let modes = Modes {
            connections: 64,
            of_async: run(12_000.0, 5),
            of_auto: run(10_000.0, 9),
        };
        let flags = Flags::parse_from(["test", "--rounds", "3"]).run;
        let text = modes.table(&flags);
        let auto = "| `auto` | 10000 | 1.00 ms | 9.00 ms | 90.0 µs |\n";
        assert!(text.contains(auto), "{text}");
        let ratio = "`async` is 1.20 times as fast as `auto`. Connections: 64. Runs of each: 3,";
        assert!(text.contains(ratio), "{text}");
    }
}
