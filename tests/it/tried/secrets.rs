//! No secret is in a recording: neither those that the host adds to calls, nor those that the component knows, nor those in answers.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::header::SET_COOKIE;
use landfall_tests::ports::listener;
use landfall_tests::{Setup, guest};
use serde_json::json;

use super::{GRANTS, OPEN, report, until_recorded};

/// In every secret of this test.
const CANARY: &str = "canary-of-the-recording";
/// The largest file that is searched. The reserve of disk space is larger, and empty.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A server whose answers have a token and a cookie. Its URL.
async fn bank() -> String {
    let listener = listener();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(|| async {
        let body = json!({ "charge": "ch_1", "access_token": format!("{CANARY}-token") });
        let cookie = (SET_COOKIE, format!("id={CANARY}-cookie"));
        ([cookie], body.to_string())
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

#[tokio::test]
async fn recordings_have_no_secret() {
    let url = bank().await;
    let file = format!(
        "[record]\nrate = 1.0\n{OPEN}{GRANTS}http = [\"{url}\"]\n[settings]\nurl = \"{url}charge?api_key={CANARY}-parameter\"\n\
         [environment]\nSHOP_KEY = \"env:SHOP_KEY\"\n\
         [[credentials]]\nfor = \"{url}\"\nheader = \"Authorization\"\nvalue = \"Bearer ${{env:BANK_KEY}}\"\n"
    );
    let node = Setup::new()
        .env("SHOP_KEY", &format!("{CANARY}-environment"))
        .env("BANK_KEY", &format!("{CANARY}-credential"))
        .hook("shop", &guest("shop"), &file)
        .serving("shop")
        .await;
    for number in 0..3 {
        let answer = node
            .post("/shop", &[], json!({ "number": number }).to_string())
            .await;
        assert_eq!(answer.0, 200, "{answer:?}\n{}", node.log());
    }
    until_recorded(&node, "shop", 3).await;

    let shown = node.ask("/api/v1/recordings?hook=shop").await.to_string();
    assert!(
        shown.contains("[redacted]") && shown.contains("ch_1"),
        "{shown}"
    );
    assert!(!shown.contains(CANARY), "{shown}");
    for file in files(&node.data()) {
        // A file of the ledger may be gone.
        let bytes = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(CANARY), "{}", file.display());
    }

    // What is masked in the recording is masked in the run, so that nothing differs.
    let (report, code) = report(&node, &guest("shop"), &["--hook", "shop"]);
    assert_eq!((&report["same"], code), (&json!(3), Some(0)), "{report}");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            found.push(entry.path());
        }
    }
    found
}
