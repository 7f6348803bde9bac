//! How long pushes wait after a server error: every failed push is in doubt and costs somebody a telephone call, and
//! OSCaR as published fails every one of them (oscar-measured.md fact 1).
//!
//! The first error may be about one record, so another is tried soon. A second in a row is about the server.

use crate::core::time::Mono;
use std::time::Duration;

/// The wait after the first error.
const FIRST: Duration = Duration::from_secs(60);
/// The wait after the second in a row; each further one doubles it.
const NEXT: Duration = Duration::from_secs(3600);
/// The longest wait.
const CAP: Duration = Duration::from_secs(12 * 3600);

/// Server errors on pushes since one was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hold {
    streak: u32,
    until: Option<Mono>,
}

impl Hold {
    /// At the start of the program, with so many pushes in doubt after a server error: a restart is no news.
    pub fn of_doubts(doubts: u32, now: Mono) -> Hold {
        let mut hold = Hold {
            streak: doubts.saturating_sub(1),
            until: None,
        };
        if doubts > 0 {
            hold.fail(now);
        }
        hold
    }

    /// A push was a server error.
    pub fn fail(&mut self, now: Mono) {
        let wait = match self.streak {
            0 => FIRST,
            streak => NEXT.saturating_mul(1 << (streak - 1).min(16)).min(CAP),
        };
        self.streak += 1;
        self.until = Some(now.plus(wait));
    }

    /// May a push leave now?
    pub fn open(&self, now: Mono) -> bool {
        self.until.is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(hold: Hold) -> Duration {
        hold.until.expect("held").since(Mono(0))
    }

    #[test]
    fn the_first_error_waits_a_minute_and_the_next_ones_hours() {
        let mut hold = Hold::default();
        assert!(hold.open(Mono(0)));
        for hours in [0, 1, 2, 4, 8, 12, 12] {
            hold.fail(Mono(0));
            let wait = if hours == 0 { FIRST } else { NEXT * hours };
            assert_eq!(waited(hold), wait);
            assert!(!hold.open(Mono(59_999)) && hold.open(Mono(0).plus(wait)));
        }
    }

    #[test]
    fn a_restart_goes_on_where_the_doubts_left_off() {
        assert!(Hold::of_doubts(0, Mono(0)).open(Mono(0)));
        assert_eq!(waited(Hold::of_doubts(1, Mono(0))), FIRST);
        assert_eq!(waited(Hold::of_doubts(3, Mono(0))), NEXT * 2);
        assert_eq!(waited(Hold::of_doubts(u32::MAX, Mono(0))), CAP);
    }
}
