//! Compiles in a child process, so that a compiler that eats time or memory, or dies, takes nothing
//! with it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::address_space::{COMPILING_BYTES_MAX, INIT_BYTES_MAX};
use super::confine;
use super::functions::{FUNCTIONS_BYTES_MAX, Functions};
use super::inspect::COMPONENT_BYTES_MAX;
use super::load_error::LoadError;
use super::process_tag::process_tag;
use super::settings;
use super::snapshot::limits::InitLimits;
use super::snapshot::report::{self, InitReport, ReportFile};
use super::snapshot::{self, CompileError, Compiled};
use landfall_model::printable;

/// Of processor time, on all cores together. A 20 MiB Python component takes 10 s. One with an
/// `init` is compiled twice; the second time, most of its functions are known.
const CPU_SECONDS_MAX: u64 = 120;
/// Of wall time. The compiler has a low priority: on a busy machine it waits for most of the time.
/// This limit only ends a compiler that does not get on at all.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Of one file. Machine code is a few times as large as its component, and that has 64 MiB at most.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// A busy thread at nice 0 leaves the compiler a quarter of its core.
const NICENESS: i32 = 5;
/// The kernel ends the compiler first when memory runs out, not the node.
const OOM_SCORE: &str = "1000";
/// Signals of a compiler that ended itself.
const DEATHS: [Signal; 4] = [Signal::ABORT, Signal::SEGV, Signal::BUS, Signal::ILL];
/// The exit code of a child that read and compiled, and found the component bad.
const JUDGED: i32 = 65;
/// The exit code of a child that ran `init` and found it bad. It says why on standard error.
const INIT_FAILED: i32 = 66;

/// Compiles `bytes` into `target`: written beside it, synced, renamed. With the file of functions
/// that are compiled already, which need not be there, the compiler also writes
/// `written_functions(target)`, if there are new ones. With the name of the interface that has
/// `init`, the compiler runs it, compiles a snapshot, and writes its report beside `target`.
pub(crate) async fn in_child(
    compiler: &Path,
    file: &str,
    bytes: Vec<u8>,
    target: &Path,
    functions: Option<&Path>,
    init: Option<&str>,
) -> Result<Option<InitReport>, LoadError> {
    let passing = |message: String| LoadError::passing(file, message);
    let partial = target.with_extension(format!("{}.partial", process_tag()));
    let mut command = Command::new(compiler);
    command
        .arg("compile")
        .arg(&partial)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env_clear()
        .kill_on_drop(true);
    if let Some(functions) = functions {
        command
            .arg("--functions")
            .arg(functions)
            .stdout(Stdio::piped());
    }
    if let Some(export) = init {
        command.arg("--init").arg(export);
    }
    let mut child = command.spawn().map_err(|error| {
        passing(format!(
            "cannot be compiled: {} does not start: {error}",
            compiler.display()
        ))
    })?;
    let mut input = child.stdin.take().expect("stdin was piped");
    let feed = async move {
        input.write_all(&bytes).await.ok();
    };
    let run = async { tokio::join!(feed, child.wait_with_output()).1 };
    let ended = match tokio::time::timeout(TIME_MAX, run).await {
        Ok(ended) => ended.map_err(|error| passing(format!("cannot be compiled: {error}"))),
        Err(_) => Err(passing(format!(
            "was not compiled within {} min, because the compiler got too little processor time: make the machine less busy",
            TIME_MAX.as_secs() / 60
        ))),
    };
    let placed = ended.and_then(|output| {
        if !output.status.success() {
            return Err(failed(file, &output));
        }
        if functions.is_some() {
            let counts = String::from_utf8_lossy(&output.stdout);
            tracing::info!(file, functions = counts.trim(), "compiled");
        }
        place(&partial, target, init.is_some())
            .map_err(|error| passing(format!("cannot be kept: {error:#}")))
    });
    if placed.is_err() {
        std::fs::remove_file(&partial).ok();
        std::fs::remove_file(written_report(&partial)).ok();
        std::fs::remove_file(written_functions(target)).ok();
    }
    placed
}

