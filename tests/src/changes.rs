//! Random changes of an input, for the fuzz targets that run without libFuzzer and for requests to a node.

use crate::faults::Random;

/// No input is longer.
const BYTES_MAX: usize = 256 << 10;
/// Bytes that parsers treat specially.
const SPECIAL: &[u8] = b"\0\x01\x7f\x80\xc3\xff\"\'\\\n\r\t ,:;=[]{}()#$%&*+-./0919<>?@_~";
/// Words of HTTP, TOML, JSON, templates and WebAssembly.
const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "HTTP/1.1",
    "content-length: ",
    "transfer-encoding: chunked\r\n",
    "host: ",
    "[verify]\n",
    "[[credentials]]\n",
    "[allow]\n",
    "[settings]\n",
    "scheme = ",
    "provider = \"github\"\n",
    "secret = ",
    "\"env:S\"",
    "${env:S}",
    "{{ event.json }}",
    "{% for x in y %}",
    "{% endif %}",
    "{rest...}",
    "{param}",
    "null",
    "true",
    "-1",
    "9223372036854775808",
    "1e400",
    "0.1",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{202e}",
    "%00",
    "%2e%2e/",
    "../",
    "\0asm\x0d\0\x01\0",
    "\0asm\x01\0\0\0",
    "landfall:hook/handler",
    "\"\"\"",
    "'''",
    "1970-01-01T00:00:00Z",
    "10000000000h",
];

/// The input with one to four random changes. `other` is another input, of which parts are inserted.
pub fn change(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        change_once(&mut bytes, other, random);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change_once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = SPECIAL[random.below(SPECIAL.len())],
        2 => drop(bytes.drain(at..end)),
        3 => {
            let repeated = bytes[at..end].to_vec();
            insert(bytes, end, &repeated);
        }
        4 => insert(bytes, at, WORDS[random.below(WORDS.len())].as_bytes()),
        5 => {
            let start = random.below(other.len() + 1);
            let stop = (start + random.below(64)).min(other.len());
            insert(bytes, at, &other[start..stop]);
        }
        6 => bytes.truncate(at),
        _ => {
            let word = WORDS[random.below(WORDS.len())];
            bytes.splice(at..end, word.bytes());
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}
