//! Does with `kv` what the query says, then what comes after `!`: nothing, `fail` or `trap`. The steps are joined by `&`:
//! `a=1` sets, `a+2` increments, `a+2@60` increments a value that expires after 60 s, `a-` deletes, `a?0=1` compares and sets, `a.` gets,
//! `a~` gets, waits, and sets one more if the value is still the same, `p*` lists. The reply has a line for each step.

use landfall_sdk::{Event, Failure, Payload, handler, kv};
use std::time::Duration;

#[handler]
fn on_event(event: Event) -> Result<String, Failure> {
    let query = event.query.clone().unwrap_or_default();
    let (steps, then) = query.split_once('!').unwrap_or((&query, ""));
    let lines: Vec<String> = steps.split('&').map(step).collect::<Result<_, _>>()?;
    match then {
        "fail" => Err(Failure::retry("asked to")),
        "trap" => panic!("asked to"),
        _ => Ok(lines.join("\n")),
    }
}

fn step(step: &str) -> Result<String, Failure> {
    if let Some((key, rest)) = step.split_once('?') {
        let (expected, value) = rest
            .split_once('=')
            .ok_or_else(|| Failure::reject("no value"))?;
        let expected = (!expected.is_empty()).then(|| Payload::Text(expected.into()));
        return Ok(kv::compare_and_set(key, expected.as_ref(), value)?.to_string());
    }
    if let Some((key, value)) = step.split_once('=') {
        kv::set(key, value)?;
        return Ok("set".into());
    }
    if let Some((key, by)) = step.split_once('+') {
        let sum = match by.split_once('@') {
            Some((by, seconds)) => {
                let time = Duration::from_secs(seconds.parse()?);
                kv::increment_for(key, by.parse()?, time)
            }
            None => kv::increment(key, by.parse()?),
        };
        return Ok(sum?.to_string());
    }
    if let Some(key) = step.strip_suffix('-') {
        kv::delete(key)?;
        return Ok("deleted".into());
    }
    if let Some(key) = step.strip_suffix('~') {
        let present = kv::get(key)?;
        let number: u32 = present
            .as_ref()
            .and_then(Payload::as_text)
            .map_or(Ok(0), str::parse)?;
        std::thread::sleep(Duration::from_millis(2));
        return match kv::compare_and_set(key, present.as_ref(), (number + 1).to_string())? {
            true => Ok("one more".into()),
            false => Err(Failure::retry("changed already")),
        };
    }
    if let Some(prefix) = step.strip_suffix('*') {
        return Ok(kv::list_keys(prefix, None, 1000)?.join(","));
    }
    let value = kv::get_text(step.trim_end_matches('.'))?;
    Ok(value.unwrap_or_else(|| "none".into()))
}
