//! One running node: its folders, its process, its addresses, its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::require::missing;
use crate::{Postgres, eventually, landfall};

/// How the process is started, each time.
#[derive(Clone, Default)]
struct Launch {
    env: Vec<(String, String)>,
    args: Vec<String>,
    under: Vec<String>,
    /// Public and admin, as typed; none: any free port of this machine.
    listen: Option<(String, String)>,
    /// Of the log; none: JSON.
    format: Option<String>,
    disk: Option<Arc<Disk>>,
    /// `None`: the binary that `cargo build` makes of this repository.
    binary: Option<PathBuf>,
}

/// What a node is started with.
pub struct Setup {
    dir: tempfile::TempDir,
    launch: Launch,
}

/// The process that holds a file system mounted for one node only.
struct Disk(Child);

impl Drop for Disk {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A running node; killed when dropped.
pub struct Node {
    dir: tempfile::TempDir,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    launch: Launch,
    /// The public address.
    pub public: SocketAddr,
    /// The admin address.
    pub admin: SocketAddr,
    /// For the public listener. It keeps connections, and closes idle ones before the node does.
    pub client: reqwest::Client,
    /// For the admin listener. It opens a connection for each request, so that none is sent on a connection that is being closed.
    admin_client: reqwest::Client,
}

/// A name that no other test has.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "t{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::SeqCst)
    )
}

// === impl Setup ===

