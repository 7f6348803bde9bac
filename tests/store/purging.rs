//! Guards against content that stays longer than promised, and against purging what is not closed, not old enough,
//! or of unknown age.

use super::disk::Disk;
use super::samples::{
    T0, event_key, fingerprint, finish, head, intake, key, no_recovery, open_on, payload, subject,
};
use redb::{ReadableDatabase, TableDefinition};
use referral_gateway::core::event::{Payload, Private};
use referral_gateway::core::record::{Moment, Seq, State, what};
use referral_gateway::store::{HANDOFF_KEPT_MAX, Purged, Receipt, Store, StoreError};

const KEEP_S: i64 = 72 * 3600;

fn close(store: &Store, n: u64, unix: Option<i64>) {
    store
        .write(move |tx| {
            let mut head = tx.head_by_key(&event_key(n))?.expect("is stored");
            finish(
                &mut head,
                Moment {
                    boot: tx.boot(),
                    unix,
                },
            );
            tx.handoff(&head, what::DISCARDED)?;
            tx.update(&head)
        })
        .expect("is settled");
}

fn content(store: &Store, n: u64) -> bool {
    let found = store.read(|view| match view.head_by_key(&event_key(n))? {
        Some(head) => view.payload(head.seq),
        None => Ok(None),
    });
    found.expect("reads").is_some()
}

#[test]
fn closed_events_lose_content_then_row_and_keep_a_receipt() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    for n in 0..70 {
        store.write(intake(n)).expect("is accepted");
    }
    (0..69).for_each(|n| close(&store, n, Some(T0)));
    assert_eq!(store.purge(Some(T0 + KEEP_S - 1), KEEP_S), Ok(Purged::default()));
    assert_eq!(store.purge(None, KEEP_S), Ok(Purged::default()));
    assert!(content(&store, 0));
    let commits = store.figures().commits;
    let erased = store.purge(Some(T0 + KEEP_S), KEEP_S).expect("purges");
    assert_eq!(
        erased,
        Purged {
            erased: 69,
            retired: 0,
            stamped: 0
        }
    );
    assert_eq!(store.figures().commits - commits, 3, "in bounded steps");
    assert!(!content(&store, 0) && content(&store, 69));
    let head = store
        .read(|view| view.head_by_key(&event_key(0)))
        .expect("reads")
        .expect("is still listed");
    assert_eq!(head.state, State::Discarded);
    assert_eq!(head.changed.unix, Some(T0), "the time of closing stays");
    assert_eq!(
        head.history.last().map(|step| step.what.as_str()),
        Some(what::CONTENT_ERASED)
    );
    let retired = store.purge(Some(T0 + 2 * KEEP_S), KEEP_S).expect("purges");
    assert_eq!(
        retired,
        Purged {
            erased: 0,
            retired: 69,
            stamped: 0
        }
    );
    let audit = |store: &Store| {
        store
            .read(|view| {
                assert_eq!(view.queue().len(), 1);
                assert_eq!(view.head_by_key(&event_key(0))?, None);
                let receipt = view.receipt(&event_key(0))?.expect("stays");
                assert_eq!((receipt.seq, receipt.state), (Seq(1), State::Discarded));
                assert_eq!(receipt.body_hash, head.body_hash);
                assert_eq!(
                    view.subject_of(&fingerprint(0))?,
                    Some(subject(0)),
                    "the id outlives its event"
                );
                assert_eq!(view.next_seq(), Seq(71));
                Ok(())
            })
            .expect("reads");
    };
    assert_eq!(
        store.verify_handoff(|_, _| {}).expect("the chain holds").entries,
        69
    );
    audit(&store);
    drop(store);
    audit(&open_on(&disk).expect("opens").0);
}

