//! One line per fact on standard error, for the journal. Codes, counts and event numbers; never content, never keys.

use std::fmt::Display;

/// Something a technician may want to know later.
pub fn info(line: impl Display) {
    say("<6>", &line);
}

/// Something that wants looking at.
pub fn warn(line: impl Display) {
    say("<4>", &line);
}

/// The journal takes the level from the prefix; a person at a terminal does not want to see it.
fn say(level: &str, line: &dyn Display) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    eprintln!("{}{line}", if journal { level } else { "" });
}
