//! The counters of deliveries equal a recount, whatever two nodes do at the same time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use landfall_ledger::{
    Accepted, AttemptRecord, Disposition, Fence, Ledger, LedgerError, NewEvent, ReplayOrder,
    Results, Step,
};
use landfall_model::{
    Admission, DebounceHold, DedupKey, Event, EventId, Hold, HookRetentions, IdMatch, Keep, Quota,
    Stored,
};
use landfall_tests::faults::{Random, rounds};
use landfall_tests::{Postgres, eventually};

use super::lead::open;

const HOOKS: [&str; 3] = ["a", "b", "c"];
const STEPS: usize = 80;
/// Deliveries are removed soon after their end.
const KEEP: Duration = Duration::from_millis(1);
/// Hooks whose counters differ from their deliveries, in one snapshot.
const WRONG: &str = "SELECT count(*) FROM (SELECT hook, count(*) AS found FROM landfall.deliveries GROUP BY hook) d
    FULL JOIN (SELECT hook, sum(deliveries) AS counted FROM landfall.delivery_counts GROUP BY hook) c USING (hook)
    WHERE coalesce(found, 0) <> coalesce(counted, 0)";
const RECOUNT: &str = "SELECT hook, state, count(*) FROM landfall.deliveries GROUP BY hook, state ORDER BY hook, state";
const ROLL_UP: &str = "SET search_path = landfall; SELECT roll_up_counts(1, 1000000)";

/// A node that takes random steps.
struct Worker {
    ledger: Arc<dyn Ledger>,
    random: Random,
    events: Vec<EventId>,
    leased: Vec<(Fence, Arc<Event>)>,
}

/// Deadlocks are resolved by the server, and nothing is stored.
fn unless_busy<T>(result: Result<T, LedgerError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(LedgerError::Busy) => None,
        Err(error) => panic!("{error}"),
    }
}

fn attempt(outcome: &'static str) -> AttemptRecord {
    AttemptRecord {
        started_ms: 1,
        duration_us: 2,
        outcome,
        reason: "because".into(),
        status: None,
        record: "{}".into(),
    }
}

fn done(emitted: Vec<NewEvent>) -> Disposition {
    let quota = Quota {
        kv: 1 << 20,
        rows: 1 << 20,
    };
    Disposition::Done(Results {
        emitted,
        ..Results::empty(quota)
    })
}

// === impl Worker ===

impl Worker {
    async fn take_steps(mut self) -> Worker {
        for _ in 0..STEPS {
            match self.random.below(12) {
                0..=2 => self.accept().await,
                3 => self.claim().await,
                4..=7 => self.end_one().await,
                8 => self.record().await,
                9 => self.replay().await,
                10 => self.operate().await,
                _ => self.remove().await,
            }
        }
        self
    }

    fn hook(&mut self) -> Arc<str> {
        HOOKS[self.random.below(HOOKS.len())].into()
    }

    fn new_event(&mut self) -> NewEvent {
        let now = SystemTime::now();
        let event = Event {
            id: EventId::new(now),
            hook: self.hook(),
            received_at: now,
            method: http::Method::POST,
            path: "/h".into(),
            query: None,
            headers: http::HeaderMap::new(),
            body: "{}".into(),
            attributes: Vec::new(),
        };
        self.events.push(event.id);

        let is_dead = self.random.below(8) == 0;
        let admission = match self.random.below(8) {
            0 if !is_dead => Admission::Filtered("no".into()),
            1 if !is_dead => Admission::Hold(Hold {
                debounce: Some(DebounceHold {
                    key: Vec::new(),
                    wait: Duration::from_millis(10),
                    maximum: Duration::from_millis(50),
                    keep: Keep::Last,
                }),
                batch: None,
            }),
            _ => Admission::Run,
        };
        let dedup = DedupKey {
            key: vec![self.random.below(30) as u8],
            id_match: IdMatch::Id,
            window: Duration::from_secs(60),
        };
        NewEvent {
            stored: Stored::new(event),
            dedup: self.random.flip().then_some(dedup),
            order_key: (self.random.below(4) == 0).then(|| "k".into()),
            delay: Duration::ZERO,
            run_now: !is_dead && admission == Admission::Run && self.random.flip(),
            dead: is_dead.then_some("unreadable"),
            admission,
        }
    }

