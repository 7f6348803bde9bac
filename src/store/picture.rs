//! What the store keeps in memory: the queue, the ids its events carry, and the box's counters.
//!
//! The picture shows committed state only. While a batch is being put together its changes are tried out on the
//! picture itself, under its lock, and taken back before the lock is let go: a second copy of a queue of 20,000
//! events would cost more memory than all the rest of the store.

use super::handoff::ChainEnd;
use super::seal::Digest;
use crate::core::queue::{Entry, Queue};
use crate::core::record::Seq;
use crate::core::time::BootId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The box's own state, one sealed document in the meta table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct BoxState {
    pub boot: BootId,
    /// Below this every seq is taken; the event table may say more.
    pub next_seq: u64,
    /// Counts MQTT births (design §6).
    pub session: u64,
    /// Highest wall time ever believed.
    pub floor: i64,
}

/// Counters that staged changes move, small enough to copy.
#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub state: BoxState,
    pub next_seq: u64,
    pub chain: ChainEnd,
    /// Hand-off entries kept.
    pub chain_rows: u64,
    /// Rows in the receipt and link tables when the store was opened.
    pub receipts: u64,
    pub links: u64,
}

#[derive(Default)]
pub(super) struct Picture {
    pub queue: Queue,
    /// Ids carried in event rows. Each points at the first event that carries it.
    pub ids: BTreeMap<Digest, Seq>,
    pub counters: Counters,
}

/// A change to the picture.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Entry(Seq, Option<Entry>),
    Id(Digest, Option<Seq>),
}

impl Picture {
    /// Makes a change and returns the one that takes it back.
    pub fn apply(&mut self, change: Change) -> Change {
        match change {
            Change::Entry(seq, entry) => {
                let before = self.queue.get(seq).copied();
                match entry {
                    Some(entry) => self.queue.put(entry),
                    None => drop(self.queue.remove(seq)),
                }
                Change::Entry(seq, before)
            }
            Change::Id(digest, seq) => {
                let before = match seq {
                    Some(seq) => self.ids.insert(digest, seq),
                    None => self.ids.remove(&digest),
                };
                Change::Id(digest, before)
            }
        }
    }
}
