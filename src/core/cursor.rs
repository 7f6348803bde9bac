//! How far Primero's cases have been taken in, and how a pull walks on from there.
//!
//! The key of the walk is the server's own `last_updated_at`, which Primero compares by whole seconds, both ends
//! included (primero-measured.md fact 6). Each page begins at the last second of the page before, so a case saved
//! again meanwhile only moves to the end of the walk and hides nobody (primero.md §9.3). A second too full for one page
//! is read by itself, in an order that does not move, until as many cases were seen as the server counts.
//!
//! A stamp is made before the case can be seen (primero-measured.md fact 7), so what has been read is read again: two
//! minutes back each time, and hours back once in a while ([`Mark::look_again`]).

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

#[cfg(test)]
mod tests;

/// How far behind its watermark every pull begins. Seconds.
pub const OVERLAP_S: i64 = 120;
/// How far a watermark falls back that stands in the future. Seconds.
pub const FALL_BACK_S: i64 = 3 * 24 * 3600;
/// Rows of a page.
pub const PAGE_ROWS: u64 = 200;
/// Rows of a page inside one crowded second; Primero gives no more (primero-measured.md fact 4).
pub const CROWD_ROWS: u64 = 1000;
/// Times a crowded second is begun anew because its count moved.
const ROUNDS_MAX: u32 = 5;
/// Most cases in one second: a nightly job saves 500 in a batch (primero.md §2.10).
const CROWD_MAX: usize = 50_000;
/// Cases whose referrals could not be listed and are still owed; with more, the server is at fault and the pull stops.
pub const OWED_MAX: usize = 64;

/// The case with the newest stamp taken in so far: where nothing is said to have changed, it must still be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    pub id: String,
    pub ms: i64,
}

/// The watermark, kept sealed. All times are Primero's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Everything stamped before this second has been taken in. Unix seconds.
    pub seen: i64,
    #[serde(default)]
    pub last: Option<Last>,
    /// Referrals made before this moment are none of this gateway's business. Unix milliseconds.
    pub start: i64,
    /// What had happened when this store was made: what was referred earlier may have been sent by another box, or by
    /// this one before it lost its store. Unix milliseconds.
    pub born: i64,
    /// Where the next long look back begins, and the one after. Unix seconds.
    pub again: i64,
    pub again_next: i64,
    /// Record ids of cases that Primero failed on: asked about again in every pull.
    #[serde(default)]
    pub owed: Vec<String>,
}

impl Mark {
    /// A first watermark, where the newest stamp on the server is `newest_ms`; `start_s` is the configured day.
    pub fn first(newest_ms: i64, last: Option<Last>, start_s: Option<i64>) -> Mark {
        let seen = start_s.unwrap_or(i64::MAX).min(newest_ms.div_euclid(1000));
        Mark {
            seen,
            last: last.filter(|_| start_s.is_none()),
            start: start_s.map_or(newest_ms + 1, |start| start * 1000),
            born: newest_ms,
            again: seen,
            again_next: seen,
            owed: Vec::new(),
        }
    }

    /// Everything that was there when this store was made has been taken in, as far as it lies after the start.
    pub fn caught_up(&self) -> bool {
        self.seen >= self.born.div_euclid(1000)
    }

    /// Where a pull begins: `again` for a long look back.
    pub fn from(&self, again: bool) -> i64 {
        let from = if again {
            self.again.min(self.seen)
        } else {
            self.seen
        };
        from - OVERLAP_S
    }

    /// Notes that a walk has come this far.
    pub fn advance(&mut self, seen: i64, last: Option<Last>) {
        self.seen = self.seen.max(seen);
        if let Some(last) = last
            && self.last.as_ref().is_none_or(|known| known.ms <= last.ms)
        {
            self.last = Some(last);
        }
    }

    /// By its own clock the server has not come to where this watermark stands ([`super::server_clock`]): everything of
    /// the last days is walked through again.
    pub fn fall_back(&mut self, date: i64) {
        self.seen = date - FALL_BACK_S;
        (self.again, self.again_next) = (self.seen, self.seen);
        // The first meeting cannot have been later than now.
        self.born = self.born.min(date * 1000);
        self.start = self.start.min(date * 1000 + 1);
    }

    /// A long look back has come to its end: the next one begins where this one's predecessor ended, so that a case
    /// that became visible hours after its stamp is met all the same.
    pub fn look_again(&mut self) {
        self.again = self.again_next;
        self.again_next = self.seen;
    }
}

/// What to ask for next. Seconds of the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Everything from here on, oldest first: [`PAGE_ROWS`].
    From(i64),
    /// One second, by short id: [`CROWD_ROWS`], this page of them.
    Second { at: i64, page: u64 },
}

