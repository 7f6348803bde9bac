//! The only place that reads clocks.

use crate::core::time::{Mono, Now, Wall};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Present once systemd's time service has set the clock.
const CONFIRMED_BY_SYSTEM: &str = "/run/systemd/timesync/synchronized";

/// Both clocks of this run.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The highest wall time a run before this one has believed.
    stored_floor: i64,
}

impl Clock {
    pub fn new(stored_floor: i64) -> Clock {
        Clock {
            started: Instant::now(),
            stored_floor,
        }
    }

    pub fn now(&self) -> Now {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Never zero, so that "the first moment" and "not set" cannot be mistaken for each other.
        Now {
            mono: Mono(elapsed + 1),
            wall: wall(self.stored_floor),
        }
    }

    /// The runtime's instant for a monotonic moment.
    pub fn instant(&self, at: Mono) -> tokio::time::Instant {
        tokio::time::Instant::from_std(
            self.started + std::time::Duration::from_millis(at.0.saturating_sub(1)),
        )
    }
}

/// The wall clock alone, for opening a store before anything else is known.
pub fn wall(stored_floor: i64) -> Wall {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Wall::judge(
        i64::try_from(since).unwrap_or(0),
        stored_floor,
        Path::new(CONFIRMED_BY_SYSTEM).exists(),
    )
}
