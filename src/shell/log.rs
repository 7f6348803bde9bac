//! One line per fact on standard error, for the journal. Codes, counts and event numbers; never content, never keys.

use std::fmt::Display;

/// Something a technician may want to know later.
pub fn info(line: impl Display) {
    eprintln!("<6>{line}");
}

/// Something that wants looking at.
pub fn warn(line: impl Display) {
    eprintln!("<4>{line}");
}
