//! Machine code on disk, by digest of the component and by what affects the code (wasmtime's
//! version, its settings, this processor). Only files that this host wrote and sealed, or that came
//! with its image, are loaded. The least recently used files are removed when the cache is larger
//! than its limit.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use super::compile;
use super::inspect::Inspected;
use super::kept_functions::KeptFunctions;
use super::limits;
use super::load_error::LoadError;
use super::snapshot::SNAPSHOTTER;
use super::snapshot::report::{self, InitReport, ReportFile};
use super::trust::{self, Owner, SealKey, seal_path};
use landfall_metrics::Metrics;
use landfall_model::Clock;

/// The most compilers at a time. A component that takes minutes must not delay the others.
const COMPILERS_MAX: usize = 4;
/// The cache uses at most this fraction of its file system, even if its limit is higher.
const FILE_SYSTEM_SHARE: u64 = 4;
/// How long a refusal counts for all hooks that use the component. An `init` can take seconds until
/// it is refused, and a hundred hooks would each wait for theirs, and delay all others.
const REFUSED_FOR: Duration = Duration::from_secs(300);

/// The cache of compiled components.
pub(crate) struct Cache {
    dir: PathBuf,
    bundled: Option<PathBuf>,
    compiler: PathBuf,
    compatibility: Compatibility,
    key: SealKey,
    /// Only of `landfall dev`.
    functions: Option<KeptFunctions>,
    max_size: u64,
    clock: Clock,
    /// One lock for each component, so that it is compiled once for all hooks that use it.
    compiling: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Components that were compiled and found bad, by digest.
    refusals: Mutex<HashMap<String, Refusal>>,
    compilers: Semaphore,
    evictions: AtomicU64,
    metrics: Arc<Metrics>,
}

/// Why a component was refused.
struct Refusal {
    message: String,
    until: Instant,
}

/// The content of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// How many compiled components there are.
    pub components: usize,
    /// The bytes of all files.
    pub bytes: u64,
    /// The most bytes that stay in the cache.
    pub max_size: u64,
}

/// The machine code of a component, and what became of its `init`, if it has one.
pub(crate) struct Cached {
    pub(crate) code: Component,
    pub(crate) init: Option<InitReport>,
}

/// What affects the machine code of a component, beside the component: part of the name of its
/// file.
struct Compatibility {
    /// Of a component without `init`.
    plain: String,
    /// Of one with `init`: the snapshotter too.
    with_init: String,
}

/// A file of the cache, and when it was last used.
struct Entry {
    path: PathBuf,
    /// With those of the report beside it.
    bytes: u64,
    used: SystemTime,
}

/// The file name of the machine code of a component.
pub(crate) fn file_name(engine: &wasmtime::Engine, inspected: &Inspected) -> String {
    Compatibility::of(engine).file_name(inspected)
}

// === impl Compatibility ===

impl Compatibility {
    fn of(engine: &wasmtime::Engine) -> Compatibility {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let plain = format!("{:016x}", hasher.finish());
        SNAPSHOTTER.hash(&mut hasher);
        Compatibility {
            plain,
            with_init: format!("{:016x}", hasher.finish()),
        }
    }

