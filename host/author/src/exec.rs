//! Runs the tools of a language. What they print goes to standard error, and is kept to find the file and line of an error.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;

use anyhow::bail;

use crate::location::location;
use landfall_config::env;
use landfall_model::lock;

/// The most text of a tool that is kept.
const SAID_MAX: usize = 256 << 10;

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

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command, show: Show) -> io::Result<Ran> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut out = child.stdout.take().expect("stdout is piped");
    let said = Mutex::new(String::new());
    let mut stdout = Vec::new();

    let read = std::thread::scope(|scope| {
        scope.spawn(|| echo(stderr, &said));
        match show {
            Show::Errors => out.read_to_end(&mut stdout).map(drop),
            Show::All => {
                echo(out, &said);
                Ok(())
            }
        }
    });
    read?;
    Ok(Ran {
        status: child.wait()?,
        stdout,
        said: said.into_inner().unwrap_or_default(),
    })
}

/// Prints each line as it comes, and keeps it.
fn echo(from: impl Read, said: &Mutex<String>) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        writeln!(io::stderr(), "{line}").ok();
        let mut said = lock(said);
        if said.len() + line.len() < SAID_MAX {
            said.push_str(&line);
            said.push('\n');
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
