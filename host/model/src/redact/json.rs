//! Removes values from a JSON text in one pass. The grammar is that of RFC 8259: a text that it
//! does not allow, up to the last byte, is not changed but refused, because another reader could
//! see other keys in it.

use std::borrow::Cow;
use std::ops::Range;

use super::path::{RedactPath, Step};
use super::removed::{REDACTED, UnreadableBody};

/// The most levels of a text. The host's own JSON reader has the same bound.
const DEPTH_MAX: usize = 128;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text without the values that the paths lead to, and their number. `None`: it has none.
pub(super) fn redact(
    text: &[u8],
    paths: &[RedactPath],
) -> Result<Option<(Vec<u8>, usize)>, UnreadableBody> {
    let text = std::str::from_utf8(text).map_err(|_| UnreadableBody::NotJson)?;
    let mut scan = Scan {
        text,
        at: if text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len()
        } else {
            0
        },
        paths,
        active: Vec::new(),
        written: Vec::new(),
        copied: 0,
        removed: 0,
    };
    scan.whole()?;
    if scan.removed == 0 {
        return Ok(None);
    }

    let Scan {
        mut written,
        copied,
        removed,
        ..
    } = scan;
    written.extend_from_slice(&text.as_bytes()[copied..]);
    Ok(Some((written, removed)))
}

/// A path, and how many of its steps lead to the current value.
type Active = (usize, usize);

struct Scan<'t> {
    text: &'t str,
    at: usize,
    paths: &'t [RedactPath],
    /// The paths that lead to the open containers, outermost first.
    active: Vec<Active>,
    written: Vec<u8>,
    /// Up to here, the text is in `written`.
    copied: usize,
    removed: usize,
}

/// Where a value is in its container.
enum Place<'k> {
    Member(Cow<'k, str>),
    Element(usize),
}

// === impl Scan ===

impl<'t> Scan<'t> {
    fn whole(&mut self) -> Result<(), UnreadableBody> {
        let mut is_end = false;
        for path in 0..self.paths.len() {
            is_end |= self.activate(0, path, 0);
        }

        self.skip_space();
        self.value(0..self.active.len(), is_end, 0)?;
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(UnreadableBody::NotJson)
        }
    }

    /// Reads one value. `paths` are the places in `active` of the paths that lead through it;
    /// `is_end`: one ends here.
    fn value(
        &mut self,
        paths: Range<usize>,
        is_end: bool,
        depth: usize,
    ) -> Result<(), UnreadableBody> {
        if depth >= DEPTH_MAX {
            return Err(UnreadableBody::NotJson);
        }
        let begin = self.at;
        // What is below a removed value goes with it.
        let paths = if is_end { 0..0 } else { paths };
        match self.peek() {
            Some(b'{') => self.object(paths, depth)?,
            Some(b'[') => self.array(paths, depth)?,
            Some(b'"') => {
                self.string()?;
            }
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => self.number()?,
        }

        if is_end {
            self.written
                .extend_from_slice(&self.text.as_bytes()[self.copied..begin]);
            self.written.push(b'"');
            self.written.extend_from_slice(REDACTED.as_bytes());
            self.written.push(b'"');
            self.copied = self.at;
            self.removed += 1;
        }
        Ok(())
    }

    fn object(&mut self, paths: Range<usize>, depth: usize) -> Result<(), UnreadableBody> {
        self.at += 1;
        self.skip_space();
        if self.take(b'}') {
            return Ok(());
        }

        loop {
            let key = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            if paths.is_empty() {
                self.value(0..0, false, depth + 1)?;
            } else {
                let place = Place::Member(unescaped(&self.text[key]));
                self.child(paths.clone(), place, depth)?;
            }
            self.skip_space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    fn array(&mut self, paths: Range<usize>, depth: usize) -> Result<(), UnreadableBody> {
        self.at += 1;
        self.skip_space();
        if self.take(b']') {
            return Ok(());
        }

        for index in 0.. {
            self.child(paths.clone(), Place::Element(index), depth)?;
            self.skip_space();
            if self.take(b']') {
                break;
            }
            self.expect(b',')?;
            self.skip_space();
        }
        Ok(())
    }

    /// Reads a value inside a container that these paths lead to.
    fn child(
        &mut self,
        paths: Range<usize>,
        place: Place<'t>,
        depth: usize,
    ) -> Result<(), UnreadableBody> {
        let (begin, mut is_end) = (self.active.len(), false);
        for parent in paths {
            let (path, step) = self.active[parent];
            let next = match &self.paths[path].steps[step] {
                Step::Every => step + 1,
                Step::Levels => step,
                Step::Key { name, index } => match &place {
                    Place::Member(key) if key == name => step + 1,
                    Place::Element(at) if *index == Some(*at) => step + 1,
                    Place::Member(_) | Place::Element(_) => continue,
                },
            };
            is_end |= self.activate(begin, path, next);
        }

        self.value(begin..self.active.len(), is_end, depth + 1)?;
        self.active.truncate(begin);
        Ok(())
    }

    /// Adds a path that leads to the current value. True if it ends here.
    fn activate(&mut self, begin: usize, path: usize, step: usize) -> bool {
        let steps = &self.paths[path].steps;
        let Some(next) = steps.get(step) else {
            return true;
        };

        // Known here already, with what follows from it.
        if self.active[begin..].contains(&(path, step)) {
            return false;
        }
        self.active.push((path, step));
        // The levels may be none.
        *next == Step::Levels && self.activate(begin, path, step + 1)
    }

    /// Reads a string. Returns where its content is, without quotes.
    fn string(&mut self) -> Result<Range<usize>, UnreadableBody> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(begin..self.at - 1);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                Some(byte) if byte >= 0x20 => self.at += 1,
                _ => return Err(UnreadableBody::NotJson),
            }
        }
    }

    fn escape(&mut self) -> Result<(), UnreadableBody> {
        let bytes = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
                if !digits.is_some_and(is_hex) {
                    return Err(UnreadableBody::NotJson);
                }
                5
            }
            _ => return Err(UnreadableBody::NotJson),
        };
        self.at += bytes;
        Ok(())
    }

    fn number(&mut self) -> Result<(), UnreadableBody> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), UnreadableBody> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > begin {
            Ok(())
        } else {
            Err(UnreadableBody::NotJson)
        }
    }

    fn word(&mut self, word: &str) -> Result<(), UnreadableBody> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(UnreadableBody::NotJson)
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), UnreadableBody> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(UnreadableBody::NotJson)
        }
    }
}

/// The key that a reader sees. Half a pair of surrogates is no character, so no path names it.
fn unescaped(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }

    let mut units: Vec<u16> = Vec::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        units.push(match chars.next() {
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => 10,
            Some('r') => 13,
            Some('t') => 9,
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                u16::from_str_radix(&digits, 16).unwrap_or(0xfffd)
            }
            Some(c) => c as u16,
            None => 0xfffd,
        });
    }
    Cow::Owned(String::from_utf16_lossy(&units))
}
