//! Folders of handlers, for their authors: `landfall new` writes one, `landfall build` builds it in
//! any language, and `landfall dev` builds it again after each change.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod cargo;
mod components;
mod exec;
mod folder_lock;
mod hook_files;
mod local_packages;
mod location;
mod new;
mod node_packages;
mod place;
mod project;
mod python;
mod run;
mod rust_target;
mod sample;
mod sdk;
mod served;
mod sources;
mod target_dir;
mod templates;
mod toolchain;

pub use cargo::{What, build_workspace};
pub use components::{Built, Start, build, build_until, copy_component};
pub use exec::Stop;
pub use location::location;
pub use new::{NewHandler, Written, write};
pub use project::{Language, Project, check_name};
pub use python::{Ahead, NextBuild};
pub use run::{Run, difference};
pub use rust_target::RustTarget;
pub use sample::{Sample, Target};
pub use served::ServedFolder;
pub use sources::{Changed, Sources};
pub use templates::Template;
