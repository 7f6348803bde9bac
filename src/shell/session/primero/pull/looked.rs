//! What a look at one case came to, and a pull.

use super::super::{Go, Heard};
use super::Taken;
use crate::shell::session::PassReport;

/// What a look at one case came to.
pub enum Looked {
    Taken(Box<Taken>),
    /// Out of our scope by now: such a case vanishes without a word (primero.md §2.10).
    Gone,
    Failed,
    Down,
}

impl Looked {
    pub fn of(heard: &Heard) -> Looked {
        match heard {
            Heard::Reply(_) => Looked::Gone,
            Heard::Down => Looked::Down,
            Heard::Failed(_) | Heard::Doubt(_) => Looked::Failed,
        }
    }
}

/// A pull that ended early ends the pass only where the peer cannot be used.
pub fn over_if_down(report: &PassReport) -> Go {
    if report.over() { Go::Over } else { Go::On }
}