#[test]
fn a_seq_is_never_given_out_twice() {
    let disk = Disk::default();
    for round in 0..3 {
        let (store, _) = open_on(&disk).expect("opens");
        assert_eq!(store.write(intake(round)), Ok(Seq(round + 1)));
        close(&store, round, Some(T0));
        store.purge(Some(T0 + KEEP_S), KEEP_S).expect("erases");
        store.purge(Some(T0 + 2 * KEEP_S), KEEP_S).expect("retires");
        assert!(store.queue(|queue| queue.is_empty()));
    }
}

#[test]
fn an_event_closed_under_an_unknown_clock_is_kept_from_the_first_known_time() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    store.write(intake(0)).expect("is accepted");
    close(&store, 0, None);
    assert_eq!(store.purge(None, KEEP_S), Ok(Purged::default()));
    let stamped = store.purge(Some(T0), KEEP_S).expect("purges");
    assert_eq!(
        stamped,
        Purged {
            erased: 0,
            retired: 0,
            stamped: 1
        }
    );
    assert!(content(&store, 0));
    assert_eq!(store.purge(Some(T0 + KEEP_S - 1), KEEP_S), Ok(Purged::default()));
    assert_eq!(store.purge(Some(T0 + KEEP_S), KEEP_S).expect("purges").erased, 1);
}

#[test]
fn an_open_event_is_never_retired() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    store.write(intake(0)).expect("is accepted");
    assert_eq!(
        store.purge(Some(T0 + 1000 * KEEP_S), KEEP_S),
        Ok(Purged::default())
    );
    let missing = store.write(|tx| {
        let head = head(Seq(9), tx.boot(), 9);
        tx.update(&head)
    });
    assert_eq!(missing, Err(StoreError::Unknown(Seq(9))));
}

#[test]
fn a_too_large_event_is_refused_and_leaves_nothing() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    let refused = store.write(|tx| {
        let head = head(tx.next_seq(), tx.boot(), 1);
        let note = Private(Some("x".repeat(310 * 1024)));
        tx.insert(
            &head,
            &Payload::Withdraw {
                target: String::new(),
                note,
            },
            &[fingerprint(1)],
        )
    });
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.read(|view| view.subject_of(&fingerprint(1))), Ok(None));
    assert_eq!(store.write(intake(1)), Ok(Seq(1)));
}

#[test]
fn erased_content_is_not_in_the_file_after_compaction() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let path = folder.path().join("store.redb");
    let (store, _) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens");
    for n in 0..60 {
        let large = move |tx: &mut referral_gateway::store::Tx<'_>| {
            let head = head(tx.next_seq(), tx.boot(), n);
            let note = Private(Some("y".repeat(200 * 1024)));
            tx.insert(
                &head,
                &Payload::Withdraw {
                    target: String::new(),
                    note,
                },
                &[],
            )
        };
        store.write(large).expect("is accepted");
    }
    drop(store);
    let sealed = sealed_tail(&path, 30);
    let (store, opened) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens");
    assert!(!opened.compacted && store.figures().file_bytes > 12_000_000);
    // The youngest stay and hold the end of the file, so that it cannot shrink by itself.
    (0..57).for_each(|n| close(&store, n, Some(T0)));
    store.purge(Some(T0 + KEEP_S), KEEP_S).expect("erases");
    drop(store);
    let (store, opened) = Store::open(&path, key(), Some(T0), &no_recovery).expect("opens");
    println!(
        "compacted {} to {} bytes",
        opened.compacted,
        store.figures().file_bytes
    );
    assert!(
        opened.compacted && store.figures().file_bytes < 3_000_000,
        "{:?}",
        store.figures()
    );
    assert_eq!(store.queue(|queue| queue.len()), 60);
    drop(store);
    let image = std::fs::read(&path).expect("reads");
    assert!(
        !image.windows(sealed.len()).any(|window| window == sealed),
        "sealed content is still there"
    );
}

