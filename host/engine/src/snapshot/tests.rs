use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::Linker;

use super::*;
use crate::settings;

const EXPORT: &str = "landfall:init/init@0.1.0";

/// More than any of these needs.
const LIMITS: InitLimits = InitLimits {
    processor: Duration::from_secs(60),
    memory_bytes: 4 << 20,
};

/// A component whose `init` is this function with the result at address 16, and whose `number` is
/// the global of the same name. `more` is outside of its module.
fn component(memory: &str, init: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {more}
            (core module $module
                (memory (export "memory") {memory})
                (global $number (mut i32) (i32.const 1))
                (func (export "init") (result i32) {init} (i32.const 16))
                (func (export "number") (result i32) (global.get $number)))
            (core instance $instance (instantiate $module))
            (alias core export $instance "memory" (core memory $memory))
            (func $init (result (result (error string)))
                (canon lift (core func $instance "init") (memory $memory)))
            (instance $exported (export "init" (func $init)))
            (export "{EXPORT}" (instance $exported))
            (func (export "number") (result s32) (canon lift (core func $instance "number"))))"#
    );
    wat::parse_str(text).unwrap()
}

/// As `component`, with an `init` that calls a function of the host.
fn calling(interface: &str, function: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "{interface}" (instance $host (export "{function}" (func))))
            (core func $called (canon lower (func $host "{function}")))
            (core module $module
                (import "host" "called" (func $called))
                (memory (export "memory") 1)
                (func (export "init") (result i32) (call $called) (i32.const 16)))
            (core instance $instance (instantiate $module
                (with "host" (instance (export "called" (func $called))))))
            (alias core export $instance "memory" (core memory $memory))
            (func $init (result (result (error string)))
                (canon lift (core func $instance "init") (memory $memory)))
            (instance $exported (export "init" (func $init)))
            (export "{EXPORT}" (instance $exported)))"#
    );
    wat::parse_str(text).unwrap()
}

fn engine() -> Engine {
    Engine::new(&settings::compiling()).unwrap()
}

fn refusal(component: &[u8], limits: InitLimits) -> String {
    let compiled = compile(&engine(), component, EXPORT, limits);
    compiled.err().expect("it is refused").to_string()
}

/// What `number` returns in a new instance of the compiled component, whose `init` is not called.
fn number(engine: &Engine, compiled: &Compiled) -> i32 {
    // SAFETY: these bytes were compiled a moment ago.
    #[allow(unsafe_code)]
    let component = unsafe { Component::deserialize(engine, &compiled.code).unwrap() };
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = Linker::new(engine)
        .instantiate_async(&mut store, &component)
        .now_or_never()
        .expect("nothing waits")
        .unwrap();
    let number = instance
        .get_typed_func::<(), (i32,)>(&mut store, "number")
        .unwrap();
    let called = number.call_async(&mut store, ()).now_or_never();
    called.expect("nothing waits").unwrap().0
}

#[test]
fn instances_start_after_init() {
    let engine = engine();
    let bytes = component("1", "(global.set $number (i32.const 42))", "");
    let compiled = compile(&engine, &bytes, EXPORT, LIMITS).unwrap();
    assert_eq!(number(&engine, &compiled), 42);
    assert!(compiled.report.is_snapshotted());
    assert_eq!(compiled.report.memory_bytes, 64 << 10);
    assert!(!compiled.report.took_random_numbers && !compiled.report.read_environment);
    assert_eq!(obstacle(&bytes), None);
}

#[test]
fn grown_memory_stays() {
    let engine = engine();
    let grows = "(drop (memory.grow (i32.const 2)))
        (i32.store (i32.const 131072) (i32.const 7))
        (global.set $number (i32.load (i32.const 131072)))";
    let bytes = component("1", grows, "");
    let compiled = compile(&engine, &bytes, EXPORT, LIMITS).unwrap();
    assert_eq!(compiled.report.memory_bytes, 3 * (64 << 10));
    assert_eq!(number(&engine, &compiled), 7);
}