/// Gives the files of the compiler their names, the report first: machine code without a report is
/// not used.
fn place(partial: &Path, target: &Path, has_init: bool) -> anyhow::Result<Option<InitReport>> {
    let report = if has_init {
        let written = written_report(partial);
        let file = ReportFile::parse(&std::fs::read(&written)?)?;
        std::fs::rename(&written, report::path_of(target))?;
        Some(file.report)
    } else {
        None
    };
    std::fs::rename(partial, target)?;
    Ok(report)
}

/// Where the compiler writes the report of `init`, beside its target.
fn written_report(partial: &Path) -> PathBuf {
    partial.with_extension("init")
}

/// Where the compiler of `target` writes functions.
pub(crate) fn written_functions(target: &Path) -> PathBuf {
    target.with_extension(format!("{}.functions", process_tag()))
}

/// A compiler that ends by itself, or has used up its time, has judged the component; one that was
/// killed, or could not write, has not.
fn failed(file: &str, output: &Output) -> LoadError {
    let said = String::from_utf8_lossy(&output.stderr);
    // A part of it can be a text of the component.
    let said: Vec<String> = said.trim().lines().map(printable).collect();
    let said = said.join("\n");
    let message = format!("does not compile ({}): {said}", output.status);
    match (output.status.code(), output.status.signal()) {
        (Some(JUDGED), _) => LoadError::lasting(file, message),
        (Some(INIT_FAILED), _) => LoadError::lasting(file, said),
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => LoadError::lasting(
            file,
            format!(
                "takes more than {CPU_SECONDS_MAX} s of processor time to compile: make it smaller"
            ),
        ),
        (_, Some(signal)) if signal == Signal::XFSZ.as_raw() => LoadError::lasting(
            file,
            format!(
                "compiles to more than {} MiB of machine code: make it smaller",
                FILE_BYTES_MAX >> 20
            ),
        ),
        // The compiler ran into its own limits, or has a fault: the same bytes end it again.
        (_, Some(signal)) if DEATHS.iter().any(|death| death.as_raw() == signal) => {
            LoadError::lasting(file, message)
        }
        _ => LoadError::passing(file, message),
    }
}

/// The child's side: a component on standard input, machine code into `target`. `functions` is the
/// file of functions that are compiled already, if they are to be used and kept. `init` is the name
/// of the interface with `init`, if the component has one.
pub fn compile_child(
    target: &Path,
    functions: Option<&Path>,
    init: Option<&str>,
) -> anyhow::Result<ExitCode> {
    limit_myself(init.is_some()).context("cannot limit the compiler")?;
    // A confined process reads no file.
    let functions = functions.map(read_functions).transpose()?;
    confine::confine(target.parent().context("the target has no directory")?)
        .context("cannot confine the compiler")?;
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(COMPONENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    anyhow::ensure!(
        bytes.len() <= COMPONENT_BYTES_MAX,
        "the component is larger than 64 MiB"
    );
    let compiled = match init {
        None => engine(functions.clone())?
            .precompile_component(&bytes)
            .map(|code| (code, None))
            .map_err(|error| CompileError::Compiler(format!("{error:#}"))),
        Some(export) => {
            // What is compiled to run `init` is compiled again with its memory.
            let engine = engine(Some(functions.clone().unwrap_or_default()))?;
            snapshot::compile(&engine, &bytes, export, InitLimits::DEFAULT)
                .map(|Compiled { code, report }| (code, Some(report)))
        }
    };
    let (code, report) = match compiled {
        Ok(compiled) => compiled,
        Err(error) => {
            eprintln!("{error}");
            let code = match error {
                CompileError::Init(_) => INIT_FAILED,
                CompileError::Compiler(_) => JUDGED,
            };
            return Ok(ExitCode::from(code as u8));
        }
    };
    if let Some(report) = report {
        let report = ReportFile::new(report, &code);
        create(&written_report(target))?.write_all(&report.to_json())?;
    }
    let mut file = create(target)?;
    file.write_all(&code)?;
    file.sync_all()?;

    if let Some(functions) = functions {
        let (reused, compiled) = (functions.reused(), functions.compiled());
        if compiled > 0 {
            // The name of the partial file has the same tag.
            let mut file = BufWriter::new(create(&target.with_extension("functions"))?);
            functions.write(FUNCTIONS_BYTES_MAX, &mut file)?;
            file.flush()?;
        }
        println!("{reused} reused, {compiled} new");
    }
    Ok(ExitCode::SUCCESS)
}

fn read_functions(path: &Path) -> anyhow::Result<Arc<Functions>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    Ok(Arc::new(Functions::read(bytes)))
}

