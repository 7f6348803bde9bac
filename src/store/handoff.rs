//! The hand-off log: append-only, each entry chained to all before it.
//!
//! **Promise.** An entry cannot be changed, swapped or taken out of the middle unnoticed: its hash is
//! `SHA-256(hash before | n | sealed entry)`, and the seal itself is bound to n and to the hash before, so that only
//! the device key can make an entry that fits.
//!
//! **Limits.** The log keeps its last [`KEPT_MAX`] entries, about 7 MB: 50 outcomes a day for almost three years.
//! Beyond that the oldest [`TRIM`] go at once, in one transaction with the entry that was too many, and the hash of
//! the last one that went stays as the checkpoint from which the chain is walked. Cutting off the newest entries
//! is not noticed here: whoever can do that can put back a whole older file.

use super::error::StoreError;
use super::rows::{Handoff, open_document};
use super::seal::Keys;
use super::tables::{Snapshot, Table};
use super::view::CHECKPOINT;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// Entries kept.
pub const KEPT_MAX: u64 = 50_000;
/// Entries that go at a time: their pages are neighbours, so this costs little more than taking out one.
pub(super) const TRIM: u64 = 1_000;

/// First byte of an entry.
const VERSION: u8 = 1;

/// Where the chain stands: the number and hash of an entry; zero before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ChainEnd {
    pub n: u64,
    pub hash: [u8; 32],
}

/// What a walk along the chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Entries present and proven.
    pub entries: u64,
    /// Entries that went before the checkpoint.
    pub trimmed: u64,
    /// Hash of the newest entry, to be noted elsewhere by whoever wants to prove later that none was cut off.
    pub hash: [u8; 32],
}

/// Links an entry to the end of the chain; returns the new end and the row.
pub(super) fn append(keys: &Keys, end: ChainEnd, entry: &Handoff) -> (ChainEnd, Vec<u8>) {
    let n = end.n + 1;
    let sealed = keys.seal(Table::Handoff.index(), &place(n, &end.hash), entry.encode());
    let hash = chained(&end.hash, n, &sealed);
    let mut row = Vec::with_capacity(33 + sealed.len());
    row.push(VERSION);
    row.extend_from_slice(&hash);
    row.extend_from_slice(&sealed);
    (ChainEnd { n, hash }, row)
}

/// The hash and the sealed entry of a row.
pub(super) fn split(row: &[u8]) -> Result<([u8; 32], &[u8]), StoreError> {
    let (hash, sealed) = match row.split_first() {
        Some((&VERSION, rest)) => rest.split_first_chunk::<32>().ok_or(Table::Handoff.damaged())?,
        _ => return Err(Table::Handoff.damaged()),
    };
    Ok((*hash, sealed))
}

/// Walks the chain from the checkpoint, oldest entry first, showing every entry and proving each link.
pub(super) fn verify(
    keys: &Keys,
    snapshot: &Snapshot,
    mut see: impl FnMut(u64, Handoff),
) -> Result<ChainReport, StoreError> {
    let checkpoint: ChainEnd = match snapshot.get(Table::Meta, CHECKPOINT)? {
        Some(row) => open_document(keys, Table::Meta, CHECKPOINT, &row)?,
        None => ChainEnd::default(),
    };
    let mut end = checkpoint;
    let mut plain = Vec::new();
    snapshot.walk(Table::Handoff, &[], |key, row| {
        let n = end.n + 1;
        let (hash, sealed) = split(row)?;
        let fits = key == n.to_be_bytes() && hash == chained(&end.hash, n, sealed);
        if !fits || !keys.open(Table::Handoff.index(), &place(n, &end.hash), sealed, &mut plain) {
            return Err(Table::Handoff.damaged());
        }
        see(n, Handoff::decode(&plain).ok_or(Table::Handoff.damaged())?);
        end = ChainEnd { n, hash };
        Ok(true)
    })?;
    Ok(ChainReport {
        entries: end.n - checkpoint.n,
        trimmed: checkpoint.n,
        hash: end.hash,
    })
}

fn place(n: u64, before: &[u8; 32]) -> [u8; 40] {
    let mut place = [0; 40];
    place[..8].copy_from_slice(&n.to_be_bytes());
    place[8..].copy_from_slice(before);
    place
}

fn chained(before: &[u8; 32], n: u64, sealed: &[u8]) -> [u8; 32] {
    let mut text = Vec::with_capacity(40 + sealed.len());
    text.extend_from_slice(before);
    text.extend_from_slice(&n.to_be_bytes());
    text.extend_from_slice(sealed);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, &text).as_ref());
    hash
}
