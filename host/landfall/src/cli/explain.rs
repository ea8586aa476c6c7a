//! `landfall explain`: why requests were refused and why hooks do not serve, from the node itself.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

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
    count: u64,
    first_at: String,
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

/// Hooks with a problem, then refusals, newest first.
pub(super) async fn explain(flags: &ExplainFlags) -> anyhow::Result<ExitCode> {
    let hooks: Vec<Hook> =
        serde_json::from_value(flags.admin.ask("/api/hooks", None).await?).context(NO_ADMIN)?;
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
    let refusals = flags.admin.ask("/api/refusals", None).await?;
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
    format!("{at}  {hook}  {reason}{from}{status}{more}\n  {detail}{hint}")
}
