//! Versions of one component, which differ in what they answer. They are made without a compiler: a number is written over the digits
//! in the bytes of the guest `answers_version`.

use std::sync::OnceLock;

use crate::component;

const MARK: &[u8] = b"landfall-version:";
const DIGITS: usize = 16;

/// The component that answers this number, in the form of [`answer`].
pub fn version(number: u64) -> Vec<u8> {
    static GUEST: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (guest, digits) = GUEST.get_or_init(|| {
        let bytes = component("answers_version");
        let digits = find_digits(&bytes);
        (bytes, digits)
    });

    let mut bytes = guest.clone();
    bytes[*digits..digits + DIGITS].copy_from_slice(answer(number).as_bytes());
    bytes
}

/// What the version answers.
pub fn answer(number: u64) -> String {
    format!("{number:016}")
}

fn find_digits(bytes: &[u8]) -> usize {
    let windows = bytes.windows(MARK.len()).enumerate();
    let marks: Vec<usize> = windows
        .filter(|(_, window)| *window == MARK)
        .map(|(at, _)| at)
        .collect();
    let [mark] = marks[..] else {
        panic!("the guest has its mark once, not at {marks:?}");
    };
    mark + MARK.len()
}
