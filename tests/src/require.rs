//! Tools that tests need and that may not be installed. A test that cannot run without one says so; in CI it fails, so that a green
//! run has run everything.

/// Set to `1` in CI (`.ci/run`): a missing tool is a failure.
pub const VARIABLE: &str = "LANDFALL_REQUIRE_ALL";

/// Says why a test cannot run on this machine. Fails the test where everything is required.
pub fn missing(what: &str) {
    report(
        what,
        std::env::var(VARIABLE).is_ok_and(|value| value == "1"),
    );
}

/// Says why a test says nothing about this configuration. That is no failure: it runs in another one.
pub fn not_applicable(why: &str) {
    println!("not applicable: {why}");
}

fn report(what: &str, is_required: bool) {
    assert!(
        !is_required,
        "{what}: install it; {VARIABLE}=1 lets no test be skipped"
    );
    println!("skipped: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_tool_fails_the_test() {
        report("a tool is not installed", false);
        let failure =
            std::panic::catch_unwind(|| report("a tool is not installed", true)).unwrap_err();
        let said = failure.downcast::<String>().unwrap();
        assert!(
            said.starts_with("a tool is not installed: install it"),
            "{said}"
        );
    }
}
