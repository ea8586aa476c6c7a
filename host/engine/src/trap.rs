//! Why a component trapped, in words for its author: a trap of the engine names an instruction, and
//! not what went wrong.

use wasmtime::{Trap, WasmBacktrace};

use super::text::bounded;

/// The most names of functions in a reason.
const NAMES_MAX: usize = 8;
const NAME_CHARACTERS_MAX: usize = 120;
/// Begins the part of an error that lists addresses.
const BACKTRACE: &str = "error while executing at wasm backtrace";

/// The reason of a failed call. `stderr` is what the component wrote last to standard error: the
/// text of its panic or of its exception, if it had one.
pub(crate) fn reason(error: &wasmtime::Error, stderr: Option<String>) -> String {
    let text = match (error.downcast_ref::<Trap>(), stderr) {
        // A panic ends with this trap: its text has the place.
        (Some(Trap::UnreachableCodeReached) | None, Some(stderr)) => {
            format!("{stderr}\n{}", error.root_cause())
        }
        (None, None) => without_backtrace(error),
        (Some(trap), stderr) => {
            let lines = [Some(described(*trap)), names(error), stderr];
            lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
        }
    };
    bounded(&text)
}

/// What a trap means, and the engine's words for it.
fn described(trap: Trap) -> String {
    let meaning = match trap {
        Trap::StackOverflow => "the component's stack is full: its recursion is too deep",
        Trap::MemoryOutOfBounds => {
            "the component used memory out of its bounds: a wrong address, or recursion that is too deep for its stack"
        }
        Trap::UnreachableCodeReached => {
            "the component aborted, and wrote no reason to standard error"
        }
        Trap::IntegerDivisionByZero => "the component divided a whole number by zero",
        Trap::IndirectCallToNull | Trap::TableOutOfBounds | Trap::BadSignature => {
            "the component called a function that does not exist, or has other arguments"
        }
        other => return other.to_string(),
    };
    format!("{meaning} ({trap})")
}

/// The functions that were running, the innermost first, each once. `None` if the component does
/// not name them.
fn names(error: &wasmtime::Error) -> Option<String> {
    // Only the text of a backtrace has names as they are in the source.
    let text = error.downcast_ref::<WasmBacktrace>()?.to_string();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some((_, name)) = line.split_once('!') else {
            continue;
        };
        if name.starts_with("<wasm function") {
            continue;
        }
        let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
        let line = format!("    in {}", name.escape_debug());
        if !lines.contains(&line) && lines.len() < NAMES_MAX {
            lines.push(line);
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The error and its causes. Addresses tell an author nothing.
fn without_backtrace(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let causes: Vec<String> = causes
        .filter(|cause| !cause.starts_with(BACKTRACE))
        .collect();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trap: Trap, stderr: Option<&str>) -> String {
        let error = wasmtime::Error::new(trap).context("the call failed");
        reason(&error, stderr.map(str::to_owned))
    }

    #[test]
    fn traps_are_told_in_words() {
        assert_eq!(
            of(Trap::StackOverflow, None),
            "the component's stack is full: its recursion is too deep (wasm trap: call stack exhausted)"
        );
        assert!(of(Trap::UnreachableCodeReached, None).starts_with("the component aborted"));
        assert_eq!(
            of(Trap::IntegerOverflow, None),
            "wasm trap: integer overflow"
        );
    }

    #[test]
    fn standard_error_stays() {
        assert_eq!(
            of(Trap::UnreachableCodeReached, Some("panicked at a.rs:1:2")),
            "panicked at a.rs:1:2\nwasm trap: wasm `unreachable` instruction executed"
        );
        let full = of(Trap::StackOverflow, Some("a warning"));
        assert!(full.starts_with("the component's stack is full") && full.ends_with("\na warning"));
    }

    #[test]
    fn other_errors_keep_causes() {
        let error = wasmtime::Error::msg("the cause").context(format!("{BACKTRACE}:\n  0: 0x1"));
        assert_eq!(
            reason(&error.context("the call failed"), None),
            "the call failed: the cause"
        );
    }
}
