//! Handlers as their authors write and test them: natively, against the fake host.

use landfall_sdk::http::{HttpError, Request, Response};
use landfall_sdk::{
    CapabilityError, Event, Failure, FromEvent, IntoReply, Json, Payload, Reply, Settings,
};
use landfall_sdk::{
    emit, handler, http, json, kv, log, serde, serde_json::Value, settings, table, testing,
};
use std::time::Duration;

#[handler]
fn greets(Json(body): Json<Value>) -> Result<Json<Value>, Failure> {
    let name = body["name"]
        .as_str()
        .ok_or_else(|| Failure::reject("no name"))?;
    Ok(Json(json!({ "hello": name })))
}

#[test]
fn a_handler_stays_a_function() {
    assert_eq!(
        greets(Json(json!({ "name": "Ada" }))),
        Ok(Json(json!({ "hello": "Ada" })))
    );
    assert_eq!(greets(Json(json!({}))), Err(Failure::reject("no name")));
}

#[test]
fn unexpected_json_is_rejected() {
    let failure = <Json<Value>>::from_event(testing::post_raw("{").build()).unwrap_err();
    assert!(
        matches!(&failure, Failure::Reject { reason, reply: None } if reason.starts_with("the body is not the JSON expected: "))
    );
}

#[test]
fn an_event_is_asked_by_name() {
    let event = testing::post(json!({}))
        .header("X-Kind", "first")
        .header("x-kind", "second")
        .event_type("push")
        .provider("github")
        .delivery_id("1/2")
        .param("team", "blue")
        .build();
    assert_eq!(event.header("X-KIND"), Some("first"));
    assert_eq!(
        (event.event_type.as_deref(), event.provider.as_deref()),
        (Some("push"), Some("github"))
    );
    assert_eq!(event.delivery_id.as_deref(), Some("1/2"));
    let signed = testing::post(json!({})).attribute("verified-by", "signature#1");
    assert_eq!(signed.build().attribute("verified-by"), Some("signature#1"));
    assert_eq!(
        (
            event.param("team"),
            event.param("eam"),
            event.attribute("team")
        ),
        (Some("blue"), None, None)
    );
}

#[test]
fn utf8_payloads_are_text() {
    assert_eq!(Payload::from(b"abc".to_vec()), Payload::Text("abc".into()));
    let event: Event = testing::post_raw(vec![0xff, 0]).build();
    assert_eq!((event.text(), event.bytes()), (None, &[0xff, 0][..]));
}

#[test]
fn every_return_type_is_a_reply() {
    assert_eq!("one".into_reply(), Some(Reply::text(200, "one")));
    let text = String::from("one").into_reply().unwrap();
    assert_eq!(text.headers[0].1, "text/plain; charset=utf-8");
    let reply = Json([1, 2]).into_reply().unwrap().with_header("x", "y");
    assert_eq!(
        (reply.status, reply.body),
        (200, Payload::Text("[1,2]".into()))
    );
    assert_eq!(
        reply.headers[0],
        ("content-type".into(), "application/json".into())
    );
    assert_eq!(reply.headers[1], ("x".into(), "y".into()));
    assert_eq!(Some(Reply::new(201)).into_reply(), Some(Reply::new(201)));
}

#[test]
fn nothing_leaves_success_to_the_host() {
    assert_eq!(().into_reply(), None);
    assert_eq!(None::<Reply>.into_reply(), None);
    assert_eq!(Some(()).into_reply(), None);
}

#[test]
fn only_rejections_carry_a_reply() {
    let reply = Reply::json(409, &json!({ "error": "conflict" }));
    let rejected = Failure::reject("taken").with_reply(reply.clone());
    let expected = Failure::Reject {
        reason: "taken".into(),
        reply: Some(reply.clone()),
    };
    assert_eq!(rejected, expected);
    let deferred = Failure::defer_after("no invoice yet", Duration::from_secs(5));
    assert_eq!(deferred.clone().with_reply(reply), deferred);
    assert_eq!(
        (deferred.reason(), deferred.to_string().as_str()),
        ("no invoice yet", "defer after 5s: no invoice yet")
    );
}

