//! The samples of docs/handlers/typescript.md and python.md. Each names its file in its first line.

use landfall_tests::root;
use landfall_tests::sdks::{Sdk, SdkFolder, succeeded};

use crate::docs::samples;

/// Texts of the samples in one language, by the file that each one is.
fn files(page: &str, language: &str, comment: &str) -> Vec<(String, String)> {
    let samples = samples(&root().join("docs/handlers").join(page));
    let found: Vec<(String, String)> = samples
        .into_iter()
        .filter(|sample| sample.language == language)
        .map(|sample| {
            let first = sample.text.lines().next().unwrap_or_default();
            let name = first.strip_prefix(comment);
            let name = name.unwrap_or_else(|| panic!("{page}: {first} names no file"));
            (name.to_owned(), sample.text)
        })
        .collect();
    assert!(found.len() >= 4, "{page}: {} samples", found.len());
    found
}

/// Every handler has the right types, and the test of the tutorial passes for its handler.
#[test]
fn typescript_samples_are_right() {
    let Some(mut folder) = SdkFolder::with_cases(Sdk::TypeScript) else {
        return;
    };
    let samples = files("typescript.md", "ts", "// ");
    for (count, (name, text)) in samples.iter().enumerate() {
        if name == "src/handler.ts" {
            folder = folder.file(&format!("src/sample_{count}.ts"), text);
        }
    }
    succeeded(&folder.check_types());

    let (name, test) = &samples[1];
    assert_eq!(name, "test/handler.test.ts");
    folder = folder
        .file(name, test)
        .file("src/handler.ts", &samples[0].1);
    assert!(succeeded(&folder.test()).contains("# pass 2"));
}

/// The test of the tutorial passes for its handler, and every other handler is one.
#[test]
fn python_samples_are_right() {
    let Some(mut folder) = SdkFolder::new(Sdk::Python) else {
        return;
    };
    let samples = files("python.md", "python", "# ");
    let (name, test) = &samples[1];
    assert_eq!(name, "tests/test_handler.py");
    folder = folder.file(name, test).file("handler.py", &samples[0].1);
    assert!(succeeded(&folder.test()).contains("Ran 2 tests"));

    let imported = "import unittest\n\nimport handler\n\n\nclass Loads(unittest.TestCase):\n    def test_handler(self):\n        \
                    from landfall_sdk._register import registered\n\n        self.assertIn(\"handler\", registered)\n";
    for (name, text) in samples.iter().filter(|(name, _)| name == "handler.py") {
        folder = folder
            .file(name, text)
            .file("tests/test_handler.py", imported);
        assert!(succeeded(&folder.test()).contains("Ran 1 test"), "{text}");
    }
}
