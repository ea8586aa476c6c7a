//! `landfall kv`: the key-value pairs of a hook, as lines or as JSON lines.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::listing::{printable, query, text};
use super::output::say;
use super::target::{LedgerFlags, NO_ADMIN};

/// Which pairs.
#[derive(Debug, Args)]
pub(super) struct KvFlags {
    /// The hook that stores them.
    hook: String,
    /// Only keys that begin with this.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    admin: LedgerFlags,
    /// Print JSON, one object in each line.
    #[arg(long)]
    json: bool,
}

/// Runs `landfall kv`. In byte order of the keys.
pub(super) async fn kv(flags: &KvFlags) -> anyhow::Result<ExitCode> {
    let (hook, prefix) = (query(&flags.hook), query(&flags.prefix));
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/kv/{hook}?prefix={prefix}{after}");
        let page = flags.admin.ask(&path, None).await?;
        for pair in page["values"].as_array().context(NO_ADMIN)? {
            if flags.json {
                say!("{pair}");
            } else {
                say!("{}", line(pair));
            }
        }

        let Some(next) = page["next"].as_str() else {
            return Ok(ExitCode::SUCCESS);
        };
        after = format!("&after={}", query(next));
    }
}

/// The key, the value or its beginning, and when it expires.
fn line(pair: &Value) -> String {
    let (shown, shown_bytes) = match (pair["text"].as_str(), pair["hex"].as_str()) {
        (Some(text), _) => (printable(text), text.len()),
        (None, hex) => {
            let digits = hex.unwrap_or_default();
            (format!("hex:{digits}"), digits.len() / 2)
        }
    };
    let bytes = pair["bytes"].as_u64().unwrap_or(0);
    let more = if bytes > shown_bytes as u64 {
        format!("…  ({bytes} bytes)")
    } else {
        String::new()
    };
    let expires = pair["expires_in_ms"].as_u64().map(|ms| {
        let left = Duration::from_secs(ms.div_ceil(1000));
        format!("  (expires in {})", humantime::format_duration(left))
    });
    let expires = expires.unwrap_or_default();
    format!("{}  {shown}{more}{expires}", text(&pair["key"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_have_key_and_value() {
        for (pair, expected) in [
            (
                json!({ "key": "a", "bytes": 3, "text": "one", "expires_in_ms": null }),
                "a  one",
            ),
            (
                json!({ "key": "b\n", "bytes": 9, "text": "two\u{1b}", "expires_in_ms": 60_000 }),
                "b\\n  two\\u{1b}…  (9 bytes)  (expires in 1m)",
            ),
            (
                json!({ "key": "c", "bytes": 2, "hex": "ff00", "expires_in_ms": null }),
                "c  hex:ff00",
            ),
        ] {
            assert_eq!(line(&pair), expected);
        }
    }
}
