//! What a disk may hold after a power failure, computed from a trace of writes and syncs. A write that was not synced may be
//! present, missing, present in part (in sectors of 512 bytes), or present although an earlier write is missing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::faults::Random;

const SECTOR: usize = 512;

/// One thing that a node asked of its disk, or told a caller.
pub enum Step {
    /// Bytes into a file.
    Write(String, u64, Vec<u8>),
    /// A file cut or grown to a length.
    Truncate(String, u64),
    /// A file, or the directory (`.`), onto stable storage.
    Sync(String),
    /// A file taken out of the directory.
    Remove(String),
    /// Bytes that were sent.
    Answer(Vec<u8>),
}

/// Reads what the preloaded library wrote; files that need not survive are left out.
pub fn steps(trace: &Path) -> Vec<Step> {
    let bytes = std::fs::read(trace).expect("a trace");
    let mut rest = &bytes[..];
    let mut steps = Vec::new();
    while rest.len() >= 20 {
        let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().expect("four bytes"));
        let (op, name_bytes, count) = (word(0), word(4) as usize, word(8) as usize);
        let offset = u64::from_ne_bytes(rest[12..20].try_into().expect("eight bytes"));
        if rest.len() < 20 + name_bytes + count {
            break;
        }
        let name = String::from_utf8_lossy(&rest[20..20 + name_bytes]).into_owned();
        let data = rest[20 + name_bytes..20 + name_bytes + count].to_vec();
        rest = &rest[20 + name_bytes + count..];
        let counts = name == "." || (name.starts_with("ledger.db") && !name.ends_with("-shm"));
        match op {
            5 => steps.push(Step::Answer(data)),
            _ if !counts => {}
            1 => steps.push(Step::Write(name, offset, data)),
            2 => steps.push(Step::Truncate(name, offset)),
            3 => steps.push(Step::Sync(name)),
            4 => steps.push(Step::Remove(name)),
            other => panic!("step {other} is not known"),
        }
    }
    steps
}

/// How much is lost of what was not synced.
#[derive(Debug, Clone, Copy)]
enum Loss {
    All,
    Nothing,
    Writes,
    Sectors,
    Order,
}

#[derive(Default)]
struct File {
    /// On stable storage.
    safe: Vec<u8>,
    /// Its name is, too.
    is_named: bool,
    /// Not yet: an offset and bytes, or a length alone.
    waiting: Vec<(u64, Option<Vec<u8>>)>,
    is_removed: bool,
}

/// Writes into `into` what may be left if the power fails before step `at`, on a disk that syncs or only says so.
pub fn cut(steps: &[Step], at: usize, syncs: bool, random: &mut Random, into: &Path) {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    for step in &steps[..at] {
        match step {
            Step::Write(name, offset, bytes) => {
                let file = files.entry(name).or_default();
                // The same name again is another file.
                if file.is_removed {
                    *file = File::default();
                }
                file.waiting.push((*offset, Some(bytes.clone())));
            }
            Step::Truncate(name, length) => {
                files.entry(name).or_default().waiting.push((*length, None))
            }
            Step::Sync(_) if !syncs => {}
            Step::Sync(name) if name == "." => {
                files.retain(|_, file| !file.is_removed);
                files.values_mut().for_each(|file| file.is_named = true);
            }
            Step::Sync(name) => {
                let file = files.entry(name).or_default();
                for (offset, bytes) in std::mem::take(&mut file.waiting) {
                    apply(&mut file.safe, offset, bytes.as_deref());
                }
                // ext4, XFS and btrfs keep the name of a new file whose bytes they are asked to keep.
                file.is_named = true;
            }
            Step::Remove(name) => files.entry(name).or_default().is_removed = true,
            Step::Answer(_) => {}
        }
    }
    let loss = [
        Loss::All,
        Loss::Nothing,
        Loss::Writes,
        Loss::Sectors,
        Loss::Order,
    ][random.below(5)];
    for (name, file) in files {
        if (file.is_removed && random.flip()) || (!file.is_named && random.flip()) {
            continue;
        }
        std::fs::write(into.join(name), left(file, loss, random)).expect("a writable folder");
    }
}

fn left(file: File, loss: Loss, random: &mut Random) -> Vec<u8> {
    let File {
        mut safe,
        mut waiting,
        ..
    } = file;
    match loss {
        Loss::All => waiting.clear(),
        Loss::Nothing => {}
        Loss::Writes => waiting.retain(|_| random.flip()),
        Loss::Sectors => {
            waiting = waiting
                .into_iter()
                .flat_map(sectors)
                .filter(|_| random.flip())
                .collect()
        }
        Loss::Order => {
            for from in (1..waiting.len()).rev() {
                waiting.swap(from, random.below(from + 1));
            }
            waiting.truncate(random.below(waiting.len() + 1));
        }
    }
    for (offset, bytes) in waiting {
        apply(&mut safe, offset, bytes.as_deref());
    }
    safe
}

fn sectors((offset, bytes): (u64, Option<Vec<u8>>)) -> Vec<(u64, Option<Vec<u8>>)> {
    let Some(bytes) = bytes else {
        return vec![(offset, None)];
    };
    let mut parts = Vec::new();
    let mut from = 0;
    while from < bytes.len() {
        let place = offset as usize + from;
        let length = (SECTOR - place % SECTOR).min(bytes.len() - from);
        parts.push((place as u64, Some(bytes[from..from + length].to_vec())));
        from += length;
    }
    parts
}

fn apply(file: &mut Vec<u8>, offset: u64, bytes: Option<&[u8]>) {
    let offset = offset as usize;
    let Some(bytes) = bytes else {
        return file.resize(offset, 0);
    };
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}
