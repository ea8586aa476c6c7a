//! Key-value data of handlers.

use super::*;

fn set(key: &str, value: &str) -> KvWrite {
    KvWrite {
        key: key.into(),
        change: KvChange::Set(KvValue::of(value.to_owned().into()), None),
    }
}

#[tokio::test]
async fn effects_on_changed_values_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    accept(&ledger, new(event("h", "1"))).await;
    let one = claim(&ledger, "h", 1).await.remove(0);
    let (fence, event) = (one.fence, Arc::new(one.event.unwrap().unwrap()));
    let end = |effects: Effects| ledger.finish(fence, event.clone(), attempt("x"), well(effects));
    let expected = vec![KvExpected {
        key: "a".into(),
        value: Some(KvValue::of_number(1)),
    }];
    let row = Row {
        table: "t".into(),
        text: "{}".into(),
    };
    let late = Effects {
        rows: vec![row],
        writes: vec![set("a", "2")],
        expected,
        ..Effects::default()
    };
    assert_eq!(
        end(late).await.unwrap(),
        Committed::Refused(Refused::Changed("a".into()), ())
    );
    assert!(
        ledger
            .rows("h".into(), "t".into(), 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(ledger.get("h".into(), "a".into()).await.unwrap(), None);
    let add = KvWrite {
        key: "a".into(),
        change: KvChange::Add(-3, None),
    };
    let fine = Effects {
        writes: vec![add, set("b", "text"), set("c/1", ""), set("c/2", "")],
        ..Effects::default()
    };
    assert_eq!(
        end(fine).await.unwrap(),
        Committed::Stored,
        "the lease went on"
    );
    assert_eq!(
        ledger
            .get("h".into(), "a".into())
            .await
            .unwrap()
            .unwrap()
            .number(),
        Some(-3)
    );
    assert_eq!(
        ledger
            .keys("h".into(), "c/".into(), "c/1".into(), 9)
            .await
            .unwrap(),
        ["c/2"]
    );
    assert!(
        ledger
            .keys("g".into(), String::new(), String::new(), 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[test]
fn expired_values_free_their_quota() {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    let used = |connection: &Connection| -> i64 {
        connection
            .query_row("SELECT kv_bytes FROM used", [], |row| row.get(0))
            .unwrap()
    };
    let second = Some(Duration::from_secs(1));
    let brief = KvWrite {
        key: "kéy".into(),
        change: KvChange::Set(KvValue::of_number(41), second),
    };
    kv::write(&connection, ("h", None), &[brief], LedgerTime(0)).unwrap();
    assert_eq!(used(&connection), 6);
    let add = KvWrite {
        key: "kéy".into(),
        change: KvChange::Add(1, None),
    };
    kv::write(
        &connection,
        ("h", None),
        std::slice::from_ref(&add),
        LedgerTime(999),
    )
    .unwrap();
    let value = |at| {
        kv::get(&connection, "h", "kéy", LedgerTime(at))
            .unwrap()
            .map(|value| value.number().unwrap())
    };
    assert_eq!(
        (value(999), value(1000)),
        (Some(42), None),
        "adding leaves the expiry"
    );
    kv::write(&connection, ("h", None), &[add], LedgerTime(2000)).unwrap();
    assert_eq!(
        (value(2000), value(i64::MAX)),
        (Some(1), Some(1)),
        "what has expired begins anew"
    );
    assert_eq!(used(&connection), 5);
    let brief = KvWrite {
        key: "k".into(),
        change: KvChange::Set(KvValue::of_number(1), second),
    };
    kv::write(
        &connection,
        ("h", None),
        &[brief, set("l", "1")],
        LedgerTime(0),
    )
    .unwrap();
    assert_eq!(kv::expire(&connection, LedgerTime(1000), 100).unwrap(), 1);
    assert_eq!(used(&connection), 7);
}

#[tokio::test]
async fn own_values_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let put = |key: &str, value: Option<&'static str>| {
        let value = value.map(|text| text.as_bytes().into());
        opened.ledger.put_own("watch", "_watch", key.into(), value)
    };
    assert!(put("a", Some("1")).await.unwrap());
    put("b", Some("1")).await.unwrap();
    put("a", Some("2")).await.unwrap();
    put("b", None).await.unwrap();

    let Opened { ledger, .. } = reopen(opened, dir.path()).await;
    let found = ledger.get("_watch".into(), "a".into()).await.unwrap();
    assert_eq!(found.unwrap().bytes, "2");
    let keys = ledger.keys("_watch".into(), String::new(), String::new(), 9);
    assert_eq!(keys.await.unwrap(), ["a"]);
    let lead = ledger.lead("watch", Duration::from_secs(1)).await.unwrap();
    assert!(lead.is_own());
}

#[tokio::test]
async fn notes_and_identities_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let dedup = DedupKey {
        key: b"k".to_vec(),
        id_match: IdMatch::Id,
        window: DAY,
    };
    let known = NewEvent {
        dedup: Some(dedup),
        ..new(event("h", "1"))
    };
    accept(&ledger, known).await;
    for (hook, key, expected) in [("h", "k", true), ("h", "j", false), ("g", "k", false)] {
        let keys = vec![b"other".to_vec(), key.into()];
        let found = ledger.knows(hook.into(), keys).await.unwrap();
        assert_eq!(found, expected, "{hook} {key}");
    }

    for text in ["1", "2"] {
        let noted = ledger.note("_part", "h".into(), text.into(), DAY).await;
        noted.unwrap();
    }
    let note = ledger.get("_part".into(), "h".into()).await.unwrap();
    assert_eq!(note.unwrap().bytes, "2");
}