#[test]
fn failures_name_init() {
    // The text "no" at address 32.
    let fails = "(i32.store8 (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (i32.const 32))
        (i32.store (i32.const 24) (i32.const 2))
        (i32.store16 (i32.const 32) (i32.const 0x6f6e))";
    let said = refusal(&component("1", fails, ""), LIMITS);
    assert_eq!(said, "cannot be initialised: its init failed: no");

    let said = refusal(&component("1", "unreachable", ""), LIMITS);
    assert!(
        said.contains("its init ended with a trap: the component aborted"),
        "{said}"
    );
}

#[test]
fn calls_of_the_host_are_refused() {
    let said = refusal(&calling("landfall:kv/kv@0.1.0", "get"), LIMITS);
    assert!(
        said.contains("its init called landfall:kv/kv@0.1.0 get: it runs once"),
        "{said}"
    );
}

#[test]
fn limits_of_init_are_lasting() {
    let loops = component("1", "(loop (br 0))", "");
    let limits = InitLimits {
        processor: Duration::from_millis(50),
        ..LIMITS
    };
    let said = refusal(&loops, limits);
    assert!(
        said.contains("takes more than 0.05 s of processor time"),
        "{said}"
    );

    let grows = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))";
    let said = refusal(&component("1", grows, ""), LIMITS);
    assert!(said.contains("needs more than 4 MiB of memory"), "{said}");
}

#[test]
fn instances_are_limited() {
    let instances = "(core instance (instantiate $part))".repeat(65);
    let more = format!("(core module $part) {instances}");
    let bytes = component("1", "unreachable", &more);
    let report = compile(&engine(), &bytes, EXPORT, LIMITS).unwrap().report;
    let obstacle = report.obstacle.clone().unwrap();
    assert_eq!(report, InitReport::untested(obstacle), "it was not started");
}

#[test]
fn reading_takes_no_time_of_init() {
    let engine = engine();
    let bytes = component("1", "(global.set $number (i32.const 42))", "");
    let wizer = wizer();
    let (context, prepared) = prepared(&wizer, &bytes).unwrap();
    let component = Component::new(&engine, &prepared).unwrap();
    let limits = InitLimits {
        processor: Duration::ZERO,
        ..LIMITS
    };
    let Ok(mut initialised) = init::run(&engine, &component, EXPORT, limits) else {
        panic!("its time is looked at when the epoch changes");
    };

    engine.increment_epoch();
    let rewritten = rewritten(&wizer, &context, &mut initialised);
    assert_eq!(rewritten.err(), None);
}

#[test]
fn other_types_are_refused() {
    let text = format!(
        r#"(component
            (core module $module (func (export "init")))
            (core instance $instance (instantiate $module))
            (func $init (canon lift (core func $instance "init")))
            (instance $exported (export "init" (func $init)))
            (export "{EXPORT}" (instance $exported)))"#
    );
    let said = refusal(&wat::parse_str(text).unwrap(), LIMITS);
    assert!(said.contains("is not as in wit/init.wit"), "{said}");
}

#[test]
fn components_without_snapshot_say_why() {
    let engine = engine();
    let sets = "(global.set $number (i32.const 42))";
    for (memory, more, words) in [
        (
            "1",
            "(component (core module))",
            "nested components with modules",
        ),
        ("1 1", "", "grow by a page"),
        (
            "1",
            "(type $thing (resource (rep i32))) (core func (canon resource.new $thing))",
            "resources of its own",
        ),
    ] {
        let bytes = component(memory, sets, more);
        let compiled = compile(&engine, &bytes, EXPORT, LIMITS).unwrap();
        let obstacle = compiled.report.obstacle.clone().unwrap();
        assert!(obstacle.contains(words), "{obstacle}");
        assert_eq!(number(&engine, &compiled), 1, "the component itself");
    }

    // Its `init` is run all the same.
    let bytes = component("1", "unreachable", "(component (core module))");
    assert!(refusal(&bytes, LIMITS).contains("its init ended with a trap"));
}
