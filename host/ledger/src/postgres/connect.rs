//! Connections to the server: the URL, TLS, limits of a session, and a check that the server does
//! not lose commits.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Timeouts,
};
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::TlsOptions;
use crate::error::{LedgerError, OpenError};
use landfall_model::{LedgerClock, LedgerTime, lock};

/// Connections of one node.
const CONNECTIONS: usize = 16;
/// Time limit to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a node tries to connect when it starts.
const FIRST_WITHIN: Duration = Duration::from_secs(30);
const FIRST_AGAIN: Duration = Duration::from_millis(500);
/// Options of each session: the schema, time limits for statements, locks and idle transactions,
/// and the isolation that steps count on, whatever the default of the role or the database is.
const SESSION: &str = "-c search_path=landfall -c statement_timeout=10s -c lock_timeout=5s \
                       -c idle_in_transaction_session_timeout=30s -c synchronous_commit=on \
                       -c default_transaction_isolation=read\\ committed";
/// What to do if the role loses a right while the node runs.
const RUNTIME_GRANT: &str = "run GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA landfall TO ROLE, with the role of the ledger's \
                             URL for ROLE";
/// The oldest supported version: PostgreSQL 14.
const VERSION_MIN: i32 = 140_000;

type TlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Makes connections.
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

/// The server's time when it was last read, and the time since then by this machine's clock.
pub(super) struct ServerClock(Mutex<LedgerClock>);

// === impl Connector ===

impl Connector {
    /// A connector for a URL. The error does not repeat the URL, which may hold a password.
    pub(super) fn new(url: &str, tls: rustls::ClientConfig) -> Result<Connector, OpenError> {
        let (url, options) = TlsOptions::take_from(url);
        let mut config: Config = url
            .parse()
            .map_err(|error: Error| unusable_url(&describe_error(&error)))?;
        let tls = options
            .apply(&mut config, tls)
            .map_err(|error| unusable_url(&error))?;
        // Of several servers, use the one that takes writes.
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

    /// The connection pool of this node.
    pub(super) fn pool(&self) -> Result<Pool, OpenError> {
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

    /// The first connection of a node. A server that is slow to answer, because it starts at the
    /// same time or is busy, is asked again.
    pub(super) async fn first(&self, pool: &Pool) -> Result<Object, OpenError> {
        let until = Instant::now() + FIRST_WITHIN;
        loop {
            match pool.get().await {
                Ok(client) => return Ok(client),
                Err(error) if is_passing(&error) && Instant::now() < until => {
                    let error = describe_error(&error);
                    tracing::warn!(error, "Postgres has not answered yet: trying again");
                    tokio::time::sleep(FIRST_AGAIN).await;
                }
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
    }

    /// A connection outside the pool.
    pub(super) async fn connect(&self) -> Result<(Client, Connection<Socket, TlsStream>), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// The error for a server that does not answer, or refuses the connection.
    pub(super) fn unreachable(&self, error: &PoolError) -> OpenError {
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host_name).collect();
        // A password that contains `@` would be parsed as a part of the host.
        let hosts = if hosts.iter().any(|host| host.contains('@')) {
            "its host".into()
        } else {
            hosts.join(", ")
        };
        let why = describe_error(error);
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

/// Whether the server did not answer, or ended the connection without a reason.
fn is_passing(error: &PoolError) -> bool {
    let PoolError::Backend(error) = error else {
        return matches!(error, PoolError::Timeout(_));
    };
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    io.is_some_and(|io| {
        matches!(
            io.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        )
    })
}

/// The error for a statement that fails while the ledger is opened.
pub(super) fn open_error(error: &tokio_postgres::Error) -> OpenError {
    OpenError::Other(format!(
        "the ledger in Postgres cannot be opened: {}",
        describe_error(error)
    ))
}

fn unusable_url(why: &dyn std::fmt::Display) -> OpenError {
    OpenError::Other(format!("the URL of the ledger cannot be used: {why}"))
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

/// Refuses a server that is too old, a standby, or may lose commits.
pub(super) async fn check(client: &Object) -> Result<(), OpenError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes'),
               current_setting('synchronous_commit'), pg_is_in_recovery()";
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|error| open_error(&error))?;

    let why = if row.get::<_, i32>(0) < VERSION_MIN {
        "the server is older than PostgreSQL 14"
    } else if row.get::<_, bool>(4) {
        "the server is a standby: name the primary"
    } else if row.get::<_, &str>(1) != "on" || row.get::<_, &str>(2) != "on" {
        "fsync or full_page_writes is off, and what it commits may be lost: turn both on"
    } else if row.get::<_, &str>(3) == "off" {
        "synchronous_commit is off in the options of its URL: leave it out"
    } else {
        return Ok(());
    };
    Err(OpenError::Other(format!(
        "the ledger in Postgres is not used: {why}"
    )))
}

/// The text of an error with the texts of its causes, in one line.
pub(super) fn describe_error(error: &dyn std::error::Error) -> String {
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
        let text = describe_error(&error);
        let Some(code) = error.code().map(|code| code.code().to_owned()) else {
            let is_connection = error.is_closed() || error.to_string().contains("communicating");
            return if is_connection {
                LedgerError::Unreachable(text)
            } else {
                LedgerError::Other(text)
            };
        };
        match (&code[..2], code.as_str()) {
            (_, "42501") => LedgerError::Unreachable(format!("{text}; {RUNTIME_GRANT}")),
            (_, "53100") => LedgerError::Full,
            (_, "25006") => LedgerError::ReadOnly("database"),
            // Deadlocks, timeouts of statements and locks: a retry may succeed.
            ("40", _) | (_, "55P03" | "57014") => LedgerError::Busy,
            ("08" | "57" | "53" | "58" | "XX" | "25", _) => LedgerError::Unreachable(text),
            _ => LedgerError::Other(text),
        }
    }
}

// === impl ServerClock ===

impl ServerClock {
    /// Reads the server's time.
    pub(super) async fn start(client: &Object) -> Result<ServerClock, Error> {
        let now: i64 = client.query_one("SELECT now_ms()", &[]).await?.get(0);
        Ok(ServerClock(Mutex::new(LedgerClock::from(LedgerTime(now)))))
    }

    /// Sets the server's time anew, because clocks drift.
    pub(super) fn set(&self, now: LedgerTime) {
        *lock(&self.0) = LedgerClock::from(now);
    }

    pub(super) fn now(&self) -> LedgerTime {
        lock(&self.0).now()
    }
}