    async fn accept(&mut self) {
        let new = self.new_event();
        let event = Arc::new(new.stored.event().clone());
        let accepted = self.ledger.accept(new, Arc::default()).await;
        if let Some(Accepted::New {
            fence: Some(fence), ..
        }) = unless_busy(accepted)
        {
            self.leased.push((fence, event));
        }
    }

    async fn claim(&mut self) {
        let hook = self.hook();
        let claimed = unless_busy(self.ledger.claim(vec![(hook, 3)]).await);
        for (_, claimed, _) in claimed.into_iter().flatten() {
            for one in claimed {
                if let Some(Ok(event)) = one.event {
                    self.leased.push((one.fence, Arc::new(event)));
                }
            }
        }
    }

    async fn end_one(&mut self) {
        let Some((fence, event)) = self.leased.pop() else {
            return;
        };
        let disposition = match self.random.below(7) {
            0 => Disposition::Dead("no".into()),
            1 => Disposition::Retry(Duration::ZERO),
            2 => Disposition::Defer(Duration::ZERO),
            3 => done(vec![NewEvent {
                run_now: false,
                dead: None,
                ..self.new_event()
            }]),
            4 => {
                // To a broker, or back.
                let (handed, kept) = if self.random.flip() {
                    (vec![fence], Vec::new())
                } else {
                    (Vec::new(), vec![fence])
                };
                let pause = Duration::ZERO;
                unless_busy(self.ledger.hand_over(handed, kept, pause).await);
                return;
            }
            _ => done(Vec::new()),
        };
        let ended = self.ledger.finish(fence, event, attempt("x"), disposition);
        unless_busy(ended.await);
    }

    async fn record(&mut self) {
        let stored = self.new_event().stored;
        let disposition = if self.random.flip() {
            done(Vec::new())
        } else {
            Disposition::Dead("no".into())
        };
        let recorded = self.ledger.record(stored, attempt("x"), disposition).await;
        unless_busy(recorded);
    }

    async fn replay(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let event = self.events[self.random.below(self.events.len())];
        let order = ReplayOrder {
            events: vec![(event, None)],
            delay: Duration::ZERO,
            apart: Duration::ZERO,
            again: true,
            dry_run: false,
        };
        unless_busy(self.ledger.replay(order).await);
    }

    async fn operate(&mut self) {
        let step = if self.random.flip() {
            Step::Discard("known".into())
        } else {
            Step::RetryNow
        };
        let first = self.random.below(200) as i64;
        let deliveries = (first..first + 10).collect();
        unless_busy(self.ledger.operate(step, deliveries).await);
    }

    async fn remove(&mut self) {
        if self.random.below(4) == 0 {
            let hook = self.hook().to_string();
            unless_busy(self.ledger.purge(hook, 2).await);
        } else {
            unless_busy(self.ledger.prune(HookRetentions::default()).await);
        }
    }
}

