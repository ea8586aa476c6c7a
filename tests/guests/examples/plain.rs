//! A component that knows nothing of Landfall: `wasi:http/incoming-handler` alone. The query says
//! what it does: `status=N` answers so, `call=URL` calls out and answers with what came of it,
//! `silent` sets no response, `leave=URL` calls out and does not wait for what comes of it,
//! `upload=URL` begins 32 calls with bodies that do not end and answers with how many bytes the host
//! took, `keeps=N` keeps N `fields` of 30 KiB, `drops=N` makes and drops them, `requests=N` keeps N
//! requests with long methods, `writes-first` sets the response after its body, `does=X` leaves its
//! response unfinished in some way; without one it tells what it got.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::poll::poll;

struct Plain;

wasip2::http::proxy::export!(Plain);

impl Guest for Plain {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        if query == "silent" {
            return;
        }
        if let Some(status) = query.strip_prefix("status=") {
            return answer(out, status.parse().unwrap_or(500), "asked for", true);
        }
        if let Some(url) = query.strip_prefix("call=") {
            let text = call(url);
            return answer(out, 200, &text, false);
        }
        if let Some(url) = query.strip_prefix("leave=") {
            leave(url);
            return answer(out, 200, "did not wait", false);
        }
        if let Some(url) = query.strip_prefix("upload=") {
            let text = upload(url);
            return answer(out, 200, &text, false);
        }
        if let Some((what @ ("keeps" | "drops" | "requests"), count)) = query.split_once('=') {
            let text = store(what, count.parse().expect("a number"));
            return answer(out, 200, &text, false);
        }
        if query == "writes-first" {
            return write_first(out);
        }
        if let Some(does) = query.strip_prefix("does=") {
            return misbehave(out, does);
        }
        let body = read(request.consume().expect("once"));
        let header = |name: &str| {
            let values = request.headers().get(name);
            values
                .first()
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .unwrap_or_default()
        };
        let is_post = matches!(request.method(), Method::Post);
        let (event, attempt) = (header("landfall-event").len(), header("landfall-attempt"));
        let text = format!(
            "post {is_post} path {path} event {event} attempt {attempt} kind {} body {}",
            header("x-kind"),
            body.len()
        );
        answer(out, 200, &text, false);
    }
}

