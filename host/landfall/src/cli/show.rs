//! `landfall events show`: one event as readable text.

use std::io::{Write, stdout};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::Value;

use super::listing::{printable, query, text, waits};
use super::output::{say, written};
use super::target::LedgerFlags;

/// Printed characters of a body or an answer.
const BODY_SHOWN: usize = 2000;
const ANSWER_SHOWN: usize = 500;

#[derive(Debug, Args)]
pub(super) struct ShowFlags {
    /// The event's id, or the beginning of it.
    event: String,
    /// Write only the body, as it was received; the token that the hook reads from it is masked.
    #[arg(long)]
    body: bool,
}

/// Runs `landfall events show`.
pub(super) async fn show(
    node: &LedgerFlags,
    flags: &ShowFlags,
    as_json: bool,
) -> anyhow::Result<()> {
    ensure!(
        !(flags.body && as_json),
        "--body writes the body as it is: leave out --json"
    );
    let path = format!("/api/v1/events/{}", query(&flags.event));
    if flags.body {
        let shown = node.ask(&format!("{path}?whole=true"), None).await?;
        return body(&shown["event"]);
    }

    let shown = node.ask(&path, None).await?;
    if as_json {
        say!("{shown}");
        return Ok(());
    }

    request(&shown);
    links(&shown);
    for delivery in shown["deliveries"].as_array().into_iter().flatten().rev() {
        one_delivery(delivery);
        let attempts = shown["attempts"].as_array().into_iter().flatten();
        attempts
            .filter(|attempt| attempt["delivery"] == delivery["delivery"])
            .for_each(one_attempt);
    }

    Ok(())
}

fn body(event: &Value) -> anyhow::Result<()> {
    if let Some(problem) = event["problem"].as_str() {
        anyhow::bail!("there is no body: {problem}");
    }

    let bytes = match (
        event["body"]["text"].as_str(),
        event["body"]["hex"].as_str(),
    ) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (_, Some(hex)) => hex::decode(hex).context("the node sends no hex")?,
        _ => Vec::new(),
    };
    written(
        stdout()
            .lock()
            .write_all(&bytes)
            .and_then(|()| stdout().lock().flush()),
    );
    Ok(())
}

fn request(shown: &Value) {
    let event = &shown["event"];
    say!("event      {}", text(&shown["id"]));
    if let Some(problem) = event["problem"].as_str() {
        say!("           {problem}");
        return;
    }

    say!("hook       {}", text(&event["hook"]));
    say!("received   {}", text(&event["received_at"]));
    let query = event["query"]
        .as_str()
        .map(|query| format!("?{}", printable(query)))
        .unwrap_or_default();
    say!(
        "request    {} {}{query}",
        text(&event["method"]),
        text(&event["path"])
    );
    for header in event["headers"].as_array().into_iter().flatten() {
        say!("           {}: {}", text(&header[0]), text(&header[1]));
    }

    let verdict = &shown["verdict"];
    let provider = verdict["provider"]
        .as_str()
        .map(|name| format!(", provider {}", printable(name)))
        .unwrap_or_default();
    let timing = &shown["timing"];
    let took = timing["verify_ms"]
        .as_f64()
        .map(|ms| format!(", in {}", duration(ms)))
        .unwrap_or_default();
    say!(
        "verified   by {}, scheme {}{provider}{took}",
        text(&verdict["key"]),
        text(&verdict["scheme"])
    );
    for attribute in event["attributes"].as_array().into_iter().flatten() {
        if !["verified-by", "verified-by-scheme", "provider"]
            .iter()
            .any(|name| attribute[0] == *name)
        {
            say!(
                "           {} = {}",
                text(&attribute[0]),
                text(&attribute[1])
            );
        }
    }

    if let Some(ms) = timing["stored_ms"].as_f64() {
        say!("stored     {} after the request was read", duration(ms));
    }

    if let Some(why) = event["masked_because"].as_str() {
        say!("masked     {}", printable(why));
    }
    say!("body       {} bytes", event["body_bytes"]);
    match (
        event["body"]["text"].as_str(),
        event["body"]["hex"].as_str(),
    ) {
        (Some(text), _) => quoted(text, BODY_SHOWN),
        (_, Some(hex)) => quoted(hex, BODY_SHOWN),
        _ => {}
    }
}

