//! Candidates: which events run on one, what is counted of both versions, when a rule decides, and
//! what all nodes remember of the decisions. Pure functions of counts and times that are passed in.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod counts;
mod rules;
mod shadow;
mod share;
mod state;
mod tally;

pub use counts::Counts;
pub use rules::{Verdict, judge};
pub use shadow::ShadowFindings;
pub use share::is_chosen;
pub use state::{By, CandidateState, Decided, Decision, Promoted, Running};
pub use tally::{Pair, Tally, Version};
