//! The steps of waiting events in a ledger of Postgres, with the faults that no sender can cause.
//! The same tests of SQLite are beside its code.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_ledger::{
    AttemptRecord, Claimed, Disposition, FlowStep, Ledger, NewEvent, PostgresSettings, Results,
    Stranded,
};
use landfall_model::{
    Admission, BatchHold, DebounceHold, DedupKey, Event, EventId, Hold, IdMatch, Keep, Quota,
    Retention, Stored,
};
use landfall_tests::Postgres;

const SHORT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3_600);

/// A ledger in a database of its own.
struct Opened {
    server: &'static Postgres,
    database: String,
    ledger: Arc<dyn Ledger>,
}

// === impl Opened ===

impl Opened {
    /// `None`: there is no server.
    async fn new() -> Option<Opened> {
        let server = Postgres::shared()?;
        let url = server.database();
        let database = url.rsplit('/').next().unwrap().to_owned();
        let settings = PostgresSettings {
            url,
            tls: landfall_egress::tls(),
            retention: Retention {
                deliveries: LONG,
                bodies: LONG,
                max_size: u64::MAX,
            },
        };
        let ledger = landfall_ledger::connect(settings).await.unwrap();
        Some(Opened {
            server,
            database,
            ledger,
        })
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    /// Whether the event is new.
    async fn accept(&self, new: NewEvent) -> bool {
        let accepted = self.ledger.accept(new, Arc::default()).await.unwrap();
        matches!(accepted, landfall_ledger::Accepted::New { .. })
    }

    async fn claim(&self, hook: &str) -> Vec<Claimed> {
        let mut claims = self.ledger.claim(vec![(hook.into(), 99)]).await.unwrap();
        claims.remove(0).1
    }

    /// How often the flow has done this since the last call.
    fn counted(&self, step: FlowStep) -> usize {
        let counts = self.ledger.take_flow_counts();
        let found = counts.iter().find(|one| one.step == step);
        found.map_or(0, |one| one.count)
    }
}

fn event(hook: &str, body: &str) -> NewEvent {
    let at = SystemTime::now();
    NewEvent {
        stored: Stored::new(Event {
            id: EventId::new(at),
            hook: hook.into(),
            received_at: at,
            method: http::Method::POST,
            path: "/h".into(),
            query: None,
            headers: http::HeaderMap::new(),
            body: body.to_owned().into(),
            attributes: Vec::new(),
        }),
        dedup: None,
        order_key: None,
        delay: Duration::ZERO,
        run_now: false,
        dead: None,
        admission: Admission::Run,
    }
}

fn held(body: &str, debounce: Option<DebounceHold>, batch: Option<BatchHold>) -> NewEvent {
    NewEvent {
        admission: Admission::Hold(Hold { debounce, batch }),
        ..event("h", body)
    }
}

fn debounce(key: &str, wait: Duration) -> Option<DebounceHold> {
    Some(DebounceHold {
        key: key.as_bytes().to_vec(),
        wait,
        maximum: LONG,
        keep: Keep::Last,
    })
}

fn batch(count: u32, time: Duration) -> Option<BatchHold> {
    Some(BatchHold {
        key: Vec::new(),
        count,
        time,
        bytes_max: 1000,
        bytes: 10,
    })
}

fn body(claimed: &Claimed) -> &[u8] {
    &claimed.event.as_ref().unwrap().as_ref().unwrap().body
}

fn freed(count: usize) -> Stranded {
    Stranded {
        freed: vec![("h".into(), count)],
        next: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_groups_stop_no_hook() {
    for damage in ["batch_key = '\\x00'", "step = 9", "bytes = -1"] {
        let Some(opened) = Opened::new().await else {
            return;
        };
        opened.accept(held("a", debounce("k", SHORT), None)).await;
        opened.accept(event("g", "b")).await;
        opened.sql(&format!("UPDATE landfall.held SET {damage}"));

        let hooks = vec![("h".into(), 9), ("g".into(), 9)];
        let claims = opened.ledger.claim(hooks).await.unwrap();
        let of_both: Vec<usize> = claims.iter().map(|(_, all, _)| all.len()).collect();
        assert_eq!(of_both, [0, 1], "{damage}");
        assert_eq!(opened.counted(FlowStep::Damaged), 1, "{damage}");

        let step = opened.ledger.free_stranded(None).await.unwrap();
        assert_eq!(step, freed(1), "{damage}");
        let claimed = opened.claim("h").await;
        assert_eq!(body(&claimed[0]), b"a", "{damage}");
        opened.ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_groups_take_no_event() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    opened.accept(held("a", None, batch(9, LONG))).await;
    let most = i64::MAX;
    opened.sql(&format!("UPDATE landfall.held SET bytes = {most}"));
    opened.accept(held("b", None, batch(9, LONG))).await;
    assert_eq!(opened.counted(FlowStep::Damaged), 1);
    let step = opened.ledger.free_stranded(None).await.unwrap();
    assert_eq!(step, freed(1));
    assert_eq!(body(&opened.claim("h").await[0]), b"a");
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_delays_nothing() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    opened.accept(held("a", None, batch(9, SHORT))).await;
    opened.accept(held("b", debounce("k", LONG), None)).await;
    // As if both were opened before the clock was set back by a month.
    opened.sql("UPDATE landfall.held SET since = since + 2592000000, due = due + 2592000000");
    assert!(opened.claim("h").await.is_empty());
    let step = opened.ledger.free_stranded(None).await.unwrap();
    assert_eq!(step, Stranded::default());
    let claimed = opened.claim("h").await;
    assert_eq!((claimed.len(), body(&claimed[0])), (1, &b"a"[..]));
    let late = opened.sql(
        "SELECT count(*) FROM landfall.held
         WHERE since > landfall.now_ms() OR due > landfall.now_ms() + 3600000",
    );
    assert_eq!(late, "0", "the other group has its time from now on");
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_batches_forget_every_identity() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    for (status, is_new) in [(200, false), (503, true)] {
        let identified = |id: &str| NewEvent {
            dedup: Some(DedupKey {
                key: format!("{status}{id}").into_bytes(),
                id_match: IdMatch::Id,
                window: LONG,
            }),
            ..held(id, None, batch(2, LONG))
        };
        for id in ["a", "b"] {
            assert!(opened.accept(identified(id)).await);
        }
        let one = opened.claim("h").await.remove(0);
        assert_eq!(one.members.len(), 1);
        let attempt = AttemptRecord {
            started_ms: 1,
            duration_us: 2,
            outcome: "done",
            reason: String::new(),
            status: Some(status),
            record: "{}".into(),
        };
        let done = Disposition::Done(Results::empty(Quota { kv: 0, rows: 0 }));
        let event = Arc::new(one.event.unwrap().unwrap());
        let ended = opened.ledger.finish(one.fence, event, attempt, done).await;
        ended.unwrap();
        for id in ["a", "b"] {
            assert_eq!(opened.accept(identified(id)).await, is_new, "{status} {id}");
        }
    }
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_groups_is_counted() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    opened.sql(
        "INSERT INTO landfall.held (hook, step, key, first, current, since, due, members, bytes)
         SELECT 'h', 1, convert_to('other' || n, 'UTF8'), -n, -n, 0, 900000000000000, 1, 0 FROM generate_series(1, 10000) n",
    );
    opened.accept(held("a", debounce("k", LONG), None)).await;
    let counts = opened.ledger.take_flow_counts();
    let steps: Vec<FlowStep> = counts.iter().map(|one| one.step).collect();
    assert_eq!(steps, [FlowStep::Unheld], "it is not debounced");
    assert_eq!(opened.claim("h").await.len(), 1);
    assert_eq!(opened.counted(FlowStep::Unheld), 0, "it is counted once");

    // With room again, an event waits as soon as the groups are counted again.
    opened.sql("DELETE FROM landfall.held WHERE first < -1; DELETE FROM landfall.held_open");
    opened.accept(held("b", debounce("k", LONG), None)).await;
    assert_eq!(opened.counted(FlowStep::Debounced), 1);
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_purge_blocks_nothing() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    for n in 0..5 {
        opened
            .accept(NewEvent {
                order_key: Some("o".into()),
                ..event("h", &n.to_string())
            })
            .await;
    }
    opened.sql("SET search_path = landfall; SELECT purge('h', 2)");
    let claimed = opened.claim("h").await;
    assert_eq!((claimed.len(), body(&claimed[0])), (1, &b"2"[..]));
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_wait_for_ending_attempts() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    for n in 0..3 {
        opened
            .accept(NewEvent {
                order_key: Some("o".into()),
                ..event("h", &n.to_string())
            })
            .await;
    }
    assert_eq!(opened.claim("h").await.len(), 1);

    // The end of that attempt, as `finish` takes its locks.
    let end = "SET search_path = landfall;
               UPDATE deliveries SET state = state_done(), ended = now_ms() WHERE state = state_running();
               SELECT lock_order('h', 'o'); SELECT pg_sleep(2); SELECT unblock_next('h', 'o')";
    let (server, database) = (opened.server, opened.database.clone());
    let ending = tokio::task::spawn_blocking(move || server.sql(&database, end));
    let is_held = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    while opened.sql(is_held) != "t" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    opened.sql("SET search_path = landfall; SELECT purge('h', 9)");
    ending.await.unwrap();
    let left = opened.sql("SELECT count(*) FROM landfall.deliveries");
    assert_eq!(left, "1", "only what ran is left");
    opened.ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_groups_close_together() {
    let Some(opened) = Opened::new().await else {
        return;
    };
    // The first debounced event fills the batch, the second begins another one under the same key.
    for (text, key) in [("a", "1"), ("b", "2")] {
        let new = held(text, debounce(key, SHORT), batch(2, SHORT));
        opened.accept(new).await;
    }
    opened.accept(held("c", None, batch(2, SHORT))).await;
    let mut ran = Vec::new();
    // A batch that a debounced event has joined is closed by the next claim.
    for _ in 0..3 {
        for one in opened.claim("h").await {
            ran.push(1 + one.members.len());
        }
    }
    assert_eq!(ran.iter().sum::<usize>(), 3, "{ran:?}");
    assert!(ran.contains(&2), "{ran:?}");
    opened.ledger.close().await;
}
