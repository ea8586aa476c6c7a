//! Abuses the host in the way that the setting `does` names.

use landfall_sdk::http::Request;
use landfall_sdk::{Event, Failure, Reply, emit, handler, json, kv, log, settings, table};
use std::hint::black_box;
use std::io::Write;
use std::time::{Instant, SystemTime};

#[handler]
fn on_event(event: Event) -> Result<Reply, Failure> {
    let does = settings::get("does").ok_or_else(|| Failure::reject("no `does`"))?;
    let to = settings::get("to").unwrap_or_default();
    match does.as_str() {
        "computes" => loop {
            black_box(());
        },
        "logs for ever" => loop {
            log::info("x".repeat(1000));
        },
        "reads settings for ever" => loop {
            black_box(settings::all::<landfall_sdk::serde_json::Value>()?);
        },
        "reads values for ever" => loop {
            kv::get("k")?;
        },
        "writes values for ever" => (0..).try_for_each(|n: u64| kv::set(&n.to_string(), "x"))?,
        "keeps a huge value" => kv::set("k", "x".repeat(1 << 20))?,
        "keeps many large values" => {
            (0..).try_for_each(|n: u64| kv::set(&n.to_string(), "x".repeat(200 << 10)))?
        }
        "has a huge key" => kv::set(&"k".repeat(10_000), "x")?,
        "has a key with SQL in it" => {
            kv::set("'; DROP TABLE kv; --", "x")?;
            assert_eq!(kv::list_keys("'; DROP", None, 10)?.len(), 1);
        }
        "lists keys for ever" => loop {
            kv::list_keys("", None, u32::MAX)?;
        },
        "overflows a counter" => {
            (0..).try_for_each(|_: u64| kv::increment("n", i32::MAX).map(drop))?
        }
        "emits for ever" => {
            (0..).try_for_each(|_: u64| emit::to("neighbour").body("x").send().map(drop))?
        }
        "emits too much" => drop(emit::to("neighbour").body("x".repeat(2 << 20)).send()?),
        "emits to others" => drop(emit::to("other").send()?),
        "emits a bad header" => drop(emit::to("neighbour").header("x", "a\r\nb: c").send()?),
        "appends for ever" => {
            (0..).try_for_each(|_: u64| table::append("t", &json!({ "a": 1 })))?
        }
        "appends a huge row" => table::append("t", &json!({ "a": "x".repeat(1 << 20) }))?,
        "names a table in SQL" => table::append("t; DROP TABLE rows", &json!({}))?,
        "appends to others" => table::append("secrets", &json!({}))?,
        "calls for ever" => (0..).try_for_each(|_: u64| Request::get(&to).send().map(drop))?,
        "smuggles a header" => drop(Request::get(&to).header("x", "a\r\nhost: b").send()?),
        "sets host" => drop(Request::get(&to).header("Host", "other.test").send()?),
        "sets length" => drop(Request::get(&to).header("Content-Length", "5").send()?),
        "smuggles in the path" => {
            drop(Request::get(format!("{to} HTTP/1.1\r\nhost: b\r\n\r\n")).send()?)
        }
        "calls another origin in its path" => {
            drop(Request::get(format!("{to}@other.test/")).send()?)
        }
        "has a bad method" => drop(Request::new("GET / HTTP/1.1\r\n", &to).send()?),
        "connects" => drop(Request::new("CONNECT", &to).send()?),
        "sends a huge body" => drop(Request::post(&to).body("x".repeat(20 << 20)).send()?),
        "sends many headers" => {
            drop(
                (0..5000)
                    .fold(Request::get(&to), |request, n| {
                        request.header(format!("x-{n}"), "y")
                    })
                    .send()?,
            );
        }
        "answers with many headers" => {
            return Ok((0..5000).fold(Reply::json(200, &json!({})), |reply, n| {
                reply.with_header(format!("x-{n}"), "y")
            }));
        }
        "answers with a line end in a header" => {
            return Ok(Reply::json(200, &json!({})).with_header("x", "a\r\nset-cookie: b"));
        }
        "answers with a huge body" => return Ok(Reply::json(200, &"x".repeat(20 << 20))),
        "answers with no status" => {
            return Ok(Reply {
                status: 0,
                ..Reply::json(200, &json!({}))
            });
        }
        "answers with a status that is none" => {
            return Ok(Reply {
                status: u16::MAX,
                ..Reply::json(200, &json!({}))
            });
        }
        "takes memory in pieces" => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(black_box(vec![1; 64 << 10]));
            }
        }
        "takes memory at once" => drop(black_box(vec![1_u8; 1 << 30])),
        "recurses" => drop(black_box(deep(1))),
        "panics in drop" => drop(Bomb),
        "panics twice" => {
            let _bomb = Bomb;
            panic!("first");
        }
        "aborts" => std::process::abort(),
        "exits" => std::process::exit(0),
        "starts a thread" => std::thread::spawn(|| {})
            .join()
            .map_err(|_| Failure::reject("the thread panicked"))?,
        "reads files" => drop(std::fs::read("/etc/passwd")?),
        "writes files" => std::fs::write("/tmp/x", "x")?,
        "connects a socket" => drop(std::net::TcpStream::connect("127.0.0.1:1")?),
        "reads the environment" => {
            let seen: Vec<_> = std::env::vars()
                .chain(std::env::args().map(|word| (word, String::new())))
                .collect();
            assert!(seen.is_empty(), "{seen:?}");
        }
        "floods its output" => loop {
            std::io::stdout().write_all(&[b'x'; 4096])?;
        },
        "floods its errors" => loop {
            eprintln!("{}", "y".repeat(1000));
        },
        "reads clocks for ever" => loop {
            black_box((Instant::now(), SystemTime::now()));
        },
        "sleeps for ever" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        },
        "wants the event again soon" => {
            return Err(Failure::retry_after(
                "x".repeat(1 << 20),
                std::time::Duration::ZERO,
            ));
        }
        other => {
            return Err(Failure::reject(format!(
                "{other} is not known ({} bytes)",
                event.bytes().len()
            )));
        }
    }
    Ok(Reply::json(200, &json!({ "did": does })))
}

fn deep(n: u64) -> u64 {
    let room = black_box([n; 64]);
    if room[0] == 0 {
        0
    } else {
        deep(n + 1) + room[63]
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}
