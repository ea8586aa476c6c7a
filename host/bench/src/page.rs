//! The part of a page that a measurement writes.

use std::path::Path;

use anyhow::Context;

const BEGIN: &str = "<!-- landfall-bench: begin -->\n";
const END: &str = "<!-- landfall-bench: end -->\n";

/// Replaces what is between the two markers of the page.
pub(crate) fn update(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let page = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let (before, rest) = page
        .split_once(BEGIN)
        .with_context(|| format!("{shown} has no line `{}`", BEGIN.trim()))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("{shown} has no line `{}` after it", END.trim()))?;

    std::fs::write(path, format!("{before}{BEGIN}\n{text}\n{END}{after}"))
        .with_context(|| format!("{shown} cannot be written"))
}
