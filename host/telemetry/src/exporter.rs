//! The task that sends spans and metrics to the collector. It has one batch of spans in memory,
//! besides the queue: while a collector does not answer, further spans are dropped and counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use landfall_metrics::{Family, Metrics};
use landfall_model::{Clock, SecretSource};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::collector::{Collector, METRICS, SendError, TRACES};
use super::settings::TelemetrySettings;
use super::span::Span;
use super::{convert, metrics, otlp};

/// The most spans of one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How often a batch is sent before it is dropped.
const TRIES_MAX: u32 = 4;
/// The pause after the first try. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Reads the metrics of the node.
pub type MetricsReader =
    Arc<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = Vec<Family>> + Send>> + Send + Sync>;

/// Sends spans and metrics until it is stopped.
pub struct Exporter {
    spans: mpsc::Receiver<Span>,
    sender: Sender,
    metrics_interval: Option<Duration>,
    counters: Arc<Metrics>,
    clock: Clock,
}

/// The collector, and whether it answered last time.
struct Sender {
    collector: Collector,
    resource: otlp::Resource,
    stop: watch::Receiver<bool>,
    is_down: bool,
}

// === impl Exporter ===

impl Exporter {
    pub(crate) fn new(
        settings: TelemetrySettings,
        secrets: Arc<dyn SecretSource>,
        counters: Arc<Metrics>,
        clock: Clock,
        spans: mpsc::Receiver<Span>,
    ) -> Exporter {
        let sender = Sender {
            collector: Collector::new(&settings, secrets),
            resource: convert::resource(&settings.resource),
            // Replaced when the exporter runs.
            stop: watch::channel(false).1,
            is_down: false,
        };
        Exporter {
            spans,
            sender,
            metrics_interval: settings.metrics_interval,
            counters,
            clock,
        }
    }

    /// Runs until `stop` has the value true, then sends what waits, once. `started`: the start of
    /// the node, since when the metrics count.
    pub async fn run(
        self,
        started: SystemTime,
        read_metrics: MetricsReader,
        stop: watch::Receiver<bool>,
    ) {
        let Exporter {
            mut spans,
            mut sender,
            metrics_interval,
            counters,
            clock,
        } = self;
        sender.stop = stop;
        tracing::info!(collector = sender.collector.endpoint(), "telemetry is sent");

        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut next_metrics = metrics_interval.map(|interval| Instant::now() + interval);
        loop {
            let event = next(&mut spans, &mut batch, &mut sender.stop, next_metrics).await;
            if event == Next::Stop {
                take_waiting(&mut spans, &mut batch);
            }
            if event != Next::Metrics {
                let dropped = sender.send_spans(&batch).await;
                counters.count_dropped_spans(dropped);
                batch.clear();
            }

            if event != Next::Spans && metrics_interval.is_some() {
                let families = read_metrics().await;
                sender.send_metrics(&families, started, clock.now()).await;
                next_metrics = metrics_interval.map(|interval| Instant::now() + interval);
            }
            if event == Next::Stop {
                return;
            }
        }
    }
}

/// What the exporter does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Send the batch.
    Spans,
    /// Send the metrics. The batch is not complete yet.
    Metrics,
    /// Send everything, and end.
    Stop,
}

/// Fills the batch until it is full, its first span has waited, metrics are due, or the node stops.
async fn next(
    spans: &mut mpsc::Receiver<Span>,
    batch: &mut Vec<Span>,
    stop: &mut watch::Receiver<bool>,
    metrics_at: Option<Instant>,
) -> Next {
    tokio::select! {
        () = stopped(stop) => Next::Stop,
        () = sleep_until_some(metrics_at) => Next::Metrics,
        () = fill(spans, batch) => Next::Spans,
    }
}

/// Returns when the node stops. Its end of the channel is dropped only with the process.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|is_stopping| *is_stopping).await.ok();
}

/// May be interrupted at any time: the spans are in the batch then.
async fn fill(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    if batch.is_empty() && spans.recv_many(batch, BATCH_MAX).await == 0 {
        // Every tracer is gone: only a stop can come.
        std::future::pending::<()>().await;
    }

    let until = Instant::now() + BATCH_DELAY;
    while batch.len() < BATCH_MAX {
        let left = BATCH_MAX - batch.len();
        match timeout_at(until, spans.recv_many(batch, left)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Adds everything that is in the queue to the batch, which then has at most as many spans as both.
fn take_waiting(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    while let Ok(span) = spans.try_recv() {
        batch.push(span);
    }
}

// === impl Sender ===

impl Sender {
    /// The number of spans that the collector did not accept.
    async fn send_spans(&mut self, batch: &[Span]) -> u64 {
        if batch.is_empty() {
            return 0;
        }

        let message = convert::traces(&self.resource, batch).encode_to_vec();
        match self.send(TRACES, message.into()).await {
            Some(answer) => rejected(&answer),
            None => batch.len() as u64,
        }
    }

    async fn send_metrics(&mut self, families: &[Family], start: SystemTime, now: SystemTime) {
        let message = metrics::metrics(&self.resource, families, start, now).encode_to_vec();
        // The next values contain what these would have said.
        if let Err(error) = self.collector.send(METRICS, message.into()).await {
            self.note_failure(&error);
        } else {
            self.note_success();
        }
    }

    /// Sends a message, several times if need be. `None`: the collector did not accept it.
    async fn send(&mut self, path: &str, message: Bytes) -> Option<Bytes> {
        let mut pause = FIRST_PAUSE;
        for number in 1..=TRIES_MAX {
            let error = match self.collector.send(path, message.clone()).await {
                Ok(answer) => {
                    self.note_success();
                    return Some(answer);
                }
                Err(error) => error,
            };

            self.note_failure(&error);
            let is_last = number == TRIES_MAX || matches!(error, SendError::Never(_));
            if is_last || self.stops_within(pause).await {
                break;
            }
            pause *= 2;
        }
        None
    }

    /// Waits, unless the node stops.
    async fn stops_within(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = stopped(&mut self.stop) => true,
            () = sleep(pause) => false,
        }
    }

    /// One line for each outage.
    fn note_failure(&mut self, error: &SendError) {
        let (SendError::Later(why) | SendError::Never(why)) = error;
        if !self.is_down {
            self.is_down = true;
            let collector = self.collector.endpoint();
            tracing::warn!(
                collector,
                why,
                "the collector does not accept telemetry: it is dropped and counted until it does"
            );
        }
    }

    fn note_success(&mut self) {
        if self.is_down {
            self.is_down = false;
            let collector = self.collector.endpoint();
            tracing::info!(collector, "the collector accepts telemetry again");
        }
    }
}

/// The number of spans that the collector rejected. An answer that cannot be read rejects none.
fn rejected(answer: &[u8]) -> u64 {
    let answer = otlp::ExportServiceResponse::decode(answer).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected);
    u64::try_from(rejected).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_spans_are_counted() {
        let answer = otlp::ExportServiceResponse {
            partial_success: Some(otlp::PartialSuccess {
                rejected: 7,
                error_message: "no".into(),
            }),
        };
        assert_eq!(rejected(&answer.encode_to_vec()), 7);
        assert_eq!(rejected(b""), 0);
        assert_eq!(rejected(b"{}"), 0);
    }
}
