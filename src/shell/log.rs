//! One line per fact on standard error, for the journal. Codes, counts and event numbers; never content, never keys.

use super::clock;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Lines kept for the support bundle, and letters kept of each: 40 KB at most, a day of a troubled line.
const KEPT_MAX: usize = 200;
const LETTERS_MAX: usize = 200;

static KEPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Something a technician may want to know later.
pub fn info(line: impl Display) {
    say("<6>", &line);
}

/// Something that wants looking at.
pub fn warn(line: impl Display) {
    say("<4>", &line);
}

/// The last lines, oldest first, each with the seconds since the program began.
pub fn kept() -> Vec<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().cloned().collect()
}

/// The journal takes the level from the prefix; a person at a terminal does not want to see it.
fn say(level: &str, line: &dyn Display) {
    let mut text = format!("{} s: {line}", clock::since_start().as_secs());
    if let Some((cut, _)) = text.char_indices().nth(LETTERS_MAX) {
        text.truncate(cut);
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(text);
    drop(kept);
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    eprintln!("{}{line}", if journal { level } else { "" });
}
