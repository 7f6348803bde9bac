//! Whether something that works still gets on: what the watchdog goes by.
//!
//! Silence alone is no fault (a gateway may have nothing to do for a day), and being busy alone is no life (a thread may
//! hang for ever). Only *busy without progress for too long* is.

use super::time::Mono;
use std::time::Duration;

/// Watches one worker.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    patience: Duration,
    progress: u64,
    since: Mono,
}

impl Watch {
    /// `patience`: the longest a healthy worker may be busy without a sign.
    pub fn new(patience: Duration, now: Mono) -> Watch {
        Watch {
            patience,
            progress: 0,
            since: now,
        }
    }

    /// Takes in how the worker stands; true unless it has been busy for too long without getting on. `progress` is
    /// anything that changes whenever it does get on.
    pub fn alive(&mut self, busy: bool, progress: u64, now: Mono) -> bool {
        if !busy || progress != self.progress {
            self.progress = progress;
            self.since = now;
        }
        now.since(self.since) <= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_being_busy_without_progress_is_death() {
        let at = |s: u64| Mono(s * 1000);
        let mut watch = Watch::new(Duration::from_secs(60), at(0));
        assert!(watch.alive(false, 0, at(5000)), "idle for long");
        assert!(watch.alive(true, 0, at(5060)), "busy, within its patience");
        assert!(!watch.alive(true, 0, at(5061)), "busy, and nothing came of it");
        assert!(watch.alive(true, 1, at(9000)), "it got on after all");
        assert!(watch.alive(true, 1, at(9060)));
        assert!(!watch.alive(true, 1, at(9061)));
        assert!(watch.alive(false, 1, at(9062)), "done");
    }
}
