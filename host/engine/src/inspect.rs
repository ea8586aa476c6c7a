//! Reads a component's bytes without running or compiling it: whether it is one, what it imports
//! and exports.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};

use super::contract::{EXPORTED, INIT, check_export, check_import, is_incoming, is_spoken};
use super::load_error::LoadError;
use super::snapshot::report::InitReport;

/// What the bytes say.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The name of the file.
    pub file: String,
    /// SHA-256 of the bytes, hex.
    pub digest: String,
    /// Size in bytes.
    pub size: usize,
    /// Names of imported interfaces.
    pub imports: Vec<String>,
    /// Names of exported interfaces.
    pub exports: Vec<String>,
    /// Initial bytes of linear memory of all its modules.
    pub memory_bytes: u64,
    /// Text of the embedded manifest.
    pub manifest: Option<String>,
    /// Its `init`, if it has one.
    pub init: Option<Init>,
}

/// A component's export `landfall:init/init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The name of the interface, with its version.
    pub export: String,
    /// What became of it. `None`: the component was not compiled.
    pub report: Option<Arc<InitReport>>,
}

/// The largest component file.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// The first bytes of a component.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// The first bytes of a core module.
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const MANIFEST_SECTION: &str = "landfall:manifest";

/// Reads the bytes and checks the names of imports and exports.
pub fn inspect(file: &str, bytes: &[u8]) -> Result<Inspected, LoadError> {
    let refusal = |message: String| LoadError::lasting(file, message);
    check_kind(bytes).map_err(|message| refusal(message.into()))?;

    let mut inspected = Inspected {
        file: file.into(),
        digest: hex::encode(Sha256::digest(bytes)),
        size: bytes.len(),
        imports: Vec::new(),
        exports: Vec::new(),
        memory_bytes: 0,
        manifest: None,
        init: None,
    };
    read(bytes, &mut inspected).map_err(|error| refusal(error.to_string()))?;
    check_export(&inspected.exports).map_err(|error| refusal(error.to_string()))?;
    for import in &inspected.imports {
        check_import(import).map_err(|error| refusal(error.to_string()))?;
    }
    let mut exports = inspected.exports.iter();
    inspected.init = exports
        .find(|name| name.strip_prefix(INIT).is_some_and(is_spoken))
        .map(|name| Init {
            export: name.clone(),
            report: None,
        });
    Ok(inspected)
}

// === impl Init ===

impl Init {
    /// Whether each event starts from a snapshot that was taken after `init`. False for a component
    /// that was not compiled.
    pub fn is_snapshotted(&self) -> bool {
        self.report
            .as_ref()
            .is_some_and(|report| report.is_snapshotted())
    }
}

// === impl Inspected ===

impl Inspected {
    /// Whether it is a plain `wasi:http` component, which exports no interface of `landfall:hook`.
    pub fn is_proxy(&self) -> bool {
        !self.exports.iter().any(|name| name.starts_with(EXPORTED))
            && self.exports.iter().any(|name| is_incoming(name))
    }

    /// Whether it can make outgoing calls. Many languages import `wasi:http` even if the component
    /// makes none.
    pub fn can_call_out(&self) -> bool {
        let imports_our_http = self
            .imports
            .iter()
            .any(|name| name.starts_with("landfall:http/http@"));
        imports_our_http || self.imports_wasi_http()
    }

    /// Whether it imports `wasi:http`.
    pub fn imports_wasi_http(&self) -> bool {
        self.imports
            .iter()
            .any(|name| name.starts_with("wasi:http/"))
    }

    /// Whether it exports a `responder`.
    pub fn has_responder(&self) -> bool {
        self.exports
            .iter()
            .filter_map(|name| name.strip_prefix(EXPORTED)?.strip_prefix("responder@"))
            .any(is_spoken)
    }
}

fn check_kind(bytes: &[u8]) -> Result<(), &'static str> {
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
    // Names count in the outermost component, manifests at any depth: a linker leaves them in a
    // core module.
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
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    refuse_async(&function?)?;
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

/// Refuses the asynchronous ABI, which the engine does not have. A compiler would only name the
/// instruction.
fn refuse_async(function: &CanonicalFunction) -> anyhow::Result<()> {
    let what = match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => {
            if !options.contains(&CanonicalOption::Async) {
                return Ok(());
            }
            "async"
        }
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => return Ok(()),
        CanonicalFunction::TaskReturn { .. } => "task.return",
        CanonicalFunction::TaskCancel => "task.cancel",
        CanonicalFunction::ContextGet { .. } => "context.get",
        CanonicalFunction::ContextSet { .. } => "context.set",
        _ => "a function of the asynchronous ABI",
    };
    anyhow::bail!(
        "uses asynchronous functions ({what}), which this host does not run: build JavaScript for QuickJS without them \
         (`componentize-qjs --sync`, `jco componentize --backend-qjs-disable-async`), other languages for WASI 0.2"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        inspect("x.wasm", bytes).unwrap_err().to_string()
    }

    #[test]
    fn other_files_are_refused() {
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
            (
                b"\0asm\x0d\0\x01\0\x08\x02\x01\x05",
                "uses asynchronous functions (task.cancel)",
            ),
        ] {
            let error = refusal(bytes);
            assert!(
                error.starts_with("component x.wasm ") && error.contains(words),
                "{error}"
            );
        }
    }
}
