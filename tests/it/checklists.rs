//! The checklists of CONTRIBUTING.md: what they promise about generated pages, and each of them executed in a copy of the repository.

mod handlers_page;

use landfall_tests::root;

#[test]
fn handlers_page_matches_the_folders() {
    let path = root().join("docs/HANDLERS.md");
    let present = std::fs::read_to_string(&path).unwrap();
    let expected = handlers_page::with_rows(&present, &root().join("plugins"));
    if present == expected {
        return;
    }

    std::fs::write(&path, expected).unwrap();
    panic!("docs/HANDLERS.md did not list the folders of plugins/: it is written anew, commit it");
}
