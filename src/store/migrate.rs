//! The schema number, and the way from older ones to ours.
//!
//! A store says by which schema it was written. A newer one is refused, never guessed at. An older one is brought
//! forward one step at a time, each step and its new number in one transaction, so that a cut in between leaves a
//! whole store of some version. Rows carry a version byte of their own: a change that can be read row by row needs
//! no step.

use super::error::StoreError;
use super::seal::Keys;
use super::tables::{Snapshot, Staged, Table};
use redb::Database;

/// The schema this program writes.
pub const SCHEMA: u32 = 1;

pub(super) const SCHEMA_KEY: &[u8] = b"schema";

/// Brings a store from one schema to the next: reads the committed state, stages what changes.
pub(super) type Step = fn(&Keys, &Snapshot, &mut Staged) -> Result<(), StoreError>;

/// The step at position n leads from schema n + 1 to n + 2.
pub(super) const STEPS: &[Step] = &[];

const _: () = assert!(
    STEPS.len() + 1 == SCHEMA as usize,
    "one step per schema after the first"
);

pub(super) fn stamp(rows: &mut Staged, schema: u32) {
    rows.set(Table::Meta, SCHEMA_KEY, Some(schema.to_be_bytes().to_vec()));
}

/// Reads the schema number; refuses a later one.
pub(super) fn read_stamp(row: &[u8]) -> Result<u32, StoreError> {
    match row.try_into().map(u32::from_be_bytes) {
        Ok(found) if found > SCHEMA => Err(StoreError::Newer { found, known: SCHEMA }),
        Ok(0) | Err(_) => Err(StoreError::Foreign),
        Ok(found) => Ok(found),
    }
}

/// Takes every step from schema `from` on.
pub(super) fn forward(database: &Database, keys: &Keys, from: u32, steps: &[Step]) -> Result<(), StoreError> {
    let done = usize::try_from(from).expect("a schema number is small") - 1;
    for (step, reached) in steps.iter().skip(done).zip(from + 1..) {
        let mut rows = Staged::default();
        step(keys, &Snapshot::of(database)?, &mut rows)?;
        stamp(&mut rows, reached);
        rows.commit(database)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::DeviceKey;

    fn add(row: &'static [u8]) -> impl Fn(&mut Staged) {
        move |rows| rows.set(Table::Meta, row, Some(row.to_vec()))
    }

    fn to_two(_: &Keys, _: &Snapshot, rows: &mut Staged) -> Result<(), StoreError> {
        add(b"two")(rows);
        Ok(())
    }

    fn to_three(_: &Keys, before: &Snapshot, rows: &mut Staged) -> Result<(), StoreError> {
        assert!(
            before.get(Table::Meta, b"two")?.is_some(),
            "steps see what earlier ones committed"
        );
        add(b"three")(rows);
        Ok(())
    }

    fn failing(_: &Keys, _: &Snapshot, rows: &mut Staged) -> Result<(), StoreError> {
        add(b"half")(rows);
        Err(StoreError::Foreign)
    }

    fn old_store() -> (Database, Keys) {
        let backend = redb::backends::InMemoryBackend::new();
        let database = redb::Builder::new().create_with_backend(backend).expect("opens");
        let mut rows = Staged::default();
        stamp(&mut rows, 1);
        rows.commit(&database).expect("commits");
        (
            database,
            Keys::derive(&DeviceKey::from_bytes([1; 32]), &[2; 16], Table::NAMES),
        )
    }

    fn stamped(database: &Database) -> Vec<u8> {
        let snapshot = Snapshot::of(database).expect("reads");
        snapshot
            .get(Table::Meta, SCHEMA_KEY)
            .expect("reads")
            .expect("is stamped")
    }

    #[test]
    fn an_old_store_is_brought_forward_step_by_step() {
        let (database, keys) = old_store();
        forward(&database, &keys, 1, &[to_two, to_three]).expect("migrates");
        assert_eq!(stamped(&database), 3_u32.to_be_bytes());
        let snapshot = Snapshot::of(&database).expect("reads");
        assert!(snapshot.get(Table::Meta, b"three").expect("reads").is_some());
    }

    #[test]
    fn a_step_that_fails_leaves_the_store_at_the_step_before() {
        let (database, keys) = old_store();
        assert!(forward(&database, &keys, 1, &[to_two, failing]).is_err());
        assert_eq!(stamped(&database), 2_u32.to_be_bytes());
        let snapshot = Snapshot::of(&database).expect("reads");
        assert!(snapshot.get(Table::Meta, b"half").expect("reads").is_none());
    }

    #[test]
    fn a_store_of_the_current_schema_is_left_alone() {
        let (database, keys) = old_store();
        forward(&database, &keys, 1, &[]).expect("has nothing to do");
        assert_eq!(stamped(&database), 1_u32.to_be_bytes());
    }

    #[test]
    fn a_later_schema_is_refused() {
        let found = SCHEMA + 1;
        assert_eq!(
            read_stamp(&found.to_be_bytes()),
            Err(StoreError::Newer { found, known: SCHEMA })
        );
    }
}
