//! Machine code of the components of tests, compiled once and shared by all nodes. Compilers were more than a third of the processor
//! time of the tests. A test about compiling starts its node with [`Setup::compiles`](crate::Setup::compiles).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use sha2::{Digest, Sha256};

use crate::{landfall, root};

/// What the machine code depends on, as far as the repository says: the versions and features of crates, and the engine's settings.
const INPUTS: [&str; 4] = [
    "Cargo.lock",
    "Cargo.toml",
    "host/engine/src/settings.rs",
    "host/engine/src/snapshot/mod.rs",
];

/// The directory of machine code, for `--bundled`.
pub(crate) fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let mut inputs = Sha256::new();
        for file in INPUTS {
            inputs.update(std::fs::read(root().join(file)).expect("a file of the repository"));
        }
        let name = format!("compiled-{}", hex::encode(&inputs.finalize()[..8]));
        let dir = landfall().with_file_name(name);
        std::fs::create_dir_all(&dir).expect("the target directory is writable");
        dir
    })
}

/// Compiles the component of a hook, unless its machine code is there. Components that a test adds later are compiled by its node.
pub(crate) fn compile(component: &Path) {
    static DONE: Mutex<Option<HashMap<PathBuf, Arc<OnceLock<()>>>>> = Mutex::new(None);
    let done = {
        let mut done = DONE.lock().expect("no test holds it");
        let done = done.get_or_insert_default();
        done.entry(component.to_owned()).or_default().clone()
    };
    done.get_or_init(|| {
        if code_of(component).is_none() {
            let mut command = Command::new(landfall());
            command
                .arg("precompile")
                .arg("--out")
                .arg(dir())
                .arg(component);
            // A component that cannot be compiled is the subject of its test.
            command.output().expect("the binary starts");
        }
        // Commands that take the directory of the component as `--bundled` find it too.
        if let Some(code) = code_of(component) {
            for file in [&code, &report_of(&code)] {
                let name = file.file_name().expect("it is a file");
                std::fs::hard_link(file, component.with_file_name(name)).ok();
            }
        }
    });
}

/// The report of the `init` of a component, which lies beside its machine code if it has one.
fn report_of(code: &Path) -> PathBuf {
    let stem = code.file_stem().expect("it is a file").to_string_lossy();
    code.with_file_name(format!("{stem}-init.json"))
}

/// The machine code of a component.
fn code_of(component: &Path) -> Option<PathBuf> {
    let bytes = std::fs::read(component).expect("the component was built");
    let digest = hex::encode(Sha256::digest(bytes));
    let files = std::fs::read_dir(dir()).expect("the directory was made");
    let mut files = files.map(|file| file.expect("the directory can be read").path());
    files.find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&digest) && name.ends_with(".cwasm")
    })
}
