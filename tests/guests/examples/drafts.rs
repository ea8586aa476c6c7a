//! A `wasi:http` component that is configured and keeps values by the drafts of WASI, as components for other hosts do.
//! `?does=…` says what it does; otherwise it repeats the request.

use wstd::http::{Body, Error, Request, Response};

mod settings {
    wit_bindgen::generate!({
        inline: r#"
            package landfall:test-settings;
            world imports {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:logging/logging;
            }
            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                    get-all: func() -> result<list<tuple<string, string>>, error>;
                }
            }
            package wasi:logging {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        "#,
        world: "landfall:test-settings/imports",
        generate_all,
    });
}

mod older {
    wit_bindgen::generate!({
        inline: r#"
            package landfall:test-older;
            world imports {
                import wasi:config/runtime@0.2.0-draft;
                import wasi:logging/logging@0.1.0-draft;
            }
            package wasi:config@0.2.0-draft {
                interface runtime {
                    variant config-error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, config-error>;
                    get-all: func() -> result<list<tuple<string, string>>, config-error>;
                }
            }
            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
        "#,
        world: "landfall:test-older/imports",
        generate_all,
    });
}

mod draft {
    wit_bindgen::generate!({ path: "../../host/engine/wit/keyvalue-draft", generate_all });
    pub use wasi::keyvalue::{atomics, batch, store};
}

mod draft2 {
    wit_bindgen::generate!({ path: "../../host/engine/wit/keyvalue-draft2", generate_all });
    pub use wasi::keyvalue::{atomics, batch, store};
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let method = request.method().to_string();
    let uri = request.uri().clone();
    let query = uri.query().unwrap_or_default().to_owned();
    let text = match query.strip_prefix("does=").unwrap_or_default() {
        "environment" => environment(),
        "settings" => settings(),
        "logs" => logs(),
        "keeps" => keeps(),
        "keeps2" => keeps2(),
        "many" => many(),
        does => match does.strip_prefix("key=") {
            Some(length) => long_key(length.parse()?),
            None => format!(
                "{method} {}",
                uri.path_and_query().map_or("", |path| path.as_str())
            ),
        },
    };
    Ok(Response::new(text.into()))
}

fn environment() -> String {
    let mut all: Vec<String> = std::env::vars()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.sort();
    for variable in &all {
        println!("{variable}");
        eprintln!("{variable}");
    }
    all.join(" ")
}

fn settings() -> String {
    use older::wasi::config::runtime;
    use settings::wasi::config::store;
    let mut all = store::get_all().unwrap();
    all.sort();
    format!(
        "{:?} {:?} {:?} {all:?}",
        store::get("text"),
        runtime::get("list"),
        store::get("missing")
    )
}

fn logs() -> String {
    use older::wasi::logging::logging as draft;
    use settings::wasi::logging::logging as plain;
    plain::log(plain::Level::Critical, "", "by logging");
    draft::log(draft::Level::Debug, "part", "by the draft");
    String::new()
}

fn keeps() -> String {
    use draft::{atomics, batch, store};
    assert!(matches!(store::open("a/b"), Err(store::Error::NoSuchStore)));
    let (bucket, other) = (store::open("").unwrap(), store::open("other").unwrap());
    bucket.set("a", b"1").unwrap();
    other.set("a", &[0xff]).unwrap();
    let sum = atomics::increment(&bucket, "count", 5).unwrap();
    batch::set_many(
        &bucket,
        &[("b".into(), b"2".to_vec()), ("c".into(), b"3".to_vec())],
    )
    .unwrap();
    batch::delete_many(&bucket, &["c".into()]).unwrap();
    let many = batch::get_many(&bucket, &["a".into(), "c".into()]).unwrap();
    let (there, gone) = (bucket.exists("b").unwrap(), bucket.exists("c").unwrap());
    let keys = other.list_keys(None).unwrap();
    let rest = bucket.list_keys(Some(1)).unwrap();
    format!(
        "{sum} {many:?} {there} {gone} {:?} {:?} {:?}",
        other.get("a"),
        keys.keys,
        rest.keys
    )
}

fn keeps2() -> String {
    use draft2::{atomics, batch, store};
    let bucket = store::open("default").unwrap();
    let before = bucket
        .get("a")
        .unwrap()
        .map(|value| String::from_utf8(value).unwrap());
    let sum = atomics::increment(&bucket, "count", -2).unwrap();
    let cas = atomics::Cas::new(&bucket, "a").unwrap();
    bucket.set("a", b"changed").unwrap();
    let Err(atomics::CasError::CasFailed(cas)) = atomics::swap(cas, b"lost") else {
        panic!("swapped")
    };
    let seen = cas.current().unwrap();
    assert!(atomics::swap(cas, b"swapped").is_ok());
    let many = batch::get_many(&bucket, &["a".into(), "nothing".into()]).unwrap();
    let keys = bucket.list_keys(Some("b")).unwrap();
    format!(
        "{before:?} {sum} {:?} {many:?} {:?}",
        seen.map(|seen| String::from_utf8(seen).unwrap()),
        keys.keys
    )
}

/// Asks for the same value so often that the host would hold more than the attempt may.
fn many() -> String {
    use draft::{batch, store};
    let bucket = store::open("").unwrap();
    bucket.set("large", &vec![b'x'; 256 << 10]).unwrap();
    let keys = vec!["large".to_owned(); 900];
    let refused = batch::get_many(&bucket, &keys).unwrap_err();
    let more = batch::get_many(&bucket, &vec!["k".to_owned(); 1001]).unwrap_err();
    format!("{refused:?} {more:?}")
}

fn long_key(length: usize) -> String {
    let bucket = draft::store::open("").unwrap();
    format!("{:?}", bucket.set(&"k".repeat(length), b""))
}