/// The compiler. The functions do not affect what it makes of a component.
fn engine(functions: Option<Arc<Functions>>) -> anyhow::Result<wasmtime::Engine> {
    let mut config = settings::compiling();
    if let Some(functions) = functions {
        config
            .enable_incremental_compilation(functions)
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
    }
    wasmtime::Engine::new(&config).map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn create(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

fn limit_myself(runs_init: bool) -> rustix::io::Result<()> {
    // A node that is killed does not leave its compilers behind. The thread that started this
    // process lives as long as the node.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let most = if runs_init {
        INIT_BYTES_MAX
    } else {
        COMPILING_BYTES_MAX
    };
    lower(Resource::As, COMPILING_BYTES_MAX, most)?;
    // The kernel sends SIGXCPU at the first and SIGKILL at the second.
    lower(Resource::Cpu, CPU_SECONDS_MAX, CPU_SECONDS_MAX + 5)?;
    lower(Resource::Core, 0, 0)?;
    lower(Resource::Fsize, FILE_BYTES_MAX, FILE_BYTES_MAX)?;
    rustix::process::nice(NICENESS)?;
    // Where /proc is not mounted or not ours to write, the limit of address space remains.
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();
    Ok(())
}

/// Sets a limit of this process. A lower one that the operator has set stays.
fn lower(resource: Resource, current: u64, maximum: u64) -> rustix::io::Result<()> {
    let set = rustix::process::getrlimit(resource);
    let least = |bound: u64, set: Option<u64>| Some(set.map_or(bound, |set| set.min(bound)));
    let limit = Rlimit {
        current: least(current, set.current),
        maximum: least(maximum, set.maximum),
    };
    rustix::process::setrlimit(resource, limit)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::pin::pin;
    use std::sync::OnceLock;

    use futures_util::FutureExt;

    use super::*;

    fn ended(wait_status: i32) -> LoadError {
        let output = Output {
            status: std::process::ExitStatus::from_raw(wait_status),
            stdout: Vec::new(),
            stderr: b"said".into(),
        };
        failed("big.wasm", &output)
    }

    /// Two compilers. `waits` waits for the file `go` beside its target, and then takes the
    /// component for machine code; `burns` uses processor time only. Both are written before the
    /// first one is started: Linux does not execute a file that a process writes.
    fn compiler(name: &str) -> PathBuf {
        static SCRIPTS: OnceLock<tempfile::TempDir> = OnceLock::new();
        let dir = SCRIPTS.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let waits =
                "while ! [ -e \"${2%/*}/go\" ]; do /bin/sleep 0.02; done\n/bin/cat > \"$2\"";
            let burns = "ulimit -S -t 1\nwhile :; do :; done";
            for (name, lines) in [("waits", waits), ("burns", burns)] {
                let path = dir.path().join(name);
                std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
            }
            dir
        });
        dir.path().join(name)
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_processor_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("code");
        // While a blocking task runs, the paused clock stands still.
        let (resume, paused) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || paused.recv().ok());
        let compiler = compiler("waits");
        let bytes = b"code".to_vec();
        let mut compile = pin!(in_child(&compiler, "big.wasm", bytes, &target, None, None));
        assert!(compile.as_mut().now_or_never().is_none());

        tokio::time::advance(10 * Duration::from_secs(CPU_SECONDS_MAX)).await;
        assert!(compile.as_mut().now_or_never().is_none());
        std::fs::write(dir.path().join("go"), "").unwrap();
        compile.await.unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"code");
        drop(resume);
        blocking.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn stuck_compilers_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("code");
        // Nothing else is left to do: the paused clock runs on to the limit.
        let waits = compiler("waits");
        let ended = in_child(&waits, "big.wasm", Vec::new(), &target, None, None).await;
        let error = ended.unwrap_err();
        assert!(error.is_passing, "{error}");
        assert!(error.to_string().contains("within 30 min"), "{error}");
    }

    #[tokio::test]
    async fn processor_time_is_limited() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("code");
        let burns = compiler("burns");
        let ended = in_child(&burns, "big.wasm", Vec::new(), &target, None, None).await;
        let error = ended.unwrap_err();
        assert!(!error.is_passing, "{error}");
        assert!(error.to_string().contains("processor time"), "{error}");
    }

    #[test]
    fn refusals_show_no_control_characters() {
        let output = Output {
            status: std::process::ExitStatus::from_raw(INIT_FAILED << 8),
            stdout: Vec::new(),
            stderr: b"its init failed: \x1b[2Ja\nb\n".into(),
        };
        let error = failed("big.wasm", &output);
        assert_eq!(error.message, "its init failed: \\u{1b}[2Ja\nb");
    }

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128, "longer ones have a length of two bytes");
        [&[id, length][..], content].concat()
    }

    /// A component with a module that has a function for each number, which returns it.
    fn component(numbers: &[u8]) -> Vec<u8> {
        let count = u8::try_from(numbers.len()).unwrap();
        let types = vec![0; numbers.len()];
        let bodies: Vec<u8> = numbers
            .iter()
            .flat_map(|number| [4, 0, 0x41, *number, 0x0b])
            .collect();
        let module = [
            b"\0asm\x01\0\0\0".to_vec(),
            section(1, &[1, 0x60, 0, 1, 0x7f]),
            section(3, &[&[count][..], &types].concat()),
            section(10, &[&[count][..], &bodies].concat()),
        ];
        [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
    }

    fn compiled(numbers: &[u8], functions: Option<&Arc<Functions>>) -> Vec<u8> {
        let engine = engine(functions.cloned()).unwrap();
        engine.precompile_component(&component(numbers)).unwrap()
    }

    fn next(functions: &Functions) -> Arc<Functions> {
        let mut written = Vec::new();
        functions.write(FUNCTIONS_BYTES_MAX, &mut written).unwrap();
        Arc::new(Functions::read(written))
    }

    #[test]
    fn next_versions_reuse_functions() {
        let first = Arc::new(Functions::default());
        assert_eq!(
            compiled(&[1, 2, 3], Some(&first)),
            compiled(&[1, 2, 3], None)
        );
        assert!(first.reused() == 0 && first.compiled() >= 3, "{first:?}");

        let second = next(&first);
        assert_eq!(
            compiled(&[1, 9, 3], Some(&second)),
            compiled(&[1, 9, 3], None)
        );
        assert!(second.reused() >= 2 && second.compiled() == 1, "{second:?}");

        let same = next(&second);
        assert_eq!(
            compiled(&[1, 9, 3], Some(&same)),
            compiled(&[1, 9, 3], None)
        );
        assert_eq!(same.compiled(), 0, "{same:?}");
    }

    #[test]
    fn unreadable_functions_are_compiled_again() {
        let first = Arc::new(Functions::default());
        compiled(&[1, 2], Some(&first));

        let second = next(&first.halved());
        assert_eq!(compiled(&[1, 2], Some(&second)), compiled(&[1, 2], None));
        assert_eq!(second.compiled(), first.compiled(), "{second:?}");
    }

    #[test]
    fn limits_of_the_compiler_are_lasting() {
        for (signal, words) in [
            (Signal::XCPU, "more than 120 s of processor time"),
            (Signal::XFSZ, "more than 1024 MiB of machine code"),
            (Signal::SEGV, "does not compile"),
        ] {
            let error = ended(signal.as_raw());
            assert!(!error.is_passing, "{words}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(!ended(JUDGED << 8).is_passing);
        // The kernel kills the compiler when memory runs out: there may be room later.
        assert!(ended(Signal::KILL.as_raw()).is_passing);
        assert!(ended(1 << 8).is_passing);
    }
}
