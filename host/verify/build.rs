//! Embeds the provider packs: every `src/packs/NAME.toml` becomes an entry of `EMBEDDED`, so that a
//! new pack is one new file.

use std::fmt::Write as _;
use std::path::Path;

fn main() {
    let dir =
        Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/packs");
    println!("cargo:rerun-if-changed={}", dir.display());

    let entries = std::fs::read_dir(&dir).expect("the packs are there");
    let files = entries.map(|entry| entry.expect("a readable folder").path());
    let mut packs: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    packs.sort();

    let mut source = String::from(
        "/// Name and text of every pack in the binary, by name.\n\
         pub(super) const EMBEDDED: &[(&str, &str)] = &[\n",
    );
    for path in packs {
        let name = path
            .file_stem()
            .expect("a file has a name")
            .to_string_lossy();
        writeln!(
            source,
            "    ({name:?}, include_str!({:?})),",
            path.display().to_string()
        )
        .expect("a string takes text");
    }
    source.push_str("];\n");

    let out = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("packs.rs");
    std::fs::write(out, source).expect("cargo's own folder is writable");
}
