//! Compares what is read in one pass with a tree of the same text, for texts of every kind.

use super::*;

const POINTERS: &[&str] = &[
    "",
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/b",
    "/id",
    "/type",
    "/0",
    "/1",
    "/01",
    "/+1",
    "/-",
    "/a/0",
    "/a/1/b",
    "/a~1b",
    "/m~0n",
    "/~01",
    "/k\u{e9}y",
    "no-slash",
];

const TEXTS: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "7",
    "-0",
    "1.5e3",
    "1e999",
    "\"text\"",
    "\"a\\u00e9\\n\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "[]",
    "[1,[2,{\"b\":3}],\"x\"]",
    "{}",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    " {\"id\" : \"e-1\" , \"type\" : \"push\" } \n",
    "{\"id\":\"e-1\"} x",
    "{\"a\":{\"b\":{\"c\":[1,2,3]}},\"b\":false}",
    "{\"a\":{\"b\":1},\"a\":{\"c\":2}}",
    "{\"a\":{\"b\":1},\"a\":7}",
    "{\"a\":7,\"a\":{\"b\":{\"c\":\"last\"}}}",
    "{\"id\":\"first\",\"id\":\"last\"}",
    "{\"id\":\"first\",\"\\u0069d\":null}",
    "{\"a\":[10,{\"b\":\"in an array\"}],\"1\":\"key\",\"01\":1,\"+1\":2,\"-\":3}",
    "{\"a/b\":\"slash\",\"m~n\":\"tilde\",\"~1\":\"both\",\"\":\"empty\",\"key\":1}",
    "{\"k\u{e9}y\":\"\u{2603}\",\"a\":12345678901234567890,\"b\":123456789012345678901234567890}",
    "{\"a\":-9223372036854775808,\"b\":18446744073709551615,\"id\":9007199254740993,\"type\":0.1}",
    "{\"a\":\"\\\"quoted\\\" \\\\ \\/\",\"b\":\"tab\\tend\"}",
    "{\"a\":{\"b\":[{\"c\":1},{\"c\":2}]},\"id\":[],\"type\":{}}",
    "{\"challenge\":\"c-1\",\"type\":\"url_verification\",\"token\":\"t\"}",
    "{\"challenge\":\"c-1\",\"event\":{\"challenge\":1}}",
];

/// Bytes that change the structure of a text.
const BYTES: [u8; 12] = *b"\"\\{}[],:1 a\xff";
const KEYS: [&str; 3] = ["challenge", "token", "type"];

fn paths() -> JsonPaths {
    JsonPaths::new(POINTERS.iter().copied())
}

fn assert_as_in_tree(paths: &JsonPaths, text: &[u8]) {
    let tree = serde_json::from_slice::<Value>(text).ok();
    let found = paths.scan(text);
    let shown = String::from_utf8_lossy(text);
    assert_eq!(found.is_some(), tree.is_some(), "{shown}");

    for pointer in POINTERS.iter().copied() {
        let place = paths.position(pointer).unwrap();
        let scanned = found.as_ref().and_then(|found| found[place].as_ref());
        let expected = tree.as_ref().and_then(|tree| tree.pointer(pointer));
        assert_eq!(
            scanned.map(Scanned::value),
            expected.map(JsonValue::of),
            "{pointer} of {shown}"
        );
    }

    let keys = KEYS.map(str::to_owned);
    let object = tree.as_ref().and_then(Value::as_object);
    let expected = object.is_some_and(|object| {
        !object.is_empty() && object.keys().all(|key| KEYS.contains(&key.as_str()))
    });
    assert_eq!(has_only_keys(text, &keys), expected, "{shown}");
}

#[test]
fn values_are_those_of_a_tree() {
    let paths = paths();
    for text in TEXTS {
        assert_as_in_tree(&paths, text.as_bytes());
    }

    for text in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\":1}", b"\xef\xbb\xbf{}"] {
        assert_as_in_tree(&paths, text);
    }
}

#[test]
fn broken_texts_have_no_values() {
    let paths = paths();
    for text in TEXTS {
        for end in 0..text.len() {
            assert_as_in_tree(&paths, &text.as_bytes()[..end]);
        }

        for (place, byte) in (0..text.len()).flat_map(|at| BYTES.map(|byte| (at, byte))) {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = byte;
            assert_as_in_tree(&paths, &changed);
        }
    }
}

#[test]
fn deep_texts_have_no_values() {
    let paths = paths();
    for depth in [1, 126, 127, 128, 129, 1000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_as_in_tree(&paths, arrays.as_bytes());
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_as_in_tree(&paths, objects.as_bytes());
    }
}

#[test]
fn written_texts_are_read_alike() {
    let paths = paths();
    let mut chance = Chance(20);
    for _ in 0..5_000 {
        let mut text = String::new();
        write_value(&mut text, &mut chance, 0);
        assert_as_in_tree(&paths, text.as_bytes());
    }
}

/// Numbers that are the same in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, max: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % max as u64) as usize
    }
}

/// Writes a random value. Its keys are few, so that pointers lead to many values and keys occur
/// twice.
fn write_value(text: &mut String, chance: &mut Chance, depth: usize) {
    const SCALARS: [&str; 10] = [
        "null",
        "true",
        "0",
        "-17",
        "2.50",
        "1e3",
        "12345678901234567890",
        "\"\"",
        "\"plain\"",
        "\"esc\\u00e9\\\"\"",
    ];
    const NAMES: [&str; 12] = [
        "a",
        "b",
        "c",
        "0",
        "1",
        "id",
        "type",
        "a/b",
        "m~n",
        "\\u0061",
        "challenge",
        "token",
    ];

    let kind = chance.below(if depth < 4 { 4 } else { 2 });
    match kind {
        0 | 1 => text.push_str(SCALARS[chance.below(SCALARS.len())]),
        2 => write_list(text, chance, ('[', ']'), |text, chance| {
            write_value(text, chance, depth + 1);
        }),
        _ => write_list(text, chance, ('{', '}'), |text, chance| {
            text.push_str(&format!("\"{}\":", NAMES[chance.below(NAMES.len())]));
            write_value(text, chance, depth + 1);
        }),
    }
}

fn write_list(
    text: &mut String,
    chance: &mut Chance,
    (open, close): (char, char),
    mut write: impl FnMut(&mut String, &mut Chance),
) {
    text.push(open);
    for number in 0..chance.below(5) {
        if number > 0 {
            text.push_str([",", " , "][chance.below(2)]);
        }
        write(text, chance);
    }
    text.push(close);
}
