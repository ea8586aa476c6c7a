//! The flags of every measurement.

use std::path::PathBuf;

use clap::Args;

/// The flags of every measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunFlags {
    /// The binary to measure [default: built with cargo from this workspace, in release mode].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) landfall: Option<PathBuf>,
    /// The component to run [default: the bundled handler that the measurement needs, built with
    /// cargo].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    /// Also write the tables into this Markdown file, between the markers of the measurement.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) update: Option<PathBuf>,
    /// A line to write below these tables: when and on what they were measured.
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Number of keep-alive connections.
    #[arg(long, global = true, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Seconds of each run.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Runs of each server, alternating; the medians are reported.
    #[arg(long, global = true, default_value_t = 5)]
    pub(crate) rounds: usize,
}
