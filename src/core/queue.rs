//! The queue as a picture in memory: one small row per stored event, enough to know what may be worked on next.
//!
//! It is rebuilt from the store at start and changed only after a commit. Order is kept per subject (lane): of the
//! open events of one child only the oldest may move; all other lanes flow. A write-back (a decision or an id that
//! must still reach Primero) belongs to a delivered event and waits for nobody.

use super::planted::{Defect, planted};
use super::record::{Head, Peer, Seq, State, Subject};
use super::station::StationId;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::num::NonZeroU32;

/// Short digest of an event key.
pub type KeyDigest = [u8; 16];

/// Unix seconds in half the room of a number that may be missing. What it cannot say, before 1970 or after 2106, counts
/// as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp(Option<NonZeroU32>);

impl Stamp {
    pub fn of(unix: Option<i64>) -> Stamp {
        Stamp(
            unix.and_then(|unix| u32::try_from(unix).ok())
                .and_then(NonZeroU32::new),
        )
    }

    pub fn unix(self) -> Option<i64> {
        self.0.map(|unix| i64::from(unix.get()))
    }
}

/// What the queue knows of one event. As many as the queue may hold are in memory: each byte here is 20 kB of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: Seq,
    pub key: KeyDigest,
    pub subject: Subject,
    pub state: State,
    pub next_peer: Option<Peer>,
    pub urgent: bool,
    /// See [`Head::holds_lane`].
    pub holds_lane: bool,
    /// Delivered, and the NGO's decision is still awaited.
    pub undecided: bool,
    /// OSCaR was told something that no pull has shown there yet.
    pub told: bool,
    /// Nothing more can happen; the content may go once `keep_delivered` has passed.
    pub closed: bool,
    /// Whether the sealed content is still there.
    pub content: bool,
    /// The last change, where the clock was plausible.
    pub changed: Stamp,
    /// The intake, where the clock was plausible.
    pub created: Stamp,
    /// Size of the stored row.
    pub bytes: u32,
    /// Who sent it, for a station that asks after its own.
    pub station: Option<StationId>,
}

impl Entry {
    /// The row for a head stored under this key digest in this many bytes.
    pub fn of(head: &Head, key: KeyDigest, bytes: u32, content: bool) -> Entry {
        Entry {
            seq: head.seq,
            key,
            subject: head.subject,
            state: head.state,
            next_peer: head.next_peer(),
            urgent: head.urgent,
            holds_lane: head.holds_lane(),
            undecided: head.undecided(),
            told: head.report_unseen(),
            closed: head.closed(),
            content,
            changed: Stamp::of(head.changed.unix),
            created: Stamp::of(head.created.unix),
            bytes,
            station: head.station,
        }
    }
}

fn half(key: &KeyDigest) -> u64 {
    key.iter()
        .take(8)
        .fold(0, |half, byte| half << 8 | u64::from(*byte))
}

/// Counts shown in `status` and telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    pub pending: u32,
    pub in_doubt: u32,
    pub parked: u32,
    pub delivered: u32,
    pub discarded: u32,
    /// Stored bytes of open events.
    pub open_bytes: u64,
}

impl Counts {
    /// Events that hold a place in the queue: the ones `queue_events` bounds.
    pub fn open(&self) -> u32 {
        self.pending + self.in_doubt + self.parked
    }

    fn of_mut(&mut self, state: State) -> &mut u32 {
        match state {
            State::Pending => &mut self.pending,
            State::InDoubt => &mut self.in_doubt,
            State::Parked => &mut self.parked,
            State::Delivered => &mut self.delivered,
            State::Discarded => &mut self.discarded,
        }
    }
}

/// All stored events, in order of acceptance.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// By seq. New events come at the back and old ones go at the front, where both cost nothing; a B-tree filled in
    /// order takes twice the room.
    entries: VecDeque<Entry>,
    /// The first half of each key's digest, with its seq; the row has the rest. A tree, because a hash table of 30,000
    /// takes twice the room, and three times while it grows.
    keys: BTreeSet<(u64, Seq)>,
    counts: Counts,
}

impl Queue {
    pub fn get(&self, seq: Seq) -> Option<&Entry> {
        self.place(seq).ok().map(|at| &self.entries[at])
    }

