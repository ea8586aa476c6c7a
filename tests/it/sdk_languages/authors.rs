//! What authors see: types, native tests, and errors of a build that name the way out.

use landfall_tests::root;
use landfall_tests::sdks::{Sdk, SdkFolder, said, succeeded};

/// The SDKs carry the contract, so that they build handlers away from the repository.
#[test]
fn sdks_have_the_contract() {
    for sdk in Sdk::ALL {
        let folder = match sdk {
            Sdk::TypeScript => sdk.source().join("wit"),
            Sdk::Python => sdk.source().join("landfall_sdk/wit"),
        };
        let mut count = 0;
        for entry in std::fs::read_dir(root().join("wit")).unwrap() {
            let path = entry.unwrap().path();
            let copy = folder.join(path.file_name().unwrap());
            assert_eq!(
                std::fs::read_to_string(&copy).ok(),
                std::fs::read_to_string(&path).ok(),
                "{} is not {}: copy it",
                copy.display(),
                path.display()
            );
            count += 1;
        }
        assert!(count >= 6, "{count} files");
    }
}

#[test]
fn the_unit_tests_of_sdks_pass() {
    let Some(typescript) = SdkFolder::new(Sdk::TypeScript) else {
        return;
    };
    let node = std::process::Command::new("sh")
        .args(["-c", "node --test test/*.test.js"])
        .current_dir(Sdk::TypeScript.source())
        .output()
        .unwrap();
    assert!(succeeded(&node).contains("# fail 0"));
    drop(typescript);

    let Some(python) = SdkFolder::new(Sdk::Python) else {
        return;
    };
    let tests = Sdk::Python.source().join("tests");
    std::os::unix::fs::symlink(tests, python.path().join("tests")).unwrap();
    assert!(succeeded(&python.test()).contains("OK"));
}

/// docs/handlers/packaging.md names what differs between two builds: the bundle does not.
#[test]
fn bundles_do_not_name_their_folder() {
    const PRINT: &str = "const { bundle } = await import(`${process.cwd()}/vendor/landfall-sdk/tool/bundle.js`);\n\
                         const { project } = await import(`${process.cwd()}/vendor/landfall-sdk/tool/project.js`);\n\
                         console.log((await bundle(await project(process.cwd()))).text);";
    let mut bundles = Vec::new();
    for _ in 0..2 {
        let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript) else {
            return;
        };
        let printed = std::process::Command::new("node")
            .args(["--input-type=module", "-e", PRINT])
            .current_dir(folder.path())
            .output()
            .unwrap();
        bundles.push(succeeded(&printed));
    }
    assert!(bundles[0].contains("__landfall_map"));
    assert!(bundles[0] == bundles[1], "the bundle depends on its folder");
}

/// Among the sources, `types.ts` has wrong uses that must not compile.
#[test]
fn types_refuse_wrong_uses() {
    let Some(folder) = SdkFolder::with_cases(Sdk::TypeScript) else {
        return;
    };
    succeeded(&folder.check_types());

    let folder = folder.file("src/more.ts", "export const wrong: number = \"a\";\n");
    assert!(said(&folder.check_types()).contains("src/more.ts(1,14): error TS2322"));
}

#[test]
fn mistakes_in_typescript_are_named() {
    let Some(mut folder) = SdkFolder::new(Sdk::TypeScript) else {
        return;
    };
    folder = folder.file("package.json", "{ \"name\": \"orders\" }");
    let cases = [
        (
            "export function onEvent() {}\n",
            &[
                "src/handler.ts has no default export: the handler is `export default function onEvent(event)",
            ][..],
        ),
        (
            "export default function () {\n  return 1 +;\n}\n",
            &["src/handler.ts:2:12", "Unexpected \";\""],
        ),
        (
            "import fs from \"node:fs\";\nexport default () => fs.x;\n",
            &[
                "src/handler.ts:1:15",
                "is part of Node.js",
                "use settings, kv or table",
            ],
        ),
        (
            "import x from \"left-pad\";\nexport default () => x;\n",
            &["src/handler.ts:1:14", "npm install left-pad"],
        ),
        (
            "await 1;\nexport default () => {};\n",
            &["src/handler.ts:1:0", "move it into the handler"],
        ),
        (
            "import { settings } from \"landfall-sdk\";\n\nconst all = settings.all();\nexport default () => String(all);\n",
            &[
                "settings.all is called outside the handler",
                "src/handler.ts:3:22",
            ],
        ),
        (
            "function load(x: any) {\n  return x.a.b;\n}\nload({});\nexport default () => {};\n",
            &[
                "cannot read property 'b' of undefined",
                "at load (src/handler.ts:2:",
            ],
        ),
        (
            "export default 3;\n",
            &["the default export is a number, not a function"],
        ),
        (
            "import { x } from \"wasi:http/types@0.2.0\";\nexport default () => x();\n",
            &["the bundle imports \"wasi:http/types@0.2.0\""],
        ),
    ];
    for (text, expected) in cases {
        folder = folder.file("src/handler.ts", text);
        refused(&folder, text, expected);
    }
}

#[test]
fn other_engines_are_refused() {
    let Some(folder) = SdkFolder::new(Sdk::TypeScript) else {
        return;
    };
    let engine = "node_modules/componentize-qjs";
    std::fs::remove_file(folder.path().join(engine)).unwrap();
    let folder = folder
        .file("package.json", "{ \"name\": \"orders\" }")
        .file("src/handler.ts", "export default () => {};\n")
        .file(
            &format!("{engine}/package.json"),
            "{ \"name\": \"componentize-qjs\", \"version\": \"0.9.0\", \"main\": \"index.js\" }",
        )
        .file(
            &format!("{engine}/index.js"),
            "exports.componentize = () => {};\n",
        );
    refused(
        &folder,
        "another engine",
        &[
            "componentize-qjs 0.9.0 is installed",
            "npm install componentize-qjs@0.4.5",
        ],
    );
}

#[test]
fn mistakes_in_python_are_named() {
    let Some(mut folder) = SdkFolder::new(Sdk::Python) else {
        return;
    };
    folder = folder.file("pyproject.toml", "[project]\nname = \"orders\"\n");
    let cases = [
        ("x = (\n", &["handler.py:1:5: '(' was never closed"][..]),
        (
            "def on_event(event): ...\n",
            &["handler.py has no function with @handler"],
        ),
        (
            "from landfall_sdk import handler\n\n@handler\nasync def on_event(event): ...\n",
            &["handler.py:4: @handler is for a plain function"],
        ),
        (
            "from landfall_sdk import handler\n\n@handler\ndef on_event(event): ...\n\nlimits = {}[\"limit\"]\n",
            &[
                "handler.py cannot be imported",
                "handler.py\", line 6",
                "KeyError: 'limit'",
            ],
        ),
    ];
    for (text, expected) in cases {
        folder = folder.file("handler.py", text);
        refused(&folder, text, expected);
    }
}

fn refused(folder: &SdkFolder, what: &str, expected: &[&str]) {
    let built = folder.build();
    let said = said(&built);
    assert_eq!(built.status.code(), Some(1), "{what}\n{said}");
    for words in expected {
        assert!(said.contains(words), "{what}\n{words} is not in:\n{said}");
    }
    assert!(!said.contains("wasm function"), "{what}\n{said}");
}
