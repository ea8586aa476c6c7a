//! Looks at a component's bytes without running or compiling anything: is it one, what does it want, what does it offer.

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

use super::drafts;

/// Why a component cannot be loaded: a sentence that names what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("component {file} {message}")]
pub struct LoadError {
    /// The file's name.
    pub file: String,
    /// The rest of the sentence.
    pub message: String,
    /// The component may be good: the machine was full, or too busy. Worth another try.
    pub is_passing: bool,
}

/// What the bytes say.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The file's name.
    pub file: String,
    /// SHA-256 of the bytes, hex.
    pub digest: String,
    /// In bytes.
    pub size: usize,
    /// Names of imported interfaces.
    pub imports: Vec<String>,
    /// Names of exported interfaces.
    pub exports: Vec<String>,
    /// Bytes of linear memory that its modules begin with, together.
    pub memory_bytes: u64,
    /// Text of the embedded manifest.
    pub manifest: Option<String>,
}

/// The largest component file.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
const MANIFEST_BYTES_MAX: usize = 64 << 10;
const MANIFEST_SECTION: &str = "landfall:manifest";
const OURS: &str = "landfall:hook/";
/// Versions of `landfall:hook` whose first two numbers this host speaks.
const SPOKEN: &str = "0.1";

/// Interfaces of ours: always linked, and the grant that the others need.
const INTERFACES: [(&str, Option<&str>); 7] = [
    ("types", None),
    ("log", None),
    ("settings", None),
    ("http", None),
    ("table", Some("table = [\"NAME\"]")),
    ("kv", Some("kv = true")),
    ("emit", Some("emit = [\"HOOK\"]")),
];

/// WASI 0.2 packages that are linked, over a context that denies everything.
const WASI: [&str; 7] = [
    "cli",
    "clocks",
    "filesystem",
    "http",
    "io",
    "random",
    "sockets",
];

/// Reads the bytes and checks everything that can be told from names alone.
pub fn inspect(file: &str, bytes: &[u8]) -> Result<Inspected, LoadError> {
    let wrong = |message: String| LoadError::lasting(file, message);
    check_kind(bytes).map_err(|message| wrong(message.into()))?;
    let mut inspected = Inspected {
        file: file.into(),
        digest: hex::encode(Sha256::digest(bytes)),
        size: bytes.len(),
        imports: Vec::new(),
        exports: Vec::new(),
        memory_bytes: 0,
        manifest: None,
    };
    read(bytes, &mut inspected).map_err(|error| wrong(error.to_string()))?;
    check_export(&inspected.exports).map_err(wrong)?;
    inspected
        .imports
        .iter()
        .try_for_each(|import| check_import(import))
        .map_err(wrong)?;
    Ok(inspected)
}

/// The grant in `[allow]` that an import needs, if it needs one.
pub fn grant_for(import: &str) -> Option<(&'static str, &'static str)> {
    let interface = match import.strip_prefix(OURS) {
        Some(ours) => ours.split('@').next()?,
        None if drafts::is_keyvalue(import) => "kv",
        None => return None,
    };
    INTERFACES
        .iter()
        .find(|(name, _)| *name == interface)
        .and_then(|(name, grant)| Some((*name, (*grant)?)))
}

// === impl Inspected ===

impl Inspected {
    /// Whether it is a plain `wasi:http` component: nothing of ours is exported.
    pub fn is_proxy(&self) -> bool {
        !self.exports.iter().any(|name| name.starts_with(OURS))
            && self.exports.iter().any(|name| is_incoming(name))
    }

    /// Whether it can call out: many languages import that whether or not they do.
    pub fn can_call_out(&self) -> bool {
        let is_http = |name: &String| {
            name.strip_prefix(OURS)
                .is_some_and(|interface| interface.starts_with("http@"))
        };
        self.imports.iter().any(is_http) || self.imports_wasi_http()
    }

    /// Whether it calls out by `wasi:http`.
    pub fn imports_wasi_http(&self) -> bool {
        self.imports
            .iter()
            .any(|name| name.starts_with("wasi:http/"))
    }

    /// Whether it has a quick answer of its own.
    pub fn has_responder(&self) -> bool {
        let version = |name: &String| {
            name.strip_prefix(OURS)?
                .strip_prefix("responder@")
                .map(is_spoken)
        };
        self.exports.iter().filter_map(version).any(|spoken| spoken)
    }
}

