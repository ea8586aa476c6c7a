//! Packs of the operator, `explain`, and where secrets may appear.

use std::process::Command;

use base64::Engine as _;
use landfall_tests::{Node, Setup, eventually, guest};

use super::{hook, run, said};

#[tokio::test]
async fn operator_packs_reload_at_run_time() {
    let setup = Setup::new()
        .env("SECRET", "s")
        .env("LANDFALL_SCAN_INTERVAL", "200ms");
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    std::fs::write(
        setup.plugins().join("providers/acme.toml"),
        acme_pack("X-Acme"),
    )
    .unwrap();
    let node = setup
        .hook("in", &guest("answers_one"), &hook("acme", ""))
        .serving("in")
        .await;
    let providers = node
        .plugins()
        .join("providers")
        .to_str()
        .unwrap()
        .to_owned();
    let to = node.url("/in");
    let send = || {
        run(
            &[
                "send",
                "acme",
                "--to",
                &to,
                "--secret",
                "env:SECRET",
                "--providers",
                &providers,
            ],
            "s",
        )
    };
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
    // Other files beside it do not matter.
    assert!(
        Command::new("mkfifo")
            .arg(node.plugins().join("providers/pipe.toml"))
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(
        node.plugins().join("providers/bare.toml"),
        "name = \"x\"\n[verify]\nprefix = \"a\"\n",
    )
    .unwrap();
    std::fs::write(node.plugins().join("bare.toml"), hook("bare", "")).unwrap();
    let bare = node.until("bare", "unavailable").await;
    assert!(
        bare["problem"]
            .as_str()
            .unwrap()
            .contains("the pack names no scheme"),
        "{bare}"
    );
    assert!(node.hook("providers/pipe.toml").await.is_some());
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
    std::fs::write(acme_file(&node), "scheme = [").unwrap();
    let status = node.until("in", "stale").await;
    assert!(
        status["problem"]
            .as_str()
            .unwrap()
            .contains("providers/acme.toml"),
        "{status}"
    );
    std::fs::write(acme_file(&node), acme_pack("X-Acme-2")).unwrap();
    node.until("in", "serving").await;
    assert_eq!(said(&send()), "200\none\n", "{}", node.log());
}

fn acme_file(node: &Node) -> std::path::PathBuf {
    node.plugins().join("providers/acme.toml")
}

fn acme_pack(header: &str) -> String {
    format!(
        "name = \"Acme\"\n[verify]\nscheme = \"signature\"\nalgorithm = \"hmac-sha384\"\n\
             from = {{ header = \"{header}\" }}\nencoding = \"base64url\"\n"
    )
}

#[tokio::test]
async fn explain_names_the_failed_rule() {
    let setup = Setup::new()
        .hook("in", &guest("answers_one"), &hook("github", ""))
        .env("SECRET", "c2VjcmV0");
    let node = setup
        .env("LANDFALL_ADMIN_TOKEN", "env:ADMIN")
        .env("ADMIN", "t0ken")
        .start()
        .await;
    let admin = format!("http://{}", node.admin);
    eventually("the hook serves", || async {
        (node.post("/in", &[], "{}").await.0 == 401).then_some(())
    })
    .await;
    // Signed with what the secret says in base64.
    let sent = run(
        &[
            "send",
            "github",
            "--to",
            &node.url("/in"),
            "--secret",
            "env:SECRET",
        ],
        "secret",
    );
    assert!(
        said(&sent).starts_with("401\n{\"error\":\"unauthorized\"}"),
        "{}",
        said(&sent)
    );
    let explained = run(
        &["explain", "in", "--admin", &admin, "--token", "env:SECRET"],
        "t0ken",
    );
    for words in [
        "signature_mismatch from 127.0.0.1",
        "hint: the signature matches if the secret is read as base64",
        "signature missing (header X-Hub-Signature-256)",
    ] {
        assert!(
            said(&explained).contains(words),
            "{words}: {}",
            said(&explained)
        );
    }
    let none = run(
        &[
            "explain",
            "_queue",
            "--admin",
            &admin,
            "--token",
            "env:SECRET",
        ],
        "t0ken",
    );
    assert_eq!(
        said(&none),
        "no request was refused since the node has started\n"
    );
    let refused = run(&["explain", "--admin", &admin], "");
    assert!(
        !refused.status.success() && said(&refused).contains("401"),
        "{}",
        said(&refused)
    );
}

#[tokio::test]
async fn secrets_appear_nowhere() {
    const CANARIES: [&str; 4] = [
        "canary-token-8f2c",
        "canary-basic-77aa",
        "canary-hmac-19d0",
        "canary-path-5e5e",
    ];
    let [token, basic, hmac, path] = CANARIES;
    let open = "allow = { table = [] }\n";
    let tables = [
        "scheme = \"token\"\nfrom = { header = \"Secret\" }\n",
        "scheme = \"basic\"\n",
        "provider = \"github\"\n",
    ];
    let mut setup = Setup::new();
    for (name, table, secret) in [
        ("token", tables[0], "TOKEN"),
        ("basic", tables[1], "BASIC"),
        ("hmac", tables[2], "HMAC"),
    ] {
        setup = setup.hook(
            name,
            &guest("inspect_event"),
            &format!("{open}[verify]\n{table}secret = \"env:{secret}\"\n"),
        );
    }
    let hub = "path = \"/dh/{secret}\"\n[verify]\nprovider = \"docker-hub\"\n\
         secret = \"env:PATH_SECRET\"\n";
    setup = setup
        .hook("path", &guest("inspect_event"), hub)
        .env("LANDFALL_LOG_LEVEL", "landfall=trace,handler=trace,info");
    setup = setup
        .env("TOKEN", token)
        .env("BASIC", &format!("user:{basic}"))
        .env("HMAC", hmac)
        .env("PATH_SECRET", path);
    let mut node = setup.serving("path").await;
    for name in ["token", "basic", "hmac"] {
        node.until(name, "serving").await;
    }
    let mut seen = String::new();
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("user:{basic}"));
    seen += &node.post("/token", &[("secret", token)], "{}").await.1;
    seen += &node
        .post("/token", &[("secret", &format!("{token}x"))], "{}")
        .await
        .1;
    seen += &node
        .post(
            "/basic",
            &[("authorization", &format!("Basic {pair}"))],
            "{}",
        )
        .await
        .1;
    seen += &node.post(&format!("/dh/{path}"), &[], "{}").await.1;
    seen += &said(&run(
        &[
            "send",
            "github",
            "--to",
            &node.url("/hmac"),
            "--secret",
            "env:SECRET",
        ],
        hmac,
    ));
    seen += &said(&run(
        &[
            "sign",
            "github",
            "--to",
            &node.url("/hmac"),
            "--secret",
            "env:SECRET",
        ],
        hmac,
    ));
    for page in ["/api/v1/hooks", "/api/v1/refusals", "/metrics"] {
        let response = node.admin_get(page).send().await.unwrap();
        seen += &response.text().await.unwrap();
    }
    let core = node
        .proc("limits")
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .to_owned();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    node.until_log("\"verified_by\":\"token#1\"").await;
    for counted in [
        "landfall_verified_total{hook=\"token\",key=\"token#1\"} 1",
        "landfall_refused_total{hook=\"token\",reason=\"token_mismatch\"} 1",
    ] {
        assert!(seen.contains(counted), "{counted}: {seen}");
    }
    node.terminate();
    node.ended().await;
    seen += &node.log();
    for entry in walk(&node.data()) {
        seen += &String::from_utf8_lossy(&std::fs::read(entry).unwrap());
    }
    assert!(
        seen.contains("\"path\":\"/dh/-\"") || seen.contains("/dh/-"),
        "the component saw the request: {seen}"
    );
    for canary in CANARIES.iter().copied().chain([pair.as_str()]) {
        assert!(!seen.contains(canary), "{canary} in {seen}");
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