/// What the node counts, in the form of psql.
async fn counted(ledger: &Arc<dyn Ledger>) -> String {
    let counts = ledger.count().await.unwrap();
    let lines: Vec<String> = counts
        .iter()
        .map(|count| {
            let state = count.state.number();
            format!("{}|{state}|{}", count.hook, count.deliveries)
        })
        .collect();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_a_recount() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    // Nodes do not use this default, with which their steps would fail.
    let default =
        format!("ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'");
    server.sql(database, &default);
    let mut random = Random::seeded();
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(Worker {
            ledger: open(&url, KEEP).await,
            random: Random::new(random.below(1 << 30) as u64),
            events: Vec::new(),
            leased: Vec::new(),
        });
    }

    for round in 0..rounds(4, 40) {
        let tasks: Vec<_> = workers
            .drain(..)
            .map(|worker| tokio::spawn(worker.take_steps()))
            .collect();
        loop {
            assert_eq!(server.sql(database, WRONG), "0", "in round {round}");
            if tasks.iter().all(|task| task.is_finished()) {
                break;
            }
        }
        for task in tasks {
            workers.push(task.await.unwrap());
        }

        for worker in &workers {
            let recounted = server.sql(database, RECOUNT);
            assert_eq!(counted(&worker.ledger).await, recounted, "round {round}");
        }
        server.sql(database, ROLL_UP);
        assert_eq!(server.sql(database, WRONG), "0", "after round {round}");
        let rows = server.sql(database, "SELECT count(*) FROM landfall.delivery_counts");
        assert!(rows.parse::<usize>().unwrap() <= HOOKS.len(), "{rows}");
    }

    // What an operator does in SQL counts too.
    for sql in [
        "UPDATE landfall.deliveries SET hook = 'renamed' WHERE hook = 'a'",
        "DELETE FROM landfall.deliveries WHERE hook = 'b'",
        "TRUNCATE landfall.deliveries",
    ] {
        server.sql(database, sql);
        let recounted = server.sql(database, RECOUNT);
        assert_eq!(counted(&workers[0].ledger).await, recounted, "{sql}");
    }
    for worker in workers {
        worker.ledger.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_roll_counters_up() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    // It refuses changes of tables whose rows it cannot tell apart.
    server.sql(database, "CREATE PUBLICATION everything FOR ALL TABLES");
    let ledger = open(&url, KEEP).await;
    let many = "INSERT INTO landfall.delivery_counts SELECT 'a', CASE WHEN n % 2 = 0 THEN 1 ELSE -1 END FROM generate_series(1, 3000) n";
    server.sql(database, many);

    eventually("the rows are one", || async {
        ledger.heartbeat(Vec::new()).await.unwrap();
        let rows = server.sql(database, "SELECT count(*) FROM landfall.delivery_counts");
        (rows == "0").then_some(())
    })
    .await;
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_wait_for_no_roll_up() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let ledger = open(&url, KEEP).await;
    let many = "INSERT INTO landfall.delivery_counts SELECT 'a', 1 FROM generate_series(1, 3000)";
    server.sql(database, many);
    let mut locking = server.session(database);
    locking.run("BEGIN; LOCK TABLE landfall.delivery_counts IN SHARE MODE");

    // It gives up at the limit of its session, and another one begins later.
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'SELECT roll_up_counts%' AND wait_event_type = 'Lock'";
    eventually("a heartbeat has ended before its roll-up", || async {
        ledger.heartbeat(Vec::new()).await.unwrap();
        (server.sql(database, waiting) != "0").then_some(())
    })
    .await;
    locking.run("ROLLBACK");
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_tables_have_no_counts() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let ledger = open(&url, KEEP).await;
    let many = "INSERT INTO landfall.delivery_counts SELECT 'a', 1 FROM generate_series(1, 3000)";
    server.sql(&database, many);
    let mut rolling_up = server.session(&database);
    rolling_up.run("BEGIN; SET LOCAL search_path = landfall; SELECT roll_up_counts(1, 1000000)");

    let emptied = database.clone();
    let emptying = tokio::task::spawn_blocking(move || {
        server.sql(&emptied, "TRUNCATE landfall.deliveries");
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'TRUNCATE%' AND wait_event_type = 'Lock'";
    eventually("the roll-up is waited for", || async {
        (server.sql(&database, waiting) != "0").then_some(())
    })
    .await;
    rolling_up.run("COMMIT");
    emptying.await.unwrap();
    let rows = server.sql(&database, "SELECT count(*) FROM landfall.delivery_counts");
    assert_eq!(rows, "0");
    ledger.close().await;
}