fn links(shown: &Value) {
    let repeats = &shown["repeats"];
    for (key, what) in [
        ("duplicates", "duplicates were not run"),
        ("conflicts", "events had its id and another body"),
    ] {
        if repeats[key].as_i64().is_some_and(|count| count > 0) {
            say!("repeats    {} {what}", repeats[key]);
        }
    }
    let parent = &shown["parent"];
    if !parent.is_null() {
        say!(
            "parent     {} of hook {}",
            text(&parent["event"]),
            text(&parent["hook"])
        );
    }

    for child in shown["children"].as_array().into_iter().flatten() {
        say!(
            "child      {} of hook {}",
            text(&child["event"]),
            text(&child["hook"])
        );
    }
}

/// A link to another delivery.
fn link(delivery: &Value, key: &str, what: &str) -> String {
    match delivery[key].as_i64() {
        Some(id) => format!(", {what} {id}"),
        None => String::new(),
    }
}

fn one_delivery(delivery: &Value) {
    let links =
        link(delivery, "replay_of", "replay of") + &link(delivery, "resolved_by", "resolved by");
    let superseded = match delivery["superseded_by"].as_str() {
        Some(event) => format!(" by {event}"),
        None => String::new(),
    };
    let batch = match (delivery["batch"].as_str(), delivery["batch_size"].as_i64()) {
        (Some(first), Some(size)) if size > 1 => {
            format!(", in a batch of {size} whose attempts are at {first}")
        }
        _ => String::new(),
    };
    let due = waits(delivery);
    let why = delivery["discarded"]
        .as_str()
        .or(delivery["reason"].as_str());
    let why = why
        .map(|why| format!(": {}", printable(why)))
        .unwrap_or_default();
    let deferred = match delivery["deferrals"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => ", deferred once".to_owned(),
        Some(times) => format!(", deferred {times} times"),
    };
    say!(
        "\ndelivery {}   {}{superseded}{due}{deferred}{links}{batch}{why}",
        delivery["delivery"],
        text(&delivery["state"])
    );
}

fn one_attempt(attempt: &Value) {
    let record = &attempt["record"];
    let status = attempt["status"]
        .as_u64()
        .map(|status| format!(" {status}"))
        .unwrap_or_default();
    let reason = attempt["reason"].as_str().filter(|why| !why.is_empty());
    let reason = reason
        .map(|why| format!(": {}", printable(why)))
        .unwrap_or_default();
    say!(
        "  attempt {}   {}   {}   {}{status}{reason}",
        attempt["number"],
        text(&attempt["started_at"]),
        duration(attempt["duration_ms"].as_f64().unwrap_or_default()),
        text(&attempt["outcome"])
    );
    if let Some(digest) = record["component"].as_str() {
        say!("    component sha256:{}", printable(digest));
    }

    let calls = record["calls"].as_array().map_or(&[][..], Vec::as_slice);
    for call in calls {
        let ms = duration(call["ms"].as_f64().unwrap_or_default());
        let end = match call["status"].as_u64() {
            Some(status) => format!("{status}, {} bytes", call["answer_bytes"]),
            None => format!("{}: {}", text(&call["error"]), text(&call["reason"])),
        };

        say!(
            "    call {} {} in {ms}: {end}",
            text(&call["method"]),
            text(&call["url"])
        );
        if let Some(repeated) = call["repeated"].as_u64() {
            say!("      {repeated} more calls had this error");
        }
        quoted(call["answer"].as_str().unwrap_or_default(), ANSWER_SHOWN);
    }

    let made = record["http_calls"].as_u64().unwrap_or(0) as usize;
    if made > calls.len() {
        say!("    … {} more calls", made - calls.len());
    }

    for line in record["log"].as_array().into_iter().flatten() {
        say!("    {:<5} {}", text(&line[0]), text(&line[1]));
    }

    if record["log_truncated"] == true {
        say!("    … more lines than an attempt may write");
    }

    let effects: Vec<String> = [
        ("rows", "rows"),
        ("kv_writes", "values"),
        ("emitted", "events for other hooks"),
    ]
    .into_iter()
    .filter_map(|(key, what)| Some((record[key].as_u64()?, what)))
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if !effects.is_empty() {
        let kept = if attempt["outcome"] == "done" {
            "stored"
        } else {
            "not stored"
        };

        say!("    effects, {kept}: {}", effects.join(", "));
    }
}

/// The beginning of a text, indented, line by line.
fn quoted(text: &str, characters: usize) {
    let beginning: String = text.chars().take(characters).collect();
    beginning
        .lines()
        .for_each(|line| say!("           {}", printable(line)));
    if beginning.len() < text.len() {
        say!("           …");
    }
}

fn duration(ms: f64) -> String {
    match ms {
        ..1000.0 => format!("{ms} ms"),
        ..60_000.0 => format!("{:.1} s", ms / 1000.0),
        _ => humantime::format_duration(std::time::Duration::from_secs((ms / 1000.0) as u64))
            .to_string(),
    }
}
