//! The only place that reads clocks.

use super::count::WireCount;
use crate::core::time::{Mono, Now, Wall};
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Present once systemd's time service has set the clock.
const CONFIRMED_BY_SYSTEM: &str = "/run/systemd/timesync/synchronized";

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
    /// How far ours is ahead of what a peer last told over verified TLS, in seconds.
    ahead_s: Arc<AtomicI64>,
}

impl Clock {
    pub fn new(stored_floor: i64) -> Clock {
        Clock {
            started: Instant::now(),
            stored_floor,
            ahead_s: Arc::new(AtomicI64::new(NEVER)),
        }
    }

    /// Takes note of the time a peer told, if it told any.
    pub fn heard(&self, count: &WireCount) {
        let ahead_s = count.ahead_s.swap(NEVER, Relaxed);
        if ahead_s != NEVER {
            self.ahead_s.store(ahead_s, Relaxed);
        }
    }

    /// How far the wall clock is ahead of the peers', seconds, if one has told and it is more than a moment.
    pub fn wrong_by_s(&self) -> Option<i64> {
        let ahead_s = self.ahead_s.load(Relaxed);
        (ahead_s != NEVER && ahead_s.unsigned_abs() > PEER_AGREES_S).then_some(ahead_s)
    }

    pub fn now(&self) -> Now {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Never zero, so that "the first moment" and "not set" cannot be mistaken for each other.
        Now {
            mono: Mono(elapsed + 1),
            wall: judged(self.stored_floor, self.ahead_s.load(Relaxed)),
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

fn judged(stored_floor: i64, ahead_s: i64) -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Wall::judge(
        i64::try_from(since).unwrap_or(0),
        stored_floor,
        ahead_s.unsigned_abs() <= PEER_AGREES_S || Path::new(CONFIRMED_BY_SYSTEM).exists(),
    )
}
