//! What this run must know of the ones before it: how they ended, and when the peers last did their part.
//!
//! Stored as one small document, written at a start, at a clean stop, and otherwise a few times a day at most.

use super::record::Peer;
use serde::{Deserialize, Serialize};

/// Name of the document in the store.
pub const DOCUMENT: &str = "past";
/// A peer's last good session is stored again once it has moved this far, in seconds: each time is a commit.
pub const OK_STEP_S: i64 = 6 * 3600;

/// What the run before left, or this one will leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub version: String,
    /// The run ended with a stop.
    pub clean: bool,
    /// Runs in a row that ended otherwise, a power cut being one, without a steady one between them.
    pub crashes: u32,
    /// Last good session with Primero and OSCaR, Unix seconds.
    pub last_ok: [Option<i64>; 2],
}

impl Past {
    /// What a run leaves that dies at once.
    pub fn begin(before: Option<&Past>, version: &str) -> Past {
        let crashes = match before {
            Some(before) if !before.clean => before.crashes.saturating_add(1),
            Some(_) | None => 0,
        };
        Past {
            version: version.to_owned(),
            clean: false,
            crashes,
            last_ok: before.map_or([None; 2], |before| before.last_ok),
        }
    }

    /// The run has lasted: it is no crash loop. True if that is news.
    pub fn steady(&mut self) -> bool {
        std::mem::take(&mut self.crashes) > 0
    }

    /// A peer did its part. True if that is worth a commit.
    pub fn succeeded(&mut self, peer: Peer, unix: i64) -> bool {
        let last = match peer {
            Peer::Primero => &mut self.last_ok[0],
            Peer::Oscar => &mut self.last_ok[1],
        };
        let worth = last.is_none_or(|last| unix - last >= OK_STEP_S || unix < last);
        if worth {
            *last = Some(unix);
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_in_a_row_are_counted_and_a_clean_stop_or_an_hour_ends_the_row() {
        let first = Past::begin(None, "1");
        assert_eq!(first.crashes, 0, "nothing is known of a run before the first");
        let second = Past::begin(Some(&first), "1");
        let mut third = Past::begin(Some(&second), "2");
        assert_eq!((second.crashes, third.crashes), (1, 2));
        assert!(third.steady() && !third.steady());
        assert_eq!(Past::begin(Some(&third), "2").crashes, 1);
        let clean = Past {
            clean: true,
            ..second
        };
        assert_eq!(Past::begin(Some(&clean), "2").crashes, 0);
    }

    #[test]
    fn a_good_session_is_worth_a_commit_a_few_times_a_day() {
        let mut past = Past::begin(None, "1");
        let worth: Vec<i64> = (0..=48)
            .map(|hour| hour * 1800)
            .filter(|unix| past.succeeded(Peer::Oscar, *unix))
            .collect();
        assert_eq!(worth, [0, OK_STEP_S, 2 * OK_STEP_S, 3 * OK_STEP_S, 4 * OK_STEP_S]);
        assert_eq!(past.last_ok, [None, Some(4 * OK_STEP_S)]);
    }
}
