//! The errors that an author reads when a function cannot be a handler. `TRYBUILD=overwrite cargo test` writes the texts again.

#[test]
fn wrong_handlers_are_explained() {
    // One of them names this file, by its path from the folder in which trybuild builds.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("wrong.toml"), "[need]\nkv = true\n").unwrap();

    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
