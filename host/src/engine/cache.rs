//! Machine code on disk, by digest of the component and by what decides about the code (wasmtime's version, its settings,
//! this processor). Only files that this host wrote, or that came with its image, are ever loaded.

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use super::compile;
use super::inspect::{Inspected, LoadError};

/// At once: a component that takes minutes must not hold up the others.
const COMPILERS_MAX: usize = 4;

/// Where compiled components are kept.
pub struct Cache {
    dir: PathBuf,
    bundled: Option<PathBuf>,
    compiler: PathBuf,
    compatibility: String,
    /// One compiler for one component, however many hooks ask for it.
    compiling: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    compilers: Semaphore,
}

/// The name of the file for a component of that digest.
pub fn file_name(engine: &wasmtime::Engine, digest: &str) -> String {
    format!("{digest}-{}.cwasm", compatibility(engine))
}

fn compatibility(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

// === impl Cache ===

impl Cache {
    /// Makes the folder, for this user alone.
    pub fn new(
        engine: &wasmtime::Engine,
        dir: PathBuf,
        bundled: Option<PathBuf>,
        compiler: PathBuf,
    ) -> anyhow::Result<Cache> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make the folder for compiled components, {}", dir.display()))?;
        let compatibility = compatibility(engine);
        Ok(Cache {
            dir,
            bundled,
            compiler,
            compatibility,
            compiling: Mutex::default(),
            compilers: Semaphore::new(COMPILERS_MAX),
        })
    }

    /// The machine code: found, or compiled in a child process.
    pub async fn code(
        &self,
        engine: &wasmtime::Engine,
        inspected: &Inspected,
        bytes: Vec<u8>,
    ) -> Result<Component, LoadError> {
        if let Some(code) = self.find(engine, &inspected.digest) {
            return Ok(code);
        }
        let turn = self.turn(&inspected.digest);
        let _turn = turn.lock().await;
        if let Some(code) = self.find(engine, &inspected.digest) {
            return Ok(code);
        }
        let _compiler = self.compilers.acquire().await.expect("the semaphore is never closed");
        let target = self.dir.join(self.name(&inspected.digest));
        compile::in_child(&self.compiler, &inspected.file, bytes, &target).await?;
        read(engine, &target)
            .map_err(|error| LoadError::passing(&inspected.file, format!("cannot be loaded: {error:#}")))
    }

    fn turn(&self, digest: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut compiling = self.compiling.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        compiling.retain(|_, turn| Arc::strong_count(turn) > 1);
        compiling.entry(digest.into()).or_default().clone()
    }

    fn find(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let dirs = std::iter::once(&self.dir).chain(&self.bundled);
        let path = dirs.map(|dir| dir.join(self.name(digest))).find(|path| path.is_file())?;
        match read(engine, &path) {
            Ok(code) => Some(code),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %format!("{error:#}"), "compiled component unreadable: compiling again");
                None
            }
        }
    }

    fn name(&self, digest: &str) -> String {
        format!("{digest}-{}.cwasm", self.compatibility)
    }
}

fn read(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file lies in a folder that only this user (or the image's builder) writes, under a name that only
    // `compile::in_child` gives, after a rename: it is whole and it is what our own compiler wrote.
    #[allow(unsafe_code)]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}