impl Setup {
    /// An empty plugins directory.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Setup {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("plugins")).expect("a new folder");
        let setup = Setup {
            dir,
            launch: Launch::default(),
        };
        let setup = match std::env::var("LANDFALL_TEST_QUEUE") {
            Ok(url) => setup
                .env("LANDFALL_QUEUE_URL", &url)
                .env("LANDFALL_QUEUE_STREAM", &unique()),
            Err(_) => setup,
        };
        match std::env::var("LANDFALL_TEST_LEDGER") {
            Ok(kind) if kind == "postgres" => setup.on_postgres().expect("PostgreSQL is installed"),
            _ => setup,
        }
    }

    /// With a ledger in a database of its own; none where PostgreSQL is not installed.
    pub fn on_postgres(self) -> Option<Setup> {
        let url = Postgres::shared()?.database();
        Some(self.env("LANDFALL_LEDGER_URL", &url))
    }

    /// One hook `NAME` with its component and the text of its hook file. If that names no mode, the hook is `sync`. In mode `auto` it
    /// waits a minute for the reply if it names no `answer_within`, so that a busy machine changes no answer.
    pub fn hook(self, name: &str, component: &Path, hook_file: &str) -> Setup {
        let plugins = self.dir.path().join("plugins");
        std::fs::copy(component, plugins.join(format!("{name}.wasm")))
            .expect("the component is there");
        let has = |start: &str| hook_file.lines().any(|line| line.starts_with(start));
        let mode = if !has("mode ") {
            "mode = \"sync\"\n"
        } else if has("mode = \"auto\"") && !has("answer_within ") {
            "answer_within = \"60s\"\n"
        } else {
            ""
        };
        std::fs::write(
            plugins.join(format!("{name}.toml")),
            format!("{mode}{hook_file}"),
        )
        .expect("a writable folder");
        self
    }

    /// A file in the plugins directory.
    pub fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Setup {
        std::fs::write(self.dir.path().join("plugins").join(name), bytes)
            .expect("a writable folder");
        self
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.launch.env.push((name.into(), value.into()));
        self
    }

    /// A flag of `serve`.
    pub fn arg(mut self, arg: &str) -> Setup {
        self.launch.args.push(arg.into());
        self
    }

    /// Of its log lines, which must be JSON with a `message` in it.
    pub fn log_format(mut self, format: &str) -> Setup {
        self.launch.format = Some(format.into());
        self
    }

    /// Where it listens: the public address and the admin address, as an operator types them.
    pub fn listen(mut self, public: &str, admin: &str) -> Setup {
        self.launch.listen = Some((public.into(), admin.into()));
        self
    }

    /// Another binary of Landfall.
    pub fn binary(mut self, path: &Path) -> Setup {
        self.launch.binary = Some(path.into());
        self
    }

    /// The plugins directory.
    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// With a data directory of its own size, in memory; none, and a plain line, where that cannot be mounted. It outlives the
    /// node, as a disk does.
    pub fn data_of_size(mut self, size: &str) -> Option<Setup> {
        std::fs::create_dir_all(self.data()).expect("a writable folder");
        let script =
            format!("mount -t tmpfs -o size={size} none \"$0\" && echo mounted && exec sleep 3600");
        let ways: [(&[&str], &[&str]); 2] = [
            (&["--mount"], &["--mount"]),
            (
                &["--user", "--map-root-user", "--mount"],
                &["--user", "--preserve-credentials", "--mount"],
            ),
        ];
        for (rights, ways_in) in ways {
            let mut command = Command::new("unshare");
            command
                .args(rights)
                .args(["sh", "-c", &script])
                .arg(self.data());
            let Ok(mut holder) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
            else {
                continue;
            };
            let mut line = String::new();
            let said =
                BufReader::new(holder.stdout.take().expect("stdout is piped")).read_line(&mut line);
            let disk = Disk(holder);
            if said.is_ok() && line.trim() == "mounted" {
                let id = format!("--target={}", disk.0.id());
                let words = [&["nsenter", &id][..], ways_in].concat();
                self.launch.under = words.into_iter().map(str::to_owned).collect();
                self.launch.disk = Some(Arc::new(disk));
                return Some(self);
            }
        }
        missing("no file system can be mounted (unshare --mount)");
        None
    }

    /// Started by another program that takes its command line: `prlimit`.
    pub fn under(mut self, program: &str, words: &[&str]) -> Setup {
        self.launch.under = [program]
            .iter()
            .chain(words)
            .map(|&word| word.to_owned())
            .collect();
        self
    }

    /// The same folders and settings, copied.
    pub fn copy(&self) -> Setup {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(self.dir.path().join("."))
            .arg(dir.path())
            .status();
        assert!(copied.expect("cp is there").success());
        Setup {
            dir,
            launch: self.launch.clone(),
        }
    }

    /// Starts the node and waits until it listens; hooks may still be loading.
    pub async fn start(self) -> Node {
        match self.begin().await {
            Ok(node) => node,
            Err((_, log)) => panic!("the node ended\n{log}"),
        }
    }

    /// The same; none where it refuses to start.
    pub async fn try_start(self) -> Option<Node> {
        self.begin().await.ok()
    }

    /// Starts the node, which must refuse; the folders and settings again.
    pub async fn refused(self) -> Setup {
        match self.begin().await {
            Ok(_) => panic!("the node starts"),
            Err((setup, _)) => setup,
        }
    }

    /// Starts the node, which must refuse; what it said.
    pub async fn refusal(self) -> String {
        match self.begin().await {
            Ok(_) => panic!("the node starts"),
            Err((_, log)) => log,
        }
    }

    /// What a process that has ended said, to its last line.
    async fn last_words(log: &Arc<Mutex<Vec<String>>>) -> String {
        for _ in 0..100 {
            if Arc::strong_count(log) == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        text(log)
    }

    async fn begin(self) -> Result<Node, (Setup, String)> {
        let binary = self.launch.binary.as_deref().unwrap_or_else(|| landfall());
        let mut words = self
            .launch
            .under
            .iter()
            .map(std::ffi::OsString::from)
            .chain([binary.into()]);
        let mut command = Command::new(words.next().expect("a binary at least"));
        command.args(words).arg("serve");
        let format = self.launch.format.as_deref().unwrap_or("json");
        let any = ("127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned());
        let (public, admin) = self.launch.listen.as_ref().unwrap_or(&any);
        command.args([
            "--listen",
            public,
            "--admin-listen",
            admin,
            "--log-format",
            format,
        ]);
        command
            .arg("--plugins")
            .arg(self.plugins())
            .arg("--data")
            .arg(self.data());
        command
            .args(&self.launch.args)
            .env_remove("RUST_BACKTRACE")
            .envs(self.launch.env.clone());
        // A config file of the folder that the tests run in is none of ours.
        command
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = follow(child.stderr.take().expect("stderr is piped"));
        let serving = eventually("the node listens", || {
            let serving = find(&log, |line| line["message"] == "serving");
            let ended = child.try_wait().expect("a child can be asked");
            let answer = serving.map(Ok).or(ended.map(|_| Err(())));
            async move { answer }
        })
        .await;
        let Ok(serving) = serving else {
            let said = Setup::last_words(&log).await;
            return Err((self, said));
        };
        let address = |key: &str| {
            serving[key]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("an address")
        };
        Ok(Node {
            dir: self.dir,
            launch: self.launch,
            child,
            public: address("listen"),
            admin: address("admin"),
            log,
            client: client(|builder| builder.pool_idle_timeout(Duration::from_secs(5))),
            admin_client: client(|builder| builder.pool_max_idle_per_host(0)),
        })
    }

    /// Starts it and waits until this hook serves.
    pub async fn serving(self, hook: &str) -> Node {
        let node = self.start().await;
        node.until(hook, "serving").await;
        node
    }
}

// === impl Node ===

impl Node {
    /// Waits until every file has been read and events can be kept.
    pub async fn until_ready(&self) {
        let url = format!("http://{}/readyz", self.admin);
        eventually("the node is ready", || async {
            let answer = self.admin_client.get(&url).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

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

    /// How the hooks stand, from the admin API.
    pub async fn hooks(&self) -> Vec<Value> {
        let hooks = self.ask("/api/hooks").await;
        hooks.as_array().expect("a list").clone()
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
        self.ask(&format!("/api/events?hook={hook}&after=0&limit=1000"))
            .await
            .as_array()
            .expect("a list")
            .clone()
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

    /// Waits until the log says this.
    pub async fn until_log(&self, text: &str) {
        eventually(&format!("the log says {text}"), || async {
            self.log().contains(text).then_some(())
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
        match &self.launch.disk {
            None => whole,
            Some(disk) => {
                let below = whole.strip_prefix("/").expect("a whole path");
                PathBuf::from(format!("/proc/{}/root", disk.0.id())).join(below)
            }
        }
    }

    /// The rows of a table.
    pub async fn rows(&self, hook: &str, table: &str) -> Vec<Value> {
        self.ask(&format!("/api/rows/{hook}/{table}"))
            .await
            .as_array()
            .expect("a page of rows")
            .clone()
    }

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

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        self.ask_text("/metrics").await
    }

    /// What the admin API answers. A question whose connection breaks is asked again, unless the node has ended.
    async fn ask_text(&self, path: &str) -> String {
        eventually(&format!("admin answers {path}"), || async {
            let answer = async { self.admin_get(path).send().await?.text().await };
            match answer.await {
                Ok(text) => Some(text),
                Err(error) => {
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

    /// Whether the process has not ended. One that has ended is a zombie until its exit status is read.
    fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The name of the program, in brackets, may contain anything.
        let state = stat
            .ok()
            .and_then(|text| Some(text.rsplit_once(") ")?.1.chars().next()));
        !matches!(state.flatten(), None | Some('Z' | 'X'))
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

    /// Ends the process as a fault would; what it left can be started again.
    pub fn killed(mut self) -> Setup {
        self.child.kill().ok();
        self.child.wait().ok();
        let dir = std::mem::replace(
            &mut self.dir,
            tempfile::tempdir().expect("a temporary folder"),
        );
        Setup {
            dir,
            launch: self.launch.clone(),
        }
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// As `ask`; none where no good answer came.
    pub async fn try_ask(&self, path: &str) -> Option<Value> {
        let response = self.admin_get(path).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// As `order`; none where no good answer came.
    pub async fn try_order(&self, path: &str, order: Value) -> Option<Value> {
        let response = self.admin_post(path).json(&order).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
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

    /// Everything logged so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Waits for a log line.
    pub async fn logged(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            let found = find(&self.log, &matches);
            async move { found }
        })
        .await
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process has memory");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }

    /// Ids of the processes that it has started and that still run.
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let of_threads = std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
            .flatten();
        let texts = of_threads
            .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        texts
            .flat_map(|text| {
                text.split_whitespace()
                    .filter_map(|id| id.parse().ok())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// What the system says of the process: `limits`, `status`.
    pub fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
            .expect("the process lives")
    }

    /// How many files, sockets and pipes the process has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("the process lives")
            .count()
    }

    /// Sends SIGTERM to the process.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the node ends", || {
            let ended = child.try_wait().expect("a child can be asked");
            async move { ended }
        })
        .await
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

fn client(
    settings: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> reqwest::Client {
    settings(reqwest::Client::builder())
        .build()
        .expect("a client")
}

fn follow(stderr: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            lines.lock().expect("the lock is not poisoned").push(line);
        }
    });
    log
}

fn find(log: &Arc<Mutex<Vec<String>>>, matches: impl Fn(&Value) -> bool) -> Option<Value> {
    let lines = log.lock().expect("the lock is not poisoned");
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|line| matches(line))
}

fn text(log: &Arc<Mutex<Vec<String>>>) -> String {
    log.lock().expect("the lock is not poisoned").join("\n")
}

/// The id in an answer `{"event": ID}`.
pub fn event_id(answer: &(u16, String)) -> String {
    let json: Value = serde_json::from_str(&answer.1).unwrap_or_else(|_| panic!("{answer:?}"));
    json["event"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"))
        .to_owned()
}
