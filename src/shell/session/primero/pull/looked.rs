//! What a look at one case came to.

use super::super::Heard;
use super::Taken;

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
