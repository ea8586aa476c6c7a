//! Commands in the pages, and those that `landfall up` prints, work.

use std::process::{Command, Stdio};
use std::time::Duration;

use landfall_tests::ports::free_port;
use landfall_tests::require::missing;
use landfall_tests::{Node, Setup, eventually, landfall, root};

use super::{pages, read, samples};

/// Pastes the commands into a shell in a fresh clone, and answers what was printed. Only what the clone has is linked there, and curl
/// finds the test's node at the address that the page prints.
fn paste(node: &Node, commands: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (clone, bin) = (dir.path().join("landfall"), dir.path().join("bin"));
    let secrets = node.plugins().parent().unwrap().join("secrets");
    for folder in [
        &clone.join("target/debug"),
        &clone.join(".landfall"),
        &bin,
        &secrets,
    ] {
        std::fs::create_dir_all(folder).unwrap();
    }
    for name in ["Cargo.toml", "Cargo.lock", "host", "sdk", "tests", "wit"] {
        std::os::unix::fs::symlink(root().join(name), clone.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(landfall(), clone.join("target/debug/landfall")).unwrap();
    std::os::unix::fs::symlink(node.plugins(), clone.join(".landfall/plugins")).unwrap();
    std::os::unix::fs::symlink(secrets, clone.join(".landfall/secrets")).unwrap();
    let curl = bin.join("curl");
    let path = std::env::var("PATH").unwrap();
    let shim = format!(
        "#!/bin/sh\nPATH='{path}' exec curl --connect-to 127.0.0.1:8080:{} \"$@\"\n",
        node.public
    );
    std::fs::write(&curl, shim).unwrap();
    std::fs::set_permissions(&curl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let mut shell = Command::new("sh");
    shell
        .arg("-e")
        .current_dir(&clone)
        .env("PATH", format!("{}:{path}", bin.display()));
    for (name, value) in node.command().get_envs() {
        shell.env(name, value.unwrap());
    }
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), commands.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{printed}\n{errors}");
    printed.into_owned()
}

/// The block of the README that creates the crate `hello`.
fn first_handler() -> String {
    let samples = samples(&root().join("README.md"));
    let block = samples
        .into_iter()
        .find(|sample| sample.text.starts_with("cargo new --lib"));
    block.expect("the README has the block").text
}

#[tokio::test]
async fn first_handler_of_readme_answers() {
    let node = Setup::new().start().await;
    node.until_ready().await;

    let printed = paste(&node, &first_handler());
    assert!(
        printed.contains("hello.wasm: the node runs this version for hello (serving)"),
        "{printed}"
    );
    assert!(
        printed
            .trim_end()
            .ends_with("{\"seen\":\"refs/heads/main\"}"),
        "{printed}"
    );
    node.logged("the handler's line", |line| {
        line["message"] == "a push to refs/heads/main"
    })
    .await;
}

#[tokio::test]
async fn tutorial_works_from_start_to_finish() {
    let node = Setup::new().start().await;
    node.until_ready().await;

    let mut commands = first_handler();
    for sample in samples(&root().join("docs/TUTORIAL.md")) {
        if sample.language == "sh" {
            commands.push_str(&sample.text);
        }
    }
    let printed = paste(&node, &commands);
    for text in [
        "test tests::other_branches_are_ignored ... ok",
        "{\"stored\":\"main\"}",
        "401\n",
        "missing_signature",
        "\"row\":{\"branch\":\"main\"}",
    ] {
        assert!(printed.contains(text), "no {text:?} in:\n{printed}");
    }
}

/// Every shell sample that calls `landfall` alone: of `explain`, `send` and `sign` only that the flags are right. The commands in
/// docs/deploy are about files of the reader; those in docs/handlers run in `author`, `distribution`, `offline` and `sdk_languages`.
#[test]
fn commands_in_the_docs_are_commands() {
    let mut count = 0;
    let mut pages = pages();
    let elsewhere = ["docs/deploy", "docs/handlers"].map(|dir| root().join(dir));
    pages.retain(|page| !elsewhere.iter().any(|path| page.starts_with(path)));
    for page in pages {
        for sample in samples(&page)
            .iter()
            .filter(|sample| sample.language == "sh")
        {
            for line in sample
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("landfall "))
            {
                let line = line.split(" #").next().unwrap();
                let mut command = Command::new(landfall());
                command
                    .args(line.split_whitespace())
                    .current_dir(root())
                    .env("STRIPE_SECRET", "s")
                    .env("GITHUB_SECRET", "s");
                let output = command.output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let no_node = said.contains("exchange failed")
                    || said.contains("admin listener")
                    || said.contains("nobody")
                    || said.contains("127.0.0.1")
                    || said.contains("has no ledger");
                assert!(
                    output.status.success() || no_node,
                    "{}: {line}\n{said}",
                    page.display()
                );
                count += 1;
            }
        }
    }
    assert!(count >= 4, "{count} commands");
}

#[tokio::test]
async fn up_prints_working_curl_commands() {
    if Command::new("curl").arg("--version").output().is_err() {
        missing("curl is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let out = std::fs::File::create(dir.path().join("out")).unwrap();
    let mut up = Ends(
        Command::new(landfall())
            .args(["up", "--admin-listen", "127.0.0.1:0"])
            .env("PORT", port.to_string())
            .current_dir(dir.path())
            .env_remove("RUST_BACKTRACE")
            .stdout(out)
            .spawn()
            .unwrap(),
    );
    let curls = eventually_long(|| {
        assert!(up.0.try_wait().unwrap().is_none(), "up ended");
        let text = read(&dir.path().join("out"));
        let curls: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("  curl"))
            .map(str::to_owned)
            .collect();
        text.contains("stop with Ctrl-C").then_some(curls)
    })
    .await;
    assert_eq!(curls.len(), 5);
    for curl in &curls {
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("{curl} -w ' %{{http_code}}'"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.ends_with(" 200") || text.ends_with(" 202"),
            "{curl}\n{text}"
        );
    }
    let printed = read(&dir.path().join("out"));
    let commands: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains(" rows "))
        .collect();
    let rows = |command: &str| {
        let output = Command::new("sh").arg("-c").arg(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    let counts = || commands.iter().map(|command| rows(command)).sum::<usize>();
    eventually("the effects are there", || async {
        (counts() >= 4).then_some(())
    })
    .await;
    // What becomes of hooks afterwards is printed too.
    let plugins = dir.path().join(".landfall/plugins");
    for (text, line) in [
        (
            "component = \"echo.wasm\"\nmodee = 1\n",
            "! late (unavailable): late.toml:2:1: unknown key `modee`",
        ),
        (
            "component = \"echo.wasm\"\n[verify]\nscheme = \"none\"\n",
            "+ late: serving at /late",
        ),
        (
            "component = \"echo.wasm\"\n[verify]\nscheem = \"none\"\n",
            "! late (stale): late.toml:3:1: unknown key `scheem`",
        ),
    ] {
        std::fs::write(plugins.join("late.toml"), text).unwrap();
        let out = dir.path().join("out");
        eventually(&format!("{line}\n{}", read(&out)), || async {
            read(&out).contains(line).then_some(())
        })
        .await;
    }
    Command::new("kill")
        .arg(up.0.id().to_string())
        .status()
        .unwrap();
    assert!(up.0.wait().unwrap().success());
}

/// Ends with the test, however that goes.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Builds take their time on a cold machine.
async fn eventually_long<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = condition() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited five minutes")
}
