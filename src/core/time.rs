//! Time on a box without a clock battery.
//!
//! Order never comes from here: it comes from [`Seq`](super::record::Seq). Deadlines are [`Mono`], handed in by the
//! shell as `now`, and never touch the disk. Wall time is for people, for TLS and for the office calendar, and says
//! how far it can be trusted.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The earliest moment this binary can be running at: seconds since the Unix epoch on 1 November 2026.
///
/// A clock that shows less has not been set since power came back.
pub const BUILD_FLOOR: i64 = 1_793_491_200;

/// No box built from this source runs later than 2090: a clock beyond it is broken, not young.
pub const WALL_CEILING: i64 = 3_786_912_000;

/// Milliseconds since some fixed moment of this boot. Never stored, never compared across boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// The moment `after` from now; saturates instead of wrapping.
    pub fn plus(self, after: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Counts openings of the store: a reboot and a restart alike. With a [`Mono`] it names a moment durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub u64);

/// How far the wall clock can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Below the floor or beyond the ceiling: no HTTPS, certificates cannot be judged.
    Unset,
    /// Plausible, confirmed by nobody.
    Floor,
    /// Confirmed by the system's time service or by a peer reached over verified TLS.
    Synced,
}

impl Trust {
    /// The word shown in `status` and telemetry.
    pub fn word(self) -> &'static str {
        match self {
            Trust::Unset => "unset",
            Trust::Floor => "unconfirmed",
            Trust::Synced => "synced",
        }
    }
}

/// A reading of the wall clock: Unix seconds and how far to believe them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    pub unix: i64,
    pub trust: Trust,
}

impl Wall {
    /// Judges a raw clock reading against the highest wall time this box has ever stored.
    pub fn judge(unix: i64, stored_floor: i64, confirmed: bool) -> Wall {
        let floor = stored_floor.max(BUILD_FLOOR);
        let trust = match unix {
            unix if unix < floor || unix > WALL_CEILING => Trust::Unset,
            _ if confirmed => Trust::Synced,
            _ => Trust::Floor,
        };
        Wall { unix, trust }
    }

    /// Unix seconds when they mean something, otherwise nothing.
    pub fn known(self) -> Option<i64> {
        (self.trust != Trust::Unset).then_some(self.unix)
    }
}

/// Now, as the shell read it: both clocks in one value, so that a decision sees one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub mono: Mono,
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_below_the_floor_or_beyond_the_ceiling_is_unset() {
        assert_eq!(Wall::judge(0, 0, true).trust, Trust::Unset);
        assert_eq!(
            Wall::judge(BUILD_FLOOR + 5, BUILD_FLOOR + 10, true).trust,
            Trust::Unset
        );
        assert_eq!(Wall::judge(WALL_CEILING + 1, 0, true).trust, Trust::Unset);
        assert_eq!(Wall::judge(BUILD_FLOOR + 5, 0, false).trust, Trust::Floor);
        assert_eq!(Wall::judge(BUILD_FLOOR + 5, 0, true).trust, Trust::Synced);
    }

    #[test]
    fn mono_saturates_at_both_ends() {
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono(u64::MAX).plus(Duration::from_secs(1)), Mono(u64::MAX));
    }
}
