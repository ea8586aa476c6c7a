//! Runs the tools of a language. What they print goes to standard error, and is kept to find the
//! file and line of an error.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::bail;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::location::location;
use landfall_config::env;
use landfall_model::lock;

/// The most text of a tool that is kept.
const SAID_MAX: usize = 256 << 10;
/// The longest time from the end of a tool to the end of its output. A process that the tool has
/// started, and that goes on, may keep it open.
const OUTPUT_ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Which of a tool's output is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Standard error; standard output is for programs.
    Errors,
    /// Both.
    All,
}

/// A tool that has ended.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// What was printed.
    pub(crate) said: String,
}

thread_local! {
    /// What stops the tools that this thread runs.
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// Ends the tools of one build, with everything that they have started. Each of them runs in a
/// process group of its own, which Ctrl-C in a terminal does not reach.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    is_stopped: bool,
    /// The process group of the tool that runs.
    group: Option<Pid>,
}

// === impl Stop ===

impl Stop {
    /// Kills the tool that runs. No other one starts.
    pub fn stop(&self) {
        let mut running = lock(&self.0);
        running.is_stopped = true;
        if let Some(group) = running.group {
            // It may have ended by itself.
            kill_process_group(group, Signal::KILL).ok();
        }
    }

    /// Whether `stop` was called.
    pub fn is_stopped(&self) -> bool {
        lock(&self.0).is_stopped
    }

    /// Does `act`, whose tools `stop` ends.
    pub(crate) fn scope<T>(&self, act: impl FnOnce() -> T) -> T {
        let before = STOP.replace(Some(self.clone()));
        let done = act();
        STOP.set(before);
        done
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut running = lock(&self.0);
        if running.is_stopped {
            return Err(stopped());
        }

        let child = command.process_group(0).spawn()?;
        running.group = Some(Pid::from_child(&child));
        Ok(child)
    }

    /// From now on, `stop` also ends this tool, which is in a process group of its own.
    fn adopt(&self, child: &Child) -> io::Result<()> {
        let mut running = lock(&self.0);
        if running.is_stopped {
            return Err(stopped());
        }

        running.group = Some(Pid::from_child(child));
        Ok(())
    }

    /// Waits for the end. A process that has ended keeps its number until `stop` can no longer use
    /// it.
    fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let pid = Pid::from_child(child);
        rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options))?;
        lock(&self.0).group = None;
        child.wait()
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "it was stopped")
}

/// A tool that has started its work and waits for a line on its standard input. It ends when that
/// ends, as when this is dropped. `None`: it goes on.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Child>);

// === impl Waiting ===

impl Waiting {
    /// Starts the tool.
    pub(crate) fn start(command: &mut Command) -> io::Result<Waiting> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Waiting(Some(child)))
    }

    /// Writes the line, and runs the tool to its end. `None`: it has not waited.
    pub(crate) fn go_on(mut self, show: Show) -> io::Result<Option<Ran>> {
        if self.has_ended() {
            return Ok(None);
        }

        let stop = STOP.with_borrow(Clone::clone);
        if let (Some(stop), Some(child)) = (&stop, &self.0) {
            stop.adopt(child)?;
        }
        let Some(mut child) = self.0.take() else {
            return Ok(None);
        };
        let mut input = child.stdin.take().expect("stdin is piped");
        // An error means that it ends: its status and output say why.
        input.write_all(b"\n").ok();
        drop(input);
        finish(child, show, stop.as_ref()).map(Some)
    }

    /// Whether it ended before it was to go on.
    pub(crate) fn has_ended(&mut self) -> bool {
        let child = self.0.as_mut();
        child.is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else {
            return;
        };

        // It may still write, and has no reader.
        child.stdout = None;
        child.stderr = None;
        // Until it is waited for, it remains as a zombie. `wait` closes its standard input.
        std::thread::spawn(move || child.wait());
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, show: Show) -> io::Result<Ran> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let stop = STOP.with_borrow(Clone::clone);
    let child = match &stop {
        Some(stop) => stop.spawn(command)?,
        None => command.spawn()?,
    };
    finish(child, show, stop.as_ref())
}

