//! Damaged rows and files, and a full disk.

use super::*;

#[tokio::test]
async fn damaged_events_are_never_returned() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let stored = event("h", "body");
    accept(&opened.ledger, new(stored.clone())).await;
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();
    for change in [
        "payloads SET body = 'bodz'",
        "events SET hook = 'g'",
        "events SET received_ms = 8",
        "deliveries SET hook = 'g'",
    ] {
        other
            .execute_batch(&format!("SAVEPOINT s; UPDATE {change};"))
            .unwrap();
        let hook: String = other
            .query_row("SELECT hook FROM deliveries", [], |row| row.get(0))
            .unwrap();
        let mut found = leases::claim(
            &other,
            &hook,
            1,
            b"me",
            LedgerTime(i64::MAX / 2),
            &mut FlowNotes::default(),
        )
        .unwrap()
        .0;
        assert_eq!(
            found.remove(0).event.unwrap().unwrap_err(),
            Corrupt,
            "{change}"
        );
        other.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
    }
}

#[tokio::test]
async fn damaged_states_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { ledger, .. } = open(dir.path());
    let repeated = || identified("h", "a", IdMatch::Id);
    let first = repeated();
    let id = first.stored.event().id;
    accept(&ledger, first.clone()).await;
    let other = Connection::open(dir.path().join("ledger.db")).unwrap();

    for damage in ["99", "-2", "'dead'"] {
        let change = format!("UPDATE deliveries SET state = {damage}");
        other.execute_batch(&change).unwrap();
        let NewEvent { dedup, stored, .. } = repeated();
        let dedup = dedup.unwrap();
        let (digest, new_id) = (*stored.digest(), stored.event().id);
        let received = Received {
            new: first.clone(),
            replay: None,
            number: 1,
        };
        let refused = [
            ledger.accept(repeated(), Arc::default()).await.err(),
            ledger
                .find_duplicate("h".into(), dedup, digest, new_id)
                .await
                .err(),
            ledger.start(received).await.err(),
        ];
        for error in refused {
            let said = error.expect("it is refused").to_string();
            assert!(said.contains("state of delivery 1 is damaged"), "{said}");
            assert!(
                said.contains(&format!("landfall events replay {id}")),
                "{said}"
            );
        }
        let events: i64 = other
            .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .unwrap();
        assert_eq!(events, 1, "nothing was stored");
    }

    let replayed = ledger.replay(order(vec![id])).await.unwrap();
    assert_eq!(replayed, [Replayed::Queued("h".into())]);
    assert_eq!(
        accept(&ledger, repeated()).await,
        joined(id, OpenState::Pending(Duration::ZERO))
    );
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    let refuse = || {
        Sqlite::open(
            dir.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {}),
        )
        .err()
        .unwrap()
        .to_string()
    };
    assert!(refuse().contains("belongs to another node"));
    drop(reopen(opened, dir.path()).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    std::fs::remove_file(dir.path().join("ledger.db-wal")).ok();
    std::fs::write(dir.path().join("ledger.db"), [7; 8192]).unwrap();
    let why = refuse();
    assert!(
        why.contains("ledger.db") && why.contains("start with a backup"),
        "{why}"
    );
}

#[tokio::test]
async fn a_full_disk_accepts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = SqliteSettings {
        min_free_space: u64::MAX,
        ..SETTINGS
    };
    let (ledger, _) = Sqlite::open(
        dir.path(),
        settings,
        SystemTime::UNIX_EPOCH,
        Arc::new(|_: &LedgerError| {}),
    )
    .unwrap();
    assert!(!ledger.can_accept());
    assert_eq!(
        ledger
            .accept(new(event("h", "1")), Arc::default())
            .await
            .unwrap_err(),
        LedgerError::Full
    );
    assert!(states(&ledger).await.is_empty());
}

/// What is on the disk of a process that was killed: a copy, made while it runs.
fn copied(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-synced"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[tokio::test]
async fn logs_without_synced_frames_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(dir.path());
    for number in 0..20 {
        accept(&opened.ledger, new(event("h", &number.to_string()))).await;
    }
    let whole = copied(dir.path());
    assert_eq!(states(&open(whole.path()).ledger).await.len(), 20);
    let log = std::fs::read(dir.path().join("ledger.db-wal")).unwrap();
    for at in (32..log.len())
        .step_by(log.len() / 40)
        .chain([0, 10, 17, 25])
    {
        let copy = copied(dir.path());
        let mut bad = log.clone();
        bad[at] ^= 4;
        std::fs::write(copy.path().join("ledger.db-wal"), bad).unwrap();
        let refused = Sqlite::open(
            copy.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {}),
        )
        .err();
        let why = refused
            .unwrap_or_else(|| panic!("bit {at} was not noticed"))
            .to_string();
        assert!(why.contains("--recover-with-data-loss"), "{why}");
    }
    let cut = copied(dir.path());
    std::fs::write(cut.path().join("ledger.db-wal"), &log[..log.len() / 2]).unwrap();
    assert!(
        Sqlite::open(
            cut.path(),
            SETTINGS,
            SystemTime::UNIX_EPOCH,
            Arc::new(|_: &LedgerError| {})
        )
        .is_err()
    );
    let settings = SqliteSettings {
        recover_with_data_loss: true,
        ..SETTINGS
    };
    let left = states(&open_with(cut.path(), settings).ledger).await.len();
    assert!((1..20).contains(&left), "{left}");
    assert!(cut.path().join("ledger.db-wal.damaged").exists());
}
