//! When a peer that failed may be asked again: capped exponential with full jitter, `Retry-After` honoured, and
//! forgotten only after a stable spell. Deadlines are monotonic and are not stored: a restart may ask at once.

use super::time::Mono;
use std::time::Duration;

/// Shortest base wait after a failure.
pub const FIRST: Duration = Duration::from_secs(15);
/// Longest wait on a silent link.
pub const CAP: Duration = Duration::from_secs(30 * 60);
/// How long a peer must have answered before its past failures are forgotten.
pub const STABLE: Duration = Duration::from_secs(120);
/// Longest `Retry-After` believed: a server asking for more is asked again after this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(6 * 3600);

/// The waiting state of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    not_before: Option<Mono>,
    good_since: Option<Mono>,
}

impl Backoff {
    /// A failure at `now`. `seed` is any random number; the wait lies between half and all of the step.
    pub fn fail(&mut self, now: Mono, retry_after: Option<Duration>, seed: u64) {
        self.good_since = None;
        let step = FIRST.saturating_mul(1 << self.failures.min(16)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        let half = u64::try_from(step.as_millis() / 2).unwrap_or(u64::MAX);
        let jittered = Duration::from_millis(half + seed % (half + 1));
        let wait = match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX).max(jittered),
            None => jittered,
        };
        self.not_before = Some(now.plus(wait));
    }

    /// An answer at `now`: the peer may be asked freely; its record is wiped once it has been good for a while.
    pub fn succeed(&mut self, now: Mono) {
        self.not_before = None;
        let since = *self.good_since.get_or_insert(now);
        if now.since(since) >= STABLE {
            self.failures = 0;
        }
    }

    /// May the peer be asked now?
    pub fn open(&self, now: Mono) -> bool {
        self.not_before.is_none_or(|deadline| now >= deadline)
    }

    /// The moment it may be asked again, while it may not.
    pub fn deadline(&self) -> Option<Mono> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(backoff: &Backoff, now: Mono) -> Duration {
        backoff.deadline().expect("waiting").since(now)
    }

    #[test]
    fn waits_grow_to_the_cap_and_never_below_half_a_step() {
        let mut backoff = Backoff::default();
        let now = Mono(1_000);
        for step in 0..40 {
            backoff.fail(now, None, step * 7919);
            let full = FIRST.saturating_mul(1 << step.min(16)).min(CAP);
            let waited = wait(&backoff, now);
            assert!(waited >= full / 2 && waited <= full, "step {step}: {waited:?}");
            assert!(!backoff.open(now));
        }
    }

    #[test]
    fn retry_after_lengthens_but_is_bounded() {
        let mut backoff = Backoff::default();
        backoff.fail(Mono(0), Some(Duration::from_secs(60)), 0);
        assert_eq!(wait(&backoff, Mono(0)), Duration::from_secs(60));
        backoff.fail(Mono(0), Some(Duration::from_secs(10_000_000)), 0);
        assert_eq!(wait(&backoff, Mono(0)), RETRY_AFTER_MAX);
    }

    #[test]
    fn a_single_good_answer_does_not_wipe_the_record() {
        let mut backoff = Backoff::default();
        for _ in 0..6 {
            backoff.fail(Mono(0), None, u64::MAX);
        }
        backoff.succeed(Mono(1_000));
        assert!(backoff.open(Mono(1_000)));
        backoff.fail(Mono(2_000), None, 0);
        assert!(wait(&backoff, Mono(2_000)) > FIRST * 16);
        backoff.succeed(Mono(3_000));
        backoff.succeed(Mono(3_000).plus(STABLE));
        backoff.fail(Mono(900_000), None, 0);
        assert!(wait(&backoff, Mono(900_000)) <= FIRST);
    }
}
