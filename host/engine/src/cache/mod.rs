//! Machine code on disk, by digest of the component and by what affects the code. Only files that
//! this host wrote and sealed, or that came with its image, are loaded.

pub(crate) mod code;
mod name;
mod refusals;
mod size;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context;
use tokio::sync::Semaphore;

use self::code::Cached;
use self::name::Compatibility;
use self::refusals::Refusals;
use self::size::SizeLimit;
use super::compile;
use super::inspect::Inspected;
use super::kept_functions::KeptFunctions;
use super::limits;
use super::load_error::LoadError;
use super::shared_code::SharedCode;
use super::snapshot::report::{self, InitReport};
use super::trust::{self, Owner, SealKey};
use landfall_metrics::Metrics;
use landfall_model::Clock;

pub(crate) use self::name::file_name;
pub use self::size::{CacheUse, cache_use};

/// The most compilers at a time. A component that takes minutes must not delay the others.
const COMPILERS_MAX: usize = 4;

/// The cache of compiled components.
pub(crate) struct Cache {
    dir: PathBuf,
    bundled: Option<PathBuf>,
    compiler: PathBuf,
    compatibility: Compatibility,
    key: SealKey,
    /// Only of `landfall dev`.
    functions: Option<KeptFunctions>,
    limit: SizeLimit,
    clock: Clock,
    /// One lock for each component, so that it is compiled once for all hooks that use it.
    compiling: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    shared: SharedCode,
    refusals: Refusals,
    compilers: Semaphore,
    metrics: Arc<Metrics>,
}

// === impl Cache ===

impl Cache {
    /// Creates the directory and the key. A directory of another user, or that others can write, is
    /// refused.
    pub(crate) fn new(
        engine: &wasmtime::Engine,
        dir: PathBuf,
        bundled: Option<PathBuf>,
        compiler: PathBuf,
        max_size: u64,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Cache> {
        let shown = dir.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| {
                format!("cannot make the directory for compiled components, {shown}")
            })?;
        trust::check_dir(&dir, Owner::Own).map_err(|error| {
            anyhow::anyhow!("machine code is not loaded from {shown}: it {error}")
        })?;
        let key = key_path(&dir);
        let key = SealKey::open(&key)
            .with_context(|| format!("the key of the compiled components, {}", key.display()))?;
        let cache = Cache {
            dir,
            bundled,
            compiler,
            compatibility: Compatibility::of(engine),
            key,
            functions: None,
            limit: SizeLimit::new(max_size),
            clock,
            compiling: Mutex::default(),
            shared: SharedCode::default(),
            refusals: Refusals::default(),
            compilers: Semaphore::new(COMPILERS_MAX),
            metrics,
        };
        cache.limit.evict(&cache.dir, None);
        Ok(cache)
    }

    /// Keeps the compiled functions of each version in this directory, for the next version.
    pub(crate) fn keeping_functions(self, dir: &Path) -> anyhow::Result<Cache> {
        let functions = Some(KeptFunctions::new(dir)?);
        Ok(Cache { functions, ..self })
    }

