//! The picture in memory, made from the rows: every head is opened once, at opening, its history left aside.
//!
//! Opening a head is mostly parsing, so the rows of a larger store are shared out among the cores. Content is not
//! read: redb hands out whole rows, but only their heads are kept.

use super::error::StoreError;
use super::handoff::{self, ChainEnd};
use super::picture::{BoxState, Change, Picture};
use super::rows::{glance, open_document, split_event};
use super::seal::{Digest, Keys};
use super::tables::{Snapshot, Table};
use super::view::{BOX, CHECKPOINT};
use crate::core::queue::Entry;
use crate::core::record::Seq;

/// Rows opened at a time: enough to be worth a thread, and so many sealed heads take about 200 KB.
const CHUNK: usize = 256;
/// No board has more cores.
const CORES_MAX: usize = 4;

/// A row's place, its sealed head, and how long it is with its content.
struct Found {
    seq: Seq,
    head: Vec<u8>,
    row_bytes: u32,
}

/// What the picture needs of a row.
struct Seen {
    entry: Entry,
    ids: Vec<Digest>,
    leased: bool,
}

/// Reads every head once. Returns the picture, and the events somebody had in hand.
pub(super) fn scan(snapshot: &Snapshot, keys: &Keys) -> Result<(Picture, Vec<Seq>), StoreError> {
    let mut picture = Picture::default();
    let mut leased = Vec::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    snapshot.walk(Table::Event, &[], |key, row| {
        let seq = key.try_into().map_err(|_| Table::Event.damaged())?;
        let (_, content) = split_event(row)?;
        chunk.push(Found {
            seq: Seq(u64::from_be_bytes(seq)),
            head: row[..row.len() - content.len()].to_vec(),
            row_bytes: u32::try_from(row.len()).map_err(|_| Table::Event.damaged())?,
        });
        if chunk.len() == CHUNK {
            take_in(keys, &mut chunk, &mut picture, &mut leased)?;
        }
        Ok(true)
    })?;
    take_in(keys, &mut chunk, &mut picture, &mut leased)?;
    count(snapshot, keys, &mut picture)?;
    Ok((picture, leased))
}

/// Opens the heads of a chunk and puts them into the picture, in order.
fn take_in(
    keys: &Keys,
    chunk: &mut Vec<Found>,
    picture: &mut Picture,
    leased: &mut Vec<Seq>,
) -> Result<(), StoreError> {
    let cores = if chunk.len() < CHUNK {
        1
    } else {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(CORES_MAX))
    };
    let share = chunk.len().div_ceil(cores).max(1);
    let seen: Result<Vec<Vec<Seen>>, StoreError> = std::thread::scope(|scope| {
        let mut shares = chunk.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(move || look(keys, share)))
            .collect();
        let own = look(keys, own);
        let others = others
            .into_iter()
            .map(|other| other.join().expect("opening a row does not panic"));
        std::iter::once(own).chain(others).collect()
    });
    for seen in seen?.into_iter().flatten() {
        let seq = seen.entry.seq;
        picture.counters.next_seq = seq.0 + 1;
        picture.queue.put(seen.entry);
        for id in seen.ids {
            if !picture.ids.contains_key(&id) {
                picture.apply(Change::Id(id, Some(seq)));
            }
        }
        if seen.leased {
            leased.push(seq);
        }
    }
    chunk.clear();
    Ok(())
}

fn look(keys: &Keys, found: &[Found]) -> Result<Vec<Seen>, StoreError> {
    let mut scratch = Vec::new();
    found
        .iter()
        .map(|found| {
            let envelope = glance(keys, found.seq, &found.head, &mut scratch)?;
            let digest = keys.digest("key", envelope.head.key.as_bytes());
            let content = envelope.content_key.is_some();
            Ok(Seen {
                entry: Entry::of(&envelope.head, digest, found.row_bytes, content),
                ids: envelope.ids,
                leased: envelope.head.lease.is_some(),
            })
        })
        .collect()
}

/// The counters, from the box's own state and the ends of the tables.
fn count(snapshot: &Snapshot, keys: &Keys, picture: &mut Picture) -> Result<(), StoreError> {
    let counters = &mut picture.counters;
    if let Some(row) = snapshot.get(Table::Meta, BOX)? {
        counters.state = open_document::<BoxState>(keys, Table::Meta, BOX, &row)?;
    }
    counters.next_seq = counters.next_seq.max(counters.state.next_seq).max(1);
    if let Some((key, row)) = snapshot.last(Table::Handoff)? {
        let n = key.as_slice().try_into().map_err(|_| Table::Handoff.damaged())?;
        let (hash, _) = handoff::split(&row)?;
        counters.chain = ChainEnd {
            n: u64::from_be_bytes(n),
            hash,
        };
    } else if let Some(row) = snapshot.get(Table::Meta, CHECKPOINT)? {
        counters.chain = open_document(keys, Table::Meta, CHECKPOINT, &row)?;
    }
    counters.chain_rows = snapshot.rows(Table::Handoff)?;
    counters.receipts = snapshot.rows(Table::Receipt)?;
    counters.links = snapshot.rows(Table::Link)?;
    Ok(())
}
