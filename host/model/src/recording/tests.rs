use std::collections::BTreeMap;

use serde_json::json;

use super::difference::of_bodies;
use super::*;

fn call(url: &str, body: &str) -> RecordedCall {
    RecordedCall {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("x-shop".into(), "7".into())],
        body: RecordedBody::new(body.as_bytes()),
        overlaps: false,
        answer: RecordedAnswer::Answered {
            status: 200,
            headers: Vec::new(),
            body: RecordedBody::default(),
        },
    }
}

fn recording() -> Recording {
    Recording {
        version: RECORDING_VERSION,
        component: "sha256:00".into(),
        attempt: 1,
        calls: vec![
            call(
                "https://a.example/1",
                "{\"amount\":1,\"list\":[{\"id\":1}]}",
            ),
            call("https://a.example/2", "two"),
        ],
        values: BTreeMap::from([("seen".into(), None)]),
        random: Some(RandomSeeds {
            secure: [255; 32],
            insecure: 1,
            seed: (2, u64::MAX),
        }),
        result: RunResult {
            outcome: "done".into(),
            reply: Some(RecordedReply {
                status: 200,
                headers: Vec::new(),
                body: RecordedBody::new(b"{\"ok\":true}"),
            }),
            rows: vec![RecordedRow {
                table: "orders".into(),
                row: RecordedBody::new(b"{\"id\":1}"),
            }],
            duration_us: 1000,
            memory_bytes: 1 << 20,
            ..RunResult::default()
        },
        ..Recording::default()
    }
}

fn found(change: impl FnOnce(&mut Recording)) -> Vec<(&'static str, String)> {
    let mut run = RecordedRun {
        recording: recording(),
        missing: Vec::new(),
    };
    change(&mut run.recording);
    let compared = compare(&recording(), &run, &Tolerance::default());
    let differences = compared.differences.into_iter();
    differences
        .map(|one| (one.kind.word(), one.place))
        .collect()
}

#[test]
fn recordings_survive_json() {
    let mut recording = recording();
    recording.calls[0].body = RecordedBody::new(&[0xff, 0]);
    recording.calls[1].body = RecordedBody::comparable(&[b'x'; 1000], 100);
    let text = serde_json::to_string(&recording).unwrap();
    assert_eq!(serde_json::from_str::<Recording>(&text).unwrap(), recording);
    assert!(!text.contains("monotonic"), "{text}");
}

#[test]
fn equal_runs_have_no_difference() {
    assert!(found(|_| {}).is_empty());
    // Their ids and their digest are not compared.
    assert!(found(|run| run.component = "sha256:11".into()).is_empty());
}

#[test]
fn each_part_is_compared() {
    let reply = |run: &mut Recording| run.result.reply.as_mut().unwrap().status = 202;
    assert_eq!(found(reply), [("reply", "status 200 → 202".to_owned())]);

    let row = |run: &mut Recording| run.result.rows[0].row = RecordedBody::new(b"{\"id\":2}");
    assert_eq!(found(row), [("rows", "orders/id".to_owned())]);

    let body = "{\"amount\":1,\"list\":[{\"id\":2}]}";
    let changed = |run: &mut Recording| run.calls[0].body = RecordedBody::new(body.as_bytes());
    let place = "POST https://a.example/1 body/list/*/id";
    assert_eq!(found(changed), [("calls", place.to_owned())]);

    let dropped = |run: &mut Recording| drop(run.calls.pop());
    let place = "missing POST https://a.example/2";
    assert_eq!(found(dropped), [("calls", place.to_owned())]);

    let outcome = |run: &mut Recording| run.result.outcome = "retry".into();
    assert_eq!(found(outcome), [("outcome", "done → retry".to_owned())]);

    let slow = |run: &mut Recording| run.result.duration_us = 60_000;
    assert_eq!(found(slow), [("duration", "longer".to_owned())]);
}

/// A changed call is a call without an answer, and a change of the recorded one.
#[test]
fn allowed_calls_hide_no_change() {
    let changed = call("https://a.example/2", "three");
    let mut run = RecordedRun {
        recording: recording(),
        missing: vec![Missing::Call {
            method: changed.method.clone(),
            url: changed.url.clone(),
            body: changed.body.clone(),
        }],
    };
    run.recording.calls[1] = changed;
    let compared = compare(&recording(), &run, &Tolerance::default());
    let places: Vec<&str> = compared.following.iter().map(|one| &*one.place).collect();
    assert_eq!(places, ["POST https://a.example/2 body"]);

    // The order of the others counts beside a new call, also beside a second equal one.
    run.recording.calls = recording().calls;
    run.recording.calls.swap(0, 1);
    let again = run.recording.calls[0].clone();
    run.missing = vec![Missing::Call {
        method: again.method.clone(),
        url: again.url.clone(),
        body: again.body.clone(),
    }];
    run.recording.calls.push(again);
    let compared = compare(&recording(), &run, &Tolerance::default());
    let places: Vec<&str> = compared.following.iter().map(|one| &*one.place).collect();
    assert_eq!(places, ["order"]);
}

