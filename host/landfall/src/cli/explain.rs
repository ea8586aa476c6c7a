//! `landfall explain`: why requests were refused and why hooks do not serve, from the node itself.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use super::listing::printable;
use super::output::say;
use super::target::{AdminFlags, NO_ADMIN};

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct ExplainFlags {
    /// Only this hook; `-` for requests to no hook.
    hook: Option<String>,
    #[command(flatten)]
    admin: AdminFlags,
    /// Print JSON, one object in each line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Refused {
    at: String,
    hook: String,
    reason: String,
    status: Option<u16>,
    detail: String,
    hint: Option<String>,
    client_address: Option<String>,
    request: Option<RefusedHead>,
    count: u64,
    first_at: String,
}

/// The refused request, without secrets.
#[derive(Debug, Deserialize)]
struct RefusedHead {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    more_headers: usize,
    body: Option<String>,
    is_hex: bool,
    body_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Hook {
    name: String,
    state: String,
    problem: Option<String>,
}

/// Names in refusals that are not hooks: `-` if no hook is known, `_queue` for the calls of a
/// broker, `_admin` for the admin API.
const NOT_HOOKS: [&str; 3] = ["-", "_queue", "_admin"];

/// An event that the filter of its hook has kept from running.
#[derive(Debug, Deserialize)]
struct Filtered {
    event: String,
    hook: String,
    received_at: String,
    reason: Option<String>,
}

/// The filtered events that are shown.
const FILTERED_MAX: usize = 3;

/// Hooks with a problem, then refusals, newest first, then the newest filtered events.
pub(super) async fn explain(flags: &ExplainFlags) -> anyhow::Result<ExitCode> {
    let hooks: Vec<Hook> =
        serde_json::from_value(flags.admin.ask("/api/v1/hooks", None).await?).context(NO_ADMIN)?;
    let wanted = |name: &str| flags.hook.as_deref().is_none_or(|hook| name == hook);
    if let Some(hook) = &flags.hook
        && !NOT_HOOKS.contains(&hook.as_str())
        && !hooks.iter().any(|one| one.name == *hook)
    {
        eprintln!("landfall: {}", unknown(hook, &hooks));
        return Ok(ExitCode::FAILURE);
    }

    let mut lines: Vec<String> = hooks
        .iter()
        .filter(|hook| wanted(&hook.name))
        .filter_map(|hook| problem(hook, flags.json))
        .collect();
    let refusals = flags.admin.ask("/api/v1/refusals", None).await?;
    let mut seen = Vec::new();
    for one in refusals.as_array().context(NO_ADMIN)? {
        let refused: Refused = serde_json::from_value(one.clone()).context(NO_ADMIN)?;
        if !wanted(&refused.hook) {
            continue;
        }

        if flags.json {
            lines.push(one.to_string())
        } else {
            lines.extend(line_once(refused, &mut seen))
        }
    }

    for one in filtered(flags).await? {
        lines.push(one.text(flags.json));
    }

    let text = if !lines.is_empty() {
        lines.join("\n")
    } else if flags.json {
        return Ok(ExitCode::SUCCESS);
    } else {
        "no request was refused since the node has started".to_owned()
    };

    say!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The newest filtered events.
async fn filtered(flags: &ExplainFlags) -> anyhow::Result<Vec<Filtered>> {
    let hook = match flags.hook.as_deref() {
        Some(name) if NOT_HOOKS.contains(&name) => return Ok(Vec::new()),
        Some(name) => format!("&hook={name}"),
        None => String::new(),
    };
    let path = format!("/api/v1/events?state=filtered&limit={FILTERED_MAX}{hook}");
    let mut page = flags.admin.ask(&path, None).await?;
    serde_json::from_value(page["events"].take()).context(NO_ADMIN)
}

fn unknown(hook: &str, hooks: &[Hook]) -> String {
    let near = hooks
        .iter()
        .map(|one| one.name.as_str())
        .min_by_key(|name| strsim::damerau_levenshtein(name, hook));
    let near = near.filter(|name| strsim::damerau_levenshtein(name, hook) <= 1 + name.len() / 4);
    let hook = hook.escape_debug();
    match near {
        Some(near) => format!("no hook `{hook}`: did you mean `{near}`?"),
        None => format!("no hook `{hook}`: `landfall hooks` lists them"),
    }
}

fn problem(hook: &Hook, json: bool) -> Option<String> {
    let Hook {
        name,
        state,
        problem,
    } = hook;
    let problem = problem.as_ref()?;
    Some(if json {
        serde_json::json!({ "hook": name, "state": state, "problem": problem }).to_string()
    } else {
        format!("hook {name} is {state}\n  {problem}")
    })
}

/// The newest of equal refusals. Their number is printed once for each hook and reason.
fn line_once(refused: Refused, seen: &mut Vec<Refused>) -> Option<String> {
    let like: Vec<&Refused> = seen
        .iter()
        .filter(|one| (&one.hook, &one.reason) == (&refused.hook, &refused.reason))
        .collect();
    if like
        .iter()
        .any(|one| (&one.detail, one.status) == (&refused.detail, refused.status))
    {
        return None;
    }

    let count = if like.is_empty() { refused.count } else { 1 };
    let refused = Refused { count, ..refused };
    let line = line(&refused);
    seen.push(refused);
    Some(line)
}

fn line(refused: &Refused) -> String {
    let Refused {
        at,
        hook,
        reason,
        detail,
        count,
        first_at,
        ..
    } = refused;
    let from = refused
        .client_address
        .as_deref()
        .map(|address| format!(" from {address}"))
        .unwrap_or_default();
    let status = refused
        .status
        .map(|status| format!(", answered {status}"))
        .unwrap_or_default();
    let more = if *count > 1 {
        format!("; {count} like it since {first_at}")
    } else {
        String::new()
    };

    let hint = refused
        .hint
        .as_deref()
        .map(|hint| format!("\n  hint: {hint}"))
        .unwrap_or_default();
    let request = refused
        .request
        .as_ref()
        .map(RefusedHead::text)
        .unwrap_or_default();
    format!("{at}  {hook}  {reason}{from}{status}{more}\n  {detail}{hint}{request}")
}

// === impl Filtered ===

impl Filtered {
    fn text(&self, json: bool) -> String {
        let Filtered {
            event,
            hook,
            received_at,
            reason,
        } = self;
        let why = printable(reason.as_deref().unwrap_or_default());
        if json {
            let state = "filtered";
            return serde_json::json!({ "hook": hook, "event": event, "state": state, "reason": why }).to_string();
        }
        format!(
            "{received_at}  {hook}  filtered\n  {why}\n  hint: `landfall events replay {event}` runs it once; \
             change `when` in [filter] of {hook}.toml to let such events run"
        )
    }
}

// === impl RefusedHead ===

impl RefusedHead {
    /// Lines that begin with a line break.
    fn text(&self) -> String {
        let query = self.query.as_deref().map(|query| format!("?{query}"));
        let target = format!("{}{}", self.path, query.unwrap_or_default());
        let mut text = format!(
            "\n  request: {} {}",
            printable(&self.method),
            printable(&target)
        );
        for (name, value) in &self.headers {
            text += &format!("\n    {}: {}", printable(name), printable(value));
        }
        if self.more_headers > 0 {
            text += &format!("\n    and {} more headers", self.more_headers);
        }
        text + &self.body_text()
    }

    fn body_text(&self) -> String {
        let Some(bytes) = self.body_bytes else {
            return String::new();
        };
        let form = if self.is_hex { ", in hexadecimal" } else { "" };
        match &self.body {
            Some(body) if bytes > 0 => {
                format!("\n    body ({bytes} bytes{form}): {}", printable(body))
            }
            Some(_) => String::new(),
            None => format!("\n    body ({bytes} bytes): not shown, it contains the proof"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_printed_below() {
        let refused: Refused = serde_json::from_value(serde_json::json!({
            "at": "2026-01-31T08:15:30Z",
            "hook": "orders",
            "reason": "signature_mismatch",
            "status": 401,
            "detail": "the signature does not match",
            "hint": null,
            "client_address": "127.0.0.1",
            "request": {
                "method": "POST",
                "path": "/orders",
                "query": "code=(masked)",
                "headers": [["x-event", "a\u{1b}"]],
                "more_headers": 2,
                "body": "{\n}",
                "is_hex": false,
                "body_bytes": 3,
            },
            "count": 1,
            "first_at": "2026-01-31T08:15:30Z",
        }))
        .unwrap();
        assert_eq!(
            line(&refused),
            "2026-01-31T08:15:30Z  orders  signature_mismatch from 127.0.0.1, answered 401\n  \
             the signature does not match\n  request: POST /orders?code=(masked)\n    \
             x-event: a\\u{1b}\n    and 2 more headers\n    body (3 bytes): {\\n}"
        );
    }
}
