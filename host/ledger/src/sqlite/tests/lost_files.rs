//! Files of the ledger that are cut, overwritten or removed.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::*;

/// What was reported as fatal.
type Fatal = Arc<Mutex<Vec<LedgerError>>>;

fn open_reporting(dir: &Path) -> (Sqlite, Fatal) {
    let fatal = Fatal::default();
    let reported = fatal.clone();
    let on_fatal = move |error: &LedgerError| reported.lock().unwrap().push(error.clone());
    let (ledger, _) =
        Sqlite::open(dir, SETTINGS, SystemTime::UNIX_EPOCH, Arc::new(on_fatal)).unwrap();
    (ledger, fatal)
}

async fn reported(fatal: &Fatal) -> LedgerError {
    for _ in 0..2000 {
        if let Some(error) = fatal.lock().unwrap().first() {
            return error.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing was reported");
}

#[tokio::test]
async fn cut_files_accept_no_more_events() {
    for (name, len) in [
        ("ledger.db-wal", 0),
        ("ledger.db-wal", 9000),
        ("ledger.db", 0),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, fatal) = open_reporting(dir.path());
        for number in 0..20 {
            accept(&ledger, new(event("h", &number.to_string()))).await;
        }
        let file = OpenOptions::new()
            .write(true)
            .open(dir.path().join(name))
            .unwrap();
        file.set_len(len).unwrap();

        let refused = ledger.accept(new(event("h", "lost")), Arc::default()).await;
        let why = refused.unwrap_err().to_string();
        assert!(why.contains(&format!("{name} was cut")), "{why}");
        assert!(reported(&fatal).await.is_fatal());
    }
}

#[tokio::test]
async fn overwritten_databases_accept_no_more_events() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, fatal) = open_reporting(dir.path());
    for number in 0..20 {
        accept(&ledger, new(event("h", &number.to_string()))).await;
    }
    let copy = dir.path().join("backup.db");
    backup(dir.path(), &copy, SystemTime::UNIX_EPOCH).unwrap();
    fs::copy(&copy, dir.path().join("ledger.db")).unwrap();

    let why = reported(&fatal).await.to_string();
    // The copy cuts the file before it writes.
    let is_named = why.contains("ledger.db was overwritten") || why.contains("ledger.db was cut");
    assert!(is_named, "{why}");
    let refused = ledger.accept(new(event("h", "lost")), Arc::default()).await;
    assert!(matches!(refused, Err(LedgerError::Gone(_))), "{refused:?}");
}

#[tokio::test]
async fn checkpoints_and_restarts_keep_files_valid() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).ledger;
    // More than one checkpoint, after which the log begins anew.
    let body = "x".repeat(1 << 20);
    for _ in 0..40 {
        accept(&ledger, new(event("h", &body))).await;
    }
    let copy = dir.path().join("backup.db");
    backup(dir.path(), &copy, SystemTime::UNIX_EPOCH).unwrap();
    accept(&ledger, new(event("h", "last"))).await;
    assert_eq!(states(&ledger).await.len(), 41);
}

#[tokio::test]
async fn damage_found_by_readers_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open_reporting(dir.path());
    for number in 0..20 {
        accept(&ledger, new(event("h", &number.to_string()))).await;
    }
    ledger.close().await;
    drop(ledger);

    let (ledger, fatal) = open_reporting(dir.path());
    let path = dir.path().join("ledger.db");
    let len = fs::metadata(&path).unwrap().len() as usize;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&vec![7; len - 4096], 4096).unwrap();
    assert!(ledger.count().await.is_err());
    let why = reported(&fatal).await;
    assert!(matches!(why, LedgerError::Corrupt(_)), "{why:?}");
}

#[tokio::test]
async fn lost_databases_are_noticed_after_stops() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open_reporting(dir.path());
    accept(&ledger, new(event("h", "1"))).await;
    ledger.close().await;
    drop(ledger);
    let path = dir.path().join("ledger.db");
    assert!(!files::beside(&path, "-wal").exists() && !files::beside(&path, "-synced").exists());

    let open = |settings| {
        let quiet = Arc::new(|_: &LedgerError| {});
        Sqlite::open(dir.path(), settings, SystemTime::UNIX_EPOCH, quiet).map(drop)
    };
    for is_removed in [false, true] {
        if is_removed {
            fs::remove_file(&path).unwrap();
        } else {
            fs::write(&path, "").unwrap();
        }
        let why = open(SETTINGS).unwrap_err().to_string();
        assert!(
            why.contains("ledger.db-created") && why.contains("--recover-with-data-loss"),
            "{why}"
        );
    }
    let anew = SqliteSettings {
        recover_with_data_loss: true,
        ..SETTINGS
    };
    open(anew).unwrap();
}
