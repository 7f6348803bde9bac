//! Guards against a store opened twice, by an older program, or by the wrong one, and against an opening that
//! trusts anything but the rows.

use super::disk::Disk;
use super::samples::{T0, event_key, fingerprint, head, intake, key, no_recovery, open_on, payload, subject};
use redb::TableDefinition;
use referral_gateway::core::record::Seq;
use referral_gateway::core::time::BUILD_FLOOR;
use referral_gateway::store::{SCHEMA, Store, StoreError};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

const META: TableDefinition<&[u8], &[u8]> = TableDefinition::new("meta");

fn put_meta(disk: &Disk, name: &[u8], value: &[u8]) {
    let database = redb::Builder::new()
        .create_with_backend(disk.clone())
        .expect("opens");
    let write = database.begin_write().expect("writes");
    write
        .open_table(META)
        .expect("is there")
        .insert(name, value)
        .expect("writes");
    write.commit().expect("commits");
}

#[test]
fn a_newer_schema_is_refused_and_left_untouched() {
    let disk = Disk::default();
    drop(open_on(&disk).expect("opens"));
    let found = SCHEMA + 1;
    put_meta(&disk, b"schema", &found.to_be_bytes());
    let refused = open_on(&disk).err().expect("is refused");
    assert_eq!(refused, StoreError::Newer { found, known: SCHEMA });
    assert!(refused.to_string().contains("install the newer version"));
    put_meta(&disk, b"schema", &SCHEMA.to_be_bytes());
    let (_, opened) = open_on(&disk).expect("opens again");
    assert_eq!(opened.boot.0, 2, "the refused opening was no boot");
}

#[test]
fn a_database_that_is_not_ours_is_refused() {
    let disk = Disk::default();
    put_meta(&disk, b"something", b"else");
    assert_eq!(open_on(&disk).err(), Some(StoreError::Foreign));
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database at all, but somebody's notes".repeat(500)).expect("writes");
    assert_eq!(
        Store::open(&path, key(), None, &no_recovery).err(),
        Some(StoreError::Foreign)
    );
}

#[test]
fn a_second_opening_of_the_same_file_is_refused() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("store.redb");
    let (store, _) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens");
    let refused = Store::open(&path, key(), Some(T0), &no_recovery).err();
    assert_eq!(refused, Some(StoreError::InUse { path: path.clone() }));
    store.write(intake(1)).expect("the first one goes on");
    let clone = store.clone();
    drop(store);
    assert!(
        Store::open(&path, key(), Some(T0), &no_recovery).is_err(),
        "a clone still holds it"
    );
    drop(clone);
    let (store, _) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens again");
    assert_eq!(store.queue(|queue| queue.len()), 1);
    let mode = std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("reads").count(),
        1,
        "no draft stays behind"
    );
    assert!(store.figures().file_bytes > 0);
}

#[test]
fn the_floor_the_session_and_documents_survive() {
    let disk = Disk::default();
    let (store, opened) = open_on(&disk).expect("opens");
    assert_eq!((opened.stored_floor, opened.session), (0, 0));
    store
        .write(|tx| {
            tx.raise_floor(T0 + 5);
            tx.raise_floor(T0);
            assert_eq!(tx.next_session(), 1);
            tx.meta_put("cursor", &("watermark", 17));
            tx.meta_put("gone", &1);
            tx.meta_remove("gone");
            Ok::<(), StoreError>(())
        })
        .expect("is stored");
    drop(store);
    let (store, opened) = open_on(&disk).expect("opens");
    assert_eq!(
        (opened.stored_floor, opened.session, opened.boot.0),
        (T0 + 5, 1, 2)
    );
    let cursor = store
        .read(|view| view.meta_get::<(String, u32)>("cursor"))
        .expect("reads");
    assert_eq!(cursor, Some(("watermark".to_owned(), 17)));
    assert_eq!(store.read(|view| view.meta_get::<u32>("gone")), Ok(None));
}

#[test]
fn a_clock_below_the_stored_floor_is_not_written_down() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    store
        .write(|tx| {
            tx.raise_floor(T0);
            let mut head = head(tx.next_seq(), tx.boot(), 1);
            head.lease = Some(tx.boot());
            tx.insert(&head, &payload(1), &[])
        })
        .expect("is stored");
    drop(store);
    for (wall, known) in [
        (None, None),
        (Some(0), None),
        (Some(BUILD_FLOOR), None),
        (Some(T0 + 1), Some(T0 + 1)),
    ] {
        let seen = std::cell::Cell::new(None);
        let recover = |_: &mut _, at: referral_gateway::core::record::Moment| {
            seen.set(Some(at.unix));
            false
        };
        Store::open_on(disk.clone(), key(), wall, &recover).expect("opens");
        assert_eq!(seen.get(), Some(known), "{wall:?}");
    }
}

#[test]
fn ids_lead_to_their_child_before_and_after_reopening() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    store.write(intake(1)).expect("is accepted");
    store.write(intake(2)).expect("is accepted");
    store
        .write(|tx| {
            // A person found out that these two are one child.
            tx.put_id(&fingerprint(2), subject(1));
            Ok::<(), StoreError>(())
        })
        .expect("is stored");
    let audit = |store: &Store| {
        let found = store.read(|view| Ok([1, 2, 3].map(|n| view.subject_of(&fingerprint(n)))));
        assert_eq!(
            found.expect("reads"),
            [Ok(Some(subject(1))), Ok(Some(subject(1))), Ok(None)]
        );
    };
    audit(&store);
    drop(store);
    audit(&open_on(&disk).expect("opens").0);
}

#[test]
fn a_full_disk_refuses_writing_and_not_reading() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    store.write(intake(0)).expect("is accepted");
    disk.room(Some(disk.contents().len()));
    let mut accepted = 1;
    let refused = (1..1000).find_map(|n| match store.write(intake(n)) {
        Ok(_) => {
            accepted += 1;
            None
        }
        Err(error) => Some(error),
    });
    assert_eq!(refused, Some(StoreError::Full));
    assert_eq!(store.queue(|queue| queue.len()), accepted);
    drop(store);
    disk.room(None);
    let (store, _) = open_on(&disk).expect("opens once there is room");
    assert_eq!(store.queue(|queue| queue.len()), accepted);
    store.write(intake(2000)).expect("is accepted");
}

#[test]
fn ten_thousand_events_are_read_once_at_opening() {
    const EVENTS: u64 = 10_000;
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    for start in (0..EVENTS).step_by(100) {
        store
            .write(move |tx| {
                (start..start + 100).try_for_each(|n| {
                    let mut head = head(tx.next_seq(), tx.boot(), n);
                    head.lease = n.is_multiple_of(1000).then_some(tx.boot());
                    tx.insert(&head, &payload(n), &[fingerprint(n)])
                })
            })
            .expect("is stored");
    }
    drop(store);
    let started = Instant::now();
    let (store, opened) = Store::open_on(disk.clone(), key(), Some(T0), &|head, _| {
        head.lease = None;
        true
    })
    .expect("opens");
    println!(
        "opening {EVENTS} events took {:?}, file {} bytes",
        started.elapsed(),
        disk.contents().len()
    );
    assert_eq!(opened.interrupted, 10);
    let counts = store.queue(|queue| queue.counts());
    assert_eq!((counts.pending, counts.delivered), (10_000, 0));
    assert_eq!(store.read(|view| Ok(view.next_seq())), Ok(Seq(EVENTS + 1)));
    let head = store
        .read(|view| view.head_by_key(&event_key(EVENTS - 1)))
        .expect("reads")
        .expect("is stored");
    assert_eq!(head.seq, Seq(EVENTS));
}
