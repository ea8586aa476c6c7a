//! Reads the sizes of chunks while their bytes pass, because hyper hands out a chunk only when its
//! data arrives. A sender that announces too much is then refused at once. hyper still decides what
//! is a valid head and a valid body; what these scanners do not understand has no size.

/// Finds the end of a request head.
pub(crate) struct HeadScan {
    /// Whether the current line has been empty so far, without its line end.
    is_blank: bool,
    /// Whether a line was not empty. Empty lines before the request line are skipped.
    has_begun: bool,
}

/// Adds up the sizes of the chunks of a body.
pub(crate) struct ChunkScan {
    part: Part,
    /// The bytes of all chunks so far, with the whole of the current one.
    announced: u64,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `None`: no digit so far.
    Size { value: Option<u64> },
    /// The rest of the line with a size.
    Extension { value: u64 },
    /// The data of a chunk and the line end after it.
    Data { left: u64 },
    /// Nothing: the body has ended, or is not chunked.
    End,
}

// === impl HeadScan ===

impl HeadScan {
    pub(crate) fn new() -> HeadScan {
        HeadScan {
            is_blank: true,
            has_begun: false,
        }
    }

    /// Returns what follows the head, once it is complete.
    pub(crate) fn feed<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let is_blank = self.is_blank && is_line_end(&bytes[start..end]);
            start = end + 1;
            self.is_blank = true;
            if is_blank && self.has_begun {
                return Some(&bytes[start..]);
            }
            self.has_begun |= !is_blank;
        }

        self.is_blank &= is_line_end(&bytes[start..]);
        None
    }
}

/// Whether a line without its line feed is empty.
fn is_line_end(line: &[u8]) -> bool {
    line.is_empty() || line == b"\r"
}

// === impl ChunkScan ===

impl ChunkScan {
    pub(crate) fn new() -> ChunkScan {
        ChunkScan {
            part: Part::SIZE,
            announced: 0,
        }
    }

    /// The bytes of all chunks so far, with the whole of the current one.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    /// Reads the next bytes of the body.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            (self.part, bytes) = match self.part {
                Part::End => return,
                Part::Data { left } => {
                    let passed = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - passed as u64;
                    let part = if left == 0 {
                        Part::SIZE
                    } else {
                        Part::Data { left }
                    };
                    (part, &bytes[passed..])
                }
                Part::Size { value } => (size(*byte, value), rest),
                Part::Extension { value } if *byte == b'\n' => (self.chunk(value), rest),
                part @ Part::Extension { .. } => (part, rest),
            };
        }
    }

    /// The data of a chunk begins.
    fn chunk(&mut self, size: u64) -> Part {
        if size == 0 {
            return Part::End;
        }

        self.announced = self.announced.saturating_add(size);
        Part::Data {
            left: size.saturating_add("\r\n".len() as u64),
        }
    }
}

// === impl Part ===

impl Part {
    const SIZE: Part = Part::Size { value: None };
}

fn size(byte: u8, value: Option<u64>) -> Part {
    match ((byte as char).to_digit(16), value) {
        (Some(digit), value) => match value.unwrap_or(0).checked_mul(16) {
            Some(more) => Part::Size {
                value: Some(more + u64::from(digit)),
            },
            None => Part::End,
        },
        (None, Some(value)) if b"\r; \t".contains(&byte) => Part::Extension { value },
        (None, _) => Part::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the head, for each way to cut the bytes into two pieces.
    fn after_head(bytes: &str) -> Vec<Option<String>> {
        let bytes = bytes.as_bytes();
        let cuts = 0..=bytes.len();
        let found = cuts.map(|cut| {
            let mut scan = HeadScan::new();
            let rest = match scan.feed(&bytes[..cut]) {
                Some(rest) => [rest, &bytes[cut..]].concat(),
                None => scan.feed(&bytes[cut..])?.to_vec(),
            };
            Some(String::from_utf8(rest).unwrap())
        });
        found.collect()
    }

    #[test]
    fn heads_end_with_an_empty_line() {
        for (bytes, expected) in [
            ("A / B\r\nh: a\r\n\r\nbody", Some("body")),
            ("A / B\nh: a\n\nbody", Some("body")),
            ("A / B\r\nh: a\n\r\nbody\r\n\r\n", Some("body\r\n\r\n")),
            ("\r\n\r\n\nA / B\r\n\r\n", Some("")),
            ("A / B\r\nh: a\r\n", None),
            ("A / B\r\n\rh: a\r\n", None),
        ] {
            let expected = expected.map(str::to_owned);
            assert!(
                after_head(bytes).iter().all(|found| *found == expected),
                "{bytes:?}: {:?}",
                after_head(bytes)
            );
        }
    }

    #[test]
    fn chunk_sizes_are_added_up() {
        for (bytes, expected) in [
            ("5\r\n", 5),
            ("5\r\nhello\r\n", 5),
            ("5\r\nhello\r\nA;x=\"\r\";y\r\n", 15),
            ("5 \r\nhello\r\n00f\r\n0123456789abcde\r\n0\r\nffff\r\n", 20),
            ("0\r\nffff\r\n", 0),
            ("ffff", 0),
            ("fffffffffffffff\r\n", 0x0fff_ffff_ffff_ffff),
            ("7fffffffffffffff\r\n1\r\n", 0x7fff_ffff_ffff_ffff),
            ("00000000000000000005\r\n", 5),
            ("10000000000000000\r\n", 0),
            ("\r\n5\r\n", 0),
            ("POST /\r\n\r\n5\r\n", 0),
            ("-5\r\n", 0),
        ] {
            for cut in 0..=bytes.len() {
                let mut scan = ChunkScan::new();
                scan.feed(&bytes.as_bytes()[..cut]);
                scan.feed(&bytes.as_bytes()[cut..]);
                assert_eq!(scan.announced(), expected, "{bytes:?} at {cut}");
            }
        }
    }
}
