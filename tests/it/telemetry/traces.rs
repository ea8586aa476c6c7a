//! The spans of an event's way, and the trace that callers and receivers share.

use landfall_tests::{Receiver, Setup, eventually, guest};

use super::collector::{Collector, Span, named};
use super::{CALLER, OPEN, TRACE, sends_to, traceparent};

/// A hook file whose component calls the receiver.
fn calls(receiver: &Receiver) -> String {
    format!(
        "{OPEN}[settings]\nurl = \"{}\"\n[allow]\nhttp = [\"{}\"]\n",
        receiver.url("/called"),
        receiver.url("/")
    )
}

/// The header that the receiver got.
fn passed_on(receiver: &Receiver) -> Option<String> {
    let got = receiver.got();
    let value = got.first()?.headers.get("traceparent")?;
    Some(value.to_str().unwrap().to_owned())
}

/// The attempts of one hook, in the order of their start.
fn attempts_of<'a>(spans: &'a [Span], hook: &str) -> Vec<&'a Span> {
    let attempts = spans.iter().filter(|span| span.name == "attempt");
    attempts
        .filter(|span| span.get("landfall.hook") == Some(hook))
        .collect()
}

fn assert_within(inner: &Span, outer: &Span) {
    assert_eq!(inner.parent, outer.id, "{inner:#?} is not below {outer:#?}");
    assert!(inner.start <= inner.end, "{inner:#?}");
}

#[tokio::test]
async fn sync_spans_form_a_tree() {
    let (collector, receiver) = (Collector::start().await, Receiver::start().await);
    let setup = Setup::new().hook("calls", &guest("calls"), &calls(&receiver));
    let node = sends_to(&collector, setup).serving("calls").await;
    let answer = node
        .post("/calls", &[("traceparent", &traceparent())], "{}")
        .await;
    assert_eq!(answer.0, 200);

    let names = ["POST /calls", "verify", "queue", "attempt", "GET"];
    let spans = collector.trace(TRACE, &names).await;
    let request = named(&spans, "POST /calls");
    assert_eq!((request.parent.as_str(), request.kind), (CALLER, 2));
    assert_eq!(request.get("http.route"), Some("/calls"));
    assert_eq!(request.get("http.response.status_code"), Some("200"));
    assert_eq!(request.get("landfall.outcome"), Some("replied"));
    assert_eq!(request.get("client.address"), Some("127.0.0.1"));
    assert_eq!((request.error.as_deref(), request.flags), (None, 1));

    for name in ["verify", "queue", "attempt"] {
        assert_within(named(&spans, name), request);
    }
    let attempt = named(&spans, "attempt");
    assert_eq!(attempt.get("landfall.outcome"), Some("done"));
    assert_eq!(attempt.get("landfall.hook"), Some("calls"));
    assert_eq!(
        attempt.get("landfall.event.id"),
        request.get("landfall.event.id")
    );

    let call = named(&spans, "GET");
    assert_within(call, attempt);
    assert_eq!(call.kind, 3);
    assert_eq!(call.get("server.address"), Some("127.0.0.1"));
    let port = receiver.address.port().to_string();
    assert_eq!(call.get("server.port"), Some(port.as_str()));
    assert_eq!(call.get("http.response.status_code"), Some("200"));
    let continued = format!("00-{TRACE}-{}-01", call.id);
    assert_eq!(passed_on(&receiver), Some(continued));

    let resource = collector.resource();
    assert_eq!(resource["service.name"], "landfall");
    assert!(!resource["service.version"].is_empty());
}

#[tokio::test]
async fn retries_and_emissions_share_a_trace() {
    let collector = Collector::start().await;
    let emits = format!(
        "mode = \"async\"\n{OPEN}[allow]\nemit = [\"target\"]\n[retry]\n\
         backoff = {{ first = \"50ms\", factor = 1.0, max = \"50ms\", jitter = 0.0 }}\n"
    );
    let setup = Setup::new().hook("emits", &guest("emits"), &emits).hook(
        "target",
        &guest("answers_one"),
        &format!("mode = \"async\"\n{OPEN}"),
    );
    let node = sends_to(&collector, setup).serving("emits").await;
    node.until("target", "serving").await;
    let headers = [("traceparent", &*traceparent())];
    let answer = node.post("/emits?fail", &headers, "target hello").await;
    assert!((200..300).contains(&answer.0), "{answer:?}");

    let names = [
        "POST /emits",
        "verify",
        "store",
        "queue",
        "attempt",
        "attempt",
        "queue",
        "attempt",
    ];
    let spans = collector.trace(TRACE, &names).await;
    let request = named(&spans, "POST /emits");
    let store = named(&spans, "store");
    assert_within(store, request);
    assert_eq!(store.get("landfall.store.result"), Some("stored"));

    let attempts = attempts_of(&spans, "emits");
    let [first, second] = attempts[..] else {
        panic!("{attempts:#?}");
    };
    assert_within(first, request);
    assert_within(second, request);
    assert_eq!(first.error.as_deref(), Some("retry"));
    assert_eq!(second.error, None);
    assert!(first.links.is_empty());
    assert_eq!(second.links, [(TRACE.to_owned(), first.id.clone())]);
    assert_eq!((first.kind, second.get("landfall.attempt")), (5, Some("2")));

    let emitted = attempts_of(&spans, "target");
    assert_within(emitted[0], second);
    let queued = spans
        .iter()
        .filter(|span| span.name == "queue" && span.parent == second.id);
    assert_eq!(queued.count(), 1);
}