#[test]
fn dropped_comparisons_are_found() {
    let set = RecordedChange::Set {
        value: RecordedBody::new(b"1"),
        expires_in_s: None,
    };
    let add = RecordedChange::Add {
        by: 1,
        expires_in_s: None,
    };
    // Every change that the attempt can make to the key after its `compare_and_set`.
    for change in [set, RecordedChange::Delete, add] {
        let with = |condition: Option<Option<&str>>| {
            let mut recording = recording();
            recording.result.kv.insert("count".into(), change.clone());
            if let Some(expected) = condition {
                let expected = expected.map(|text| RecordedBody::new(text.as_bytes()));
                recording.result.conditions.insert("count".into(), expected);
            }
            recording
        };
        for (before, after, place) in [
            (Some(Some("0")), None, Some("condition")),
            (None, Some(None), Some("condition")),
            (Some(Some("0")), Some(Some("7")), Some("condition")),
            (Some(None), Some(Some("0")), Some("condition")),
            (Some(Some("0")), Some(Some("0")), None),
            (None, None, None),
        ] {
            let run = RecordedRun {
                recording: with(after),
                missing: Vec::new(),
            };
            let compared = compare(&with(before), &run, &Tolerance::default());
            let found = compared.differences.iter();
            let found: Vec<_> = found.map(|one| (one.kind, &*one.place)).collect();
            let expected = place.map(|place| (DifferenceKind::Kv, place));
            assert_eq!(found, Vec::from_iter(expected), "{before:?} {after:?}");
        }
    }

    let mut recorded = recording();
    let expected = Some(RecordedBody::new(b"0"));
    recorded.result.conditions.insert("count".into(), expected);
    let run = RecordedRun {
        recording: recording(),
        missing: Vec::new(),
    };
    let compared = compare(&recorded, &run, &Tolerance::default());
    assert_eq!(compared.differences[0].recorded["if_value_is"], "0");
}

/// A difference that is meant must not hide another one behind it.
#[test]
fn many_places_hide_no_other() {
    let list = |price: u32, total: u32| {
        let items: Vec<_> = (0..50)
            .map(|id| json!({ "id": id, "price": price }))
            .collect();
        json!({ "items": items, "total": total }).to_string()
    };
    let body = |text: String| RecordedBody::new(text.as_bytes());
    let differences = of_bodies(
        DifferenceKind::Reply,
        "body",
        &body(list(1, 1)),
        &body(list(2, 2)),
    );
    let places: Vec<&str> = differences.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["body/items/*/price", "body/total"]);

    let wide = |value: u32| {
        let fields = (0..50).map(|field| (field.to_string(), json!(value)));
        body(serde_json::Value::from_iter(fields).to_string())
    };
    let differences = of_bodies(DifferenceKind::Reply, "body", &wide(1), &wide(2));
    assert_eq!(differences.len(), 21);
    assert_eq!(differences[20].place, "body (further places)");
}

#[test]
fn overlapping_calls_have_no_order() {
    let swap = |run: &mut Recording| run.calls.swap(0, 1);
    assert_eq!(found(swap), [("calls", "order".to_owned())]);
    let overlapping = |run: &mut Recording| {
        run.calls.swap(0, 1);
        run.calls[1].overlaps = true;
    };
    assert!(found(overlapping).is_empty());
}

#[test]
fn what_follows_is_kept_apart() {
    let mut run = RecordedRun {
        recording: recording(),
        missing: vec![Missing::Call {
            method: "POST".into(),
            url: "https://a.example/1?x=1".into(),
            body: RecordedBody::default(),
        }],
    };
    run.recording
        .calls
        .push(call("https://a.example/1?x=1", ""));
    let compared = compare(&recording(), &run, &Tolerance::default());
    let allowed = [DifferenceKind::UnansweredCall];
    assert!(compared.following.is_empty(), "the call is the question");
    assert_eq!(compared.verdict(&allowed), Verdict::Same);

    run.recording.result.outcome = "retry".into();
    let compared = compare(&recording(), &run, &Tolerance::default());
    assert_eq!(compared.differences.len(), 1);
    assert_eq!(compared.differences[0].place, "POST https://a.example/1");
    assert_eq!(
        compared.differences[0].found,
        json!("POST https://a.example/1?x=1")
    );
    assert_eq!(compared.verdict(&[]), Verdict::Unanswered);
    assert_eq!(compared.following.len(), 1, "{compared:?}");
    assert_eq!(compared.following[0].place, "done → retry");
    assert_eq!(compared.verdict(&allowed), Verdict::Differs);
    let both = [DifferenceKind::UnansweredCall, DifferenceKind::Outcome];
    assert_eq!(compared.verdict(&both), Verdict::Same);
    assert_eq!(
        compared.verdict(&[DifferenceKind::Outcome]),
        Verdict::Unanswered
    );

    run.recording.mark_truncated(RecordedPart::Kv);
    let compared = compare(&recording(), &run, &Tolerance::default());
    assert_eq!(compared.verdict(&[]), Verdict::Truncated);
}

#[test]
fn measures_never_count() {
    let mut run = RecordedRun {
        recording: recording(),
        missing: Vec::new(),
    };
    run.recording.result.memory_bytes = 1 << 30;
    let compared = compare(&recording(), &run, &Tolerance::default());
    assert_eq!(compared.verdict(&[]), Verdict::Same);
}
