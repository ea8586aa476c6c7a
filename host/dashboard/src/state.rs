//! What the pages share.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use axum::http::HeaderMap;
use landfall_admin::{Admin, Caller, InProcess};
use landfall_model::SecretSource;
use landfall_verify::{Packs, SignedSample};
use tokio::sync::Semaphore;

use crate::curl::SampleCommand;
use crate::heads::Heads;
use crate::jobs::Jobs;
use crate::series::Series;
use crate::session::{Session, Sessions};
use crate::text;

/// Pages that are updated live at a time, over all browsers. Fewer than the connections of the
/// listener.
const STREAMS_MAX: usize = 24;
/// The most characters of the name of a hook.
const HOOK_MAX: usize = 64;

/// Sends a signed sample to the public listener. Returns status and body of the answer.
pub type SendSample = Arc<
    dyn Fn(SignedSample) -> Pin<Box<dyn Future<Output = Result<(u16, String), SendError>> + Send>>
        + Send
        + Sync,
>;
/// Reads the provider packs, with those of the plugins directory.
pub type ReadPacks = Arc<dyn Fn() -> Packs + Send + Sync>;
/// When the alarm on silence of a hook opens if no event arrives, if that is known.
pub type NextAlarm = Arc<dyn Fn(&str) -> Option<SystemTime> + Send + Sync>;

/// A sample could not be sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// What the dashboard is made from.
#[derive(Clone)]
pub struct Setup {
    /// The state of the admin API.
    pub admin: Admin,
    /// The values that samples are signed with.
    pub secrets: Arc<dyn SecretSource>,
    /// The provider packs.
    pub packs: ReadPacks,
    /// The public listener, as this machine reaches it.
    pub public: SocketAddr,
    /// Sends samples.
    pub send: SendSample,
    /// What hooks are watched for.
    pub next_alarm: NextAlarm,
}

/// The state of the pages.
pub(crate) struct Dashboard {
    pub(crate) setup: Setup,
    pub(crate) api: InProcess,
    pub(crate) sessions: Sessions,
    pub(crate) series: Series,
    pub(crate) heads: Heads,
    pub(crate) jobs: Jobs,
    pub(crate) streams: Arc<Semaphore>,
    /// The commands that send a first event, by hook, and when they were signed.
    pub(crate) commands: Mutex<BTreeMap<String, (Instant, SampleCommand)>>,
}

/// The state of each handler.
pub(crate) type Shared = Arc<Dashboard>;

// === impl Dashboard ===

impl Dashboard {
    pub(crate) fn new(setup: Setup) -> Shared {
        Arc::new(Dashboard {
            api: InProcess::new(&setup.admin),
            sessions: Sessions::default(),
            series: Series::default(),
            heads: Heads::default(),
            jobs: Jobs::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            commands: Mutex::default(),
            setup,
        })
    }

    /// Why there is no page of this hook, and where the hooks are.
    pub(crate) fn no_hook(&self, typed: &str) -> String {
        match self.setup.admin.hooks.nearest_name(typed) {
            Some(near) => format!(
                "no hook has this name: did you mean {}?",
                text::line(&near, HOOK_MAX)
            ),
            None => "no hook has this name: the overview lists the hooks".to_owned(),
        }
    }

    /// The session of a request. `None` without a login with a present token.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let guard = &self.setup.admin.guard;
        let role_of = |token: &[u8; 32]| guard.role_of_digest(token);
        self.sessions.find(headers, role_of, Instant::now())
    }

    /// Whether a session goes on. Does not count as use.
    pub(crate) fn is_open(&self, session: &Session) -> bool {
        let guard = &self.setup.admin.guard;
        self.sessions.is_open(session, Instant::now())
            && guard.role_of_digest(&session.token) == Some(session.role)
    }

    /// The URL of a path of the public listener.
    pub(crate) fn public_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.setup.public)
    }

    /// Shows what a form has changed on the next page of its session.
    pub(crate) fn notify(&self, by: &Operator, result: &str) {
        self.sessions.notify(&by.session, result.to_owned());
    }
}

/// Who sent a request.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) session: Session,
    /// Role, token and address, for the audit record.
    pub(crate) caller: Caller,
}

// === impl Operator ===

impl Operator {
    /// `client`: the address of the browser.
    pub(crate) fn new(session: Session, client: Option<IpAddr>) -> Operator {
        let caller = Caller::new(session.role, &session.token, client);
        Operator { session, caller }
    }
}
