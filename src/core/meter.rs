//! The month's bytes on the uplink, per line and direction, across restarts, with few writes to the card.
//!
//! What is on disk is a count and a *reserve* above it: while the count stays within the reserve nothing is written.
//! A clean stop writes the exact count and no reserve. After any other end the whole reserve is taken for spent, as
//! bytes nobody can account for: a power cut makes the count at most one reserve too high, never too low but for what
//! passed since the last look. So the budget errs on the side of the bill.
//!
//! The month is the office's, by a clock somebody has confirmed. While nobody has, counting goes on in the month known
//! last; bytes counted before any month is known belong to the first that is. A month earlier than the known one (the
//! clock was wrong before) takes the count over: it may be too high, it is never forgotten.

use super::office_time::month_words;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The lines that are counted, in the order of the figures.
pub const LINES: [&str; 3] = ["primero", "oscar", "mqtt"];
/// Bytes sent and received on each line.
pub type Bytes = [[u64; 2]; 3];
/// Name of the document that keeps the count.
pub const DOCUMENT: &str = "month's bytes";
/// The reserve is a thousandth of the budget within these bounds, and the upper one without a budget: a commit costs
/// the card 28 KB, so a budget of 500 MB spent to the end costs it 28 MB.
const RESERVE_LEAST: u64 = 64_000;
const RESERVE_MOST: u64 = 500_000;

/// What is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    month: Option<i32>,
    bytes: Bytes,
    /// Taken for spent after ends that were not clean.
    unaccounted: u64,
    /// How far the truth may be ahead.
    reserve: u64,
}

impl Kept {
    fn total(&self) -> u64 {
        total(&self.bytes) + self.unaccounted
    }
}

/// The count as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Meter {
    now: Kept,
    on_disk: Kept,
    /// What the lines' own counters, which begin at zero with the program, showed at the last look.
    seen: Bytes,
    budget: Option<u64>,
}

impl Meter {
    /// Goes on from what an earlier run left.
    pub fn resume(kept: Option<Kept>, budget: Option<u64>) -> Meter {
        let on_disk = kept.unwrap_or_default();
        let now = Kept {
            unaccounted: on_disk.unaccounted + on_disk.reserve,
            reserve: 0,
            ..on_disk
        };
        Meter {
            now,
            on_disk,
            seen: Bytes::default(),
            budget,
        }
    }

    /// Counts what has passed since the last look; `month` as [`super::office_time::month`] tells it.
    pub fn look(&mut self, totals: Bytes, month: Option<i32>) {
        if let (Some(known), Some(month)) = (self.now.month, month)
            && month > known
        {
            (self.now.bytes, self.now.unaccounted) = (Bytes::default(), 0);
        }
        self.now.month = month.or(self.now.month);
        for (line, total) in totals.iter().enumerate() {
            for (way, total) in total.iter().enumerate() {
                self.now.bytes[line][way] += total.saturating_sub(self.seen[line][way]);
            }
        }
        self.seen = totals;
    }

    /// What has to go to disk now, if anything; [`Meter::kept`] says that it is there.
    pub fn to_keep(&self) -> Option<Kept> {
        let covered = self.now.total() <= self.on_disk.total() + self.on_disk.reserve;
        let due = !covered || self.now.month != self.on_disk.month;
        let reserve = self.budget.map_or(RESERVE_MOST, |budget| {
            (budget / 1000).clamp(RESERVE_LEAST, RESERVE_MOST)
        });
        (due && self.now != self.on_disk).then_some(Kept { reserve, ..self.now })
    }

    /// What a clean stop leaves behind, unless it is there already.
    pub fn last_word(&self) -> Option<Kept> {
        (self.now != self.on_disk).then_some(self.now)
    }

    pub fn kept(&mut self, kept: Kept) {
        self.on_disk = kept;
    }

    /// Bytes of this month.
    pub fn total(&self) -> u64 {
        self.now.total()
    }

