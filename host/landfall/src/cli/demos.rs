//! Demonstration hooks: what `up` writes, signs and prints.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::app;

/// The first line of every file that `up` may overwrite.
const MARK: &str = "# Written by `landfall up`, which writes it again; remove this line to keep your own changes.\n";

/// One hook to try.
pub(super) struct Demo {
    pub name: &'static str,
    pub about: &'static str,
    hook_file: String,
    body: &'static str,
    headers: fn(secret: &str, body: &str) -> Vec<(String, String)>,
    /// The table whose last row shows the effect.
    pub table: Option<(&'static str, &'static str)>,
}

fn file(name: &str, component: &str, verify: &str, rest: &str) -> String {
    format!(
        "{MARK}component = \"{component}.wasm\"\n\n[verify]\n{verify}\nsecret = \"file:../secrets/{name}\"\n\n{rest}"
    )
}

/// The hooks of `up`, for a node at this address.
pub(super) fn demos(listen: SocketAddr) -> Vec<Demo> {
    let inbox = format!("http://{listen}/inbox");
    let way_out = format!(
        "[allow]\nhttp = [\"{inbox}\"]\n\n# The host adds this to the call. The component never sees it.\n[[credentials]]\nfor    = \"{inbox}\"\nheader = \"Secret\"\nvalue  = \"${{file:../secrets/inbox}}\"\n"
    );
    let token = "scheme = \"token\"\nfrom   = { header = \"Secret\" }";
    let rows = "[settings]\ntable = \"events\"\nfields = { text = \"/text\" }\n\n[allow]\ntable = [\"events\"]\n";
    vec![
        Demo {
            name: "echo",
            about: "answers with the body that it received",
            hook_file: file("echo", "echo", token, ""),
            body: r#"{"hello":"world"}"#,
            headers: secret_header,
            table: None,
        },
        Demo {
            name: "store",
            about: "stores chosen fields as rows",
            hook_file: file("store", "store", "provider = \"generic\"", rows),
            body: r#"{"text":"kept"}"#,
            headers: generic_signature,
            table: Some(("store", "events")),
        },
        Demo {
            name: "forward",
            about: "sends the payload to other URLs, here to /inbox of this node",
            hook_file: file(
                "forward",
                "forward",
                "provider = \"generic\"",
                &format!("[settings]\ntargets = [\"{inbox}\"]\n\n{way_out}"),
            ),
            body: r#"{"text":"forwarded"}"#,
            headers: generic_signature,
            table: Some(("inbox", "events")),
        },
        Demo {
            name: "trigger",
            about: "a push to main calls a URL, here /inbox of this node",
            hook_file: file(
                "trigger",
                "trigger",
                "provider = \"github\"",
                &trigger_settings(&inbox, &way_out),
            ),
            body: r#"{"ref":"refs/heads/main","repository":{"full_name":"octo/site"},"pusher":{"name":"mona"}}"#,
            headers: github_signature,
            table: Some(("inbox", "events")),
        },
        Demo {
            name: "inbox",
            about: "receives the calls of forward and trigger, and stores rows",
            hook_file: file("inbox", "store", token, rows),
            body: r#"{"text":"by hand"}"#,
            headers: secret_header,
            table: Some(("inbox", "events")),
        },
    ]
}

fn trigger_settings(inbox: &str, way_out: &str) -> String {
    format!(
        "[settings]\nurl  = \"{inbox}\"\nbody = '{{\"text\": {{{{ (\"deploy \" ~ event.json.repository.full_name) | tojson }}}}}}'\n\n[[settings.when]]\nheader = \"x-github-event\"\nequals = \"push\"\n\n[[settings.when]]\njson   = \"/ref\"\nequals = \"refs/heads/main\"\n\n{way_out}"
    )
}

// === impl Demo ===

impl Demo {
    /// Writes the hook file, unless its first line was removed, and a new secret, unless there is
    /// one.
    pub(super) fn write(&self, plugins: &Path, secrets: &Path) -> anyhow::Result<()> {
        let path = plugins.join(format!("{}.toml", self.name));
        let ours = fs::read_to_string(&path).map_or(true, |text| text.starts_with(MARK));
        if ours {
            fs::write(&path, &self.hook_file)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }

        let secret = secrets.join(self.name);
        if !secret.exists() {
            write_secret(&secret)
                .with_context(|| format!("{} cannot be written", secret.display()))?;
        }

        Ok(())
    }

    /// A curl command with a valid token or signature.
    pub(super) fn curl(&self, listen: SocketAddr, secrets: &Path) -> anyhow::Result<String> {
        let secret =
            fs::read_to_string(secrets.join(self.name)).context("the secret was just written")?;
        let headers = (self.headers)(&secret, self.body);
        let flags: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("-H '{name}: {value}'"))
            .collect();
        Ok(format!(
            "curl -sS http://{listen}/{} -H 'Content-Type: application/json' {} -d '{}'",
            self.name,
            flags.join(" "),
            self.body
        ))
    }

    /// The command that shows the effect.
    pub(super) fn rows(&self, asking: &AdminTarget<'_>) -> Option<String> {
        self.table
            .map(|(hook, table)| asking.command(&format!("rows {table} --hook {hook}")))
    }
}

/// The node that the printed commands call.
pub(super) struct AdminTarget<'a> {
    /// Its admin listener.
    pub admin: SocketAddr,
    /// The path of its own admin token; `None` if another one is configured.
    pub data: Option<&'a Path>,
}

// === impl AdminTarget ===

impl AdminTarget<'_> {
    /// A command line that works in any directory: the binary as it was called, the node, and its
    /// token.
    pub(super) fn command(&self, words: &str) -> String {
        let binary = std::env::current_exe()
            .map_or_else(|_| "landfall".into(), |path| path.display().to_string());
        let token = self
            .data
            .map(app::admin_token_path)
            .and_then(|path| std::path::absolute(path).ok());
        let token = token
            .map(|path| format!(" --token file:{}", path.display()))
            .unwrap_or_default();
        format!("{binary} {words} --admin http://{}{token}", self.admin)
    }
}

fn write_secret(path: &Path) -> anyhow::Result<()> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(hex::encode(random).as_bytes())?)
}

fn secret_header(secret: &str, _: &str) -> Vec<(String, String)> {
    vec![("Secret".into(), secret.into())]
}

fn generic_signature(secret: &str, body: &str) -> Vec<(String, String)> {
    vec![("X-Signature".into(), signature(secret, body))]
}

fn github_signature(secret: &str, body: &str) -> Vec<(String, String)> {
    vec![
        ("X-GitHub-Event".into(), "push".into()),
        ("X-Hub-Signature-256".into(), signature(secret, body)),
    ]
}

/// `sha256=` and the HMAC-SHA256 of the body, in hex.
pub(super) fn signature(secret: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
