//! Every sample of README.md and docs/ runs; every variable in the table is one that the code reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use landfall_tests::ports::free_port;
use landfall_tests::require::missing;
use landfall_tests::{Node, Setup, bundled, eventually, landfall, root};

/// A fenced block: its language, and its text.
struct Sample {
    language: String,
    text: String,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn samples(path: &Path) -> Vec<Sample> {
    let text = read(path);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Sample {
                language: language.into(),
                text: body.join("\n") + "\n",
            });
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let handlers = handlers()
        .into_iter()
        .map(|name| root().join("plugins").join(name).join("README.md"));
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    let all = docs.chain(handlers).chain(top);
    all.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// The bundled handlers.
fn handlers() -> Vec<String> {
    let names = std::fs::read_dir(root().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names
        .filter(|name| {
            root()
                .join("plugins")
                .join(name)
                .join(format!("{name}.toml"))
                .exists()
        })
        .collect()
}

/// The file that a TOML sample is: its first line says so.
fn file_name(sample: &Sample) -> Option<&str> {
    sample
        .text
        .lines()
        .next()?
        .strip_prefix("# ")
        .filter(|name| name.ends_with(".toml") && !name.contains(' '))
}

#[test]
fn hook_files_in_docs_are_valid() {
    let mut count = 0;
    for page in pages() {
        let dir = tempfile::tempdir().unwrap();
        for sample in samples(&page)
            .iter()
            .filter(|sample| sample.language == "toml")
        {
            let name = file_name(sample).unwrap_or_else(|| {
                panic!("{}: a TOML sample names its file first", page.display())
            });
            if let Some(pack) = name.strip_prefix("providers/") {
                std::fs::create_dir_all(dir.path().join("providers")).unwrap();
                std::fs::write(dir.path().join("providers").join(pack), &sample.text).unwrap();
                let hook = format!(
                    "component = \"echo.wasm\"\n[verify]\nprovider = \"{}\"\nsecret = \"env:X\"\n",
                    pack.trim_end_matches(".toml")
                );
                std::fs::write(dir.path().join(pack), hook).unwrap();
                count += 1;
            } else if name != "landfall.toml" && !name.contains('/') {
                std::fs::write(dir.path().join(name), &sample.text).unwrap();
                count += 1;
            }
        }
        check_all(&page, dir.path());
    }
    assert!(count >= 6, "{count} hook files");
}

/// Components come from `--bundled`.
fn check_all(page: &Path, dir: &Path) {
    let bundle = bundled("echo").parent().unwrap().to_owned();
    let mut command = Command::new(landfall());
    command
        .arg("check")
        .arg("--plugins")
        .arg(dir)
        .arg("--bundled")
        .arg(bundle);
    // The samples' secrets have values: without one a hook is closed, and `check` says so.
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for text in files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| read(&path))
    {
        let names = text
            .split("env:")
            .skip(1)
            .map(|rest| rest.split(['"', '}']).next().unwrap_or_default().to_owned());
        command.envs(names.map(|name| (name, "user:password")));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}:\n{text}{}",
        page.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The samples in the README files are checked; the file beside is the same one.
#[test]
fn bundled_hook_files_match_their_readmes() {
    let handlers = handlers();
    assert!(handlers.len() >= 13, "{handlers:?}");
    for name in handlers {
        let dir = root().join("plugins").join(&name);
        let (hook, readme) = (
            read(&dir.join(format!("{name}.toml"))),
            read(&dir.join("README.md")),
        );
        assert!(
            readme.contains(hook.trim()),
            "{name}.toml is not what the README shows"
        );
    }
}

/// Pastes the commands into a shell in a fresh clone, and answers what was printed. Only what the clone has is linked there, and curl
/// finds the test's node at the address that the page prints.
fn paste(node: &Node, commands: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (clone, bin) = (dir.path().join("landfall"), dir.path().join("bin"));
    let secrets = node.plugins().parent().unwrap().join("secrets");
    for folder in [
        &clone.join("target/release"),
        &clone.join(".landfall"),
        &bin,
        &secrets,
    ] {
        std::fs::create_dir_all(folder).unwrap();
    }
    for name in ["Cargo.toml", "Cargo.lock", "host", "sdk", "tests", "wit"] {
        std::os::unix::fs::symlink(root().join(name), clone.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(landfall(), clone.join("target/release/landfall")).unwrap();
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

/// Endpoints of docs/API.md, as `GET /healthz`.
#[test]
fn api_table_lists_every_admin_route() {
    let first_cells = first_cells("docs/API.md");
    let documented: BTreeSet<String> = first_cells
        .into_iter()
        .filter(|cell| cell.starts_with("GET /") || cell.starts_with("POST /"))
        .collect();

    let mut routes = BTreeSet::new();
    for path in sources(&root().join("host/admin/src")) {
        for route in read(&path).split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let handler = route.split('"').nth(2).unwrap();
            let method = handler.trim_start_matches([',', ' ', '\n']);
            let method = method.trim_start_matches("routing::");
            let method = method.split('(').next().unwrap().to_ascii_uppercase();
            routes.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(documented, routes);
}

#[test]
fn api_table_lists_every_metric() {
    let first_cells = first_cells("docs/API.md");
    let documented: BTreeSet<String> = first_cells
        .into_iter()
        .filter(|cell| cell.starts_with("landfall_"))
        .collect();

    let mut named = BTreeSet::new();
    for path in sources(&root().join("host")) {
        let text = read(&path);
        let literals = text.split('"').skip(1).step_by(2);
        named.extend(literals.filter(|text| is_metric(text)).map(str::to_owned));
    }
    assert_eq!(documented, named);
}

fn is_metric(text: &str) -> bool {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    text.strip_prefix("landfall_").is_some_and(is_word)
}

/// The text in backquotes at the start of each row of a page's tables.
fn first_cells(page: &str) -> Vec<String> {
    let text = read(&root().join(page));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next())
        .map(str::to_owned)
        .collect()
}

/// Every Rust file below a directory.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return sources(&path);
            }
            let is_rust = path.extension().is_some_and(|ending| ending == "rs");
            Vec::from_iter(is_rust.then_some(path))
        })
        .collect()
}

/// Every shell sample that calls `landfall` alone: of `explain`, `send` and `sign` only that the flags are right.
#[test]
fn commands_in_the_docs_are_commands() {
    let mut count = 0;
    for page in pages() {
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

/// Files and headings that a page links to.
#[test]
fn links_between_the_pages_lead_somewhere() {
    for page in pages() {
        for target in read(&page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let place = format!("{}: {target}", page.display());
            assert!(linked.exists(), "{place}");
            assert!(
                heading.is_empty() || headings(&linked).contains(heading),
                "{place}"
            );
        }
    }
}

/// The names by which a page's headings are linked.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = read(page);
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
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
        assert!(text.ends_with(" 200"), "{curl}\n{text}");
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("waited five minutes")
}
