//! A recorded run: everything that a component saw of the world in one attempt, and what it made of
//! it. A recording has no credentials: the host adds them after the component.

mod body;
mod compare;
mod difference;
mod headers;
mod recorded;
mod result;
mod spec;
#[cfg(test)]
mod tests;

pub use body::RecordedBody;
pub use compare::{Comparison, Tolerance, Verdict, compare};
pub use difference::{Difference, DifferenceKind};
pub use headers::is_secret_header;
pub use recorded::{
    Missing, PendingRecording, RECORDING_VERSION, RandomSeeds, RecordedAnswer, RecordedCall,
    RecordedKeys, RecordedPart, RecordedRun, Recording, Redact,
};
pub use result::{RecordedChange, RecordedEmission, RecordedReply, RecordedRow, RunResult};
pub use spec::RecordSpec;
