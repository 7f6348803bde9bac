//! Purging: content goes soon after an event is closed, its row some time later.
//!
//! **Promise.** A closed event loses its content once it has been closed for `keep_s`, and its row, for a receipt,
//! after as long again. Open events are never touched. Each transaction sees to at most [`STEP_MAX`] events, so
//! that intake never waits long.
//!
//! **Time.** Age is wall time, so nothing goes while the clock is unknown. An event closed under an unknown clock is
//! stamped with the first known time a purge sees: that is later than the truth, so it is kept too long rather than
//! too short, and not for ever.
//!
//! **Limits.** Receipts beyond [`RECEIPTS_MAX`] go, oldest seq first: for those few the same key sent again, years
//! later, is taken for new. What redb has freed stays on the card until its pages are used again or the file is
//! compacted; it stays sealed.

use super::Store;
use super::error::StoreError;
use super::rows::{Receipt, open_document};
use super::seal::Keys;
use super::tables::{Snapshot, Staged, Table};
use super::tx::Tx;
use crate::core::queue::Entry;
use crate::core::record::{Moment, Seq, what};

/// Events one transaction sees to.
pub const STEP_MAX: usize = 32;
/// Receipts kept, about 20 MB: 50 events a day for almost three years.
const RECEIPTS_MAX: u64 = 50_000;
/// Receipts that go at a time: sorting them out means opening all of them, so it is not done at every opening.
const RECEIPTS_TRIM: u64 = 1_000;

/// What a purge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Purged {
    /// Events whose content was destroyed.
    pub erased: u32,
    /// Events that left the queue for a receipt.
    pub retired: u32,
    /// Events closed under an unknown clock, now stamped.
    pub stamped: u32,
}

impl Purged {
    /// Whether there was anything to do.
    pub fn any(self) -> bool {
        self != Purged::default()
    }
}

#[derive(Clone, Copy)]
enum Due {
    Stamp,
    Erase,
    Retire,
}

fn due(entry: &Entry, now_unix: i64, keep_s: i64) -> Option<Due> {
    if !entry.closed {
        return None;
    }
    let Some(changed) = entry.changed.unix() else {
        return Some(Due::Stamp);
    };
    let age = now_unix.saturating_sub(changed);
    match entry.content {
        true => (age >= keep_s).then_some(Due::Erase),
        false => (age >= keep_s.saturating_mul(2)).then_some(Due::Retire),
    }
}

impl Tx<'_> {
    /// One bounded step of a purge, for callers that may not block; to be repeated while [`Purged::any`].
    pub fn purge_step(&mut self, now_unix: i64, keep_s: i64) -> Result<Purged, StoreError> {
        let work: Vec<(Seq, Due)> = self
            .queue()
            .iter()
            .filter_map(|entry| due(entry, now_unix, keep_s).map(|due| (entry.seq, due)))
            .take(STEP_MAX)
            .collect();
        let mut purged = Purged::default();
        for (seq, due) in work {
            let mut head = self.head(seq)?.ok_or(StoreError::Unknown(seq))?;
            match due {
                Due::Stamp => {
                    head.changed = Moment {
                        boot: head.changed.boot,
                        unix: Some(now_unix),
                    };
                    self.update(&head)?;
                    purged.stamped += 1;
                }
                Due::Erase => {
                    // The time of closing stays: the row's own time counts from it.
                    let changed = head.changed;
                    head.note(
                        Moment {
                            boot: self.boot(),
                            unix: Some(now_unix),
                        },
                        what::CONTENT_ERASED,
                        "",
                    );
                    head.changed = changed;
                    // A note may say as much of a child as the content did.
                    head.history.iter_mut().for_each(|step| step.note = None);
                    self.erase_content(&head)?;
                    purged.erased += 1;
                }
                Due::Retire => {
                    self.retire(seq, &Receipt::of(&head))?;
                    purged.retired += 1;
                }
            }
        }
        Ok(purged)
    }
}

/// Takes the receipts that are too many out of the table, oldest seq first. Done at opening.
pub(super) fn trim_receipts(keys: &Keys, snapshot: &Snapshot, rows: &mut Staged) -> Result<(), StoreError> {
    let kept = snapshot.rows(Table::Receipt)?;
    if kept <= RECEIPTS_MAX {
        return Ok(());
    }
    let mut all: Vec<(Seq, Vec<u8>)> = Vec::new();
    snapshot.walk(Table::Receipt, &[], |key, row| {
        let receipt: Receipt = open_document(keys, Table::Receipt, key, row)?;
        all.push((receipt.seq, key.to_vec()));
        Ok(true)
    })?;
    all.sort_unstable();
    let surplus = usize::try_from(kept - RECEIPTS_MAX + RECEIPTS_TRIM).unwrap_or(usize::MAX);
    for (_, key) in all.into_iter().take(surplus) {
        rows.set(Table::Receipt, &key, None);
    }
    Ok(())
}

impl Store {
    /// Purges until nothing is due. Without a known wall time it does nothing.
    pub fn purge(&self, now_unix: Option<i64>, keep_s: i64) -> Result<Purged, StoreError> {
        let mut all = Purged::default();
        let Some(now_unix) = now_unix else {
            return Ok(all);
        };
        loop {
            let step = self.write(move |tx| tx.purge_step(now_unix, keep_s))?;
            if !step.any() {
                return Ok(all);
            }
            all.erased += step.erased;
            all.retired += step.retired;
            all.stamped += step.stamped;
        }
    }
}
