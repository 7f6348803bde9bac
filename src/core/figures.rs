//! Figures of the box itself, for `status` and `health`. What the system does not tell is left out, not guessed.

use super::time::{Trust, Wall};
use serde_json::{Value, json};

/// Why the box started, in the words of `boards/common/root/usr/lib/referral-gateway/boot-reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootReason {
    /// Never before.
    First,
    /// Into a new image.
    Update,
    /// Back from a new image that did not prove itself.
    Rollback,
    Watchdog,
    /// Of the kernel.
    Panic,
    /// The power was cut.
    Power,
    /// In an orderly way.
    Reboot,
    /// A word of another version.
    Unknown,
}

impl BootReason {
    pub const ALL: [BootReason; 8] = [
        BootReason::First,
        BootReason::Update,
        BootReason::Rollback,
        BootReason::Watchdog,
        BootReason::Panic,
        BootReason::Power,
        BootReason::Reboot,
        BootReason::Unknown,
    ];

    pub fn word(self) -> &'static str {
        match self {
            BootReason::First => "first",
            BootReason::Update => "update",
            BootReason::Rollback => "rollback",
            BootReason::Watchdog => "watchdog",
            BootReason::Panic => "panic",
            BootReason::Power => "power",
            BootReason::Reboot => "reboot",
            BootReason::Unknown => "unknown",
        }
    }

    /// Reads a word; one that is not known is [`BootReason::Unknown`], so that nothing foreign is passed on.
    pub fn named(word: &str) -> BootReason {
        let known = BootReason::ALL.into_iter().find(|reason| reason.word() == word);
        known.unwrap_or(BootReason::Unknown)
    }
}

const DAY_S: i64 = 24 * 3600;

/// How long the certificates the gateway shows are good: the one for the broker and the listener's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remaining {
    /// It shows none.
    #[default]
    NoCertificate,
    /// Nobody has confirmed the clock, and by a guess no certificate is called over.
    Unknown,
    /// Whole days until the first of them runs out; below zero once it has.
    Days(i64),
}

impl Remaining {
    /// With `over` the moment the first of them runs out, Unix seconds.
    pub fn of(over: Option<i64>, wall: Wall) -> Remaining {
        match (over, wall.trust) {
            (None, _) => Remaining::NoCertificate,
            (Some(_), Trust::Unset | Trust::Floor) => Remaining::Unknown,
            (Some(over), Trust::Synced) => Remaining::Days((over - wall.unix).div_euclid(DAY_S)),
        }
    }

    pub fn days(self) -> Option<i64> {
        match self {
            Remaining::NoCertificate | Remaining::Unknown => None,
            Remaining::Days(days) => Some(days),
        }
    }
}

/// What was read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub uptime_s: u64,
    /// Nothing where the system keeps no such record.
    pub boot_reason: Option<BootReason>,
    pub memory_kb: Option<u64>,
    pub temperature_c: Option<i64>,
    /// Written to the card since the program started.
    pub flash_bytes: Option<u64>,
    /// Free for this user where the store is, bytes.
    pub disk_free: Option<u64>,
    pub certificate: Remaining,
    pub store_bytes: u64,
    pub commits: u64,
    pub wire_bytes: u64,
}

impl Figures {
    /// As `status` shows them.
    pub fn json(&self) -> Value {
        json!({ "uptime_s": self.uptime_s, "boot_reason": self.boot_reason.map(BootReason::word),
            "memory_kb": self.memory_kb, "temperature_c": self.temperature_c, "flash_bytes": self.flash_bytes,
            "disk_free_b": self.disk_free, "cert_days": self.certificate.days(), "store_bytes": self.store_bytes,
            "commits": self.commits, "wire_bytes": self.wire_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::BUILD_FLOOR;

    #[test]
    fn days_are_counted_by_a_confirmed_clock_alone() {
        let now = BUILD_FLOOR + 1_000_000;
        let days = |over: i64, confirmed| Remaining::of(Some(now + over), Wall::judge(now, 0, confirmed));
        assert_eq!(days(DAY_S, true), Remaining::Days(1));
        assert_eq!(days(DAY_S - 1, true), Remaining::Days(0));
        assert_eq!(days(-1, true), Remaining::Days(-1), "over since a second");
        assert_eq!(days(-1, false), Remaining::Unknown);
        assert_eq!(
            Remaining::of(Some(now), Wall::judge(5, 0, true)),
            Remaining::Unknown
        );
        assert_eq!(
            Remaining::of(None, Wall::judge(now, 0, true)),
            Remaining::NoCertificate
        );
    }

    #[test]
    fn a_foreign_word_is_not_passed_on() {
        for reason in BootReason::ALL {
            assert_eq!(BootReason::named(reason.word()), reason);
        }
        assert_eq!(BootReason::named("<html>"), BootReason::Unknown);
    }
}
