//! Texts that are longer than a service takes.

/// What a text ends with if something is left out.
const END: char = '…';

/// The text, of at most `max` units of the service. `units` is how many of them a character has. If
/// something is left out, the text ends with `…`.
pub fn cut(text: &str, max: usize, units: fn(char) -> usize) -> String {
    if text.chars().map(units).sum::<usize>() <= max {
        return text.to_owned();
    }

    let mut room = max.saturating_sub(units(END));
    let kept = text.chars().take_while(|&character| {
        let fits = units(character) <= room;
        room = room.saturating_sub(units(character));
        fits
    });
    kept.chain([END]).collect()
}

/// The bytes of a character in a JSON string.
pub fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        control if control < ' ' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::serde_json::Value;

    #[test]
    fn texts_are_cut_in_units() {
        for (text, max, expected) in [
            ("", 0, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("😀😀", 4, "😀😀"),
            ("😀😀", 3, "😀…"),
            ("😀a", 2, "…"),
        ] {
            assert_eq!(cut(text, max, char::len_utf16), expected, "{text} {max}");
        }
        assert_eq!(cut("\"\"\"\"", 7, json_bytes), "\"\"…");
    }

    #[test]
    fn json_bytes_are_those_written() {
        for character in ('\0'..='\u{2030}').chain(['😀']) {
            let written = Value::from(character.to_string()).to_string().len();
            assert_eq!(json_bytes(character) + 2, written, "{character:?}");
        }
    }
}