    fn file_name(&self, inspected: &Inspected) -> String {
        let hash = match inspected.init {
            Some(_) => &self.with_init,
            None => &self.plain,
        };
        format!("{}-{hash}.cwasm", inspected.digest)
    }
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
            max_size,
            clock,
            compiling: Mutex::default(),
            refusals: Mutex::default(),
            compilers: Semaphore::new(COMPILERS_MAX),
            evictions: AtomicU64::new(0),
            metrics,
        };
        cache.evict(None);
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
    ) -> Result<Cached, LoadError> {
        if let Some(cached) = self.find(engine, inspected) {
            return Ok(cached);
        }

        let lock = self.compile_lock(&inspected.digest);
        let _compiling = lock.lock().await;
        if let Some(cached) = self.find(engine, inspected) {
            return Ok(cached);
        }
        if let Some(message) = self.refusal(&inspected.digest) {
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
            compiled.inspect_err(|error| self.remember_refusal(&inspected.digest, error))?;
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
        self.evict(Some(&target));
        self.read_own(engine, &target, has_report).map_err(|error| {
            let error = format!("{error:#}");
            limits::too_many_parts(&inspected.file, &error).unwrap_or_else(|| passing(error))
        })
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

    fn refusal(&self, digest: &str) -> Option<String> {
        let refusals = landfall_model::lock(&self.refusals);
        let refusal = refusals.get(digest)?;
        (Instant::now() < refusal.until).then(|| refusal.message.clone())
    }

    /// Keeps an error of the component itself. One of the machine says nothing of the next attempt.
    fn remember_refusal(&self, digest: &str, error: &LoadError) {
        if error.is_passing {
            return;
        }

        let now = Instant::now();
        let refusal = Refusal {
            message: error.message.clone(),
            until: now + REFUSED_FOR,
        };
        let mut refusals = landfall_model::lock(&self.refusals);
        refusals.retain(|_, refusal| now < refusal.until);
        refusals.insert(digest.into(), refusal);
    }

    fn find(&self, engine: &wasmtime::Engine, inspected: &Inspected) -> Option<Cached> {
        let name = self.compatibility.file_name(inspected);
        let has_report = inspected.init.is_some();
        let own = self.dir.join(&name);
        let (path, read) = match own.symlink_metadata() {
            Ok(_) => {
                let read = self.read_own(engine, &own, has_report);
                (own, read)
            }
            Err(_) => {
                let path = self.bundled.as_ref()?.join(&name);
                path.symlink_metadata().ok()?;
                let read = read_bundled(engine, &path, has_report);
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
        let report = if has_report {
            let (_, report) = self.key.read_sealed(&report::path_of(path))?;
            Some(ReportFile::parse(&report)?)
        } else {
            None
        };
        let (file, code) = self.key.read_sealed(path)?;
        let init = report.map(|report| report.of_code(&code)).transpose()?;
        // The time of the last use. If it cannot be written, only the order of eviction suffers.
        file.set_modified(self.clock.now()).ok();
        let code = deserialize(engine, &file, &code)?;
        Ok(Cached { code, init })
    }

    /// How many files were removed because of the limit since the start.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Removes the least recently used files until the rest is within the limit. `kept` is never
    /// removed.
    fn evict(&self, kept: Option<&Path>) {
        let bound = bound(&self.dir, self.max_size);
        let Ok(mut entries) = entries(&self.dir) else {
            return;
        };
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if bytes <= bound {
                return;
            }
            if kept != Some(&*entry.path) && self.remove(&entry) {
                bytes -= entry.bytes;
            }
        }

        if bytes > bound {
            tracing::warn!(
                bytes,
                bound,
                "one compiled component is larger than the cache: raise cache.max_size"
            );
        }
    }

    fn remove(&self, entry: &Entry) -> bool {
        let path = entry.path.display();
        if let Err(error) = fs::remove_file(&entry.path) {
            tracing::warn!(%path, %error, "a compiled component cannot be removed");
            return false;
        }
        let report = report::path_of(&entry.path);
        for path in [&seal_path(&entry.path), &report, &seal_path(&report)] {
            fs::remove_file(path).ok();
        }
        self.evictions.fetch_add(1, Ordering::Relaxed);
        tracing::info!(%path, bytes = entry.bytes, "a compiled component is removed: cache.max_size");
        true
    }
}

/// The content of the cache in this directory. An error says why the directory would not be used.
pub fn cache_use(dir: &Path, max_size: u64) -> io::Result<CacheUse> {
    match trust::check_dir(dir, Owner::Own) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(CacheUse {
                components: 0,
                bytes: 0,
                max_size,
            });
        }
        checked => checked?,
    }
    let entries = entries(dir)?;
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    let reports = entries
        .iter()
        .filter(|entry| report::code_of(&entry.path).is_some());
    Ok(CacheUse {
        components: entries.len() - reports.count(),
        bytes,
        max_size: bound(dir, max_size),
    })
}

/// The effective limit, which is lower on a small disk.
fn bound(dir: &Path, max_size: u64) -> u64 {
    match rustix::fs::statvfs(dir) {
        Ok(disk) => max_size.min(disk.f_blocks.saturating_mul(disk.f_frsize) / FILE_SYSTEM_SHARE),
        Err(_) => max_size,
    }
}

/// The key lies beside the directory, in the data directory.
fn key_path(dir: &Path) -> PathBuf {
    dir.with_extension("key")
}

/// The compiled components, files of compilers that were killed, and reports whose code is gone.
fn entries(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_seal = path
            .extension()
            .is_some_and(|extension| extension == "seal");
        if is_seal || report::code_of(&path).is_some_and(|code| code.exists()) {
            continue;
        }
        // The file may have been removed since the listing.
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        let report = report::path_of(&path).symlink_metadata();
        entries.push(Entry {
            path,
            bytes: meta.len() + report.map_or(0, |report| report.len()),
            used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        });
    }
    Ok(entries)
}

/// Reads a file of the image. It belongs to root, and no process in the container can write it.
fn read_bundled(
    engine: &wasmtime::Engine,
    path: &Path,
    has_report: bool,
) -> anyhow::Result<Cached> {
    trust::check_dir(path.parent().unwrap_or(Path::new("/")), Owner::OwnOrRoot)?;
    let report = if has_report {
        let mut report = Vec::new();
        trust::open_file(&report::path_of(path), Owner::OwnOrRoot)?.read_to_end(&mut report)?;
        Some(ReportFile::parse(&report)?)
    } else {
        None
    };
    let mut file = trust::open_file(path, Owner::OwnOrRoot)?;
    let mut code = Vec::new();
    file.read_to_end(&mut code)?;
    let init = report.map(|report| report.of_code(&code)).transpose()?;
    let code = deserialize(engine, &file, &code)?;
    Ok(Cached { code, init })
}