#[test]
fn any_error_is_a_retry() {
    fn number(text: &str) -> Result<u32, Failure> {
        Ok(text.parse()?)
    }
    assert_eq!(
        number("x"),
        Err(Failure::retry("invalid digit found in string"))
    );
    assert_eq!(
        Failure::retry_after("busy", Duration::from_secs(2)).to_string(),
        "retry after 2s: busy"
    );
}

/// An error with a source, as most libraries write them.
#[derive(Debug)]
struct Wrapped(&'static str, Option<Box<Wrapped>>);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

fn wrapped(words: &[&'static str]) -> Option<Box<Wrapped>> {
    let (first, rest) = words.split_first()?;
    Some(Box::new(Wrapped(first, wrapped(rest))))
}

#[test]
fn reasons_name_every_source() {
    let three = || *wrapped(&["no deploy", "no connection", "refused"]).unwrap();
    let reason = "no deploy: no connection: refused";
    assert_eq!(Failure::from(three()), Failure::retry(reason));
    assert_eq!(Failure::reject(three()), Failure::reject(reason));
    assert_eq!(Failure::defer(three()), Failure::defer(reason));
    let repeated = *wrapped(&["no deploy: refused", "refused"]).unwrap();
    assert_eq!(Failure::from(repeated).reason(), "no deploy: refused");

    fn anyhow() -> Result<(), Failure> {
        Err(anyhow::anyhow!("refused").context("no deploy"))?
    }
    assert_eq!(anyhow(), Err(Failure::retry("no deploy: refused")));
    fn boxed() -> Result<(), Failure> {
        Err::<(), Box<dyn std::error::Error>>("refused".into())?;
        Ok(())
    }
    assert_eq!(boxed(), Err(Failure::retry("refused")));
}

#[test]
fn reasons_are_bounded() {
    let long = "é".repeat(4 << 10);
    assert_eq!(Failure::reject(long).reason().len(), 4 << 10);
    let many = *wrapped(&["one", "two"].repeat(500)).unwrap();
    assert!(Failure::from(many).reason().len() < 200);
}

#[test]
fn arguments_are_read_together() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(crate = "landfall_sdk::serde")]
    struct Deploy {
        branch: String,
    }
    fn on_push(
        event: Event,
        Json(push): Json<Value>,
        Settings(Deploy { branch }): Settings<Deploy>,
    ) -> Result<String, Failure> {
        Ok(format!("{} {} {branch}", event.hook, push["ref"]))
    }

    let _host = testing::host().setting("branch", "main");
    let reply = testing::run(on_push, testing::event(json!({ "ref": 1 })));
    assert_eq!(reply, Ok(Some(Reply::text(200, "test 1 main"))));
    let failure = testing::run(on_push, testing::post_raw("{").build()).unwrap_err();
    assert!(failure.reason().starts_with("the body is not"), "{failure}");
    let _host = testing::host();
    let failure = testing::run(on_push, testing::event(json!({}))).unwrap_err();
    let missing = "[settings] of the hook's file: missing field `branch`";
    assert_eq!(failure, Failure::retry(missing));
}

#[test]
fn mismatches_name_the_place() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(crate = "landfall_sdk::serde")]
    struct Push {
        #[expect(dead_code)]
        commits: Vec<Commit>,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(crate = "landfall_sdk::serde")]
    struct Commit {
        #[expect(dead_code)]
        id: String,
    }
    let body = json!({ "commits": [{ "id": "a" }, { "id": 7 }] });
    let failure = testing::event(body).json::<Push>().unwrap_err();
    assert_eq!(
        failure.reason(),
        "the body is not the JSON expected: `commits[1].id`: invalid type: integer `7`, expected a string at line 1 column 30"
    );
    let failure = testing::event(json!({})).json::<Push>().unwrap_err();
    assert!(
        failure.reason().contains("expected: missing field"),
        "{failure}"
    );
}

#[test]
fn settings_are_read_singly_or_whole() {
    let _host = testing::host()
        .setting("branch", "main")
        .setting("count", 3);
    assert_eq!(
        (settings::get("branch"), settings::get("count")),
        (Some("main".into()), Some("3".into()))
    );
    assert_eq!(settings::get("other"), None);
    assert_eq!(
        settings::all::<Value>(),
        Ok(json!({ "branch": "main", "count": 3 }))
    );
    let failure = settings::all::<std::collections::BTreeMap<String, u8>>().unwrap_err();
    let sentence =
        "[settings] of the hook's file: `branch`: invalid type: string \"main\", expected u8";
    assert_eq!(failure, Failure::retry(sentence));
}