/// The last bytes of an event row as they stand in the file.
fn sealed_tail(path: &std::path::Path, seq: u64) -> Vec<u8> {
    const EVENT: TableDefinition<&[u8], &[u8]> = TableDefinition::new("event");
    let database = redb::Database::open(path).expect("opens");
    let table = database
        .begin_read()
        .expect("reads")
        .open_table(EVENT)
        .expect("is there");
    let row = table
        .get(seq.to_be_bytes().as_slice())
        .expect("reads")
        .expect("is there");
    let row = row.value();
    row[row.len() - 64..].to_vec()
}

#[test]
fn the_hand_off_log_is_bounded_and_its_chain_holds() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    store.write(intake(0)).expect("is accepted");
    let many = HANDOFF_KEPT_MAX + 500;
    for start in (0..many).step_by(500) {
        store
            .write(move |tx| {
                let head = tx.head(Seq(1))?.expect("is stored");
                (start..start + 500).try_for_each(|_| tx.handoff(&head, what::RETRY))
            })
            .expect("is stored");
    }
    let mut seen = Vec::new();
    let report = store
        .verify_handoff(|n, entry| {
            assert_eq!((entry.seq, entry.outcome.as_str()), (Seq(1), what::RETRY));
            seen.push(n);
        })
        .expect("the chain holds");
    assert_eq!(report.entries + report.trimmed, many);
    assert!(report.entries <= HANDOFF_KEPT_MAX && report.trimmed > 0);
    assert_eq!(seen.len() as u64, report.entries);
    drop(store);
    let (store, _) = open_on(&disk).expect("opens");
    let again = store.verify_handoff(|_, _| {}).expect("the chain holds");
    assert_eq!(again, report);
    store
        .write(|tx| {
            let head = tx.head(Seq(1))?.expect("is stored");
            tx.handoff(&head, what::RETRY)
        })
        .expect("the log goes on");
    assert_eq!(
        store.verify_handoff(|_, _| {}).expect("holds").entries,
        report.entries + 1
    );
}

#[test]
fn a_hand_off_entry_changed_or_taken_out_breaks_the_chain() {
    const HANDOFF: TableDefinition<&[u8], &[u8]> = TableDefinition::new("handoff");
    for taken_out in [true, false] {
        let disk = Disk::default();
        let (store, _) = open_on(&disk).expect("opens");
        for n in 0..5 {
            store.write(intake(n)).expect("is accepted");
            close(&store, n, Some(T0));
        }
        drop(store);
        let database = redb::Builder::new()
            .create_with_backend(disk.clone())
            .expect("opens");
        let write = database.begin_write().expect("writes");
        {
            let mut table = write.open_table(HANDOFF).expect("is there");
            let key = 3_u64.to_be_bytes();
            let mut row = table
                .remove(key.as_slice())
                .expect("writes")
                .expect("is there")
                .value()
                .to_vec();
            if !taken_out {
                *row.last_mut().expect("is not empty") ^= 1;
                table.insert(key.as_slice(), row.as_slice()).expect("writes");
            }
        }
        write.commit().expect("commits");
        drop(database);
        let (store, _) = open_on(&disk).expect("opens");
        let verified = store.verify_handoff(|_, _| {});
        assert_eq!(verified.err(), Some(StoreError::Damaged { table: "handoff" }));
    }
}

#[test]
fn a_receipt_says_what_the_event_said() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    store.write(intake(3)).expect("is accepted");
    close(&store, 3, Some(T0 + 7));
    let head = store
        .read(|view| view.head_by_key(&event_key(3)))
        .expect("reads")
        .expect("is stored");
    let receipt = Receipt::of(&head);
    assert_eq!(
        (receipt.key.as_str(), receipt.kind, receipt.flow),
        (head.key.as_str(), head.kind, head.flow)
    );
    assert_eq!((receipt.created, receipt.closed), (head.created, head.changed));
    let content = store.read(|view| view.payload(head.seq)).expect("reads");
    assert!(content == Some(payload(3)), "closing does not touch the content");
}
