//! The five tables, their keys, and the changes a batch has staged for them.
//!
//! Every table maps bytes to bytes: one code path reads, stages and applies them all, and big-endian numbers sort
//! as numbers. Which table a change belongs to is part of its place, so that applying a batch walks each B-tree
//! once, in key order.

use super::error::StoreError;
use crate::core::record::{Seq, Subject};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use std::collections::BTreeMap;

/// One B-tree each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// seq -> event row (`rows.rs`).
    Event,
    /// key digest -> sealed receipt of an event that has left `Event`.
    Receipt,
    /// `L` subject -> sealed link; `I` id digest -> subject.
    Link,
    /// Fixed names -> the box's own state; `D` name digest -> sealed document of the program.
    Meta,
    /// n -> chained hash and sealed outcome.
    Handoff,
}

impl Table {
    pub const NAMES: [&'static str; 5] = ["event", "receipt", "link", "meta", "handoff"];

    pub fn name(self) -> &'static str {
        Table::NAMES[self.index()]
    }

    /// Position in [`Table::NAMES`] and among the sealing keys.
    pub fn index(self) -> usize {
        match self {
            Table::Event => 0,
            Table::Receipt => 1,
            Table::Link => 2,
            Table::Meta => 3,
            Table::Handoff => 4,
        }
    }

    fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }

    pub fn damaged(self) -> StoreError {
        StoreError::Damaged { table: self.name() }
    }
}

pub(super) fn seq_key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

pub(super) fn link_key(subject: Subject) -> [u8; 17] {
    prefixed(b'L', subject.0)
}

pub(super) fn id_key(digest: [u8; 16]) -> [u8; 17] {
    prefixed(b'I', digest)
}

pub(super) fn document_key(digest: [u8; 16]) -> [u8; 17] {
    prefixed(b'D', digest)
}

fn prefixed(prefix: u8, rest: [u8; 16]) -> [u8; 17] {
    let mut key = [prefix; 17];
    key[1..].copy_from_slice(&rest);
    key
}

type OpenTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
/// Key and value.
type Row = (Vec<u8>, Vec<u8>);

/// A committed state of the file, for reading.
pub(super) struct Snapshot(ReadTransaction);

impl Snapshot {
    pub fn of(database: &impl ReadableDatabase) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(database.begin_read()?))
    }

    fn open(&self, table: Table) -> Result<Option<OpenTable>, StoreError> {
        match self.0.open_table(table.definition()) {
            Ok(open) => Ok(Some(open)),
            // Tables are made by the first row that goes into them.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(TableError::Storage(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Foreign),
        }
    }

    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(None);
        };
        Ok(open.get(key)?.map(|value| value.value().to_vec()))
    }

    pub fn rows(&self, table: Table) -> Result<u64, StoreError> {
        use redb::ReadableTableMetadata;
        Ok(self.open(table)?.map_or(Ok(0), |open| open.len())?)
    }

    /// Shows every row from `start` on, in key order, until `see` says stop.
    pub fn walk(
        &self,
        table: Table,
        start: &[u8],
        mut see: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(());
        };
        for row in open.range(start..)? {
            let (key, value) = row?;
            if !see(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }

    pub fn last(&self, table: Table) -> Result<Option<Row>, StoreError> {
        let Some(open) = self.open(table)? else {
            return Ok(None);
        };
        Ok(open
            .last()?
            .map(|(key, value)| (key.value().to_vec(), value.value().to_vec())))
    }

    /// Whether the file holds any table at all.
    pub fn blank(&self) -> Result<bool, StoreError> {
        Ok(self.0.list_tables()?.next().is_none() && self.0.list_multimap_tables()?.next().is_none())
    }
}

/// Writes every row of a snapshot into another database, in one transaction.
pub(super) fn copy_rows(from: &Snapshot, to: &Database) -> Result<(), StoreError> {
    let transaction = to.begin_write()?;
    for table in [
        Table::Event,
        Table::Receipt,
        Table::Link,
        Table::Meta,
        Table::Handoff,
    ] {
        // Tables are made by the first row that goes into them.
        if from.rows(table)? == 0 {
            continue;
        }
        let mut open = transaction.open_table(table.definition())?;
        from.walk(table, &[], |key, row| {
            open.insert(key, row)?;
            Ok(true)
        })?;
    }
    transaction.commit()?;
    Ok(())
}

/// Rows to write and rows to take out, by place.
#[derive(Default)]
pub(super) struct Staged(BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>);

impl Staged {
    pub fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        self.0.insert((table, key.to_vec()), value);
    }

    /// What is staged for a place: nothing, or its new value, or its removal.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.0.get(&(table, key.to_vec()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds later changes, which win.
    pub fn take_over(&mut self, later: &mut Staged) {
        self.0.append(&mut later.0);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes everything in one durable transaction.
    ///
    /// One-phase commit: redb's checksums tell a torn commit from a whole one, and an attacker who picks values and
    /// times power cuts would have to break the sealing first. No quick repair: it doubles the syncs and adds half
    /// to the bytes of every small commit, to save a walk of a file we keep small (15 ms at 3 MB after a cut).
    pub fn commit(&self, database: &Database) -> Result<(), StoreError> {
        let transaction = database.begin_write()?;
        for table in [
            Table::Event,
            Table::Receipt,
            Table::Link,
            Table::Meta,
            Table::Handoff,
        ] {
            let mut changes = self
                .0
                .range((table, Vec::new())..)
                .take_while(|((of, _), _)| *of == table)
                .peekable();
            if changes.peek().is_none() {
                continue;
            }
            let mut open = transaction.open_table(table.definition())?;
            for ((_, key), value) in changes {
                match value {
                    Some(value) => drop(open.insert(key.as_slice(), value.as_slice())?),
                    None => drop(open.remove(key.as_slice())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
