//! What one run of the program remembers of its pulls.

use crate::core::cursor::{Mark, OVERLAP_S};
use crate::core::server_clock::Behind;
use crate::core::time::Mono;
use std::time::Duration;

/// What a run of the program remembers of its pulls.
#[derive(Default)]
pub struct PullMemory {
    pub mark: Option<Mark>,
    /// The watermark on disk.
    pub stored: Option<Mark>,
    pub looked_again: Option<Mono>,
    /// The server's clock against the watermark.
    pub behind: Behind,
    /// Since when the watermark stands, and whether everything behind it filled more than a page.
    pub stands: Option<(i64, Mono, bool)>,
    /// An empty answer from here on has been held against an unfiltered one.
    pub believed: Option<i64>,
    /// The last question that was answered on one page in which nothing concerned us, the mark of that answer, and how
    /// often the store had been written by then.
    pub answered: Option<(String, String, u64)>,
}

impl PullMemory {
    /// Where to begin. What lies within the overlap is not read for ever: once it has been read again after the time
    /// the overlap stands for, and it fills more than a page, the pull begins at the watermark itself.
    pub fn from(&self, mark: &Mark, again: bool, now: Mono) -> i64 {
        match self.stands {
            Some((seen, since, true)) if seen == mark.seen && !again && now.since(since) > overlap() => {
                mark.seen
            }
            _ => mark.from(again),
        }
    }

    /// The mark to ask with, where this very question has been answered with nothing for us: what lies in the overlap
    /// comes again in every pull, and most of it is old (primero-measured.md: `GET` answers 304). Once anything has been
    /// written here, the same rows may concern us.
    pub fn mark_of(&self, target: &str, commits: u64) -> Option<&str> {
        let (asked, mark, at) = self.answered.as_ref()?;
        (asked == target && *at == commits).then_some(mark)
    }

    /// A walk has come to its end at `mark`.
    pub fn ended(&mut self, mark: &Mark, crowded: bool, now: Mono) {
        self.stands = match self.stands {
            // Read again, and the overlap is over: only now does `from` believe it.
            Some((seen, since, known)) if seen == mark.seen => Some((seen, since, known || crowded)),
            _ => Some((mark.seen, now, false)),
        };
    }
}

fn overlap() -> Duration {
    Duration::from_secs(OVERLAP_S.unsigned_abs())
}