    /// The machine code of a component, from the cache or compiled in a child process.
    pub(crate) async fn code(
        &self,
        engine: &wasmtime::Engine,
        inspected: &Inspected,
        bytes: Vec<u8>,
    ) -> Result<Arc<Cached>, LoadError> {
        if let Some(cached) = self.find(engine, inspected) {
            return Ok(cached);
        }

        let lock = self.compile_lock(&inspected.digest);
        let _compiling = lock.lock().await;
        if let Some(cached) = self.find(engine, inspected) {
            return Ok(cached);
        }
        if let Some(message) = self.refusals.find(&inspected.digest) {
            return Err(LoadError::lasting(&inspected.file, message));
        }
        let _compiler = self
            .compilers
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let passing = |error: String| {
            LoadError::passing(&inspected.file, format!("cannot be loaded: {error}"))
        };
        trust::check_dir(&self.dir, Owner::Own)
            .map_err(|error| passing(format!("{} {error}", self.dir.display())))?;
        let target = self.dir.join(self.compatibility.file_name(inspected));
        let known = self.functions.as_ref();
        let known = known.map(|functions| functions.sealed(&self.key));
        let started = Instant::now();
        let init = inspected.init.as_ref().map(|init| init.export.as_str());
        let compiled =
            compile::in_child(&self.compiler, &inspected.file, bytes, &target, known, init).await;
        let time = started.elapsed();
        self.metrics.measure_compile(time, compiled.is_ok());
        if init.is_some() {
            self.count_snapshot(&inspected.file, compiled.as_ref().ok());
        }
        let compiled =
            compiled.inspect_err(|error| self.refusals.remember(&inspected.digest, error))?;
        let has_report = compiled.is_some();
        if let Some(functions) = &self.functions {
            functions.replace(&compile::written_functions(&target), &self.key);
        }
        let report = report::path_of(&target);
        let sealed = has_report.then_some(&report).into_iter().chain([&target]);
        for path in sealed {
            self.key
                .seal_file(path)
                .map_err(|error| passing(format!("{} {error}", path.display())))?;
        }
        self.limit.evict(&self.dir, Some(&target));
        let read = self.read_own(engine, &target, has_report);
        let read = read.map_err(|error| {
            let error = format!("{error:#}");
            limits::too_many_parts(&inspected.file, &error).unwrap_or_else(|| passing(error))
        })?;
        Ok(self
            .shared
            .add(self.compatibility.file_name(inspected), read))
    }

    /// `report`: none, if the component was refused; the inner one is there if it has an `init`.
    fn count_snapshot(&self, file: &str, report: Option<&Option<InitReport>>) {
        let Some(Some(report)) = report else {
            self.metrics.count_snapshot("failed");
            return;
        };

        for line in &report.lines {
            tracing::info!(file, line, "its init wrote a line");
        }
        if let Some(reason) = &report.obstacle {
            self.metrics.count_snapshot("impossible");
            tracing::warn!(
                file,
                reason,
                "there is no snapshot of the component: its init runs at the start of each event"
            );
            return;
        }
        self.metrics.count_snapshot("taken");
        let (init_ms, memory_bytes) = (report.processor_ms, report.memory_bytes);
        tracing::info!(
            file,
            init_ms,
            memory_bytes,
            "a snapshot of the component was taken after its init"
        );
        if report.took_random_numbers {
            tracing::info!(
                file,
                "its init took random numbers: what it keeps of them is the same in every event"
            );
        }
    }

    fn compile_lock(&self, digest: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut compiling = landfall_model::lock(&self.compiling);
        compiling.retain(|_, lock| Arc::strong_count(lock) > 1);
        compiling.entry(digest.into()).or_default().clone()
    }

    /// The code if it is in use, or in a file.
    fn find(&self, engine: &wasmtime::Engine, inspected: &Inspected) -> Option<Arc<Cached>> {
        let name = self.compatibility.file_name(inspected);
        if let Some(code) = self.shared.find(&name) {
            if let Ok(file) = trust::open_file(&self.dir.join(&name), Owner::Own) {
                code::mark_used(&file, self.clock.now());
            }
            return Some(code);
        }

        let read = self.read(engine, inspected, &name)?;
        Some(self.shared.add(name, read))
    }

    fn read(&self, engine: &wasmtime::Engine, inspected: &Inspected, name: &str) -> Option<Cached> {
        let has_report = inspected.init.is_some();
        let own = self.dir.join(name);
        let (path, read) = match own.symlink_metadata() {
            Ok(_) => {
                let read = self.read_own(engine, &own, has_report);
                (own, read)
            }
            Err(_) => {
                let path = self.bundled.as_ref()?.join(name);
                path.symlink_metadata().ok()?;
                let read = code::read_bundled(engine, &path, has_report);
                (path, read)
            }
        };
        match read {
            Ok(cached) => Some(cached),
            Err(error) => {
                let (path, error) = (path.display(), format!("{error:#}"));
                tracing::warn!(%path, error, "a compiled component is not loaded: the component is compiled again");
                None
            }
        }
    }

    fn read_own(
        &self,
        engine: &wasmtime::Engine,
        path: &Path,
        has_report: bool,
    ) -> anyhow::Result<Cached> {
        trust::check_dir(&self.dir, Owner::Own)?;
        code::read_sealed(engine, &self.key, path, has_report, self.clock.now())
    }

