//! One running node: its public listener, its folders, its log.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::eventually;
use crate::launch::Launch;
use crate::log::Log;

/// A running node; killed when dropped.
pub struct Node {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) child: Child,
    pub(crate) log: Log,
    pub(crate) launch: Launch,
    /// The public address.
    pub public: SocketAddr,
    /// The admin address.
    pub admin: SocketAddr,
    /// For the public listener. It keeps connections, and closes idle ones before the node does.
    pub client: reqwest::Client,
    /// For the admin listener. It opens a connection for each request, so that none is sent on a connection that is being closed.
    pub admin_client: reqwest::Client,
}

// === impl Node ===

impl Node {
    /// `http://…/path`
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    /// POST with headers.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let request = headers.iter().fold(
            self.client.post(self.url(path)),
            |request, (name, value)| request.header(*name, *value),
        );
        let response = request.body(body).send().await.expect("the node answers");
        (
            response.status().as_u16(),
            response.text().await.expect("a text answer"),
        )
    }

    /// POST as providers do: after a 503 the same request is sent again. On a busy machine a broker may take longer
    /// than a publish may.
    pub async fn deliver(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> (u16, String) {
        let body = body.into();
        eventually("the node accepts the request", || async {
            let answer = self.post(path, headers, body.clone()).await;
            (answer.0 != 503).then_some(answer)
        })
        .await
    }

    /// POST; none where no answer came.
    pub async fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Option<(u16, String)> {
        let request = headers.iter().fold(
            self.client.post(self.url(path)),
            |request, (name, value)| request.header(*name, *value),
        );
        let response = request.body(body).send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    }

    /// The plugins directory.
    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// Writes a file into the plugins directory.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.plugins().join(name), bytes).expect("a writable folder");
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        let whole = self.dir.path().join("data");
        match &self.launch.mount {
            None => whole,
            Some(mount) => mount.outside(&whole),
        }
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a log line.
    pub async fn logged(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let found = self.log.find(&matches);
            async move { found }
        })
        .await
    }

    /// Waits until the log says this.
    pub async fn until_log(&self, text: &str) {
        eventually(&format!("the log says {text}"), || async {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Gives the process time for what must not happen.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The id in an answer `{"event": ID}`.
pub fn event_id(answer: &(u16, String)) -> String {
    let json: Value = serde_json::from_str(&answer.1).unwrap_or_else(|_| panic!("{answer:?}"));
    json["event"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}
