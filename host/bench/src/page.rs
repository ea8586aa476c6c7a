//! The sections of a page that measurements write, each between its markers.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::flags::RunFlags;

/// Writes the section of a measurement if the flags name a page.
pub(crate) fn publish(flags: &RunFlags, section: &str, tables: &str) -> anyhow::Result<()> {
    let Some(page) = &flags.update else {
        return Ok(());
    };

    let note = flags.note.iter().map(|note| format!("\n{note}\n"));
    let text: String = std::iter::once(tables.to_owned()).chain(note).collect();
    update(page, section, &text)
}

/// Writes a section from the text of standard input.
pub(crate) fn update_from_input(page: &Path, section: &str) -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("standard input cannot be read")?;
    update(page, section, &text)
}

/// Replaces what is between the two markers of a section. `text` ends with a line break.
fn update(path: &Path, section: &str, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let (begin, end) = (marker(section, "begin"), marker(section, "end"));
    let page = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("{shown} has no line `{}`", begin.trim()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{shown} has no line `{}` after it", end.trim()))?;

    std::fs::write(path, format!("{before}{begin}\n{text}\n{end}{after}"))
        .with_context(|| format!("{shown} cannot be written"))
}

fn marker(section: &str, which: &str) -> String {
    format!("<!-- landfall-bench {section}: {which} -->\n")
}