/// Waits for the end of the tool and of its output.
fn finish(mut child: Child, show: Show, stop: Option<&Stop>) -> io::Result<Ran> {
    let stderr = child.stderr.take().expect("stderr is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let (said, bytes) = (Output::default(), Output::default());
    let (reading, has_read) = mpsc::channel::<()>();
    spawn_reader(reading.clone(), echo(stderr, said.clone()));
    match show {
        Show::Errors => spawn_reader(reading, keep(stdout, bytes.clone())),
        Show::All => spawn_reader(reading, echo(stdout, said.clone())),
    }

    let status = match stop {
        Some(stop) => stop.wait(&mut child)?,
        None => child.wait()?,
    };
    // Both readers have ended when nothing can be received any more.
    if has_read.recv_timeout(OUTPUT_ENDS_WITHIN) == Err(RecvTimeoutError::Timeout) {
        writeln!(
            io::stderr(),
            "a process that the tool has started goes on, and is not waited for"
        )
        .ok();
    }
    let said = String::from_utf8_lossy(&lock(&said)).into_owned();
    let stdout = std::mem::take(&mut *lock(&bytes));
    Ok(Ran {
        status,
        stdout,
        said,
    })
}

/// What a tool has written until now.
type Output = Arc<Mutex<Vec<u8>>>;

/// Reads in a thread, which drops `reading` at the end of the output.
fn spawn_reader(reading: mpsc::Sender<()>, read: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        read();
        drop(reading);
    });
}

/// Prints each line as it comes, and keeps it.
fn echo(from: impl Read, said: Output) -> impl FnOnce() {
    move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            writeln!(io::stderr(), "{}", String::from_utf8_lossy(&line)).ok();
            let mut said = lock(&said);
            if said.len() + line.len() < SAID_MAX {
                said.extend(line);
                said.push(b'\n');
            }
        }
    }
}

/// Keeps all of it.
fn keep(mut from: impl Read, bytes: Output) -> impl FnOnce() {
    move || {
        let mut part = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut part) {
            lock(&bytes).extend(&part[..read]);
        }
    }
}

/// The cargo that runs this process, or the one of the shell.
pub(crate) fn cargo() -> OsString {
    env::var("CARGO").map_or_else(|| "cargo".into(), Into::into)
}

/// The first line that a tool prints about its version. `None`: it does not start.
pub(crate) fn version(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    output.status.success().then_some(line)
}

// === impl Ran ===

impl Ran {
    /// An error that names the file and line that the tool has named.
    pub(crate) fn expect_success(&self, dir: &Path, tool: &str) -> anyhow::Result<()> {
        if self.status.success() {
            return Ok(());
        }

        match location(&self.said, dir) {
            Some(place) => bail!("{tool} could not build {}: {place}", dir.display()),
            None => bail!("{tool} could not build {}: see above", dir.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rustix::process::test_kill_process;

    use super::*;

    /// A tool that waits for one that it has started, as npm does.
    fn hangs() -> io::Result<Ran> {
        run(
            Command::new("sh").args(["-c", "sleep 600 & wait"]),
            Show::All,
        )
    }

    #[test]
    fn stopped_tools_end_with_theirs() {
        let stop = Stop::default();
        let build = stop.clone();
        let began = Instant::now();
        let hanging = std::thread::spawn(move || build.scope(hangs));
        while lock(&stop.0).group.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }

        // The output ends only when the second process has ended too.
        stop.stop();
        let ran = hanging.join().unwrap().unwrap();
        assert!(!ran.status.success() && began.elapsed() < Duration::from_secs(60));
        assert!(stop.scope(hangs).is_err(), "no other tool starts");
    }

    fn waiting(script: &str) -> Waiting {
        Waiting::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn waiting_tools_go_on_once() {
        let stop = Stop::default();
        let tool = waiting("read line && echo went on; exit 3");
        let ran = stop.scope(|| tool.go_on(Show::Errors)).unwrap().unwrap();
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(ran.stdout, b"went on\n");

        let mut tool = waiting("exit 1");
        while !tool.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(tool.go_on(Show::All).unwrap().is_none());
    }

    #[test]
    fn waiting_tools_end_unused() {
        let began = Instant::now();
        let tool = waiting("read line || exit 3; sleep 600");
        let pid = Pid::from_child(tool.0.as_ref().unwrap());
        drop(tool);
        // A process that has ended and was not waited for is still there.
        while test_kill_process(pid).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }

        let (stop, tool) = (Stop::default(), waiting("read line && sleep 600"));
        stop.stop();
        assert!(stop.scope(|| tool.go_on(Show::All)).is_err());
    }

    #[test]
    fn left_processes_are_not_awaited() {
        let began = Instant::now();
        let script = "sleep 60 & echo $!; echo done >&2";
        let ran = run(Command::new("sh").args(["-c", script]), Show::Errors).unwrap();
        assert!(began.elapsed() < Duration::from_secs(30));
        assert!(ran.status.success() && ran.said == "done\n");
        let id = String::from_utf8(ran.stdout).unwrap();
        let left = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, Signal::KILL).unwrap();
    }
}