    /// Where the row of this seq is, or would be.
    fn place(&self, seq: Seq) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&seq, |entry| entry.seq)
    }

    pub fn by_key(&self, key: &KeyDigest) -> Option<Seq> {
        let half = half(key);
        let same_half = self.keys.range((half, Seq(0))..=(half, Seq(u64::MAX)));
        let known = |seq: &Seq| self.get(*seq).is_some_and(|entry| entry.key == *key);
        same_half.map(|(_, seq)| *seq).find(known)
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries in order of acceptance.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Puts a row in, replacing an earlier one of the same seq.
    pub fn put(&mut self, entry: Entry) {
        if let Some(before) = self.get(entry.seq).copied() {
            self.forget(&before);
        }
        *self.counts.of_mut(entry.state) += 1;
        if entry.state.open() {
            self.counts.open_bytes += u64::from(entry.bytes);
        }
        self.keys.insert((half(&entry.key), entry.seq));
        match self.place(entry.seq) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, seq: Seq) -> Option<Entry> {
        let at = self.place(seq).ok()?;
        let entry = self.entries.remove(at)?;
        self.forget(&entry);
        Some(entry)
    }

    /// Takes a row out of the counts and the keys.
    fn forget(&mut self, entry: &Entry) {
        *self.counts.of_mut(entry.state) -= 1;
        if entry.state.open() {
            self.counts.open_bytes -= u64::from(entry.bytes);
        }
        self.keys.remove(&(half(&entry.key), entry.seq));
    }

    /// What may be worked on now at this peer: the head of every lane that waits for it, and every write-back. Urgent
    /// ones first, each group oldest first; a lane keeps its order whatever is urgent in it.
    pub fn runnable(&self, peer: Peer) -> Vec<Seq> {
        let mut lanes: HashSet<Subject> = HashSet::new();
        let mut out = Vec::new();
        for entry in &self.entries {
            let first_of_lane =
                entry.holds_lane && (lanes.insert(entry.subject) || planted(Defect::LaneIgnored));
            let free = first_of_lane || entry.state == State::Delivered;
            if free && entry.next_peer == Some(peer) {
                out.push(entry.seq);
            }
        }
        out.sort_by_key(|seq| self.get(*seq).is_some_and(|entry| !entry.urgent));
        out
    }

    /// What of it may go when only the urgent may: urgent events, and the head of every lane in which one waits, for a
    /// lane keeps its order.
    pub fn only_urgent(&self, mut work: Vec<Seq>) -> Vec<Seq> {
        let waiting = self
            .entries
            .iter()
            .filter(|entry| entry.urgent && entry.holds_lane);
        let lanes: HashSet<Subject> = waiting.map(|entry| entry.subject).collect();
        work.retain(|seq| {
            let entry = self.get(*seq);
            entry.is_some_and(|entry| entry.urgent || entry.holds_lane && lanes.contains(&entry.subject))
        });
        work
    }

    /// Whether something could be sent although only the urgent may go.
    pub fn urgent_waiting(&self) -> bool {
        let waits = |peer| !self.only_urgent(self.runnable(peer)).is_empty();
        Peer::BOTH.into_iter().any(waits)
    }

    /// The oldest open event, for "oldest age" in status.
    pub fn oldest_open(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.state.open())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, lane: u8, state: State, next_peer: Option<Peer>) -> Entry {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&seq.to_be_bytes());
        Entry {
            seq: Seq(seq),
            key,
            subject: Subject([lane; 16]),
            state,
            next_peer,
            urgent: false,
            holds_lane: state.open(),
            undecided: false,
            told: false,
            closed: false,
            content: true,
            changed: Stamp::default(),
            created: Stamp::default(),
            bytes: 100,
            station: None,
        }
    }

    #[test]
    fn only_the_oldest_open_event_of_a_child_may_move() {
        let mut queue = Queue::default();
        queue.put(entry(1, 1, State::Parked, None));
        queue.put(entry(2, 1, State::Pending, Some(Peer::Primero)));
        queue.put(entry(3, 2, State::Pending, Some(Peer::Primero)));
        queue.put(entry(4, 2, State::Pending, Some(Peer::Primero)));
        queue.put(entry(5, 3, State::Pending, Some(Peer::Oscar)));
        assert_eq!(queue.runnable(Peer::Primero), vec![Seq(3)]);
        assert_eq!(queue.runnable(Peer::Oscar), vec![Seq(5)]);
    }

    #[test]
    fn a_child_at_high_risk_goes_first_but_not_past_its_own_lane() {
        let mut queue = Queue::default();
        let urgent = |seq, lane| Entry {
            urgent: true,
            ..entry(seq, lane, State::Pending, Some(Peer::Primero))
        };
        queue.put(entry(1, 1, State::Pending, Some(Peer::Primero)));
        queue.put(urgent(2, 1));
        queue.put(entry(3, 2, State::Pending, Some(Peer::Primero)));
        queue.put(urgent(4, 3));
        assert_eq!(queue.runnable(Peer::Primero), vec![Seq(4), Seq(1), Seq(3)]);
    }

    #[test]
    fn what_is_urgent_takes_along_what_stands_before_it_in_its_lane() {
        let mut queue = Queue::default();
        let urgent = |seq, lane, peer| Entry {
            urgent: true,
            ..entry(seq, lane, State::Pending, peer)
        };
        queue.put(entry(1, 1, State::Pending, Some(Peer::Primero)));
        queue.put(urgent(2, 1, Some(Peer::Primero)));
        queue.put(entry(3, 2, State::Pending, Some(Peer::Primero)));
        queue.put(entry(4, 1, State::Delivered, Some(Peer::Primero)));
        assert_eq!(queue.only_urgent(queue.runnable(Peer::Primero)), vec![Seq(1)]);
        assert!(queue.urgent_waiting());
        queue.remove(Seq(2));
        assert!(!queue.urgent_waiting());
        queue.put(urgent(5, 3, Some(Peer::Oscar)));
        assert!(queue.urgent_waiting());
    }

    #[test]
    fn what_was_delivered_and_then_parked_holds_up_nobody() {
        let mut queue = Queue::default();
        let parked = entry(1, 1, State::Parked, None);
        queue.put(Entry {
            holds_lane: false,
            ..parked
        });
        queue.put(entry(2, 1, State::Pending, Some(Peer::Oscar)));
        assert_eq!(queue.runnable(Peer::Oscar), vec![Seq(2)]);
        queue.put(parked);
        assert!(queue.runnable(Peer::Oscar).is_empty());
    }

    #[test]
    fn a_write_back_passes_a_stuck_lane() {
        let mut queue = Queue::default();
        queue.put(entry(1, 1, State::Delivered, Some(Peer::Primero)));
        queue.put(entry(2, 1, State::InDoubt, None));
        assert_eq!(queue.runnable(Peer::Primero), vec![Seq(1)]);
    }

    #[test]
    fn keys_that_begin_alike_are_told_apart() {
        let mut queue = Queue::default();
        let row = |seq, last| {
            let mut row = entry(seq, 1, State::Pending, None);
            row.key[..8].fill(7);
            row.key[15] = last;
            row
        };
        queue.put(row(1, 1));
        queue.put(row(2, 2));
        assert_eq!(queue.by_key(&row(0, 1).key), Some(Seq(1)));
        assert_eq!(queue.by_key(&row(0, 2).key), Some(Seq(2)));
        assert_eq!(queue.by_key(&row(0, 3).key), None);
        queue.remove(Seq(1));
        assert_eq!(queue.by_key(&row(0, 1).key), None);
        assert_eq!(queue.by_key(&row(0, 2).key), Some(Seq(2)));
    }

    #[test]
    fn a_row_is_small_and_its_times_are_whole() {
        assert_eq!(size_of::<Entry>(), 64);
        for unix in [None, Some(1), Some(1_795_366_800), Some(i64::from(u32::MAX))] {
            assert_eq!(Stamp::of(unix).unix(), unix);
        }
        assert_eq!(Stamp::of(Some(-5)).unix(), None);
        assert_eq!(Stamp::of(Some(i64::from(u32::MAX) + 1)).unix(), None);
    }

    #[test]
    fn counts_follow_every_change() {
        let mut queue = Queue::default();
        queue.put(entry(1, 1, State::Pending, None));
        queue.put(entry(1, 1, State::Delivered, None));
        queue.put(entry(2, 1, State::Pending, None));
        assert_eq!((queue.counts().pending, queue.counts().delivered), (1, 1));
        assert_eq!(queue.counts().open_bytes, 100);
        queue.remove(Seq(2));
        assert_eq!((queue.counts().open(), queue.counts().open_bytes), (0, 0));
        assert!(queue.by_key(&entry(2, 1, State::Pending, None).key).is_none());
    }
}
