//! Google's queues for tests: the Pub/Sub emulator, which is started here, and a stand-in for Cloud Tasks (`tests/sdk/tasks.py`), which
//! also stands in front of nodes as Cloud Run does.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::ports::free_port;
use crate::require::missing;
use crate::{Node, eventually, root};

/// Whose account the calls of a broker are made in.
pub const ACCOUNT: &str = "caller@p.iam.gserviceaccount.com";

/// The emulator, in a group of processes of its own.
pub struct PubSub {
    child: Child,
    port: u16,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

/// A topic with its subscription and a topic of the dead with its own.
#[derive(Clone)]
pub struct Topic {
    name: String,
    emulator: Arc<PubSub>,
}

/// The stand-in.
pub struct Front {
    child: Child,
    /// `http://…`
    pub at: String,
    client: reqwest::Client,
}

// === impl PubSub ===

impl PubSub {
    /// None, and a plain line, where it is not installed.
    pub async fn start() -> Option<Arc<PubSub>> {
        let Some(program) = emulator() else {
            missing(
                "the Pub/Sub emulator is not installed (gcloud beta emulators pubsub, or \
                 PUBSUB_EMULATOR=PROGRAM)",
            );
            return None;
        };
        let (dir, port) = (
            tempfile::tempdir().expect("a temporary folder"),
            free_port(),
        );
        // The program is a script that starts Java: the group ends with both.
        let script =
            "\"$0\" --host=127.0.0.1 --port=\"$1\" >/dev/null 2>&1 & cat >/dev/null; kill -KILL 0";
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", script])
            .arg(&program)
            .arg(port.to_string())
            .current_dir(dir.path());
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        // Tests that share it have executors of their own: no connection outlives its call.
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        let emulator = PubSub {
            child,
            port,
            client,
            _dir: dir,
        };
        eventually("the emulator is up", || async {
            emulator
                .client
                .get(format!("http://{}", emulator.host()))
                .send()
                .await
                .ok()
        })
        .await;
        Some(Arc::new(emulator))
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A call of its REST interface.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let method = method.parse().expect("a method");
        let url = format!("http://{}/v1/projects/p/{path}", self.host());
        let answer = self
            .client
            .request(method, url)
            .json(&body)
            .send()
            .await
            .expect("the emulator answers");
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.expect("JSON")
    }

    /// Topic, subscription and the topic of the dead; pushed to that address if there is one.
    pub async fn topic(self: &Arc<PubSub>, ordered: bool, push_to: Option<&str>) -> Topic {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("topic-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let of = |topic: &str| format!("projects/p/topics/{topic}");
        for topic in [name.clone(), format!("{name}-dead")] {
            self.call("PUT", &format!("topics/{topic}"), json!({}))
                .await;
            let mut subscription = json!({ "topic": of(&topic), "ackDeadlineSeconds": 10, "enableMessageOrdering": ordered });
            if let Some(to) = push_to.filter(|_| topic == name) {
                let token = json!({ "serviceAccountEmail": ACCOUNT, "audience": to });
                subscription["pushConfig"] =
                    json!({ "pushEndpoint": format!("{to}/_landfall/push"), "oidcToken": token });
                subscription["ackDeadlineSeconds"] = 600.into();
                subscription["retryPolicy"] =
                    json!({ "minimumBackoff": "10s", "maximumBackoff": "600s" });
            }
            self.call("PUT", &format!("subscriptions/{topic}"), subscription)
                .await;
        }
        Topic {
            name,
            emulator: self.clone(),
        }
    }
}

impl Drop for PubSub {
    fn drop(&mut self) {
        self.child.stdin.take();
        self.child.wait().ok();
    }
}

// === impl Topic ===

impl Topic {
    /// `pubsub://…`
    pub fn url(&self) -> String {
        format!("pubsub://p/{}", self.name)
    }

    /// Where the emulator is.
    pub fn host(&self) -> String {
        self.emulator.host()
    }

    /// Sends a message as one who may publish.
    pub async fn publish(&self, hook: &str, bytes: &[u8]) {
        let message = json!({ "data": STANDARD.encode(bytes), "attributes": { "hook": hook } });
        let path = format!("topics/{}:publish", self.name);
        self.emulator
            .call("POST", &path, json!({ "messages": [message] }))
            .await;
    }

    /// Its subscription is gone.
    pub async fn unsubscribe(&self) {
        self.emulator
            .call("DELETE", &format!("subscriptions/{}", self.name), json!({}))
            .await;
    }

    /// The messages in the dead-letter topic that have not been pulled yet.
    pub async fn dead(&self) -> Vec<Value> {
        let asked = json!({ "maxMessages": 100, "returnImmediately": true });
        let pulled = self
            .emulator
            .call(
                "POST",
                &format!("subscriptions/{}-dead:pull", self.name),
                asked,
            )
            .await;
        pulled["receivedMessages"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }
}

// === impl Front ===

impl Front {
    /// None, and a plain line, where its libraries are not installed.
    pub fn start() -> Option<Front> {
        let python =
            std::env::var_os("LANDFALL_SDK").map(|sdk| PathBuf::from(sdk).join("venv/bin/python"));
        let Some(python) = python.filter(|python| python.exists()) else {
            missing("google-api-python-client is not installed (LANDFALL_SDK)");
            return None;
        };
        let mut command = Command::new(python);
        command
            .args(["-B", "tasks.py"])
            .arg(free_port().to_string())
            .current_dir(root().join("tests/sdk"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let port = line
            .trim()
            .strip_prefix("PORT ")
            .unwrap_or_else(|| panic!("{line}"));
        Some(Front {
            child,
            at: format!("http://127.0.0.1:{port}"),
            client: reqwest::Client::new(),
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.at
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port")
    }

    /// Calls go to these from now on, one after another.
    pub async fn stands_before(&self, nodes: &[&Node]) {
        let nodes: Vec<String> = nodes
            .iter()
            .map(|node| format!("http://{}", node.public))
            .collect();
        self.put("nodes", json!(nodes)).await;
    }

    /// `down`, `unknown` or null.
    pub async fn fault(&self, fault: Value) {
        self.put("fault", fault).await;
    }

    /// What it has counted.
    pub async fn told(&self) -> Value {
        let answer = self
            .client
            .get(format!("{}/told", self.at))
            .send()
            .await
            .expect("it answers");
        answer.json().await.expect("JSON")
    }

    /// A token for this audience in the name of this account.
    pub async fn token(&self, audience: &str, account: &str) -> String {
        let url = format!("{}/token?{audience}&{account}", self.at);
        let answer: Value = self
            .client
            .get(url)
            .send()
            .await
            .expect("it answers")
            .json()
            .await
            .expect("JSON");
        answer["token"].as_str().expect("a token").to_owned()
    }

    async fn put(&self, path: &str, value: Value) {
        let request = self
            .client
            .put(format!("{}/{path}", self.at))
            .timeout(Duration::from_secs(60));
        request.json(&value).send().await.expect("it answers");
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where gcloud puts it, as a package of Debian's or as an archive.
fn emulator() -> Option<PathBuf> {
    let named = std::env::var_os("PUBSUB_EMULATOR").map(PathBuf::from);
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let places = [
        "/usr/lib/google-cloud-sdk",
        "/usr/share/google-cloud-sdk",
        "/opt/google-cloud-sdk",
    ]
    .map(PathBuf::from);
    let places = places.into_iter().chain([home.join("google-cloud-sdk")]);
    let programs =
        places.map(|place| place.join("platform/pubsub-emulator/bin/cloud-pubsub-emulator"));
    named
        .into_iter()
        .chain(programs)
        .find(|program| program.exists())
}
