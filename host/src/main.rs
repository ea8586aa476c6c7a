//! argv → command → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    landfall::cli::run(std::env::args_os())
}
