//! The only place that reads clocks.

use super::count::WireCount;
use crate::core::time::{Mono, Now, Wall};
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Touched by systemd's time service whenever it has compared the clock with a server's and put it right.
const CONFIRMED_BY_SYSTEM: &str = "/run/systemd/timesync/synchronized";
/// The service compares every 34 minutes at the longest while it has a line. A clock a day from the last time is cut
/// off, or has been set by somebody else since.
const SYSTEM_HOLDS_S: u64 = 24 * 3600;

/// A peer's clock confirms ours within this many seconds: a request's time and some drift, far less than a certificate
/// or an office hour would notice.
const PEER_AGREES_S: u64 = 60;
/// No server has told the time yet.
pub const NEVER: i64 = i64::MIN;

/// Both clocks of this run.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The highest wall time a run before this one has believed.
    stored_floor: i64,
    /// What a peer last told over verified TLS, as [`at_start`].
    told: Arc<AtomicI64>,
}

impl Clock {
    pub fn new(stored_floor: i64) -> Clock {
        Clock {
            started: Instant::now(),
            stored_floor,
            told: Arc::new(AtomicI64::new(NEVER)),
        }
    }

    /// Takes note of the time a peer told, if it told any.
    pub fn heard(&self, count: &WireCount) {
        let told = count.told.swap(NEVER, Relaxed);
        if told != NEVER {
            self.told.store(told, Relaxed);
        }
    }

    /// How far the wall clock is ahead of the peers', seconds, if one has told and it is more than a moment.
    pub fn wrong_by_s(&self) -> Option<i64> {
        let told = self.told.load(Relaxed);
        let ahead_s = unix().saturating_sub(told.saturating_add(elapsed_s()));
        (told != NEVER && ahead_s.unsigned_abs() > PEER_AGREES_S).then_some(ahead_s)
    }

    /// The time by the peer that last told it, if the wall clock agrees with it.
    pub fn agreed(&self) -> Option<i64> {
        agreed(unix(), self.told.load(Relaxed))
    }

    pub fn now(&self) -> Now {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Never zero, so that "the first moment" and "not set" cannot be mistaken for each other.
        Now {
            mono: Mono(elapsed + 1),
            wall: judged(self.stored_floor, self.told.load(Relaxed)),
        }
    }

    /// The runtime's instant for a monotonic moment.
    pub fn instant(&self, at: Mono) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + Duration::from_millis(at.0.saturating_sub(1)))
    }
}

/// Time since the first question of this kind: since the program began, as good as.
pub fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The wall clock alone, for opening a store before anything else is known.
pub fn wall(stored_floor: i64) -> Wall {
    judged(stored_floor, NEVER)
}

/// A time told now, as it was when the program began. It goes on from there by the monotonic clock, so that a step of
/// the wall clock is seen at once.
pub fn at_start(unix: i64) -> i64 {
    unix.saturating_sub(elapsed_s())
}

fn elapsed_s() -> i64 {
    i64::try_from(since_start().as_secs()).unwrap_or(0)
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(0)
}

fn unix() -> i64 {
    seconds(SystemTime::now())
}

fn judged(stored_floor: i64, told: i64) -> Wall {
    let unix = unix();
    let touched = || Path::new(CONFIRMED_BY_SYSTEM).metadata()?.modified();
    let confirmed = agreed(unix, told).is_some() || touched().is_ok_and(|at| lately(unix, seconds(at)));
    Wall::judge(unix, stored_floor, confirmed)
}

fn agreed(unix: i64, told: i64) -> Option<i64> {
    let peers = told.saturating_add(elapsed_s());
    (unix.abs_diff(peers) <= PEER_AGREES_S).then_some(peers)
}

fn lately(unix: i64, synchronized: i64) -> bool {
    unix.abs_diff(synchronized) <= SYSTEM_HOLDS_S
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: i64 = 1_800_000_000;
    const YEAR: i64 = 366 * 24 * 3600;

    #[test]
    fn a_clock_that_steps_away_from_the_time_told_is_confirmed_by_nobody() {
        let told = at_start(TOLD);
        assert!(agreed(TOLD + 30, told).is_some_and(|peers| (TOLD..TOLD + 10).contains(&peers)));
        for step in [90, -90, YEAR, -YEAR] {
            assert_eq!(agreed(TOLD + step, told), None, "{step}");
        }
        assert_eq!(agreed(TOLD, NEVER), None, "nobody has told");
        assert!(lately(TOLD + 7200, TOLD) && !lately(TOLD + YEAR, TOLD) && !lately(TOLD - YEAR, TOLD));
    }

    #[test]
    fn how_wrong_the_clock_is_goes_by_what_was_told_last() {
        let (clock, count) = (Clock::new(0), WireCount::default());
        for wrong in [0, YEAR] {
            count.told.store(at_start(unix() - wrong), Relaxed);
            clock.heard(&count);
            let by = clock.wrong_by_s().unwrap_or(0);
            assert!((wrong..wrong + 10).contains(&by), "{by}");
        }
    }
}