// === impl LoadError ===

impl LoadError {
    /// The component is at fault: nothing changes until its file does.
    pub(super) fn lasting(file: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            file: file.into(),
            message: message.into(),
            is_passing: false,
        }
    }

    /// The host could not do its part.
    pub(super) fn passing(file: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            file: file.into(),
            message: message.into(),
            is_passing: true,
        }
    }
}

fn check_kind(bytes: &[u8]) -> Result<(), &'static str> {
    const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
    const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err("is larger than 64 MiB: leave out debug information, or split it");
    }
    match bytes.get(..8) {
        Some(head) if head == COMPONENT => Ok(()),
        Some(head) if head == MODULE => Err(
            "is a core module, not a component: build it with `cargo build --target wasm32-wasip2` or `landfall build`",
        ),
        Some(head) if head.starts_with(b"\x7fELF") => {
            Err("is machine code; only WebAssembly components are loaded: put the .wasm file here")
        }
        Some(_) if bytes.starts_with(b"version https://git-lfs.github.com/spec/") => {
            Err("is a Git LFS pointer, not the file itself: run `git lfs pull`")
        }
        Some(head) if head.starts_with(b"\x1f\x8b") => {
            Err("is compressed with gzip: unpack it with `gunzip`")
        }
        Some(head) if head.starts_with(b"PK\x03\x04") => Err("is a ZIP archive: unpack it"),
        Some(head) if head.trim_ascii_start().starts_with(b"<") => Err(
            "is HTML or XML, perhaps the error page of a download: download the .wasm file itself",
        ),
        Some(head) if head.trim_ascii_start().starts_with(b"(") => {
            Err("is text; only binary components are loaded: convert it with `wasm-tools parse`")
        }
        None => Err("is too short to be a component: was it copied whole?"),
        Some(_) => Err("is not WebAssembly"),
    }
}

fn read(bytes: &[u8], into: &mut Inspected) -> anyhow::Result<()> {
    // Names of the outermost component only; manifests at any depth (a linker leaves them in a core module).
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| anyhow::anyhow!("is damaged or not copied whole: {error}"))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    into.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    into.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let page = 1_u64 << memory.page_size_log2.unwrap_or(16);
                    into.memory_bytes = into
                        .memory_bytes
                        .saturating_add(memory.initial.saturating_mul(page));
                }
            }
            Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                keep_manifest(section.data(), &mut into.manifest)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn keep_manifest(section: &[u8], into: &mut Option<String>) -> anyhow::Result<()> {
    anyhow::ensure!(
        section.len() <= MANIFEST_BYTES_MAX,
        "has a manifest of more than 64 KiB"
    );
    let text = std::str::from_utf8(section)
        .map_err(|_| anyhow::anyhow!("has a manifest that is not text"))?;
    anyhow::ensure!(
        into.as_deref().is_none_or(|known| known == text),
        "has two different manifests"
    );
    *into = Some(text.to_owned());
    Ok(())
}

fn check_export(exports: &[String]) -> Result<(), String> {
    let versions: Vec<&str> = exports
        .iter()
        .filter_map(|name| name.strip_prefix(OURS)?.strip_prefix("handler@"))
        .collect();
    let is_plain = versions.is_empty() && exports.iter().any(|name| is_incoming(name));
    if is_plain || versions.iter().any(|version| is_spoken(version)) {
        return Ok(());
    }
    match versions.first() {
        Some(version) => Err(other_version(version)),
        None if exports.iter().any(|name| name.starts_with("wasi:http/")) => Err(format!(
            "exports {}; of wasi:http this host runs incoming-handler@0.2: rebuild it for WASI 0.2",
            exports.join(", ")
        )),
        None => Err(format!(
            "does not export landfall:hook/handler@0.1.0: {}; build it with landfall-sdk or against wit/ of this version",
            match exports {
                [] => "it exports nothing".to_owned(),
                some => format!("it exports {}", some.join(", ")),
            }
        )),
    }
}