fn answer(out: ResponseOutparam, status: u16, text: &str, later: bool) {
    let headers = Fields::new();
    headers
        .set("x-plain", &[b"yes".to_vec()])
        .expect("a good header");
    if later {
        headers
            .set("retry-after", &[b"9".to_vec()])
            .expect("a good header");
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a good status");
    let body = response.body().expect("once");
    ResponseOutparam::set(out, Ok(response));
    {
        let stream = body.write().expect("once");
        // More than one chunk, so that the host has to read it meanwhile.
        for chunk in text.as_bytes().chunks(4096) {
            stream
                .blocking_write_and_flush(chunk)
                .expect("the host reads");
        }
    }
    OutgoingBody::finish(body, None).expect("whole");
}

/// Lets the host store headers or requests. Returns how many of them the host took.
fn store(what: &str, count: usize) -> String {
    let large = ["x".repeat(30 << 10).into_bytes()];
    let mut made = 0;
    for _ in 0..count {
        let fields = Fields::new();
        match what {
            "requests" => {
                let request = OutgoingRequest::new(fields);
                let method = Method::Other("X".repeat(30 << 10));
                if request.set_method(&method).is_err() {
                    break;
                }
                std::mem::forget(request);
            }
            _ if fields.set("x", &large).is_err() => break,
            "keeps" => std::mem::forget(fields),
            _ => drop(fields),
        }
        made += 1;
    }
    format!("made {made}")
}

/// Writes the body in one piece before it sets the response, as some JavaScript adapters do.
fn write_first(out: ResponseOutparam) {
    let whole = vec![b'x'; 1_000_000];
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("once");
    let stream = body.write().expect("once");
    assert!(stream.check_write().expect("open") >= whole.len() as u64);
    stream.write(&whole).expect("there is room");
    drop(stream);
    OutgoingBody::finish(body, None).expect("whole");
    ResponseOutparam::set(out, Ok(response));
}

/// Begins a response and does not end it well.
fn misbehave(out: ResponseOutparam, does: &str) {
    let headers = Fields::new();
    for name in ["content-length", "connection", "transfer-encoding", "date"] {
        let value = if name == "content-length" { "10" } else { "x" };
        headers
            .set(name, &[value.into()])
            .expect("the host ignores it later");
    }
    let headers = if does == "sets-every-header" {
        headers
    } else {
        Fields::new()
    };
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("once");
    stream
        .blocking_write_and_flush(b"0123456789")
        .expect("the host reads");
    match does {
        "sets-every-header" => {
            drop(stream);
            OutgoingBody::finish(body, None).expect("as long as it was said to be");
        }
        "panics" => panic!("no luck today"),
        "never-finishes" => {
            eprintln!("no response today");
            std::mem::forget(stream);
            std::mem::forget(body);
        }
        "drops-its-body" => {
            drop(stream);
            drop(body);
        }
        "writes-for-ever" => while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {},
        "goes-on-after-its-body" => {
            while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
            loop {
                std::hint::black_box(());
            }
        }
        _ => unreachable!("not a thing that it does"),
    }
}

fn leave(url: &str) {
    let request = request(url).expect("a good URL");
    let call = outgoing_handler::handle(request, None).expect("a call begins");
    std::mem::forget(call);
}

/// How many bytes of 32 bodies the host takes, of 1 MiB each at most, and what comes of a call that
/// has ended.
fn upload(url: &str) -> String {
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let request = request(url).expect("a good URL");
            request.set_method(&Method::Post).expect("a good method");
            let body = request.body().expect("once");
            let stream = body.write().expect("once");
            (
                outgoing_handler::handle(request, None).expect("a call begins"),
                stream,
                body,
            )
        })
        .collect();
    let mut taken = 0;
    for _ in 0..256 {
        for (_, stream, _) in &calls {
            if stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {
                taken += 4096;
            }
        }
    }
    // The call that fails is not always the first one: a failed call makes room for the others.
    let waits: Vec<_> = calls.iter().map(|(call, ..)| call.subscribe()).collect();
    let ended = poll(&waits.iter().collect::<Vec<_>>())[0];
    let end = match calls[ended as usize].0.get() {
        Some(Ok(Ok(_))) => "a response".to_owned(),
        Some(Ok(Err(code))) => format!("{code:?}"),
        _ => "nothing".into(),
    };
    format!("{taken} {end}")
}

fn read(body: IncomingBody) -> Vec<u8> {
    let stream = body.stream().expect("once");
    let mut all = Vec::new();
    while let Ok(bytes) = stream.blocking_read(64 << 10) {
        all.extend(bytes);
    }
    all
}

fn request(url: &str) -> Option<OutgoingRequest> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" {
        Scheme::Https
    } else {
        Scheme::Http
    };
    request.set_scheme(Some(&scheme)).expect("a scheme");
    request.set_authority(Some(authority)).ok()?;
    request
        .set_path_with_query(Some(&format!("/{path}")))
        .ok()?;
    Some(request)
}

fn call(url: &str) -> String {
    let Some(request) = request(url) else {
        return "invalid".into();
    };
    let future = match outgoing_handler::handle(request, None) {
        Ok(future) => future,
        Err(code) => return format!("{code:?}"),
    };
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => {
            let status = response.status();
            format!(
                "{status} {}",
                String::from_utf8_lossy(&read(response.consume().expect("once")))
            )
        }
        Some(Ok(Err(code))) => format!("{code:?}"),
        _ => "nothing".into(),
    }
}
