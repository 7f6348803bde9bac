//! The mark of a failure before the first byte of a request: the peer provably did nothing.

use crate::core::exchange::Phase;
use std::fmt;

/// Nothing of the request has left this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent {
    pub phase: Phase,
    pub timed_out: bool,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection: {:?}", self.phase)
    }
}

impl std::error::Error for Unsent {}

pub fn unsent(phase: Phase, timed_out: bool) -> ureq::Error {
    ureq::Error::Other(Box::new(Unsent { phase, timed_out }))
}