fn check_import(import: &str) -> Result<(), String> {
    if drafts::is_offered(import) {
        return Ok(());
    }
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if let Some(interface) = name.strip_prefix(OURS) {
        return match INTERFACES.iter().any(|(known, _)| *known == interface) {
            true if is_spoken(version) => Ok(()),
            true => Err(other_version(version)),
            false => Err(format!(
                "imports {import}, which this host does not have: a newer host may"
            )),
        };
    }
    match name.strip_prefix("wasi:").and_then(|rest| rest.split_once('/')) {
        Some((package, _)) if WASI.contains(&package) && wasi_minor(version).is_some() => Ok(()),
        _ => Err(drafts::other_version(import).unwrap_or_else(|| {
            format!("imports {import}, which this host does not have: it offers landfall:hook@0.1 and WASI 0.2")
        })),
    }
}

/// What a plain `wasi:http` component exports.
fn is_incoming(export: &str) -> bool {
    let version = export.strip_prefix("wasi:http/incoming-handler@");
    version.and_then(wasi_minor).is_some()
}

/// `x` of WASI 0.2.x. All of them are tried: the linker knows whether what a component uses is there.
fn wasi_minor(version: &str) -> Option<u32> {
    version.strip_prefix("0.2.")?.parse().ok()
}

fn is_spoken(version: &str) -> bool {
    version
        .strip_prefix(SPOKEN)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn other_version(version: &str) -> String {
    format!(
        "was built for landfall:hook@{version}; this host speaks {SPOKEN}: rebuild it with landfall-sdk {SPOKEN}, or run a \
         host that speaks {version}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        inspect("x.wasm", bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_component_is_named() {
        for (bytes, words) in [
            (&b""[..], "too short"),
            (b"\0asm\x01\0\0\0", "is a core module"),
            (b"(component)", "is text"),
            (b"\x7fELF\x02\x01\x01\0", "is machine code"),
            (b"GIF89a..", "is not WebAssembly"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                "run `git lfs pull`",
            ),
            (b"\x1f\x8b\x08\0\0\0\0\0\0", "is compressed with gzip"),
            (b"<!DOCTYPE html><html>", "is HTML"),
            (b"PK\x03\x04........", "is a ZIP archive"),
            (
                b"\0asm\x0d\0\x01\0",
                "does not export landfall:hook/handler@0.1.0: it exports nothing",
            ),
            (
                b"\0asm\x0d\0\x01\0\x0b\xff",
                "is damaged or not copied whole",
            ),
        ] {
            let error = refusal(bytes);
            assert!(
                error.starts_with("component x.wasm ") && error.contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn names_decide() {
        let export = |name: &str| check_export(&[name.to_owned()]);
        assert_eq!(export("landfall:hook/handler@0.1.0"), Ok(()));
        assert_eq!(export("landfall:hook/handler@0.1.7"), Ok(()));
        assert!(
            export("landfall:hook/handler@0.2.0")
                .unwrap_err()
                .contains("was built for landfall:hook@0.2.0")
        );
        assert_eq!(export("wasi:http/incoming-handler@0.2.3"), Ok(()));
        assert!(
            export("wasi:http/handler@0.3.0")
                .unwrap_err()
                .contains("rebuild it for WASI 0.2")
        );
        assert_eq!(check_import("wasi:io/streams@0.2.6"), Ok(()));
        assert_eq!(check_import("wasi:io/streams@0.2.99"), Ok(()));
        assert_eq!(export("wasi:http/incoming-handler@0.2.99"), Ok(()));
        assert_eq!(check_import("landfall:hook/table@0.1.0"), Ok(()));
        for good in [
            "wasi:config/store@0.2.0-rc.1",
            "wasi:logging/logging",
            "wasi:keyvalue/atomics@0.2.0-draft2",
        ] {
            assert_eq!(check_import(good), Ok(()));
        }
        let newer = check_import("wasi:keyvalue/store@0.2.0-draft3").unwrap_err();
        assert!(
            newer.contains("in the versions 0.2.0-draft and 0.2.0-draft2"),
            "{newer}"
        );
        assert_eq!(
            grant_for("wasi:keyvalue/store@0.2.0-draft").unwrap().0,
            "kv"
        );
        for bad in [
            "landfall:hook/sql@0.1.0",
            "wasi:keyvalue/watcher@0.2.0-draft",
            "wasi:config/store@0.3.0",
            "wasi:http/types@0.3.0",
            "wasi:io/streams@0.3.0",
            "acme:db/sql",
        ] {
            assert!(check_import(bad).is_err(), "{bad}");
        }
        assert_eq!(grant_for("landfall:hook/table@0.1.0").unwrap().0, "table");
        assert_eq!(grant_for("landfall:hook/log@0.1.0"), None);
    }
}
