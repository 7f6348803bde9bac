//! How long to wait before the broker is tried again: capped exponential with full jitter.

use std::time::Duration;

/// Upper end of the first pause.
const FIRST: Duration = Duration::from_secs(1);
/// Upper end of every later one: a broker that comes back is noticed within five minutes.
const LONGEST: Duration = Duration::from_secs(300);
/// No pause is shorter: a broker that refuses at once must not be hammered.
const SHORTEST: Duration = Duration::from_millis(250);
/// A connection that held this long was a good one.
pub const STABLE: Duration = Duration::from_secs(60);

pub struct Pause {
    failures: u32,
    seed: u64,
}

impl Pause {
    pub fn new(seed: u64) -> Pause {
        Pause { failures: 0, seed }
    }

    /// The pause after a connection that held for `held`, zero if it never came about.
    pub fn after(&mut self, held: Duration) -> Duration {
        if held >= STABLE {
            self.failures = 0;
        }
        let ceiling = LONGEST.min(FIRST * 2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        let share = (self.random() >> 32) as u32;
        SHORTEST.max(ceiling.mul_f64(f64::from(share) / f64::from(u32::MAX)))
    }

    /// SplitMix64: spreads the gateways of a fleet apart, nothing more is asked of it.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_start_over_after_a_stable_spell() {
        let longest_of = |failures: usize| {
            (0..200_u64)
                .map(|seed| {
                    let mut pause = Pause::new(seed);
                    (0..=failures)
                        .map(|_| pause.after(Duration::ZERO))
                        .last()
                        .unwrap()
                })
                .max()
                .unwrap()
        };
        assert!(longest_of(0) <= FIRST);
        assert!(longest_of(4) > Duration::from_secs(12) && longest_of(4) <= Duration::from_secs(16));
        assert!(longest_of(100) > LONGEST * 9 / 10 && longest_of(100) <= LONGEST);

        let mut pause = Pause::new(7);
        for _ in 0..20 {
            assert!(pause.after(STABLE / 2) >= SHORTEST);
        }
        assert!(pause.after(STABLE) <= FIRST);
    }

    #[test]
    fn gateways_with_different_seeds_come_back_at_different_times() {
        let third = |seed| {
            let mut pause = Pause::new(seed);
            (0..3).map(|_| pause.after(Duration::ZERO)).last().unwrap()
        };
        assert_ne!(third(1), third(2));
    }
}
