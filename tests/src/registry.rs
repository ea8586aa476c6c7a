//! A real registry (Debian's docker-registry) for tests, on a port and in a folder of its own. It ends with the test process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::eventually;
use crate::ports::free_port;
use crate::require::missing;

/// `user` with the password `pass:word`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "user:$2b$04$MStwcpLQP5lvfr9KRboNQuL.6qF6ZKefJu7uZ5xX4c5y6vKYkbkEq\n";

/// A registry that keeps its artifacts in a temporary folder.
pub struct Registry {
    _dir: tempfile::TempDir,
    port: u16,
    /// Its input is ours: when that closes, the registry is stopped.
    keeper: Child,
}

// === impl Registry ===

impl Registry {
    /// A registry that everyone may use. `None`, and a plain line, if docker-registry is not installed.
    pub async fn start() -> Option<Registry> {
        Registry::with("").await
    }

    /// A registry that only `user` with the password `pass:word` may use.
    pub async fn with_password() -> Option<Registry> {
        Registry::with("auth:\n  htpasswd:\n    realm: test\n    path: PASSWORDS\n").await
    }

    async fn with(settings: &str) -> Option<Registry> {
        let Some(bin) = bin() else {
            missing("docker-registry is not installed");
            return None;
        };
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let passwords = dir.path().join("passwords");
        std::fs::write(&passwords, PASSWORDS).expect("a writable folder");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{}",
            dir.path().join("store").display(),
            settings.replace("PASSWORDS", &passwords.display().to_string())
        );
        let config = dir.path().join("config.yml");
        std::fs::write(&config, text).expect("a writable folder");

        let registry = Registry {
            keeper: serve(&bin, &config),
            _dir: dir,
            port,
        };
        eventually("the registry listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        })
        .await;
        Some(registry)
    }

    /// Host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `oci://127.0.0.1:PORT/NAME`
    pub fn oci(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.host())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.keeper.stdin.take();
        self.keeper.wait().ok();
    }
}

/// A shell that ends the registry when we are gone.
fn serve(bin: &Path, config: &Path) -> Child {
    let script =
        "\"$0\" serve \"$1\" & server=$!; cat >/dev/null; kill $server 2>/dev/null; wait $server";
    let mut command = Command::new("sh");
    command.args(["-c", script]).args([bin, config]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the shell starts")
}

fn bin() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut dirs = std::env::split_paths(&path);
    dirs.find_map(|dir| {
        let bin = dir.join("docker-registry");
        bin.exists().then_some(bin)
    })
}