    pub fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// The budget is used up: only urgent events go.
    pub fn spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.total() >= budget)
    }

    /// The count as `status` shows it.
    pub fn json(&self) -> Value {
        let mut out = json!({ "month": self.now.month.map(month_words), "bytes": self.total(),
            "unaccounted": self.now.unaccounted, "budget": self.budget, "spent": self.spent() });
        for (name, [sent, received]) in LINES.iter().zip(self.now.bytes) {
            out[name] = json!({ "sent": sent, "received": received });
        }
        out
    }
}

fn total(bytes: &Bytes) -> u64 {
    bytes.iter().flatten().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOVEMBER: i32 = 2026 * 12 + 10;
    const BUDGET: Option<u64> = Some(100_000_000);

    fn at(sent: u64) -> Bytes {
        [[sent, 0], [0, 0], [0, 0]]
    }

    /// Looks, and writes what has to be written; whether anything had to.
    fn look(meter: &mut Meter, sent: u64, month: Option<i32>) -> bool {
        meter.look(at(sent), month);
        let kept = meter.to_keep();
        kept.into_iter().for_each(|kept| meter.kept(kept));
        kept.is_some()
    }

    #[test]
    fn a_month_of_traffic_is_written_once_per_reserve() {
        let mut meter = Meter::resume(None, BUDGET);
        let mut writes = 0;
        for step in 0..=10_000 {
            writes += u32::from(look(&mut meter, step * 2_000, Some(NOVEMBER)));
        }
        assert_eq!(meter.total(), 20_000_000);
        // A reserve of 100 kB, overstepped by at most one step of 2 kB each time.
        assert!((190..=201).contains(&writes), "{writes}");
    }

    #[test]
    fn a_clean_stop_is_exact_and_a_cut_errs_upwards_by_one_reserve() {
        let mut meter = Meter::resume(None, BUDGET);
        look(&mut meter, 1_000, Some(NOVEMBER));
        assert!(!look(&mut meter, 51_000, Some(NOVEMBER)), "within the reserve");
        // The power goes: what is on disk says 1,000, and that 100,000 more may have passed.
        let mut after = Meter::resume(Some(meter.on_disk), BUDGET);
        assert_eq!(after.total(), 101_000);
        assert_eq!(after.json()["unaccounted"], 100_000);
        assert!(
            !look(&mut after, 0, None),
            "nothing has passed, nothing is written"
        );
        assert!(look(&mut after, 10, None));
        let again = Meter::resume(Some(after.on_disk), BUDGET);
        assert_eq!(again.total(), 201_010, "a cut costs one reserve, not two");
        // A clean stop.
        let last = meter.last_word().expect("not on disk yet");
        meter.kept(last);
        assert_eq!(meter.last_word(), None);
        assert_eq!(Meter::resume(Some(last), BUDGET).total(), 51_000);
    }

    #[test]
    fn a_new_month_begins_at_zero_and_only_by_a_clock_that_is_believed() {
        let mut meter = Meter::resume(None, BUDGET);
        look(&mut meter, 5_000, None);
        look(&mut meter, 6_000, Some(NOVEMBER));
        assert_eq!(meter.json()["month"], "2026-11");
        look(&mut meter, 7_000, None);
        assert_eq!(meter.total(), 7_000, "a clock in doubt turns no page");
        assert!(look(&mut meter, 8_000, Some(NOVEMBER + 1)));
        assert_eq!(meter.total(), 1_000);
        // The clock had been ahead: the count is taken over, not forgotten.
        look(&mut meter, 9_000, Some(NOVEMBER));
        assert_eq!(
            (meter.total(), meter.json()["month"].as_str()),
            (2_000, Some("2026-11"))
        );
        look(&mut meter, 9_500, Some(NOVEMBER + 1));
        assert_eq!(meter.total(), 500);
    }

    #[test]
    fn the_budget_is_spent_when_the_count_says_so() {
        let mut meter = Meter::resume(None, Some(1_000_000));
        look(&mut meter, 999_999, Some(NOVEMBER));
        assert!(!meter.spent());
        look(&mut meter, 1_000_000, Some(NOVEMBER));
        assert!(meter.spent());
        look(&mut meter, 1_000_001, Some(NOVEMBER + 1));
        assert!(!meter.spent());
        assert!(!Meter::resume(None, None).spent());
    }
}
