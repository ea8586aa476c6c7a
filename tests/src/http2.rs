//! HTTP/2 by hand: frames from texts, and what a node answers to them. It writes header blocks without compression, and reads only
//! the status of an answer.
//!
//! A text of a frame is `TYPE FLAGS STREAM PAYLOAD`: the name or the number of a type, flags and the payload as in
//! `http_table::bytes`. A payload that begins with `|` is a header block: `|:method=POST|x=y`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::http_table::bytes;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const TYPES: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// Every receiver takes frames of this size.
const FRAME_BYTES_MAX: usize = 16 << 10;

/// The bytes of a frame. A header block that is too long for one frame is continued in others.
pub fn frame(text: &str) -> Vec<u8> {
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    let [name, flags, stream, payload] = words[..] else {
        panic!("{text} is not TYPE FLAGS STREAM PAYLOAD");
    };
    let kind = match TYPES.iter().position(|known| *known == name) {
        Some(kind) => kind as u8,
        None => number(name, text) as u8,
    };
    let (flags, stream) = (number(flags, text) as u8, number(stream, text));

    let Some(fields) = payload.strip_prefix('|') else {
        return raw_frame(kind, flags, stream, &bytes(payload));
    };
    let block: Vec<u8> = fields.split('|').flat_map(field).collect();
    if block.len() <= FRAME_BYTES_MAX || flags & END_HEADERS == 0 {
        return raw_frame(kind, flags, stream, &block);
    }

    let (first, rest) = block.split_at(FRAME_BYTES_MAX);
    let mut frames = raw_frame(kind, flags & !END_HEADERS, stream, first);
    let pieces = rest.chunks(FRAME_BYTES_MAX);
    let last = pieces.len() - 1;
    for (at, piece) in pieces.enumerate() {
        let flags = if at == last { END_HEADERS } else { 0 };
        frames.extend(raw_frame(CONTINUATION, flags, stream, piece));
    }
    frames
}

fn number(word: &str, text: &str) -> u32 {
    word.parse()
        .unwrap_or_else(|_| panic!("{text}: {word} is not a number"))
}

/// A frame of any type.
pub fn raw_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal header field that is not indexed (RFC 7541 section 6.2.2).
fn field(text: &str) -> Vec<u8> {
    // A name may begin with a colon, and contains no `=`.
    let (name, value) = text
        .split_once('=')
        .unwrap_or_else(|| panic!("{text} has no `=`"));
    let mut field = vec![0];
    for part in [bytes(name), bytes(value)] {
        length(part.len(), &mut field);
        field.extend(part);
    }
    field
}

/// An integer with a prefix of 7 bits (RFC 7541 section 5.1).
fn length(length: usize, out: &mut Vec<u8>) {
    const PREFIX: usize = 127;
    if length < PREFIX {
        out.push(length as u8);
        return;
    }

    out.push(PREFIX as u8);
    let mut rest = length - PREFIX;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// A connection whose preface was sent.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a node says of a stream or of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A status of a stream.
    Status(u32, String),
    /// A stream was reset.
    Reset(u32, String),
    /// The connection is at its end.
    GoAway(String),
    /// The node has closed the connection.
    Closed,
}

// === impl Connection ===

impl Connection {
    /// Sends the preface and `settings`, and waits for those of the node.
    pub fn open(address: SocketAddr, settings: &[u8]) -> Connection {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(300)))
            .expect("a timeout");
        let mut connection = Connection {
            stream,
            received: Vec::new(),
        };
        connection.send(PREFACE);
        connection.send(&raw_frame(SETTINGS, 0, 0, settings));
        connection.send(&raw_frame(SETTINGS, ACK, 0, &[]));
        connection.await_window();
        connection
    }

    /// Waits until the node takes more than the first 64 KiB.
    fn await_window(&mut self) {
        while let Some((kind, _, _)) = self.read_frame() {
            if kind == WINDOW_UPDATE {
                return;
            }
        }
    }

    /// The node may close the connection before it has read everything.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// Waits for the next status, reset or end.
    pub fn said(&mut self) -> Said {
        loop {
            let Some((kind, stream, payload)) = self.read_frame() else {
                return Said::Closed;
            };
            match kind {
                HEADERS => return Said::Status(stream, status(&payload)),
                RST_STREAM => return Said::Reset(stream, error(&payload)),
                GOAWAY => return Said::GoAway(error(payload.get(4..).unwrap_or_default())),
                _ => {}
            }
        }
    }

    fn read_frame(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let head = self.read(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.read(length)?;
        Some((head[3], stream & 0x7fff_ffff, payload))
    }

    fn read(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut buffer = [0; 16 << 10];
        while self.received.len() < count {
            match self.stream.read(&mut buffer) {
                Ok(read @ 1..) => self.received.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        }
        Some(self.received.drain(..count).collect())
    }
}

// === impl Said ===

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Said::Status(_, status) => f.write_str(status),
            Said::Reset(_, error) => write!(f, "reset {error}"),
            Said::GoAway(error) => write!(f, "goaway {error}"),
            Said::Closed => f.write_str("closed"),
        }
    }
}

fn error(payload: &[u8]) -> String {
    let code = payload.first_chunk().map(|code| u32::from_be_bytes(*code));
    let name = code.and_then(|code| ERRORS.get(code as usize));
    name.map_or_else(|| format!("{code:?}"), |name| (*name).to_owned())
}

/// The status, which is the first field: from the static table, or with a value of digits.
fn status(block: &[u8]) -> String {
    const STATIC: [(u8, &str); 7] = [
        (8, "200"),
        (9, "204"),
        (10, "206"),
        (11, "304"),
        (12, "400"),
        (13, "404"),
        (14, "500"),
    ];
    // The size of the table may be first.
    let skipped = block.iter().take_while(|byte| **byte & 0xe0 == 0x20);
    let block = &block[skipped.count()..];
    match block {
        [indexed, ..] if indexed & 0x80 != 0 => {
            let found = STATIC.iter().find(|(index, _)| *index == indexed & 0x7f);
            found.map_or_else(
                || format!("field {indexed}"),
                |(_, status)| (*status).into(),
            )
        }
        [_, length, rest @ ..] => {
            let (is_huffman, length) = (length & 0x80 != 0, (length & 0x7f) as usize);
            let value = &rest[..length.min(rest.len())];
            if is_huffman {
                huffman_digits(value)
            } else {
                String::from_utf8_lossy(value).into_owned()
            }
        }
        _ => "nothing".into(),
    }
}

/// Digits of the Huffman code: 5 bits for 0 to 2, 6 bits for 3 to 9 (RFC 7541 appendix B).
fn huffman_digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let mut bits = bits.as_slice();
    let mut digits = String::new();
    while bits.len() >= 5 {
        let (digit, used) = match value_of(&bits[..5]) {
            short @ 0..=2 => (short, 5),
            _ if bits.len() < 6 => break,
            _ => match value_of(&bits[..6]) {
                long @ 25..=31 => (long - 22, 6),
                _ => break,
            },
        };
        digits.push(char::from(b'0' + digit));
        bits = &bits[used..];
    }
    digits
}

fn value_of(bits: &[u8]) -> u8 {
    bits.iter().fold(0, |value, bit| value << 1 | bit)
}
