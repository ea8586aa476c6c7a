//! Queues that are missing, misconfigured or need credentials.

use std::process::Command;

use landfall_tests::backend::{Backend, Kind};
use landfall_tests::google::ACCOUNT;
use landfall_tests::require::missing;
use landfall_tests::{Nats, Setup, eventually, guest, landfall};

use super::{OPEN, undecodable_messages_do_not_run};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_queue_itself_may_call() {
    let Some(backend) = Backend::start(Kind::CloudTasks).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    let front = backend.front().expect("it calls");
    let push = node.url("/_landfall/push");
    let call = async |token: Option<String>, body: &'static str| {
        let request = node.client.post(&push).body(body);
        let request = token
            .iter()
            .fold(request, |request, token| request.bearer_auth(token));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(node.client.get(&push).send().await.unwrap().status(), 405);
    assert_eq!(call(None, "x").await, 401);
    assert_eq!(call(Some("a.b.c".into()), "x").await, 401);
    assert_eq!(
        call(
            Some(front.token("https://elsewhere.example", ACCOUNT).await),
            "x"
        )
        .await,
        401
    );
    assert_eq!(
        call(
            Some(
                front
                    .token(&front.at, "other@p.iam.gserviceaccount.com")
                    .await
            ),
            "x"
        )
        .await,
        401
    );
    let good = front.token(&front.at, ACCOUNT).await;
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    assert_eq!(call(Some(forged), "x").await, 401);
    assert_eq!(call(Some(good), "x").await, 204, "the ledger has it");
    let dead = node.until_states("_queue", &["dead"]).await;
    undecodable_messages_do_not_run(&node, dead[0]["event"].as_str().unwrap()).await;
    node.until_log("a message of the queue is not run").await;
    assert!(node.deliveries("quick").await.is_empty());
    // Where nothing calls, nothing is there to be called.
    let plain = Setup::new()
        .hook("quick", &guest("answers_one"), &file)
        .serving("quick")
        .await;
    plain.until_ready().await;
    assert_eq!(
        plain
            .client
            .post(plain.url("/_landfall/push"))
            .body("x")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_unfit_queues_are_explained() {
    let hooks = || Setup::new().hook("quick", &guest("answers_one"), OPEN);
    if let Some(backend) = Backend::start(Kind::PubSub).await {
        for (key, value, words) in [
            (
                "URL",
                "pubsub://p/absent",
                "gcloud pubsub topics create absent --project=p",
            ),
            (
                "SUBSCRIPTION",
                "absent",
                "gcloud pubsub subscriptions create absent --topic=",
            ),
            (
                "DEAD_LETTER",
                "absent",
                "gcloud pubsub topics create absent --project=p",
            ),
        ] {
            let log = backend
                .under(hooks())
                .env(&format!("LANDFALL_QUEUE_{key}"), value)
                .refusal()
                .await;
            assert!(log.contains(words), "{key}: {log}");
        }
        let pushed = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_PUSH_TO", "http://127.0.0.1:9");
        let log = pushed
            .env("LANDFALL_QUEUE_PUSH_ACCOUNT", ACCOUNT)
            .refusal()
            .await;
        assert!(
            log.contains("does not push to http://127.0.0.1:9/_landfall/push"),
            "{log}"
        );
    }
    if let Some(backend) = Backend::start(Kind::CloudTasks).await {
        let log = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_URL", "cloudtasks://p/l/missing")
            .refusal()
            .await;
        assert!(
            log.contains("gcloud tasks queues create missing --location=l --project=p"),
            "{log}"
        );
    }
    if let Some(backend) = Backend::start(Kind::Nats).await {
        let node = backend.under(hooks()).serving("quick").await;
        node.until_log("the server syncs every write").await;
        let queue = node.ask("/api/v1/queue").await;
        assert!(
            queue["accepts"] == true && queue["facts"].to_string().contains("syncs every write"),
            "{queue}"
        );
        let config = node.plugins();
        let doctor = || {
            let mut command = Command::new(landfall());
            command
                .arg("doctor")
                .arg("--plugins")
                .arg(&config)
                .envs(backend.variables());
            command
        };
        let output = doctor().output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("the server syncs every write"),
            "{said}"
        );
        let output = doctor()
            .env("LANDFALL_QUEUE_URL", "nats://127.0.0.1:9")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            !output.status.success() && said.contains("cannot be reached: IO error"),
            "{said}"
        );
        drop(node);
        let log = backend
            .under(hooks())
            .env("LANDFALL_QUEUE_STORAGE", "memory")
            .refusal()
            .await;
        assert!(log.contains("name another one in queue.stream"), "{log}");
    }
    let secret = "canary-password";
    let away = hooks()
        .env(
            "LANDFALL_QUEUE_URL",
            &format!("nats://u:{secret}@127.0.0.1:9"),
        )
        .start()
        .await;
    away.until_log("the queue cannot be reached").await;
    let ready = away
        .client
        .get(format!("http://{}/readyz", away.admin))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    assert!(!away.log().contains(secret), "{}", away.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_uses_tls_and_hidden_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(dir.path())
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost").unwrap();
    let made = openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    ) && openssl(
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    ) && openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem \
         -extfile names",
    );
    if !made {
        missing("openssl is not installed");
        return;
    }
    let (path, secret) = (dir.path().display(), "canary-password");
    let settings = format!(
        "authorization {{ user: landfall, password: \"{secret}\" }}\n\
         tls {{ cert_file: \"{path}/cert.pem\", key_file: \"{path}/key.pem\" }}"
    );
    let Some(server) = Nats::with(&settings).await else {
        return;
    };
    let setup = || {
        let file = format!("mode = \"async\"\n{OPEN}");
        let setup = Setup::new().hook("quick", &guest("answers_one"), &file);
        setup
            .env("SSL_CERT_FILE", &format!("{path}/ca.pem"))
            .env("NATS_PASSWORD", secret)
    };
    let url = |user: &str| format!("tls://{user}@localhost:{}", server.port());
    let node = setup()
        .env("LANDFALL_QUEUE_URL", &url("landfall:${env:NATS_PASSWORD}"))
        .serving("quick")
        .await;
    node.until_ready().await;
    assert_eq!(node.deliver("/quick", &[], "{}").await.0, 202);
    node.until_states("quick", &["done"]).await;
    let log = setup()
        .env("LANDFALL_QUEUE_URL", &url("absent:${env:NATS_PASSWORD}"))
        .refusal()
        .await;
    assert!(log.contains("authorization violation"), "{log}");
    let unknown = setup()
        .env("LANDFALL_QUEUE_URL", &url("landfall:${env:NATS_PASSWORD}"))
        .env("SSL_CERT_FILE", "/dev/null");
    let other = unknown.try_start().await.map(|node| node.log());
    assert!(
        [&node.log(), &log].iter().all(|log| !log.contains(secret))
            && other.is_none_or(|log| !log.contains(secret))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_without_subscription_accept_no_events() {
    let Some(backend) = Backend::start(Kind::PubSub).await else {
        return;
    };
    let file = format!("mode = \"async\"\n{OPEN}");
    let node = backend
        .under(Setup::new().hook("quick", &guest("answers_one"), &file))
        .serving("quick")
        .await;
    node.until_ready().await;
    assert_eq!(node.deliver("/quick", &[], "{}").await.0, 202);
    node.until_states("quick", &["done"]).await;
    backend.topic().expect("it has one").unsubscribe().await;
    eventually("events are refused", || async {
        (node.post("/quick", &[], "{}").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(node.ask("/api/v1/queue").await["accepts"], false);
    node.until_log("gcloud pubsub subscriptions create").await;
}
