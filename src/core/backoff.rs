//! When a peer that failed may be asked again: capped exponential with full jitter, `Retry-After` honoured, and
//! forgotten only after a stable spell. Deadlines are monotonic and are not stored: a restart may ask at once.
//!
//! A line that comes back may be told to it: the wait is then cut short, but not again before [`RETURN_GAP`] has
//! passed, so that a line which flaps for hours makes no storm.

use super::time::Mono;
use std::time::Duration;

/// The first wait is at most this long; each further failure doubles it.
pub const FIRST: Duration = Duration::from_secs(15);
/// No wait is shorter, however the dice fall.
pub const LEAST: Duration = Duration::from_secs(4);
/// Longest wait for a server that is there and does not do its work.
pub const CAP: Duration = Duration::from_secs(30 * 60);
/// Longest wait for a line: trying one costs a name lookup and a few packets that mostly go nowhere.
pub const LINE_CAP: Duration = Duration::from_secs(5 * 60);
/// A wait is cut short by a returning line at most this often.
pub const RETURN_GAP: Duration = Duration::from_secs(5 * 60);
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
    cut_short: Option<Mono>,
}

impl Backoff {
    /// A failure at `now`. `seed` is any random number; the wait lies anywhere up to the step, which doubles up to
    /// `cap`.
    pub fn fail(&mut self, now: Mono, retry_after: Option<Duration>, cap: Duration, seed: u64) {
        self.good_since = None;
        let step = FIRST.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures = self.failures.saturating_add(1);
        let ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX - 1);
        let jittered = Duration::from_millis(seed % (ms + 1)).max(LEAST);
        let wait = match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX).max(jittered),
            None => jittered,
        };
        self.not_before = Some(now.plus(wait));
    }

    /// The line came back: ask again `after` that, unless that was done a moment ago.
    pub fn cut_short(&mut self, now: Mono, after: Duration) {
        let lately = self.cut_short.is_some_and(|at| now.since(at) < RETURN_GAP);
        if let Some(deadline) = self.not_before
            && !lately
            && deadline > now.plus(after)
        {
            self.not_before = Some(now.plus(after));
            self.cut_short = Some(now);
        }
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
    fn waits_spread_over_a_step_that_doubles_up_to_the_cap() {
        let now = Mono(1_000);
        for failures in 0..40_u32 {
            let full = FIRST.saturating_mul(1 << failures.min(16)).min(CAP);
            let longest = u64::try_from(full.as_millis()).unwrap();
            for (seed, expected) in [(0, LEAST), (longest, full), (longest / 2, (full / 2).max(LEAST))] {
                let mut backoff = Backoff::default();
                (0..failures).for_each(|_| backoff.fail(now, None, CAP, 0));
                backoff.fail(now, None, CAP, seed);
                assert_eq!(wait(&backoff, now), expected, "after {failures} failures");
                assert!(!backoff.open(now));
            }
        }
    }

    #[test]
    fn a_returning_line_cuts_the_wait_short_once_in_a_while() {
        let mut backoff = Backoff::default();
        let fail = |backoff: &mut Backoff, at| {
            (0..8).for_each(|_| backoff.fail(at, None, LINE_CAP, 299_000));
        };
        fail(&mut backoff, Mono(0));
        let settle = Duration::from_secs(2);
        backoff.cut_short(Mono(10_000), settle);
        assert!(backoff.open(Mono(12_000)));
        fail(&mut backoff, Mono(12_000));
        backoff.cut_short(Mono(20_000), settle);
        assert!(!backoff.open(Mono(60_000)), "it had its turn");
        fail(&mut backoff, Mono(300_000));
        backoff.cut_short(Mono(310_000), settle);
        assert!(backoff.open(Mono(312_000)));
    }

    #[test]
    fn retry_after_lengthens_but_is_bounded() {
        let mut backoff = Backoff::default();
        backoff.fail(Mono(0), Some(Duration::from_secs(60)), CAP, 0);
        assert_eq!(wait(&backoff, Mono(0)), Duration::from_secs(60));
        backoff.fail(Mono(0), Some(Duration::from_secs(10_000_000)), CAP, 0);
        assert_eq!(wait(&backoff, Mono(0)), RETRY_AFTER_MAX);
    }

    #[test]
    fn a_single_good_answer_does_not_wipe_the_record() {
        let mut backoff = Backoff::default();
        let longest = u64::try_from(CAP.as_millis()).unwrap();
        for _ in 0..6 {
            backoff.fail(Mono(0), None, CAP, 0);
        }
        backoff.succeed(Mono(1_000));
        assert!(backoff.open(Mono(1_000)));
        backoff.fail(Mono(2_000), None, CAP, FIRST.as_millis() as u64 * 64);
        assert_eq!(wait(&backoff, Mono(2_000)), FIRST * 64);
        backoff.succeed(Mono(3_000));
        backoff.succeed(Mono(3_000).plus(STABLE));
        backoff.fail(Mono(900_000), None, CAP, longest);
        assert!(wait(&backoff, Mono(900_000)) <= FIRST);
    }
}
