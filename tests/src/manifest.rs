//! The manifest of a component: the custom section `landfall:manifest`.

/// The name of the section.
const SECTION: &str = "landfall:manifest";

/// The component with one more manifest at its end, as any toolchain can add it. A custom section is the byte 0, the size of the
/// rest, the size of the name, the name and the content; sizes are LEB128.
pub fn with_manifest(component: &[u8], manifest: &str) -> Vec<u8> {
    let mut section = leb128(SECTION.len());
    section.extend_from_slice(SECTION.as_bytes());
    section.extend_from_slice(manifest.as_bytes());

    let mut bytes = component.to_vec();
    bytes.push(0);
    bytes.extend(leb128(section.len()));
    bytes.extend(section);
    bytes
}

/// An unsigned number in groups of seven bits, the lowest first. Each byte but the last has its highest bit set.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_a_custom_section() {
        let bytes = with_manifest(b"\0asm", "name = \"x\"");
        let expected = [&b"\0asm\0\x1c\x11landfall:manifest"[..], b"name = \"x\""].concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn sizes_are_leb128() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 0x01]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }
}
