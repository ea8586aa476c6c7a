//! What an author reads about a component that a node refuses. `landfall inspect` prints the same sentence, and exits with 1.
//!
//! Each component is written byte by byte: the smallest one with this mistake.

use std::process::Command;

use landfall_tests::{Setup, component, landfall, manifest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

const TYPES: u8 = 7;
const INSTANCES: u8 = 5;
const CANONICAL_FUNCTIONS: u8 = 8;
const IMPORTS: u8 = 10;
const EXPORTS: u8 = 11;

/// A section with one item. All sizes here are below 128.
fn section(id: u8, item: &[u8]) -> Vec<u8> {
    let size = u8::try_from(item.len() + 1).unwrap();
    [&[id, size, 1], item].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// Exports an interface without functions.
fn export(interface: &str) -> Vec<u8> {
    let empty = section(INSTANCES, &[1, 0]);
    let name = [&[0], &text(interface)[..]].concat();
    let instance = [5, 0, 0];
    [empty, section(EXPORTS, &[&name, &instance[..]].concat())].concat()
}

/// Imports an interface. Its functions take and return nothing.
fn import(interface: &str, functions: &[&str]) -> Vec<u8> {
    // One type of functions: no parameters, no result.
    let mut declarations = vec![1, 0x40, 0, 1, 0];
    for name in functions {
        declarations.extend([4, 0]);
        declarations.extend(text(name));
        declarations.extend([1, 0]);
    }
    let count = u8::try_from(functions.len() + 1).unwrap();
    let ty = section(TYPES, &[&[0x42, count][..], &declarations].concat());
    let name = [&[0], &text(interface)[..]].concat();
    let instance = [5, 0];
    [ty, section(IMPORTS, &[&name, &instance[..]].concat())].concat()
}

fn with(sections: &[Vec<u8>]) -> Vec<u8> {
    [COMPONENT, &sections.concat()].concat()
}

/// The sentence of a node, without the name of the file.
async fn refusal(bytes: &[u8]) -> String {
    let setup = Setup::new()
        .file("hook.wasm", bytes)
        .file("hook.toml", OPEN);
    let node = setup.start().await;
    let status = node.until("hook", "unavailable").await;
    let problem = status["problem"].as_str().unwrap();
    problem
        .strip_prefix("component hook.wasm ")
        .unwrap()
        .to_owned()
}

/// What `inspect` prints, and its exit code.
fn inspected(bytes: &[u8]) -> (String, Option<i32>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hook.wasm");
    std::fs::write(&file, bytes).unwrap();
    let mut command = Command::new(landfall());
    let output = command.arg("inspect").arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

const HANDLER: &str = "landfall:hook/handler@0.1.0";

/// A component with a mistake, and the sentence about it.
fn mistakes() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (
            MODULE.to_vec(),
            "is a core module, not a component: build it with `cargo build --target wasm32-wasip2` or `landfall build`",
        ),
        (
            with(&[]),
            "does not export landfall:hook/handler@0.1.0: it exports nothing; in Rust write `#[handler]` above the function, in \
             other languages export the interface `handler` of wit/",
        ),
        (
            with(&[export("wasi:cli/run@0.2.6")]),
            "does not export landfall:hook/handler@0.1.0: it is a program with a `main` (wasi:cli/run), which runs once and \
             receives no events; make it a library: in Rust `crate-type = [\"cdylib\"]` and `#[handler]`",
        ),
        (
            with(&[export("acme:app/plugin@1.0.0")]),
            "does not export landfall:hook/handler@0.1.0: it exports acme:app/plugin@1.0.0; build it with landfall-sdk or against \
             wit/ of this version",
        ),
        (
            with(&[export("wasi:http/handler@0.3.0")]),
            "exports wasi:http/handler@0.3.0; of wasi:http this host runs incoming-handler@0.2: rebuild it for WASI 0.2",
        ),
        (
            with(&[export("landfall:hook/handler@0.2.0")]),
            "was built for landfall:hook@0.2.0; this host has 0.1: rebuild it with landfall-sdk 0.1, or run a host that has 0.2.0",
        ),
        (
            with(&[import("landfall:kv/kv@0.2.0", &[]), export_after_import()]),
            "was built for landfall:kv@0.2.0; this host has 0.1: rebuild it with landfall-sdk 0.1, or run a host that has 0.2.0",
        ),
        (
            with(&[import("acme:db/sql@1.0.0", &[]), export_after_import()]),
            "imports acme:db/sql@1.0.0, which this host does not have: it has landfall:hook@0.1, the packages of its capabilities, \
             and WASI 0.2",
        ),
        (
            with(&[
                import("landfall:hook/log@0.1.0", &["shout"]),
                export_after_import(),
            ]),
            "imports what this host does not have: component imports instance `landfall:hook/log@0.1.0`, but a matching \
             implementation was not found in the linker: instance export `shout` has the wrong type: function implementation is \
             missing; build it against wit/ of this version, or run a newer host",
        ),
        (
            with(&[
                import("landfall:hook/log@0.1.0", &["log"]),
                export_after_import(),
            ]),
            "does not fit the contract of this host: component imports instance `landfall:hook/log@0.1.0`, but a matching \
             implementation was not found in the linker: instance export `log` has the wrong type: type mismatch with parameters: \
             expected 2-tuple, found 0-tuple; rebuild it against the wit/ of this version",
        ),
        (
            with(&[export(HANDLER)]),
            "does not fit the contract of this host: instance export `landfall:hook/handler@0.1.0` does not have export `handle`; \
             rebuild it against the wit/ of this version",
        ),
        (
            with(&[section(CANONICAL_FUNCTIONS, &[5]), export(HANDLER)]),
            "uses asynchronous functions (task.cancel), which this host does not run: build JavaScript for QuickJS without them \
             (`componentize-qjs --sync`, `jco componentize --backend-qjs-disable-async`), other languages for WASI 0.2",
        ),
    ]
}

/// The instance that is imported is the first one.
fn export_after_import() -> Vec<u8> {
    let empty = section(INSTANCES, &[1, 0]);
    let name = [&[0], &text(HANDLER)[..]].concat();
    let instance = [5, 1, 0];
    [empty, section(EXPORTS, &[&name, &instance[..]].concat())].concat()
}

#[tokio::test]
async fn refusals_name_the_fix() {
    for (bytes, sentence) in mistakes() {
        assert_eq!(refusal(&bytes).await, sentence);
    }
}

#[test]
fn inspect_finds_what_loading_refuses() {
    for (bytes, sentence) in mistakes() {
        let (said, code) = inspected(&bytes);
        assert!(
            said.contains(&format!("hook.wasm {sentence}\n")) && code == Some(1),
            "{sentence}\n{said}"
        );
    }
}

#[tokio::test]
async fn missing_grants_are_named_together() {
    let guest = component("keeps");
    let sentence = "wants `kv`, which the hook file does not grant: add kv = true under [allow]";
    assert_eq!(refusal(&guest).await, sentence);

    let stripped = manifest::without_manifest(&guest);
    let hint = ". The component has no manifest, which would list what it needs: `wasm-tools strip` removes it";
    assert_eq!(refusal(&stripped).await, format!("{sentence}{hint}"));
    let (said, code) = inspected(&stripped);
    let warning =
        "warning  there is no manifest, so that only the imports say which grants it needs";
    assert!(said.contains(warning) && code == Some(0), "{said}");
    let (said, _) = inspected(&guest);
    assert!(!said.contains("no manifest"), "{said}");
}
