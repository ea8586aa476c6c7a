//! The way to the server: one URL, TLS where it is asked for, sessions with bounds, and a look at whether this server keeps what
//! it commits.

use std::sync::Mutex;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Timeouts,
};
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::TlsOptions;
use crate::error::{LedgerError, OpenError};
use landfall_model::{LedgerClock, LedgerTime};

/// Of one node.
const CONNECTIONS: usize = 16;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Of each session: the schema, and bounds on what a statement, a lock and a forgotten transaction may take.
const SESSION: &str = "-c search_path=landfall -c statement_timeout=10s -c lock_timeout=5s \
                       -c idle_in_transaction_session_timeout=30s -c synchronous_commit=on";
/// What a role needs that loses a right while the node runs.
const RUNTIME_GRANT: &str = "run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA landfall TO ROLE, with the role of the ledger's \
                             URL for ROLE";
/// PostgreSQL 14.
const VERSION_MIN: i32 = 140_000;

type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Makes connections.
pub struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

/// The server's time, as it was last told, and this machine's count since.
pub struct ServerClock(Mutex<LedgerClock>);

// === impl Connector ===

impl Connector {
    /// From a URL; the error repeats none of it.
    pub fn new(url: &str, tls: rustls::ClientConfig) -> Result<Connector, OpenError> {
        let wrong =
            |why: String| OpenError::Other(format!("the URL of the ledger cannot be used: {why}"));
        let (url, options) = TlsOptions::take_from(url);
        let mut config: Config = url.parse().map_err(|error: Error| wrong(told(&error)))?;
        let tls = options.apply(&mut config, tls).map_err(wrong)?;
        // Of several servers, the one that takes writes is meant.
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let own = config.get_options().unwrap_or_default();
        let options = format!("{own} {SESSION}");
        config
            .options(options.trim())
            .application_name("landfall")
            .connect_timeout(CONNECT_WITHIN);
        config
            .tcp_user_timeout(CONNECT_WITHIN * 2)
            .keepalives_idle(CONNECT_WITHIN);
        Ok(Connector {
            config,
            tls: MakeRustlsConnect::new(tls),
        })
    }

    /// The connections of this node.
    pub fn pool(&self) -> Result<Pool, OpenError> {
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), manager);
        let waits = Timeouts {
            wait: Some(CONNECT_WITHIN),
            create: Some(CONNECT_WITHIN),
            recycle: Some(CONNECT_WITHIN),
        };
        let runtime = deadpool_postgres::Runtime::Tokio1;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(waits)
            .runtime(runtime)
            .build();
        pool.map_err(|error| {
            OpenError::Other(format!("the ledger in Postgres cannot be opened: {error}"))
        })
    }

    /// A connection of its own, with what it hears.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, TlsStream>), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// The error for a server that does not answer, or refuses the connection.
    pub fn unreachable(&self, error: &PoolError) -> OpenError {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().map(name).collect();
        // A password with an `@` in it would be taken for a part of the host.
        let hosts = if hosts.iter().any(|host| host.contains('@')) {
            "its host".into()
        } else {
            hosts.join(", ")
        };
        let why = told(error);
        let hint = if why.contains("does not support TLS") {
            "; the connection must be encrypted: turn TLS on at the server, or add sslmode=disable to the URL if you trust the network"
        } else if why.contains("unsupported startup parameter") {
            "; that is a connection pooler such as PgBouncer, which does not work here: connect to PostgreSQL itself"
        } else if why.contains("UnknownIssuer") {
            "; name the certificate of its CA with sslrootcert=PATH in the URL"
        } else {
            ""
        };
        OpenError::Other(format!(
            "the ledger in Postgres at {hosts} cannot be reached: {why}{hint}"
        ))
    }
}

/// Whether what this server commits is kept, and it is new enough.
pub async fn check(client: &Object) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),
               current_setting('synchronous_commit'), pg_is_in_recovery()";
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|error| super::other(&error))?;
    let refuse = |why: &str| {
        Err(OpenError::Other(format!(
            "the ledger in Postgres is not used: {why}"
        )))
    };
    if row.get::<_, i32>(0) < VERSION_MIN {
        return refuse("the server is older than PostgreSQL 14");
    }
    if row.get::<_, bool>(4) {
        return refuse("the server is a standby: name the primary");
    }
    if row.get::<_, &str>(1) != "on" || row.get::<_, &str>(2) != "on" {
        return refuse(
            "fsync or full_page_writes is off, and what it commits may be lost: turn both on",
        );
    }
    if row.get::<_, &str>(3) == "off" {
        return refuse("synchronous_commit is off in the options of its URL: leave it out");
    }
    Ok(())
}

/// Why, in one line, with what is below.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<Error> for LedgerError {
    fn from(error: Error) -> LedgerError {
        let text = told(&error);
        let Some(code) = error.code().map(|code| code.code().to_owned()) else {
            return match error.is_closed() || error.to_string().contains("communicating") {
                true => LedgerError::Unreachable(text),
                false => LedgerError::Other(text),
            };
        };
        match (&code[..2], code.as_str()) {
            (_, "42501") => LedgerError::Unreachable(format!("{text}; {RUNTIME_GRANT}")),
            (_, "53100") => LedgerError::Full,
            (_, "25006") => LedgerError::ReadOnly("database"),
            // Deadlocks, time-outs of statements and locks: again, it may go.
            ("40", _) | (_, "55P03" | "57014") => LedgerError::Busy,
            ("08" | "57" | "53" | "58" | "XX" | "25", _) => LedgerError::Unreachable(text),
            _ => LedgerError::Other(text),
        }
    }
}

// === impl ServerClock ===

impl ServerClock {
    /// Asks once.
    pub async fn start(client: &Object) -> Result<ServerClock, Error> {
        let now: i64 = client.query_one("SELECT now_ms()", &[]).await?.get(0);
        Ok(ServerClock(Mutex::new(LedgerClock::from(LedgerTime(now)))))
    }

    /// What the server has told anew: clocks run apart.
    pub fn set(&self, now: LedgerTime) {
        *self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = LedgerClock::from(now);
    }

    /// Now.
    pub fn now(&self) -> LedgerTime {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .now()
    }
}