/// Maps the file that was checked, by its descriptor: its path may lead to another file by now.
fn deserialize(engine: &wasmtime::Engine, file: &File, code: &[u8]) -> anyhow::Result<Component> {
    let mapped = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // SAFETY: our own compiler wrote these bytes. The caller has checked the seal, or that only the
    // builder of the image can have written the file. No other user can write the open file.
    #[allow(unsafe_code)]
    let loaded = unsafe {
        if mapped.exists() {
            Component::deserialize_file(engine, &mapped)
        } else {
            Component::deserialize(engine, code)
        }
    };
    loaded.map_err(|error| anyhow::anyhow!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(dir: &Path, max_size: u64) -> Cache {
        let engine = wasmtime::Engine::default();
        Cache::new(
            &engine,
            dir.join("compiled"),
            None,
            "/nowhere".into(),
            max_size,
            Clock::System,
            Arc::default(),
        )
        .unwrap()
    }

    fn put(cache: &Cache, name: &str, age_s: u64) -> PathBuf {
        let path = cache.dir.join(format!("{name}.cwasm"));
        fs::write(&path, [0; 100]).unwrap();
        cache.key.seal_file(&path).unwrap();
        File::open(&path)
            .unwrap()
            .set_modified(Clock::System.now() - Duration::from_secs(age_s))
            .unwrap();
        path
    }

    #[test]
    fn oldest_files_are_evicted_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 250);
        let [old, newer, newest] = [("old", 300), ("newer", 200), ("newest", 100)]
            .map(|(name, age)| put(&cache, name, age));
        cache.evict(Some(&newest));
        assert!(!old.exists() && !seal_path(&old).exists() && newer.exists() && newest.exists());
        assert_eq!(
            cache_use(&cache.dir, 250).unwrap(),
            CacheUse {
                components: 2,
                bytes: 200,
                max_size: 250
            }
        );
    }

    #[test]
    fn new_components_are_not_evicted() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 50);
        let [only, other] =
            [("only", 300), ("other", 100)].map(|(name, age)| put(&cache, name, age));
        cache.evict(Some(&only));
        assert!(only.exists() && !other.exists());
    }

    #[test]
    fn unsealed_code_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1000);
        let engine = wasmtime::Engine::default();
        let path = put(&cache, "a", 0);
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
        let cache = cache(dir.path(), 1000);
        let engine = wasmtime::Engine::default();
        let path = put(&cache, "a", 0);
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

        assert_eq!(cache_use(&cache.dir, 1000).unwrap().components, 1);
        assert!(cache.remove(&entries(&cache.dir).unwrap()[0]));
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), 0);
    }

    #[test]
    fn reports_count_with_their_code() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 250);
        let code = put(&cache, "kept", 100);
        let (report, orphan) = (report::path_of(&code), cache.dir.join("gone-init.json"));
        fs::write(&report, [0; 50]).unwrap();
        fs::write(&orphan, [0; 200]).unwrap();
        cache.key.seal_file(&orphan).unwrap();
        let long_ago = Clock::System.now() - Duration::from_secs(300);
        File::open(&orphan).unwrap().set_modified(long_ago).unwrap();
        let used = || {
            let used = cache_use(&cache.dir, 250).unwrap();
            (used.components, used.bytes)
        };
        assert_eq!(used(), (1, 350));

        cache.evict(None);
        assert!(!orphan.exists() && !seal_path(&orphan).exists());
        assert!(code.exists() && report.exists());
        assert_eq!(used(), (1, 150));
    }

    #[tokio::test]
    async fn refused_components_are_not_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1000);
        let engine = wasmtime::Engine::default();
        let inspected = Inspected {
            file: "other.wasm".into(),
            digest: "d".into(),
            size: 0,
            imports: Vec::new(),
            exports: Vec::new(),
            memory_bytes: 0,
            manifest: None,
            init: None,
        };
        // There is no compiler, which is not the fault of the component.
        for _ in 0..2 {
            let compiled = cache.code(&engine, &inspected, Vec::new()).await;
            let error = compiled.err().unwrap();
            assert!(
                error.is_passing && error.message.contains("/nowhere"),
                "{error}"
            );
        }

        cache.remember_refusal("d", &LoadError::lasting("first.wasm", "is bad"));
        let compiled = cache.code(&engine, &inspected, Vec::new()).await;
        let expected = LoadError::lasting("other.wasm", "is bad");
        assert_eq!(compiled.err(), Some(expected));
    }

    #[test]
    fn snapshotter_is_the_one_used() {
        let lock = include_str!("../../../Cargo.lock");
        let (_, entry) = lock.split_once("name = \"wasmtime-wizer\"\n").unwrap();
        let version = entry.lines().next().unwrap().replace(['"', '='], "");
        let version = version.split_whitespace().last().unwrap();
        let expected = format!("wasmtime-wizer {version}, ");
        assert!(SNAPSHOTTER.starts_with(&expected), "{expected}");
    }
}
