//! A real PostgreSQL for tests: one server for each test process, a database for each node or group of nodes. It ends with the test
//! process, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::require::missing;

/// A server of our own.
pub struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    databases: AtomicU32,
    /// Its input is ours: when that closes, the server is stopped.
    keeper: std::sync::Mutex<Child>,
    /// Beside those of every test server.
    settings: &'static [&'static str],
}

/// An open session. A transaction that it has begun ends with it.
pub struct Session {
    psql: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

// === impl Postgres ===

impl Postgres {
    /// The server of this test process; none, and a plain line, where PostgreSQL is not installed.
    pub fn shared() -> Option<&'static Postgres> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        SERVER.get_or_init(Postgres::start).as_ref()
    }

    /// Another server, which a test may stop and start again.
    pub fn start() -> Option<Postgres> {
        Postgres::with_files(&[], &[])
    }

    /// Another server that offers TLS with this certificate and key.
    pub fn with_tls(certificate: &Path, key: &Path) -> Option<Postgres> {
        const TLS: &[&str] = &["ssl=on", "ssl_cert_file=cert.pem", "ssl_key_file=key.pem"];
        Postgres::with_files(&[("cert.pem", certificate), ("key.pem", key)], TLS)
    }

    /// Files are copied into its data directory.
    fn with_files(files: &[(&str, &Path)], settings: &'static [&'static str]) -> Option<Postgres> {
        let Some(bin) = bin() else {
            missing("PostgreSQL 14 or newer is not installed");
            return None;
        };
        let dir = tempfile::tempdir().expect("a temporary folder");
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(dir.path())
                .status();
            assert!(
                owned.expect("chown is there").success(),
                "the package makes the user postgres"
            );
        }
        let mut init = as_postgres(&bin.join("initdb"));
        init.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
        ])
        .arg(dir.path().join("db"));
        let output = init
            .current_dir(dir.path())
            .output()
            .expect("initdb starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for (name, file) in files {
            let mut install = Command::new("install");
            install.args(["-m", "0600"]).args(if is_root() {
                &["-o", "postgres"][..]
            } else {
                &[]
            });
            let installed = install
                .arg(file)
                .arg(dir.path().join("db").join(name))
                .status();
            assert!(installed.expect("install is there").success(), "{name}");
        }
        let port = crate::ports::free_port();
        let keeper = std::sync::Mutex::new(serve(&bin, dir.path(), port, settings));
        let server = Postgres {
            bin,
            dir,
            port,
            databases: AtomicU32::new(0),
            keeper,
            settings,
        };
        assert!(
            server.is_up_within(Duration::from_secs(60)),
            "PostgreSQL does not come up"
        );
        Some(server)
    }

    /// The URL of a new database.
    pub fn database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// What a statement answers: a line for each row, `|` between the columns.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut command = self.psql(database);
        let output = command.args(["-c", sql]).output().expect("psql starts");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A session that stays open.
    pub fn session(&self, database: &str) -> Session {
        let mut command = self.psql(database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = command.spawn().expect("psql starts");
        let input = psql.stdin.take().expect("it is piped");
        let output = BufReader::new(psql.stdout.take().expect("it is piped"));
        Session {
            psql,
            input,
            output,
        }
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        let port = self.port.to_string();
        command
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"])
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", database]);
        command
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As when the power goes, for the server alone.
    pub fn kill(&self) {
        let pid =
            std::fs::read_to_string(self.dir.path().join("db/postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().expect("a process id").to_owned();
        // The postmaster's children end when it is gone.
        assert!(
            Command::new("kill")
                .args(["-9", &pid])
                .status()
                .expect("kill is there")
                .success()
        );
        let mut keeper = self.keeper.lock().expect("the lock is not poisoned");
        keeper.stdin.take();
        keeper.wait().ok();
    }

    /// Sends a signal to every process of the server.
    pub fn signal(&self, name: &str) {
        let pid =
            std::fs::read_to_string(self.dir.path().join("db/postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().expect("a process id").to_owned();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
            .expect("the server lives");
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .args(children.split_whitespace())
            .status();
        assert!(sent.expect("kill is there").success());
    }

    /// After a kill. As long as a process of the old server lives, a new one refuses to start.
    pub fn start_again(&self) {
        for _ in 0..20 {
            let mut keeper = self.keeper.lock().expect("the lock is not poisoned");
            keeper.stdin.take();
            keeper.wait().ok();
            *keeper = serve(&self.bin, self.dir.path(), self.port, self.settings);
            drop(keeper);
            if self.is_up_within(Duration::from_secs(5)) {
                return;
            }
        }
        panic!("PostgreSQL does not come up again");
    }

    fn is_up_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let port = self.port.to_string();
        while Instant::now() < until {
            let mut ready = Command::new(self.bin.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]);
            if ready.status().is_ok_and(|status| status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

// === impl Session ===

impl Session {
    /// What a statement answers: a line for each row, `|` between the columns.
    pub fn run(&mut self, sql: &str) -> String {
        const END: &str = "end-of-the-answer";
        writeln!(self.input, "{sql};\n\\echo {END}").expect("psql reads");

        let mut answer = String::new();
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).expect("psql answers");
            assert!(!line.is_empty(), "{sql}: psql has ended");
            if line.trim_end() == END {
                return answer.trim().to_owned();
            }
            answer.push_str(&line);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.psql.kill().ok();
        self.psql.wait().ok();
    }
}

/// A shell that ends the server when we are gone.
fn serve(bin: &Path, dir: &Path, port: u16, settings: &[&str]) -> Child {
    let script = "\"$0\" \"$@\" >/dev/null 2>&1 & server=$!; cat >/dev/null; kill -INT $server \
                  2>/dev/null; wait $server";
    let mut command = as_postgres(Path::new("sh"));
    command
        .args(["-c", script])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("db"));
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=300",
        "shared_buffers=64MB",
        "max_wal_size=256MB",
    ]
    .iter()
    .chain(settings)
    {
        command.args(["-c", setting]);
    }
    command
        .args(["-p", &port.to_string()])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the server starts")
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--init-groups",
            "--",
        ])
        .arg(program);
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The newest that is installed.
fn bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max()
}