#[test]
fn the_longest_prefix_answers() {
    let host = testing::host()
        .answer("https://a.example/", 404, "")
        .answer("https://a.example/b", 200, "{\"n\":1}");
    let response = Request::put("https://a.example/b/c")
        .json(&json!([1]))
        .send()
        .unwrap();
    assert!(response.is_success());
    assert_eq!(response.json::<Value>().unwrap(), json!({ "n": 1 }));
    let call = &host.calls()[0];
    assert_eq!(
        (call.method.as_str(), call.headers[0].1.as_str()),
        ("PUT", "application/json")
    );
    assert_eq!(call.body, Some("[1]".into()));
}

#[test]
fn calls_without_an_answer_are_denied() {
    let host = testing::host();
    let error = Request::get("https://b.example/").send().unwrap_err();
    assert!(matches!(error, HttpError::Denied(_)));
    assert_eq!(
        error.to_string(),
        "call failed (denied): https://b.example/ is not in [allow] http"
    );
    assert_eq!(host.calls().len(), 1);
}

#[test]
fn several_calls_end_in_order() {
    let host = testing::host()
        .answer("https://a.example/", 200, "a")
        .fail_with(
            "https://b.example/",
            HttpError::Interrupted("broken".into()),
        );
    let urls = [
        "https://b.example/",
        "https://a.example/",
        "https://c.example/",
    ];
    let ends = http::send_all(urls.map(Request::get));
    let names: Vec<_> = ends
        .iter()
        .map(|end| end.as_ref().map_or_else(HttpError::name, |_| "answered"))
        .collect();
    assert_eq!(names, ["interrupted", "answered", "denied"]);
    let sent: Vec<_> = host.calls().into_iter().map(|call| call.url).collect();
    assert_eq!(sent, urls);
}

#[test]
fn errors_tell_whether_something_was_sent() {
    type Case = fn(String) -> HttpError;
    let cases: [(Case, bool); 10] = [
        (HttpError::Denied, true),
        (HttpError::Invalid, true),
        (HttpError::Unavailable, true),
        (HttpError::Unresolved, true),
        (HttpError::Unreachable, true),
        (HttpError::Tls, true),
        (HttpError::Interrupted, false),
        (HttpError::Timeout, false),
        (HttpError::Limit, false),
        (HttpError::Other, false),
    ];
    for (case, nothing_was_sent) in cases {
        let error = case("because".into());
        assert_eq!(error.nothing_was_sent(), nothing_was_sent, "{error}");
        let sentence = format!("call failed ({}): because", error.name());
        assert_eq!(Failure::from(error), Failure::retry(sentence));
    }
}

#[test]
fn the_status_decides_about_retries() {
    let of = |status| {
        http::Response {
            status,
            headers: vec![],
            body: Payload::default(),
        }
        .error_for_status()
    };
    for status in [408, 429, 500, 503, 599] {
        assert!(
            matches!(of(status), Err(Failure::Retry { after: None, .. })),
            "{status}"
        );
    }
    for status in [301, 304, 400, 404, 410] {
        assert!(
            matches!(of(status), Err(Failure::Reject { .. })),
            "{status}"
        );
    }
    assert!(of(200).is_ok() && of(204).is_ok());
    let busy = Response {
        status: 503,
        headers: vec![("Retry-After".into(), "7".into())],
        body: Payload::default(),
    };
    assert!(
        matches!(busy.error_for_status(), Err(Failure::Retry { after: Some(after), .. }) if after.as_secs() == 7)
    );
}

#[test]
fn reasons_have_the_answer() {
    let reason = |status, body: Payload| {
        let headers = vec![("x-request-id".into(), "not-in-the-reason".into())];
        let response = Response {
            status,
            headers,
            body,
        };
        response.error_for_status().unwrap_err().reason().to_owned()
    };
    let sentence = "the call was answered with status 422";
    assert_eq!(
        reason(422, "{\"error\": \"no\nname\"}\n".into()),
        format!("{sentence}: {{\"error\": \"no\\nname\"}}")
    );
    assert_eq!(reason(422, Payload::default()), sentence);
    assert_eq!(reason(422, vec![0xff, b'a'].into()), sentence);
    assert_eq!(
        reason(503, "x".repeat(9000).into()),
        format!(
            "the call was answered with status 503: {}…",
            "x".repeat(200)
        )
    );
}

