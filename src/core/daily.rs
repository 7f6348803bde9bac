//! When the daily look at the open referrals is due.
//!
//! The day is counted by a clock that somebody has confirmed, from what is on disk: a restart neither repeats a look nor
//! puts it off. What is on disk is written before the look begins, so that one that kills the program is not begun at
//! every start. A day that began ahead of now was counted by a wrong clock and is counted anew: a clock can put a look
//! off by a day, or bring it forward once, and no more.

use super::time::{Mono, Now, Trust};
use std::time::Duration;

/// Name of the document that keeps where the day began, in Unix seconds.
pub const DOCUMENT: &str = "reconciliation day";
/// Seconds between two looks.
pub const EVERY_S: i64 = 24 * 3600;
/// A look that was cut short, or that a system did not answer to the end, is tried again after this.
pub const AGAIN: Duration = Duration::from_secs(3600);

/// The day that is being counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Daily {
    began: Option<i64>,
    again: Option<Mono>,
}

/// What is to be done about it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Nothing,
    /// A day begins to be counted: to be put on disk.
    Count(i64),
    /// A look is due; once this is on disk, it may begin.
    Look(i64),
}

impl Daily {
    pub fn resume(began: Option<i64>) -> Daily {
        Daily { began, again: None }
    }

    /// What is due. Where it is not `Nothing`, [`Daily::begun`] says that it has been seen to.
    pub fn turn(&self, now: Now) -> Turn {
        let unix = now.wall.unix;
        match (now.wall.trust, self.again, self.began) {
            (Trust::Unset | Trust::Floor, _, _) => Turn::Nothing,
            (Trust::Synced, Some(again), _) if now.mono < again => Turn::Nothing,
            (Trust::Synced, Some(_), _) => Turn::Look(unix),
            (Trust::Synced, None, Some(began)) if began <= unix => {
                if unix - began >= EVERY_S {
                    Turn::Look(unix)
                } else {
                    Turn::Nothing
                }
            }
            (Trust::Synced, None, _) => Turn::Count(unix),
        }
    }

    /// It is on disk.
    pub fn begun(&mut self, unix: i64) {
        (self.began, self.again) = (Some(unix), None);
    }

    /// The look is over; one that was not whole is made again.
    pub fn ended(&mut self, whole: bool, now: Mono) {
        self.again = (!whole).then(|| now.plus(AGAIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::{BUILD_FLOOR, Wall};

    fn at(s: i64, confirmed: bool) -> Now {
        Now {
            mono: Mono(1_000 * u64::try_from(s.max(0)).unwrap()),
            wall: Wall::judge(BUILD_FLOOR + 400_000 + s, 0, confirmed),
        }
    }

    fn unix(s: i64) -> i64 {
        at(s, true).wall.unix
    }

    #[test]
    fn a_look_comes_once_a_day_and_no_restart_repeats_it() {
        let mut daily = Daily::resume(None);
        assert_eq!(
            daily.turn(at(0, false)),
            Turn::Nothing,
            "by a clock in doubt, nothing"
        );
        assert_eq!(daily.turn(at(5, true)), Turn::Count(unix(5)));
        daily.begun(unix(5));
        assert_eq!(daily.turn(at(EVERY_S + 4, true)), Turn::Nothing);
        assert_eq!(daily.turn(at(EVERY_S + 5, true)), Turn::Look(unix(EVERY_S + 5)));
        daily.begun(unix(EVERY_S + 5));
        let restarted = Daily::resume(daily.began);
        assert_eq!(restarted.turn(at(EVERY_S + 60, true)), Turn::Nothing);
        daily.ended(true, Mono(0));
        assert_eq!(daily, restarted);
    }

    #[test]
    fn a_look_that_was_cut_short_comes_again_within_the_run_and_after_a_restart_the_next_day() {
        let mut daily = Daily::resume(Some(unix(0)));
        daily.begun(unix(EVERY_S));
        daily.ended(false, at(EVERY_S, true).mono);
        assert_eq!(daily.turn(at(EVERY_S + 3599, true)), Turn::Nothing);
        assert_eq!(
            daily.turn(at(EVERY_S + 3600, true)),
            Turn::Look(unix(EVERY_S + 3600))
        );
        assert_eq!(
            Daily::resume(daily.began).turn(at(EVERY_S + 3600, true)),
            Turn::Nothing
        );
    }

    #[test]
    fn a_clock_that_was_ahead_puts_a_look_off_by_a_day_at_most() {
        let mut daily = Daily::resume(Some(unix(400 * EVERY_S)));
        assert_eq!(daily.turn(at(0, true)), Turn::Count(unix(0)));
        daily.begun(unix(0));
        assert_eq!(daily.turn(at(EVERY_S, true)), Turn::Look(unix(EVERY_S)));
    }
}
