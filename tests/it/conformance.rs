//! The same cases for every place where events can wait: a file, Postgres, NATS JetStream, Pub/Sub
//! and Cloud Tasks. Each case asserts for each of them, or `NOT_APPLICABLE` says why it cannot.

mod accept;
mod failures;
mod operator;
mod order;

use std::time::{Duration, Instant};

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::relay::Line;
use landfall_tests::require::not_applicable;
use landfall_tests::side_effects::{self, check};
use landfall_tests::{Node, Setup, bundled, eventually};
use serde_json::json;

pub(crate) use self::accept::*;
use self::failures::*;
pub(crate) use self::operator::*;
pub(crate) use self::order::*;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

const STORE: &str =
    "[settings]\ntable = \"t\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"t\"]\n";

/// Case, backend, and why the case has nothing to assert there.
const NOT_APPLICABLE: [(&str, &str, &str); 5] = [
    (
        "events_not_stored_are_refused",
        "sqlite",
        "a file has no connection that can be cut; tests/it/durable fills and breaks its disk",
    ),
    (
        "late_acknowledgements_are_waited_for",
        "sqlite",
        "a file has no connection; tests/it/durable slows its syncs down",
    ),
    (
        "stored_but_unanswered_events_run_once",
        "sqlite",
        "the answer of a file cannot get lost; tests/kills.rs ends the node between commit and \
         answer",
    ),
    (
        "what_is_too_large_is_refused",
        "sqlite",
        "a file takes every body that max_body allows",
    ),
    (
        "what_is_too_large_is_refused",
        "postgres",
        "the database takes every body that max_body allows",
    ),
];

macro_rules! cases {
    ($kind:ident, $backend:expr; $($case:ident)*) => {
        mod $kind {
            use super::Kind;

            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let (case, kind) = (stringify!($case), stringify!($kind));
                if let Some((.., why)) = super::NOT_APPLICABLE.iter().find(|(c, k, _)| (*c, *k) == (case, kind)) {
                    return super::not_applicable(why);
                }
                if let Some(backend) = super::Backend::start($backend).await {
                    super::$case(backend).await;
                }
            })*

            pub const CASES: &[&str] = &[$(stringify!($case)),*];
        }
    };
}

macro_rules! suite {
    ($($kind:ident: $backend:expr,)*) => {
        $(cases! { $kind, $backend;
            what_is_accepted_outlives_the_node
            events_not_stored_are_refused
            late_acknowledgements_are_waited_for
            stored_but_unanswered_events_run_once
            duplicates_run_once_other_bodies_run
            duplicate_of_a_dead_delivery_runs
            retries_are_never_early
            deferrals_use_no_attempts
            deferrals_end_with_max_age
            rejections_are_dead_letters
            refused_events_run_again
            resolved_dead_letters_are_not_replayed
            discarded_deliveries_stay_discarded
            discarded_deliveries_run_when_asked
            waiting_deliveries_run_at_once
            purge_removes_a_gone_hook
            erased_events_keep_their_fact
            encrypted_events_run_and_are_found
            one_order_key_runs_in_order
            a_backlog_waits_for_its_hook
            what_is_too_large_is_refused
            auto_returns_the_reply_if_possible
            forged_messages_do_not_run
        })*

        const BACKENDS: &[(&str, &[&str])] = &[$((stringify!($kind), $kind::CASES)),*];
    };
}

#[test]
fn only_known_cases_are_exempt() {
    for (case, backend, why) in NOT_APPLICABLE {
        let known = BACKENDS
            .iter()
            .any(|(name, cases)| *name == backend && cases.contains(&case));
        assert!(known && !why.is_empty(), "{case} of {backend}");
    }
}

// The backends, one line each.
suite! {
    sqlite: Kind::Sqlite,
    postgres: Kind::Postgres,
    nats: Kind::Nats,
    nats_postgres: Kind::NatsPostgres,
    pubsub: Kind::PubSub,
    pubsub_push: Kind::PubSubPush,
    cloud_tasks: Kind::CloudTasks,
}

/// Every case runs with `queue.key`.
const KEY: &str = "the key of the queue, for tests";

async fn serving(backend: &Backend, setup: Setup, hook: &str) -> Node {
    let has_broker = backend
        .variables()
        .any(|(name, _)| name == "LANDFALL_QUEUE_URL");
    let setup = match has_broker {
        true => backend
            .under(setup)
            .env("LANDFALL_QUEUE_KEY", "env:QUEUE_KEY")
            .env("QUEUE_KEY", KEY),
        false => backend.under(setup),
    };
    let node = setup.serving(hook).await;
    node.until_ready().await;
    backend.calls(&[&node]).await;
    node
}

/// Whether an event with this number was accepted.
async fn post(node: &Node, n: usize) -> bool {
    let answer = node
        .try_post(
            "/side_effects",
            &[("id", &n.to_string())],
            json!({ "n": n }).to_string(),
        )
        .await;
    answer.is_some_and(|answer| answer.0 == 202)
}

/// As a sender does: a busy broker may take longer than the node waits for it.
async fn accept(node: &Node, n: usize) {
    eventually("it is accepted", || async {
        post(node, n).await.then_some(())
    })
    .await;
}

async fn late_acknowledgements_are_waited_for(backend: Backend) {
    let hurried = format!("mode = \"async\"\nanswer_within = \"1s\"\n{OPEN}");
    let setup = side_effects::setup("async").hook("hurried", &bundled("echo"), &hurried);
    let node = serving(&backend, setup, "side_effects").await;
    node.until("hurried", "serving").await;

    assert!(
        backend.line(Line::Held),
        "{:?} has a line to hold",
        backend.kind
    );
    let started = Instant::now();
    let patient = async {
        let answer = node
            .post("/side_effects", &[("id", "0")], "{\"n\":0}")
            .await;
        (answer, started.elapsed())
    };
    let hurried = async {
        let answer = node.post("/hurried", &[], "{}").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        backend.line(Line::Whole);
        answer
    };
    let ((answer, waited), hurried) = tokio::join!(patient, hurried);
    assert_eq!(hurried.0, 503, "{hurried:?}");
    // The other caller was refused after one second, and the line was held for two more.
    assert!(waited >= Duration::from_secs(3), "{waited:?}: {answer:?}");
    // The broker has acknowledged the event. A busy machine may be too slow even so.
    assert!(matches!(answer.0, 202 | 503), "{answer:?}");
    accept(&node, 0).await;
    check(&node, 1, &format!("{:?}", backend.kind)).await;
}
