//! The manifest of a component: the custom section `landfall:manifest`.

/// The name of the section.
const SECTION: &str = "landfall:manifest";

/// The component with this manifest in place of its own, added at its end, as any toolchain can add it. A section is a byte, the
/// size of the rest, and the content. The byte of a custom section is 0, and its content starts with the size of the name and the
/// name. Sizes are LEB128.
pub fn with_manifest(component: &[u8], manifest: &str) -> Vec<u8> {
    let mut bytes = without_manifest(component);
    bytes.extend(section(0, &[&section_name(), manifest.as_bytes()].concat()));
    bytes
}

/// A component or a module without its manifests. That of the SDK is in the module inside the component.
pub fn without_manifest(bytes: &[u8]) -> Vec<u8> {
    const HEADER: usize = 8;
    let (header, mut rest) = bytes.split_at(HEADER);
    let mut kept = header.to_vec();
    while let [id, after @ ..] = rest {
        let (size, after) = read_leb128(after);
        let (content, after) = after.split_at(size);
        rest = after;

        let is_nested = content.starts_with(b"\0asm");
        if is_nested {
            kept.extend(section(*id, &without_manifest(content)));
        } else if *id != 0 || !content.starts_with(&section_name()) {
            kept.extend(section(*id, content));
        }
    }
    kept
}

fn section_name() -> Vec<u8> {
    [&leb128(SECTION.len()), SECTION.as_bytes()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &leb128(content.len())[..], content].concat()
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

/// A number of `leb128`, and what follows it.
fn read_leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let length = bytes.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let (number, after) = bytes.split_at(length);
    let groups = number.iter().rev();
    let value = groups.fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    (value, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_a_custom_section() {
        let empty = b"\0asm\x0d\0\x01\0";
        let expected = [&empty[..], b"\0\x1c\x11landfall:manifestname = \"x\""].concat();
        assert_eq!(with_manifest(empty, "name = \"x\""), expected);
    }

    #[test]
    fn a_manifest_replaces_the_others() {
        let module = with_manifest(b"\0asm\x01\0\0\0", "first");
        let component = [&b"\0asm\x0d\0\x01\0"[..], &section(1, &module)].concat();
        let both = with_manifest(&component, "second");
        let last = with_manifest(&both, "third");
        let expected = [
            &b"\0asm\x0d\0\x01\0\x01\x08\0asm\x01\0\0\0"[..],
            b"\0\x17\x11landfall:manifestthird",
        ];
        assert_eq!(last, expected.concat());
    }

    #[test]
    fn sizes_are_leb128() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 0x01]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
        assert_eq!(read_leb128(&[0xe5, 0x8e, 0x26, 1]), (624_485, &[1][..]));
    }
}
