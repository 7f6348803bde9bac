//! A server's clock that contradicts what the server itself told before.
//!
//! Watermarks follow the servers' own clocks and only move on. One answer by a clock that was ahead, of one mis-set server
//! behind a balancer or of all of them for an hour, would leave a watermark in the future, and whatever happens until
//! then unseen. So a watermark falls back where the server has not come to it, but not at the first word: one answer by a
//! clock that is *behind* would otherwise have everything fetched again.

use super::time::Mono;

/// Most that two answers may differ beyond the time between them. Seconds.
const AGREE_S: i64 = 600;

/// What the server last said, if that was before its own watermark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behind(Option<(Mono, i64)>);

impl Behind {
    /// The server tells this time, Unix seconds, and what it told before reaches up to `seen`. True if the watermark is
    /// to fall back: it is the second answer in a row that says so.
    pub fn told(&mut self, date: i64, seen: i64, now: Mono) -> bool {
        let before = self.0.take();
        if date >= seen {
            return false;
        }
        self.0 = Some((now, date));
        before.is_some_and(|(then, told)| {
            let passed = i64::try_from(now.since(then).as_secs()).unwrap_or(i64::MAX / 2);
            (date - told - passed).abs() < AGREE_S
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_second_answer_that_agrees_is_believed() {
        let minutes = |n: u64| Mono(n * 60_000);
        let mut behind = Behind::default();
        assert!(!behind.told(1_000_000, 900_000, minutes(0)), "as it should be");
        assert!(!behind.told(1_000_000, 9_000_000, minutes(5)), "the first");
        assert!(behind.told(1_000_310, 9_000_000, minutes(10)), "and the second");
        assert!(
            !behind.told(9_000_000, 9_000_000, minutes(15)),
            "it was one server's alone"
        );
        assert!(!behind.told(1_000_000, 9_000_000, minutes(20)));
        assert!(
            !behind.told(3_000_000, 9_000_000, minutes(25)),
            "they contradict each other"
        );
    }
}