    /// How many files were removed because of the limit since the start.
    pub(crate) fn evictions(&self) -> u64 {
        self.limit.evictions()
    }
}

/// The key lies beside the directory, in the data directory.
fn key_path(dir: &Path) -> PathBuf {
    dir.with_extension("key")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use wasmtime::component::Component;

    use super::*;
    use crate::snapshot::report::ReportFile;
    use crate::trust::seal_path;

    fn cache(dir: &Path) -> Cache {
        let engine = wasmtime::Engine::default();
        Cache::new(
            &engine,
            dir.join("compiled"),
            None,
            "/nowhere".into(),
            1000,
            Clock::System,
            Arc::default(),
        )
        .unwrap()
    }

    fn put(cache: &Cache) -> PathBuf {
        let path = cache.dir.join("a.cwasm");
        fs::write(&path, [0; 100]).unwrap();
        cache.key.seal_file(&path).unwrap();
        path
    }

    #[test]
    fn unsealed_code_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let engine = wasmtime::Engine::default();
        let path = put(&cache);
        let why = || {
            let error = cache.read_own(&engine, &path, false).err().unwrap();
            format!("{error:#}")
        };
        assert!(
            !why().contains("seal"),
            "with its seal it is only no machine code: {}",
            why()
        );
        fs::write(&path, [1; 100]).unwrap();
        assert!(why().contains("does not have the seal"), "{}", why());
        fs::remove_file(seal_path(&path)).unwrap();
        assert!(why().contains("does not have the seal"), "{}", why());
    }

    #[test]
    fn code_needs_its_report() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let engine = wasmtime::Engine::default();
        let path = put(&cache);
        let why = || {
            let error = cache.read_own(&engine, &path, true).err().unwrap();
            format!("{error:#}")
        };
        assert!(why().contains("No such file"), "{}", why());

        let report = report::path_of(&path);
        let of_code = |code: &[u8]| ReportFile::new(InitReport::default(), code).to_json();
        fs::write(&report, of_code(&[0; 100])).unwrap();
        assert!(why().contains("does not have the seal"), "{}", why());
        cache.key.seal_file(&report).unwrap();
        let of_code_only = !why().contains("seal") && !why().contains("its init");
        assert!(of_code_only, "only its code is none: {}", why());
        fs::write(&report, of_code(&[1; 100])).unwrap();
        cache.key.seal_file(&report).unwrap();
        assert!(why().contains("that of other machine code"), "{}", why());
    }

    fn inspected() -> Inspected {
        Inspected {
            file: "other.wasm".into(),
            digest: "d".into(),
            size: 0,
            imports: Vec::new(),
            exports: Vec::new(),
            memory_bytes: 0,
            manifest: None,
            init: None,
        }
    }

    #[test]
    fn shared_code_uses_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let (engine, inspected) = (wasmtime::Engine::default(), inspected());
        let component = Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap();
        let path = cache.dir.join(cache.compatibility.file_name(&inspected));
        fs::write(&path, component.serialize().unwrap()).unwrap();
        cache.key.seal_file(&path).unwrap();
        let long_ago = Clock::System.now() - Duration::from_secs(300);
        let find = || {
            File::open(&path).unwrap().set_modified(long_ago).unwrap();
            let found = cache.find(&engine, &inspected).unwrap();
            assert!(path.metadata().unwrap().modified().unwrap() > long_ago);
            found
        };
        let (first, second) = (find(), find());
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[tokio::test]
    async fn refused_components_are_not_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let (engine, inspected) = (wasmtime::Engine::default(), inspected());
        // There is no compiler, which is not the fault of the component.
        for _ in 0..2 {
            let compiled = cache.code(&engine, &inspected, Vec::new()).await;
            let error = compiled.err().unwrap();
            assert!(
                error.is_passing && error.message.contains("/nowhere"),
                "{error}"
            );
        }

        cache
            .refusals
            .remember("d", &LoadError::lasting("first.wasm", "is bad"));
        let compiled = cache.code(&engine, &inspected, Vec::new()).await;
        let expected = LoadError::lasting("other.wasm", "is bad");
        assert_eq!(compiled.err(), Some(expected));
    }
}