/// Why an answer cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Rows that were not asked for: the filter was ignored (primero.md §2.2).
    Unfiltered,
    /// Not in the order asked for.
    Disordered,
    /// Fewer rows than the server itself counts.
    Short,
    /// A crowded second does not come to rest.
    Restless,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Ask(Ask),
    /// Nothing is left.
    Whole,
    Wrong(Wrong),
}

/// One walk through everything stamped since some second.
#[derive(Debug)]
pub struct Walk {
    ask: Ask,
    /// Everything stamped before this second has been shown in this walk.
    done: i64,
    last: Option<Last>,
    page: Page,
    crowd: Crowd,
}

/// The rows of the answer that is being read.
#[derive(Debug, Default)]
struct Page {
    rows: u64,
    last_ms: Option<i64>,
    wrong: Option<Wrong>,
}

/// What has been seen of a crowded second.
#[derive(Debug, Default)]
struct Crowd {
    ids: HashSet<u128>,
    total: u64,
    rounds: u32,
}

impl Walk {
    pub fn new(from: i64) -> Walk {
        Walk {
            ask: Ask::From(from),
            done: from,
            last: None,
            page: Page::default(),
            crowd: Crowd::default(),
        }
    }

    pub fn ask(&self) -> Ask {
        self.ask
    }

    /// Everything before this second has been shown, and the newest case met so far.
    pub fn done(&self) -> (i64, Option<Last>) {
        (self.done, self.last.clone())
    }

    /// A row of the answer, in the order it came.
    pub fn row(&mut self, id: &str, ms: i64) {
        let second = ms.div_euclid(1000);
        self.page.rows += 1;
        let wrong = match self.ask {
            Ask::From(from) if second < from => Some(Wrong::Unfiltered),
            Ask::From(_) if self.page.last_ms.is_some_and(|before| ms < before) => Some(Wrong::Disordered),
            Ask::Second { at, .. } if second != at => Some(Wrong::Unfiltered),
            _ => None,
        };
        self.page.wrong = self.page.wrong.or(wrong);
        self.page.last_ms = Some(ms);
        if let (Ask::Second { .. }, Ok(id)) = (self.ask, uuid::Uuid::parse_str(id))
            && self.crowd.ids.len() < CROWD_MAX
        {
            self.crowd.ids.insert(id.as_u128());
        }
        if self.last.as_ref().is_none_or(|last| last.ms <= ms) {
            self.last = Some(Last {
                id: id.to_owned(),
                ms,
            });
        }
    }

    /// The answer has come to its end; `total` and `per` are what its metadata says.
    pub fn heard(&mut self, total: u64, per: u64) -> Next {
        let page = std::mem::take(&mut self.page);
        if let Some(wrong) = page.wrong {
            return Next::Wrong(wrong);
        }
        let next = match self.ask {
            Ask::From(from) => self.page_read(from, &page, total, per),
            Ask::Second { at, page: number } => self.crowd_read(at, number, &page, total, per),
        };
        if let Next::Ask(ask) = next {
            self.ask = ask;
        }
        next
    }

    fn page_read(&mut self, from: i64, page: &Page, total: u64, per: u64) -> Next {
        if page.rows != total.min(per) {
            return Next::Wrong(Wrong::Short);
        }
        let second = page.last_ms.map(|ms| ms.div_euclid(1000));
        self.done = self.done.max(second.unwrap_or(from));
        match second {
            None => Next::Whole,
            Some(_) if page.rows == total => Next::Whole,
            Some(second) if second > from => Next::Ask(Ask::From(second)),
            Some(second) => {
                self.crowd = Crowd::default();
                Next::Ask(Ask::Second { at: second, page: 1 })
            }
        }
    }

    fn crowd_read(&mut self, at: i64, number: u64, page: &Page, total: u64, per: u64) -> Next {
        let again = Next::Ask(Ask::Second { at, page: 1 });
        if number == 1 {
            self.crowd.total = total;
        } else if self.crowd.total != total {
            return self.once_more(again);
        }
        let asked = number.saturating_mul(per);
        if asked < total && page.rows == per {
            return Next::Ask(Ask::Second { at, page: number + 1 });
        }
        if asked < total || (self.crowd.ids.len() as u64) < total {
            return self.once_more(again);
        }
        self.done = self.done.max(at + 1);
        Next::Ask(Ask::From(at + 1))
    }

    fn once_more(&mut self, again: Next) -> Next {
        self.crowd.rounds += 1;
        if self.crowd.rounds > ROUNDS_MAX {
            return Next::Wrong(Wrong::Restless);
        }
        again
    }
}

/// A stamp as Primero writes it, in Unix milliseconds.
pub fn stamp_ms(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.timestamp_millis())
}
