//! Joins the parts of the manifest while the component is compiled.
//!
//! Public only because the code that `#[handler]` writes calls it.

/// The length of all parts together.
#[must_use]
pub const fn length(parts: &[&[u8]]) -> usize {
    let (mut length, mut part) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

/// The parts, one after the other.
#[must_use]
pub const fn joined<const LENGTH: usize>(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut joined = [0; LENGTH];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut byte = 0;
        while byte < parts[part].len() {
            joined[at] = parts[part][byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined() {
        const PARTS: &[&[u8]] = &[b"ab", b"", b"c"];
        const LENGTH: usize = length(PARTS);
        assert_eq!(joined::<LENGTH>(PARTS), *b"abc");
    }
}
