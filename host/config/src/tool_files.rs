//! TOML files in the folder of a handler that are no hook files.

/// Files of tools, of the settings of a node, and of manifests. A hook cannot have the name of one
/// of these in the folder of a handler.
const TOOL_FILES: [&str; 13] = [
    "Cargo.toml",
    "clippy.toml",
    "deny.toml",
    "landfall.toml",
    "manifest.toml",
    "poetry.toml",
    "pyproject.toml",
    "ruff.toml",
    "rust-analyzer.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "taplo.toml",
    "uv.toml",
];

/// Whether a tool, a node or a build reads the file of this name as its own. Upper and lower case
/// do not count, as on the disks of some systems.
pub fn is_tool_file(name: &str) -> bool {
    TOOL_FILES
        .iter()
        .any(|file| file.eq_ignore_ascii_case(name))
}
