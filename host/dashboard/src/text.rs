//! Text from outside, as it is shown: control characters, direction marks and other invisible
//! characters are made visible, so that no text can hide or reorder what stands beside it.

/// The symbol of the last ASCII control character.
const DELETE: char = '\u{2421}';

/// Text with visible marks in place of control and direction characters. Line feeds and tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\0'..='\u{1f}' => shown.push(picture(c)),
            '\u{7f}' => shown.push(DELETE),
            _ if is_hidden(c) => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
            _ => shown.push(c),
        }
    }

    shown
}

/// As `visible`, in one line of at most `max` characters.
pub(crate) fn line(text: &str, max: usize) -> String {
    let mut cut: String = text.chars().take(max).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }

    in_one_line(&visible(&cut))
}

/// As `visible`, in one line, for a field of a form. `typed` turns it back.
pub(crate) fn field(text: &str) -> String {
    in_one_line(&visible(text))
}

/// The text of a field that `field` has filled: visible marks become the characters that they stand
/// for.
pub(crate) fn typed(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some(c) = rest.chars().next() {
        let (original, length) = marked(rest).unwrap_or((c, c.len_utf8()));
        text.push(original);
        rest = &rest[length..];
    }

    text
}

/// A part of a sentence: plain, or code between backquotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) text: String,
    pub(crate) is_code: bool,
}

/// The parts of a sentence, made visible. A backquote without a second one stays.
pub(crate) fn sentence(text: &str) -> Vec<Part> {
    let text = visible(text);
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('`')
        && let Some((code, after)) = after.split_once('`')
    {
        parts.extend(Part::of(before, false));
        parts.extend(Part::of(code, true));
        rest = after;
    }

    parts.extend(Part::of(rest, false));
    parts
}

/// A number with its noun: `1 event`, `2 events`.
pub(crate) fn count(count: u64, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {more}"),
    }
}

/// A number of bytes with a unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }

    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }

    format!("{value:.1} {}", UNITS[unit])
}

/// A duration in milliseconds with a unit.
pub(crate) fn duration(ms: f64) -> String {
    if ms < 1.0 {
        format!("{:.2} ms", ms.max(0.0))
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else if ms < 60_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else if ms < 3_600_000.0 {
        format!("{:.0} min", ms / 60_000.0)
    } else if ms < 172_800_000.0 {
        format!("{:.1} h", ms / 3_600_000.0)
    } else {
        format!("{:.0} days", ms / 86_400_000.0)
    }
}

/// For how long something is over, coarse: what a live page shows changes rarely.
pub(crate) fn age(ms: f64) -> String {
    const UNITS: [(f64, &str, &str); 3] = [
        (86_400_000.0, "day", "days"),
        (3_600_000.0, "hour", "hours"),
        (60_000.0, "minute", "minutes"),
    ];
    let unit = UNITS.iter().find(|(length, _, _)| ms >= *length);
    unit.map_or_else(
        || "less than a minute ago".to_owned(),
        |(length, one, more)| format!("{} ago", count((ms / length) as u64, one, more)),
    )
}

// === impl Part ===

impl Part {
    /// `None` if there is no text.
    fn of(text: &str, is_code: bool) -> Option<Part> {
        (!text.is_empty()).then(|| Part {
            text: text.to_owned(),
            is_code,
        })
    }
}

fn in_one_line(text: &str) -> String {
    text.replace('\n', "\u{240a}").replace('\t', "\u{2409}")
}

/// The character that the mark at the beginning of a text stands for, and the bytes of the mark.
fn marked(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next()?;
    if let control @ 0x2400..=0x241f = u32::from(mark) {
        return Some((char::from_u32(control - 0x2400)?, mark.len_utf8()));
    }
    if mark == DELETE {
        return Some(('\u{7f}', mark.len_utf8()));
    }

    let (digits, _) = text.strip_prefix("⟨U+")?.split_once('⟩')?;
    let original = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    is_hidden(original).then_some((original, "⟨U+⟩".len() + digits.len()))
}

/// The symbol of an ASCII control character.
fn picture(c: char) -> char {
    char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')
}

/// Characters without a shape that change direction or hide, and those of the C1 range. Joiners
/// stay: scripts and emoji need them.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        for (text, shown) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("a\r\nb", "a\u{240d}\nb"),
            ("\u{1b}[31mred", "\u{241b}[31mred"),
            ("a\u{202e}gnp.exe", "a⟨U+202E⟩gnp.exe"),
            ("\u{0}\u{7f}\u{9b}", "\u{2400}\u{2421}⟨U+009B⟩"),
            ("\u{feff}x\u{200b}", "⟨U+FEFF⟩x⟨U+200B⟩"),
            ("שלום 👩\u{200d}🚒", "שלום 👩\u{200d}🚒"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }

    #[test]
    fn fields_keep_their_text() {
        for text in [
            "hook:a",
            "a\u{202e}b\u{0}c\td\n\u{7f}",
            "\u{feff}⟨U+0041⟩⟨U+",
            "שלום ⟨",
        ] {
            let shown = field(text);
            let hides = |c: char| is_hidden(c) || c.is_control();
            assert!(!shown.contains(hides), "{shown:?}");
            assert_eq!(typed(&shown), text);
        }
        assert_eq!(field("a\u{202e}\u{0}"), "a⟨U+202E⟩\u{2400}");
    }

    #[derive(askama::Template)]
    #[template(path = "words.html")]
    struct Words {
        words: Vec<Part>,
    }

    #[test]
    fn words_of_commands_stay_whole() {
        let page = Words {
            words: sentence("run `landfall shape q --accept` well-nigh now"),
        };
        let html = askama::Template::render(&page).unwrap();
        assert_eq!(
            html.trim_end(),
            "run <code>landfall shape q <span class=\"unbroken\">--accept</span></code> well-nigh now"
        );
    }

    #[test]
    fn sentences_have_code() {
        let shown = |text| -> Vec<(String, bool)> {
            let parts = sentence(text).into_iter();
            parts.map(|part| (part.text, part.is_code)).collect()
        };
        assert_eq!(
            shown("`a b` says `c"),
            [("a b".into(), true), (" says `c".into(), false)]
        );
        assert_eq!(shown("x\u{1b}"), [("x\u{241b}".into(), false)]);
        assert_eq!(shown(""), []);
    }

    #[test]
    fn ages_are_coarse() {
        for (ms, shown) in [
            (-5.0, "less than a minute ago"),
            (59_000.0, "less than a minute ago"),
            (119_000.0, "1 minute ago"),
            (7_300_000.0, "2 hours ago"),
            (200_000_000.0, "2 days ago"),
        ] {
            assert_eq!(age(ms), shown);
        }
    }

    #[test]
    fn lines_are_bounded() {
        assert_eq!(line("a\nb\tc", 9), "a\u{240a}b\u{2409}c");
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("äöü", 3), "äöü");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(
            [bytes(1023), bytes(1024), bytes(5 << 30)],
            ["1023 B", "1.0 KiB", "5.0 GiB"]
        );
        for (ms, shown) in [
            (0.25, "0.25 ms"),
            (12.4, "12 ms"),
            (1_500.0, "1.5 s"),
            (120_000.0, "2 min"),
            (5_400_000.0, "1.5 h"),
            (259_200_000.0, "3 days"),
        ] {
            assert_eq!(duration(ms), shown);
        }
    }
}