#[test]
fn a_form_is_percent_encoded() {
    let request = Request::post("https://a.example/").form(&[("a b", "c&d"), ("é", "=")]);
    assert_eq!(request.body, Some("a+b=c%26d&%C3%A9=%3D".into()));
}

#[test]
fn rows_are_objects() {
    let host = testing::host();
    table::append("pushes", &json!({ "id": 1 })).unwrap();
    assert!(matches!(
        table::append("pushes", &json!([1])),
        Err(CapabilityError::Invalid(_))
    ));
    assert_eq!(host.rows(), [("pushes".into(), json!({ "id": 1 }))]);
}

#[test]
fn counters_and_swaps_have_expiring_forms() {
    let host = testing::host();
    let hour = Duration::from_secs(3600);
    assert_eq!(kv::increment_for("n", 2, hour), Ok(2));
    assert_eq!(kv::increment("n", 1), Ok(3));
    assert_eq!(kv::compare_and_set_for("lock", None, "a", hour), Ok(true));
    assert_eq!(kv::compare_and_set("lock", None, "b"), Ok(false));
    assert_eq!(host.values()["lock"], "a".into());
    assert_eq!(host.expiry("lock"), Some(hour));
    // A counter keeps the expiry that it began with.
    assert_eq!(kv::increment_for("n", 1, 2 * hour), Ok(4));
    assert_eq!(host.expiry("n"), Some(hour));
    assert_eq!(kv::increment("n", -1), Ok(3));
    kv::set("five", Payload::Binary(b"5".to_vec())).unwrap();
    assert_eq!(
        kv::get("five"),
        Ok(Some("5".into())),
        "text, as from a node"
    );
    assert_eq!(kv::increment("five", 1), Ok(6));
    kv::set("n", "x").unwrap();
    assert!(matches!(
        kv::increment("n", 1),
        Err(CapabilityError::Invalid(_))
    ));
}

#[test]
fn answers_can_follow_each_other() {
    let host = testing::host()
        .answer("https://a.example/", 200, "later")
        .answer_once("https://a.example/", 503, "first")
        .answer_once("https://a.example/", 429, "second");
    let urls = ["https://a.example/1"; 3].map(Request::get);
    let statuses: Vec<_> = http::send_all(urls)
        .into_iter()
        .map(|answer| answer.unwrap().status)
        .collect();
    assert_eq!(statuses, [503, 429, 200]);
    assert_eq!(host.calls().len(), 3);
}

#[test]
fn capabilities_can_be_refused() {
    let host = testing::host()
        .refuse("kv", CapabilityError::Denied("no [allow] kv".into()))
        .refuse("emit", CapabilityError::Limit("too many".into()))
        .refuse("table", CapabilityError::Unavailable("full".into()));
    assert_eq!(kv::get("n").unwrap_err().name(), "denied");
    assert_eq!(kv::increment("n", 1).unwrap_err().name(), "denied");
    assert_eq!(emit::to("a").send().unwrap_err().name(), "limit");
    let refused = table::append("rows", &json!({})).unwrap_err();
    assert_eq!(refused.name(), "unavailable");
    assert!(host.values().is_empty() && host.rows().is_empty());
    assert!(host.emissions().is_empty());
}

#[test]
fn emissions_have_an_event_type() {
    let host = testing::host();
    emit::to("notify").event_type("order.paid").send().unwrap();
    assert_eq!(
        host.emissions()[0].event_type.as_deref(),
        Some("order.paid")
    );
}

#[test]
fn capability_errors_are_retries() {
    let denied = CapabilityError::Denied("no [allow] kv".into());
    assert_eq!(
        Failure::from(denied),
        Failure::retry("capability denied: no [allow] kv")
    );
}

#[test]
fn lines_have_levels() {
    let host = testing::host();
    log::info("one");
    log::error(format_args!("{}", 2));
    assert_eq!(host.logs(), ["info: one", "error: 2"]);
    assert!(testing::host().logs().is_empty());
}
