//! `landfall invoke`: runs a component once and prints what it does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use landfall_offline::{Invocation, Invoked, Override};
use serde_json::{Value, json};

use super::listing::printable;
use super::output::say;
use crate::offline;

/// Before lines that belong to the one above.
const BELOW: &str = "         ";

/// What to run.
#[derive(Debug, Args)]
pub(super) struct InvokeFlags {
    /// The component: a .wasm file.
    component: PathBuf,
    /// The event: a case in TOML, or a file with the body of the request.
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// The hook file [default: NAME.toml beside NAME.wasm, or above its folder `build`].
    #[arg(long, value_name = "FILE")]
    hook: Option<PathBuf>,
    /// Set a value in the JSON body of the event: `/ref=refs/heads/main`. Can be repeated.
    #[arg(long, value_name = "/POINTER=VALUE")]
    set: Vec<Override>,
    /// Make the outbound calls, with the grants and the credentials of the hook file. Without this,
    /// only the `[[http]]` answers of the case answer.
    #[arg(long)]
    allow_network: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Exits with 0 if the outcome is `done`, with 1 if it is another, with 2 if the component cannot
/// be run.
pub(super) async fn invoke(flags: InvokeFlags) -> anyhow::Result<ExitCode> {
    let invocation = Invocation {
        component: flags.component,
        hook_file: flags.hook,
        event: flags.event,
        overrides: flags.set,
        network: flags.allow_network.then(offline::network),
    };
    let invoked = match offline::invoke(invocation).await {
        Ok(invoked) => invoked,
        Err(error) => {
            eprintln!("landfall: {error}");
            return Ok(ExitCode::from(2));
        }
    };

    let result = invoked.to_json();
    if flags.json {
        say!("{result}");
    } else {
        print(&invoked, &result);
    }
    // A filtered event is handled as the hook file says.
    Ok(
        if result["outcome"] == "done" || result["outcome"] == "filtered" {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    )
}

fn print(invoked: &Invoked, result: &Value) {
    let reason = match result["reason"].as_str() {
        None | Some("") => String::new(),
        Some(reason) => format!(": {reason}"),
    };
    lines(
        "outcome  ",
        &format!("{}{reason}", word(&result["outcome"])),
    );
    say!(
        "time     {} ms to load, {} ms to instantiate and run",
        result["load_ms"],
        result["ms"]
    );
    say!("memory   {} at most", invoked.memory());
    if invoked.hook_file.is_none() {
        say!("hook     no hook file: nothing is granted; name one with --hook");
    }

    for line in invoked.run.log_lines() {
        lines("log      ", &line);
    }
    for call in elements(&result["calls"]) {
        let end = match (call["status"].as_u64(), call["error"].as_str()) {
            (Some(status), _) => format!(": {status}"),
            (None, Some(error)) => format!(": {error}"),
            (None, None) => String::new(),
        };
        let (method, url) = (word(&call["method"]), word(&call["url"]));
        lines("call     ", &format!("{method} {url}{end}"));
        body(call);
    }
    for failed in elements(&result["failed_calls"]) {
        lines("failed   ", word(failed));
    }
    for row in elements(&result["rows"]) {
        let row = format!("{} {}", word(&row["table"]), row["row"]);
        lines("row      ", &row);
    }
    for (key, value) in result["kv"].as_object().into_iter().flatten() {
        lines("kv       ", &format!("{key} = {value}"));
    }
    for emitted in elements(&result["emitted"]) {
        lines("emitted  ", word(&emitted["hook"]));
        body(emitted);
    }
    if result["effects_discarded"] == json!(true) {
        say!("effects  staged and discarded, since the outcome is not done");
    }

    let reply = &result["reply"];
    if reply.is_null() {
        say!("reply    none: the host answers");
        return;
    }
    say!("reply    {}", reply["status"]);
    for (name, value) in reply["headers"].as_object().into_iter().flatten() {
        lines(BELOW, &format!("{name}: {}", word(value)));
    }
    body(reply);
}

/// What the component or the sender wrote, without characters that a terminal obeys.
fn lines(title: &str, text: &str) {
    let mut title = title;
    for line in text.lines() {
        say!("{title}{}", printable(line));
        title = BELOW;
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn body(message: &Value) {
    match (&message["json"], &message["body"]) {
        (Value::Null, Value::Null) => {}
        (Value::Null, body) => lines(BELOW, word(body)),
        (json, _) => lines(BELOW, &json.to_string()),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
