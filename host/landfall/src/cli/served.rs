//! `landfall build --out DIR`: where a node serves DIR, waits until it serves what was built.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::output::say;
use super::target::AdminFlags;

/// Pause between two polls of the node.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A component that no hook uses after this time is no longer waited for: its hook file names another.
const USED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until the node that these flags name serves the components that were placed in `out`. Without such a node it says so and goes on.
pub async fn wait(
    admin: &AdminFlags,
    out: &Path,
    built: &[PathBuf],
    limit: Duration,
) -> anyhow::Result<ExitCode> {
    if let Some(why) = not_served(admin, out).await {
        eprintln!("landfall: not waiting for a node: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let began = Instant::now();
    let mut left = built
        .iter()
        .map(|file| Component::read(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    loop {
        let hooks = admin.ask("/api/hooks", None).await?;
        let hooks = hooks.as_array().cloned().unwrap_or_default();
        let mut waiting = Vec::new();
        for component in left {
            match component.progress(&hooks, began.elapsed()) {
                Progress::Served(line) => say!("{line}"),
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
                "the node does not serve the new {} after {} s: `landfall hooks` says how its hooks stand",
                first.file,
                limit.as_secs()
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Why there is no node to wait for.
async fn not_served(admin: &AdminFlags, out: &Path) -> Option<String> {
    if admin.probe("/healthz").await.is_err() {
        return Some(format!(
            "no node has its admin listener at {} (--admin names another one)",
            admin.url()
        ));
    }
    let node = match admin.ask("/api/node", None).await {
        Ok(node) => node,
        Err(error) => return Some(format!("{error:#}")),
    };
    let plugins = node["plugins"].as_str().unwrap_or_default();
    let is_same = out
        .canonicalize()
        .is_ok_and(|out| out == Path::new(plugins));
    (!is_same).then(|| {
        format!(
            "the node at {} serves {plugins}, not {}",
            admin.url(),
            out.display()
        )
    })
}

/// A component that was built.
struct Component {
    file: String,
    digest: String,
}

enum Progress {
    Served(String),
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
            return match waited >= USED_WITHIN {
                true => Progress::Served(format!("{}: no hook uses it", self.file)),
                false => Progress::Waits,
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
        let names: Vec<String> = users
            .iter()
            .map(|hook| {
                let text = |key: &str| hook[key].as_str().unwrap_or_default();
                format!("{} ({})", text("name"), text("state"))
            })
            .collect();
        Progress::Served(format!(
            "{}: the node runs this version for {}",
            self.file,
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_user_must_have_the_new_version() {
        let component = Component {
            file: "a.wasm".into(),
            digest: "new".into(),
        };
        let progress =
            |hooks: Value| match component.progress(hooks.as_array().unwrap(), Duration::ZERO) {
                Progress::Served(line) => line,
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
