//! Where events wait and their state is kept, each kind as real as it comes, behind a line that can be cut.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::OnceCell;

use crate::google::{ACCOUNT, Front, PubSub, Topic};
use crate::relay::{Line, Relay};
use crate::{Nats, Node, Postgres, Setup};

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A ledger in a file, and nothing else.
    Sqlite,
    /// A ledger in Postgres.
    Postgres,
    /// NATS JetStream over a ledger in a file.
    Nats,
    /// NATS JetStream over a ledger in Postgres.
    NatsPostgres,
    /// Pub/Sub that is asked.
    PubSub,
    /// Pub/Sub that calls.
    PubSubPush,
    /// Cloud Tasks.
    CloudTasks,
    /// A broker that needs nothing but its URL.
    Url(&'static str),
}

/// One of them, running.
pub struct Backend {
    /// Which.
    pub kind: Kind,
    env: Vec<(String, String)>,
    /// The last one is that to the queue.
    relays: Vec<Relay>,
    nats: Option<Nats>,
    topic: Option<Topic>,
    front: Option<Front>,
    /// Of Postgres.
    pub database: Option<String>,
    /// The binary of its nodes, if it is another one.
    pub binary: Option<PathBuf>,
}

// === impl Backend ===

impl Backend {
    /// None, and a plain line, where what it needs is not installed.
    pub async fn start(kind: Kind) -> Option<Backend> {
        let mut backend = Backend {
            kind,
            env: Vec::new(),
            relays: Vec::new(),
            nats: None,
            topic: None,
            front: None,
            database: None,
            binary: None,
        };
        match kind {
            Kind::Sqlite => {}
            Kind::Postgres => backend.on_postgres().await?,
            Kind::Nats => backend.on_nats().await?,
            Kind::NatsPostgres => {
                backend.on_postgres().await?;
                backend.on_nats().await?;
            }
            Kind::PubSub => backend.on_pubsub(false).await?,
            Kind::PubSubPush => backend.on_pubsub(true).await?,
            Kind::CloudTasks => backend.on_tasks().await?,
            Kind::Url(url) => backend.set("QUEUE_URL", url.into()),
        }
        Some(backend)
    }

    /// The same for several nodes: what they do not share otherwise is in a database.
    pub async fn shared(kind: Kind) -> Option<Backend> {
        let mut backend = Backend::start(kind).await?;
        if backend.database.is_none() {
            backend.on_postgres().await?;
            // That to the queue stays the last one.
            backend.relays.rotate_right(1);
        }
        Some(backend)
    }

    async fn on_postgres(&mut self) -> Option<()> {
        let server = Postgres::shared()?;
        let url = server.database();
        let relay = Relay::to(server.port()).await;
        self.database = url.rsplit('/').next().map(str::to_owned);
        self.set(
            "LEDGER_URL",
            url.replace(
                &format!(":{}/", server.port()),
                &format!(":{}/", relay.port()),
            ),
        );
        self.relays.push(relay);
        Some(())
    }

    async fn on_nats(&mut self) -> Option<()> {
        let server = Nats::start().await?;
        let relay = Relay::to(server.port()).await;
        self.set("QUEUE_URL", format!("nats://127.0.0.1:{}", relay.port()));
        self.set("QUEUE_MONITOR", server.monitor());
        self.relays.push(relay);
        self.nats = Some(server);
        Some(())
    }

    async fn on_pubsub(&mut self, pushes: bool) -> Option<()> {
        static EMULATOR: OnceCell<Option<Arc<PubSub>>> = OnceCell::const_new();
        let emulator = EMULATOR.get_or_init(PubSub::start).await.clone()?;
        if pushes {
            self.be_called()?;
        }
        let topic = emulator
            .topic(true, self.front.as_ref().map(|front| front.at.as_str()))
            .await;
        let relay = Relay::to(emulator.port()).await;
        self.set("QUEUE_URL", topic.url());
        self.env.push((
            "PUBSUB_EMULATOR_HOST".into(),
            format!("127.0.0.1:{}", relay.port()),
        ));
        self.relays.push(relay);
        self.topic = Some(topic);
        Some(())
    }

