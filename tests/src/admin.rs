//! The admin API of a running node, and what tests wait for through it.

use std::process::Command;

use serde_json::Value;

use crate::{Node, eventually, landfall};

// === impl Node ===

impl Node {
    /// The admin token that the node has made for itself; empty where the test has configured another.
    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.data().join("admin-token"))
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// A question to the admin API.
    pub fn admin_get(&self, path: &str) -> reqwest::RequestBuilder {
        self.admin_client
            .get(format!("http://{}{path}", self.admin))
            .bearer_auth(self.admin_token())
    }

    fn admin_post(&self, path: &str) -> reqwest::RequestBuilder {
        self.admin_client
            .post(format!("http://{}{path}", self.admin))
            .bearer_auth(self.admin_token())
    }

    /// `landfall …` that asks this node.
    pub fn command(&self) -> Command {
        let mut command = Command::new(landfall());
        let token = format!("file:{}", self.data().join("admin-token").display());
        command
            .env("LANDFALL_ADMIN", format!("http://{}", self.admin))
            .env("LANDFALL_ADMIN_TOKEN", token);
        command
    }

    /// What the admin API answers.
    pub async fn ask(&self, path: &str) -> Value {
        let text = self.ask_text(path).await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answers JSON: {text}"))
    }

    async fn ask_list(&self, path: &str) -> Vec<Value> {
        match self.ask(path).await {
            Value::Array(list) => list,
            other => panic!("{path} answers a list: {other}"),
        }
    }

    /// What the admin API answers. A question whose connection breaks, or that the ledger cannot answer now, is asked again,
    /// unless the node has ended.
    async fn ask_text(&self, path: &str) -> String {
        eventually(&format!("admin answers {path}"), || async {
            let answer = async {
                let response = self.admin_get(path).send().await?;
                Ok((response.status(), response.text().await?))
            };
            match answer.await {
                Ok((reqwest::StatusCode::SERVICE_UNAVAILABLE, _)) => None,
                Ok((_, text)) => Some(text),
                Err::<_, reqwest::Error>(error) => {
                    assert!(
                        self.is_running(),
                        "the node has ended: {path}: {error}\n{}",
                        self.log()
                    );
                    None
                }
            }
        })
        .await
    }

    /// As `ask`; none where no good answer came.
    pub async fn try_ask(&self, path: &str) -> Option<Value> {
        let response = self.admin_get(path).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// What the admin API answers to a POST.
    pub async fn order(&self, path: &str, order: Value) -> Value {
        let request = self.admin_post(path).body(order.to_string());
        let response = request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap_or_else(|error| panic!("admin answers {path}: {error}\n{}", self.log()));
        response.json().await.expect("admin answers JSON")
    }

    /// As `order`; none where no good answer came.
    pub async fn try_order(&self, path: &str, order: Value) -> Option<Value> {
        let response = self.admin_post(path).json(&order).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        self.ask_text("/metrics").await
    }

    /// How the hooks stand, from the admin API.
    pub async fn hooks(&self) -> Vec<Value> {
        self.ask_list("/api/v1/hooks").await
    }

    /// How one hook stands.
    pub async fn hook(&self, name: &str) -> Option<Value> {
        self.hooks()
            .await
            .into_iter()
            .find(|hook| hook["name"] == name)
    }

    /// The deliveries of a hook, in the order of their arrival.
    pub async fn deliveries(&self, hook: &str) -> Vec<Value> {
        self.events(&format!("hook={hook}&after=0&limit=1000"))
            .await
    }

    /// One page of deliveries with these query parameters.
    pub async fn events(&self, query: &str) -> Vec<Value> {
        let page = self.ask(&format!("/api/v1/events?{query}")).await;
        match page["events"].as_array() {
            Some(events) => events.clone(),
            None => panic!("a page of events: {page}"),
        }
    }

    /// The rows of a table.
    pub async fn rows(&self, hook: &str, table: &str) -> Vec<Value> {
        self.ask_list(&format!("/api/v1/rows/{hook}/{table}")).await
    }

    /// Every row of a table, without what the host adds, in the order in which they were stored.
    pub async fn all_rows(&self, hook: &str, table: &str) -> Vec<Value> {
        const PAGE: usize = 1000;
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/api/v1/rows/{hook}/{table}?limit={PAGE}&after={after}");
            let page = self.ask_list(&path).await;
            all.extend(page.iter().map(|row| row["row"].clone()));
            match page.last() {
                Some(last) if page.len() == PAGE => after = last["id"].as_i64().expect("a number"),
                _ => return all,
            }
        }
    }

    /// The status of `/readyz`.
    pub async fn readyz(&self) -> u16 {
        let url = format!("http://{}/readyz", self.admin);
        let answer = self.admin_client.get(url).send().await;
        answer.expect("the node answers").status().as_u16()
    }

    /// Waits until every file has been read and events can be kept.
    pub async fn until_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        eventually("the node is ready", || async {
            let answer = self.admin_client.get(&url).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Waits until a hook is in this state and is not being loaded for the first time; gives its status.
    pub async fn until(&self, hook: &str, state: &str) -> Value {
        eventually(&format!("hook {hook} is {state}"), || async {
            let status = self
                .hook(hook)
                .await
                .filter(|status| status["state"] == state)?;
            (status["problem"] != "the hook is still loading").then_some(status)
        })
        .await
    }

    /// Waits until a hook's component has another digest than this one.
    pub async fn until_changed(&self, hook: &str, digest: &Value) -> Value {
        eventually(&format!("hook {hook} is changed"), || async {
            self.hook(hook)
                .await
                .filter(|status| status["digest"] != *digest && status["problem"].is_null())
        })
        .await
    }

    /// Waits until the deliveries of a hook are in these states; gives them.
    pub async fn until_states(&self, hook: &str, states: &[&str]) -> Vec<Value> {
        eventually(
            &format!("deliveries are {states:?}\n{}", self.log()),
            || async {
                let found = self.deliveries(hook).await;
                let same = found
                    .iter()
                    .map(|one| one["state"].as_str().unwrap_or_default())
                    .eq(states.iter().copied());
                same.then_some(found)
            },
        )
        .await
    }
}