#[tokio::test]
async fn requests_without_trace_start_one() {
    let collector = Collector::start().await;
    let setup = Setup::new().hook("one", &guest("answers_one"), OPEN);
    let node = sends_to(&collector, setup).serving("one").await;
    for header in [
        "",
        "00-broken",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    ] {
        assert_eq!(
            node.post("/one", &[("traceparent", header)], "").await.0,
            200
        );
    }
    let requests = eventually("three requests are traced", || async {
        let mut spans = collector.spans();
        spans.retain(|span| span.kind == 2);
        (spans.len() == 3).then_some(spans)
    })
    .await;
    assert!(requests.iter().all(|span| span.parent.is_empty()));
    assert!(
        requests
            .iter()
            .all(|span| !span.trace.trim_matches('0').is_empty())
    );
    assert_ne!(requests[0].trace, requests[1].trace);
}

#[tokio::test]
async fn refused_requests_are_traced() {
    let collector = Collector::start().await;
    let hook = "[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
    let setup = Setup::new()
        .hook("github", &guest("answers_one"), hook)
        .env("SECRET", "right");
    let node = sends_to(&collector, setup).serving("github").await;
    let headers = [
        ("traceparent", &*traceparent()),
        ("x-hub-signature-256", "sha256=00"),
    ];
    assert_eq!(node.post("/github", &headers, "{}").await.0, 401);

    let spans = collector.trace(TRACE, &["POST /github", "verify"]).await;
    let request = named(&spans, "POST /github");
    assert_eq!(request.get("landfall.outcome"), Some("refused"));
    assert!(request.get("landfall.refusal.reason").is_some());
    assert_eq!(named(&spans, "verify").error.as_deref(), Some("refused"));
}

#[tokio::test]
async fn unsampled_traces_are_passed_on() {
    let (collector, receiver) = (Collector::start().await, Receiver::start().await);
    let setup = Setup::new().hook("calls", &guest("calls"), &calls(&receiver));
    let node = sends_to(&collector, setup)
        .env("LANDFALL_TELEMETRY_SAMPLE_RATIO", "0.0")
        .serving("calls")
        .await;
    let unsampled = traceparent().replace("-01", "-00");
    assert_eq!(
        node.post("/calls", &[("traceparent", &unsampled)], "")
            .await
            .0,
        200
    );
    let header = passed_on(&receiver).unwrap();
    assert!(header.starts_with(&format!("00-{TRACE}-")), "{header}");
    assert!(header.ends_with("-00"), "{header}");
    assert_eq!(node.post("/calls", &[], "").await.0, 200);

    // A caller that records its trace is recorded, and shows that the others have not been.
    let sampled = traceparent().replacen("0af7", "1bf7", 1);
    assert_eq!(
        node.post("/calls", &[("traceparent", &sampled)], "")
            .await
            .0,
        200
    );
    let trace = TRACE.replacen("0af7", "1bf7", 1);
    let names = ["POST /calls", "verify", "queue", "attempt", "GET"];
    collector.trace(&trace, &names).await;
    assert!(collector.spans().iter().all(|span| span.trace == trace));
}

#[tokio::test]
async fn without_telemetry_calls_stay_as_written() {
    let receiver = Receiver::start().await;
    let node = Setup::new()
        .hook("calls", &guest("calls"), &calls(&receiver))
        .serving("calls")
        .await;
    let headers = [("traceparent", &*traceparent())];
    assert_eq!(node.post("/calls", &headers, "").await.0, 200);
    assert_eq!(receiver.got().len(), 1);
    assert_eq!(passed_on(&receiver), None);
}
