//! Links between the pages.

use std::collections::BTreeSet;
use std::path::Path;

use super::{pages, pages_in, read};

/// Files and headings that a page links to.
#[test]
fn links_between_the_pages_lead_somewhere() {
    let mut pages = pages();
    pages.extend(pages_in("docs/providers"));
    assert!(pages.len() > 300, "{} pages", pages.len());
    for page in pages {
        for target in read(&page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let place = format!("{}: {target}", page.display());
            assert!(linked.exists(), "{place}");
            assert!(
                heading.is_empty() || headings(&linked).contains(heading),
                "{place}"
            );
        }
    }
}

/// The names by which a page's headings are linked.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = read(page);
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}
