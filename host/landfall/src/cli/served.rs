//! What `landfall build` prints. If a node serves the folder of `--out`, the command waits until
//! that node serves what was built.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::output::say;
use super::target::AdminFlags;

/// Pause between two polls of the node.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A component that no hook uses after this time is no longer waited for: its hook file names
/// another.
const USED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until the node that these flags name serves the components that were placed in `out`, and
/// prints a line for each. Without such a node, or with a limit of zero, it prints what was built.
/// JSON also has the keys of `receipt`.
pub(super) async fn wait(
    admin: &AdminFlags,
    out: &Path,
    built: &[PathBuf],
    limit: Duration,
    as_json: bool,
    receipt: Option<&Value>,
) -> anyhow::Result<ExitCode> {
    let mut left = built
        .iter()
        .map(|file| Component::read(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if limit.is_zero() || !is_served(admin, out).await {
        for component in &left {
            if as_json {
                say!("{}", component.json(None, receipt));
            } else {
                say!("{}", component.path.display());
            }
        }

        return Ok(ExitCode::SUCCESS);
    }

    let began = Instant::now();
    loop {
        let hooks = admin.ask("/api/v1/hooks", None).await?;
        let hooks = hooks.as_array().cloned().unwrap_or_default();
        let mut waiting = Vec::new();
        for component in left {
            match component.progress(&hooks, began.elapsed()) {
                Progress::Served(users) => {
                    if as_json {
                        say!("{}", component.json(Some(&users), receipt));
                    } else {
                        say!("{}", component.line(&users));
                    }
                }
                Progress::Refused(why) => {
                    anyhow::bail!("the node does not serve {}: {why}", component.file)
                }
                Progress::Waits => waiting.push(component),
            }
        }

        left = waiting;
        let Some(first) = left.first() else {
            return Ok(ExitCode::SUCCESS);
        };

        if began.elapsed() >= limit {
            anyhow::bail!(
                "the node does not serve the new {} after {} s: `landfall hooks` prints the status of its hooks",
                first.file,
                limit.as_secs()
            );
        }

        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Whether the node serves `out`. Prints why not if the operator named that node, or if it may be
/// the one but does not answer this command.
async fn is_served(admin: &AdminFlags, out: &Path) -> bool {
    let url = admin.url();
    if admin.probe("/healthz").await.is_err() {
        if admin.is_given() {
            eprintln!("landfall: not waiting for a node: no node has its admin listener at {url}");
        }

        return false;
    }

    let node = match admin.ask("/api/v1/node", None).await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("landfall: not waiting for a node: {error:#}");
            return false;
        }
    };

    let plugins = node["plugins"].as_str().unwrap_or_default();
    let is_same = out
        .canonicalize()
        .is_ok_and(|out| out == Path::new(plugins));
    if !is_same && admin.is_given() {
        let out = out.display();
        eprintln!(
            "landfall: not waiting for a node: the node at {url} serves {plugins}, not {out}"
        );
    }

    is_same
}

/// A component that was built.
struct Component {
    path: PathBuf,
    /// The file's name, as hooks name it.
    file: String,
    digest: String,
}

enum Progress {
    /// The hooks that use the new version.
    Served(Vec<Value>),
    Refused(String),
    Waits,
}

// === impl Component ===

impl Component {
    fn read(file: &Path) -> anyhow::Result<Component> {
        let bytes =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let name = file
            .file_name()
            .context("a file has a name")?
            .to_string_lossy()
            .into_owned();
        Ok(Component {
            path: file.to_owned(),
            file: name,
            digest: hex::encode(Sha256::digest(&bytes)),
        })
    }

    /// Every hook that uses it must have taken the new version.
    fn progress(&self, hooks: &[Value], waited: Duration) -> Progress {
        let users: Vec<&Value> = hooks
            .iter()
            .filter(|hook| hook["component"] == self.file.as_str())
            .collect();
        if users.is_empty() {
            return if waited >= USED_WITHIN {
                Progress::Served(Vec::new())
            } else {
                Progress::Waits
            };
        }

        let refused = users.iter().find(|hook| {
            hook["tried"] == self.digest.as_str() && hook["digest"] != self.digest.as_str()
        });
        if let Some(hook) = refused {
            let problem = hook["problem"].as_str().unwrap_or("no reason is known");
            return Progress::Refused(format!(
                "hook {}: {problem}",
                hook["name"].as_str().unwrap_or_default()
            ));
        }

        if users
            .iter()
            .any(|hook| hook["digest"] != self.digest.as_str())
        {
            return Progress::Waits;
        }
        Progress::Served(users.into_iter().cloned().collect())
    }

    fn line(&self, users: &[Value]) -> String {
        let names: Vec<String> = users
            .iter()
            .map(|hook| {
                let [name, state] =
                    ["name", "state"].map(|key| hook[key].as_str().unwrap_or_default());
                format!("{name} ({state})")
            })
            .collect();
        if names.is_empty() {
            format!("{}: no hook uses it", self.file)
        } else {
            let names = names.join(", ");
            format!("{}: the node runs this version for {names}", self.file)
        }
    }

    /// `hooks` is null if no node was waited for.
    fn json(&self, users: Option<&[Value]>, receipt: Option<&Value>) -> Value {
        let hooks = users.map(|users| {
            let hooks = users
                .iter()
                .map(|hook| json!({ "name": hook["name"], "state": hook["state"] }));
            hooks.collect::<Vec<_>>()
        });
        let mut line = receipt.cloned().unwrap_or_else(|| json!({}));
        line["file"] = json!(self.path);
        line["digest"] = json!(self.digest);
        line["hooks"] = json!(hooks);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_waits_for_all_hooks() {
        let component = Component {
            path: "out/a.wasm".into(),
            file: "a.wasm".into(),
            digest: "new".into(),
        };
        let progress =
            |hooks: Value| match component.progress(hooks.as_array().unwrap(), Duration::ZERO) {
                Progress::Served(users) => component.line(&users),
                Progress::Refused(why) => why,
                Progress::Waits => "waits".to_owned(),
            };
        let hook = |name: &str, digest: &str, tried: &str| json!({ "name": name, "component": "a.wasm", "digest": digest, "tried": tried, "state": "serving", "problem": "bad" });
        assert_eq!(progress(json!([])), "waits");
        assert_eq!(progress(json!([hook("a", "old", "old")])), "waits");
        assert_eq!(
            progress(json!([hook("a", "new", "new"), hook("b", "old", "old")])),
            "waits"
        );
        assert_eq!(
            progress(json!([hook("a", "new", "new")])),
            "a.wasm: the node runs this version for a (serving)"
        );
        assert_eq!(progress(json!([hook("a", "old", "new")])), "hook a: bad");
    }
}