    async fn on_tasks(&mut self) -> Option<()> {
        self.be_called()?;
        let front = self.front.as_ref()?;
        let relay = Relay::to(front.port()).await;
        self.set("QUEUE_URL", "cloudtasks://p/l/q".into());
        self.env.push((
            "CLOUD_TASKS_EMULATOR_HOST".into(),
            format!("127.0.0.1:{}", relay.port()),
        ));
        self.relays.push(relay);
        Some(())
    }

    fn be_called(&mut self) -> Option<()> {
        let front = Front::start()?;
        self.set("QUEUE_PUSH_TO", front.at.clone());
        self.set("QUEUE_PUSH_ACCOUNT", ACCOUNT.into());
        self.set("QUEUE_PUSH_KEYS", format!("{}/certs", front.at));
        self.front = Some(front);
        Some(())
    }

    fn set(&mut self, name: &str, value: String) {
        self.env.push((format!("LANDFALL_{name}"), value));
    }

    /// For a node, of which there may be several.
    pub fn under(&self, setup: Setup) -> Setup {
        let setup = match &self.binary {
            Some(binary) => setup.binary(binary),
            None => setup,
        };
        self.env
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value))
    }

    /// The same for another command.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What calls, calls these from now on.
    pub async fn calls(&self, nodes: &[&Node]) {
        if let Some(front) = &self.front {
            front.stands_before(nodes).await;
        }
    }

    /// The line to it; false where there is none.
    pub fn line(&self, line: Line) -> bool {
        self.relays.last().map(|relay| relay.set(line)).is_some()
    }

    /// The line to the database, where it has one.
    pub fn ledger_line(&self, line: Line) {
        assert!(self.database.is_some());
        self.relays
            .first()
            .expect("that to the database is the first")
            .set(line);
    }

    /// The topic, where it is Pub/Sub.
    pub fn topic(&self) -> Option<&Topic> {
        self.topic.as_ref()
    }

    /// Whether it can keep the order of a key.
    pub fn keeps_order(&self) -> bool {
        self.kind != Kind::CloudTasks
    }

    /// How many are in its own place of the dead; none where it has no such place.
    pub async fn dead(&self) -> Option<usize> {
        if let Some(nats) = &self.nats {
            return Some(nats.messages("landfall-dead").await.unwrap_or_default() as usize);
        }
        Some(self.topic.as_ref()?.dead().await.len())
    }

    /// Hands a message to the broker, or to the node as the broker does, as one who may do so. False: there is no broker.
    pub async fn publish(&self, node: &Node, hook: &str, bytes: &[u8]) -> bool {
        if let Some(nats) = &self.nats {
            nats.send(&format!("landfall.{hook}.all"), bytes).await;
        } else if let Some(topic) = &self.topic {
            topic.publish(hook, bytes).await;
        } else if let Some(front) = &self.front {
            let token = front.token(&front.at, ACCOUNT).await;
            let call = node
                .client
                .post(node.url("/_landfall/push"))
                .bearer_auth(token)
                .body(bytes.to_vec());
            assert_eq!(call.send().await.expect("it answers").status(), 204);
        } else {
            return false;
        }
        true
    }

    /// The server, where it is NATS.
    pub fn nats(&self) -> Option<&Nats> {
        self.nats.as_ref()
    }

    /// The stand-in, where something calls.
    pub fn front(&self) -> Option<&Front> {
        self.front.as_ref()
    }

    /// It keeps what is sent and says that it has not, or says nothing of it at all.
    pub async fn be_unknown(&self, is_unknown: bool) -> bool {
        match (&self.front, self.kind) {
            (Some(front), Kind::CloudTasks) => {
                front
                    .fault(if is_unknown {
                        json!("unknown")
                    } else {
                        json!(null)
                    })
                    .await;
                true
            }
            _ => self.line(if is_unknown { Line::Mute } else { Line::Whole }),
        }
    }
}
