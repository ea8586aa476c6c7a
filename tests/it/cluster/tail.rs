//! The stream of changes, while transactions of several sessions commit in another order than they
//! took the numbers of their deliveries.

use std::collections::BTreeMap;

use landfall_tests::{Postgres, Session, Setup, eventually, guest};

use super::OPEN;
use crate::api::tail::Stream;

/// Deliveries that are committed after a transaction has taken its number, and before it ends: more
/// than one look of a node reports.
const BESIDE: usize = 1_200;

/// The statement that stores so many events, which are done, and returns the last delivery.
fn store(events: usize) -> String {
    format!(
        "WITH stored AS (
             INSERT INTO landfall.events (id, hook, received_ms, head, body_bytes, body_digest, checksum)
             SELECT gen_random_uuid(), 'in', landfall.now_ms(), '', 0, '', '' FROM generate_series(1, {events}) RETURNING seq),
         added AS (
             INSERT INTO landfall.deliveries (event, hook, state, due, attempt, ended)
             SELECT seq, 'in', landfall.state_done(), 0, 1, landfall.now_ms() FROM stored RETURNING id)
         SELECT max(id) FROM added"
    )
}

/// A transaction that has taken the number of a delivery and goes on.
fn begin(server: &Postgres, database: &str) -> (Session, i64) {
    let mut session = server.session(database);
    session.run("BEGIN");
    let number = session.run(&store(1)).parse().expect("a number");
    (session, number)
}

/// How often each change of each delivery was sent.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(i64, String), usize>);

// === impl Seen ===

impl Seen {
    /// Reads until all these deliveries are done.
    async fn read_until_done(&mut self, stream: &mut Stream, deliveries: &[i64]) {
        while !deliveries
            .iter()
            .all(|one| self.0.contains_key(&(*one, "done".to_owned())))
        {
            let (change, data) = stream.next().await;
            let number = data["delivery"]["delivery"].as_i64();
            let number = number.unwrap_or_else(|| panic!("{change}: {data}"));
            *self.0.entry((number, change)).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_commits_are_sent_once() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.database();
    let database = url.rsplit('/').next().unwrap();
    let file = format!("mode = \"async\"\n{OPEN}");
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &file)
        .env("LANDFALL_LEDGER_URL", &url);
    let (one, two) = tokio::join!(setup.copy().serving("in"), setup.copy().serving("in"));
    let old: i64 = server.sql(database, &store(1)).parse().unwrap();

    // One has begun before the streams, one after them, and one is rolled back.
    let (mut before, first) = begin(server, database);
    let newest: i64 = server.sql(database, &store(1)).parse().unwrap();
    let mut streams = [Stream::open(&one, "").await, Stream::open(&two, "").await];
    let (mut after, second) = begin(server, database);
    let (mut undone, never) = begin(server, database);
    assert!(old < first && first < newest && newest < second && second < never);

    let mut seen = [Seen::default(), Seen::default()];
    let beside: i64 = server.sql(database, &store(BESIDE)).parse().unwrap();
    for node in [&one, &two, &one, &two] {
        assert_eq!(node.post("/in", &[], "{}").await.0, 202);
    }
    for (seen, stream) in seen.iter_mut().zip(&mut streams) {
        seen.read_until_done(stream, &[beside]).await;
    }

    undone.run("ROLLBACK");
    after.run("COMMIT");
    before.run("COMMIT");
    for (seen, stream) in seen.iter_mut().zip(&mut streams) {
        seen.read_until_done(stream, &[first, second]).await;
    }

    // A later event, so that what would be sent twice is there.
    assert_eq!(two.post("/in", &[], "{}").await.0, 202);
    let states = "SELECT count(*) FROM landfall.deliveries WHERE state <> landfall.state_done()";
    eventually("all are done", || async {
        (server.sql(database, states) == "0").then_some(())
    })
    .await;
    let numbers = server.sql(database, "SELECT id FROM landfall.deliveries ORDER BY id");
    let all: Vec<i64> = numbers.lines().map(|line| line.parse().unwrap()).collect();
    let expected: Vec<i64> = all
        .into_iter()
        .filter(|number| *number > newest || *number == first)
        .collect();
    assert!(!expected.contains(&never), "{never} was rolled back");
    for (seen, stream) in seen.iter_mut().zip(&mut streams) {
        seen.read_until_done(stream, &expected).await;
        let once: BTreeMap<(i64, String), usize> = expected
            .iter()
            .flat_map(|number| ["accepted", "done"].map(|change| ((*number, change.to_owned()), 1)))
            .collect();
        assert_eq!(seen.0, once);
    }
}
