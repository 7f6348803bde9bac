//! Guards against the loss of an acknowledged event to a power cut: the power goes at every sync of a workload in
//! turn, and what no sync covered is kept, dropped or torn by seed.

use super::disk::Disk;
use super::samples::{T0, event_key, fingerprint, finish, intake, key, payload, subject};
use referral_gateway::core::queue::Entry;
use referral_gateway::core::record::{Head, Moment, Seq, State, what};
use referral_gateway::store::{Opened, Receipt, Store, StoreError, Tx};
use std::collections::BTreeMap;

const EVENTS: u64 = 12;
const SEEDS: u64 = 6;

/// What somebody was told about an event.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Stored(Box<Head>),
    Retired(Receipt),
}

/// What the workload was told, and what it had asked for last without being told.
#[derive(Default)]
struct Book {
    told: BTreeMap<u64, Told>,
    handoffs: u64,
    asked: Option<(u64, Told)>,
}

/// As the core does it: work that was cut off goes back, and the crash is counted.
fn recover(head: &mut Head, at: Moment) -> bool {
    head.lease = None;
    head.crashes += 1;
    head.note(at, what::INTERRUPTED, "");
    true
}

fn open(disk: &Disk) -> Result<(Store, Opened), StoreError> {
    Store::open_on(disk.clone(), key(), Some(T0), &recover)
}

/// One step: what it leads to is known before its commit, and told only after it.
fn step(
    store: &Store,
    book: &mut Book,
    n: u64,
    work: impl FnOnce(&mut Tx<'_>) -> Result<Told, StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let (sender, asked) = std::sync::mpsc::channel();
    let told: Result<Told, StoreError> = store.write(move |tx| {
        let told = work(tx)?;
        sender.send(told.clone()).expect("the book listens");
        Ok(told)
    });
    if told.is_err() {
        book.asked = asked.try_recv().ok().map(|told| (n, told));
    }
    book.told.insert(n, told?);
    Ok(())
}

fn change(
    n: u64,
    change: impl FnOnce(&mut Tx<'_>, &mut Head) -> Result<(), StoreError>,
) -> impl FnOnce(&mut Tx<'_>) -> Result<Told, StoreError> {
    move |tx| {
        let mut head = tx.head_by_key(&event_key(n))?.expect("is stored");
        change(tx, &mut head)?;
        tx.update(&head)?;
        Ok(Told::Stored(Box::new(head)))
    }
}

/// Intake, lease and settle of every event; every third is erased, every sixth retired.
fn workload(store: &Store, book: &mut Book) -> Result<(), StoreError> {
    for n in 0..EVENTS {
        step(store, book, n, move |tx| {
            let seq = intake(n)(tx)?;
            Ok(Told::Stored(Box::new(tx.head(seq)?.expect("was just stored"))))
        })?;
        step(
            store,
            book,
            n,
            change(n, |tx, head| {
                head.lease = Some(tx.boot());
                head.attempts += 1;
                Ok(())
            }),
        )?;
        if n % 4 == 3 {
            // In hand when the power goes, until the end.
            continue;
        }
        let settled = step(
            store,
            book,
            n,
            change(n, |tx, head| {
                finish(
                    head,
                    Moment {
                        boot: tx.boot(),
                        unix: Some(T0 + 60),
                    },
                );
                tx.handoff(head, what::DISCARDED)
            }),
        );
        settled?;
        book.handoffs += 1;
        if n % 3 == 0 {
            step(store, book, n, move |tx| {
                let head = tx.head_by_key(&event_key(n))?.expect("is stored");
                tx.erase_content(&head)?;
                Ok(Told::Stored(Box::new(head)))
            })?;
        }
        if n % 6 == 0 {
            step(store, book, n, move |tx| {
                let head = tx.head_by_key(&event_key(n))?.expect("is stored");
                let receipt = Receipt::of(&head);
                tx.retire(head.seq, &receipt)?;
                Ok(Told::Retired(receipt))
            })?;
        }
    }
    Ok(())
}

/// What is stored of sample `n`, with the recovery of this opening undone.
fn found(store: &Store, n: u64, boot: &Opened) -> Option<Told> {
    let (head, receipt) = store
        .read(|view| Ok((view.head_by_key(&event_key(n))?, view.receipt(&event_key(n))?)))
        .expect("reads");
    assert!(head.is_none() || receipt.is_none(), "event {n} is in two places");
    if let Some(receipt) = receipt {
        return Some(Told::Retired(receipt));
    }
    let mut head = head?;
    if head
        .history
        .last()
        .is_some_and(|step| step.what == what::INTERRUPTED && step.at.boot == boot.boot)
    {
        head.history.pop();
        head.crashes -= 1;
        head.lease = Some(referral_gateway::core::time::BootId(1));
        head.changed = head.history.last().expect("begins with its acceptance").at;
    }
    Some(Told::Stored(Box::new(head)))
}

fn audit(image: Vec<u8>, book: &Book, context: &str) {
    let disk = Disk::holding(image);
    let (store, opened) = match open(&disk) {
        Ok(opened) => opened,
        // A file cut off while redb lays it out is refused. `Store::open` gives a file its name only after that.
        Err(StoreError::Foreign) if book.told.is_empty() => return,
        Err(error) => panic!("{context}: does not open: {error}"),
    };
    let mut stored = 0;
    for n in 0..EVENTS {
        let found = found(&store, n, &opened);
        let asked = book
            .asked
            .as_ref()
            .filter(|(of, _)| *of == n)
            .map(|(_, told)| told);
        let expected = book.told.get(&n);
        assert!(
            found.as_ref() == expected || (found.is_some() && found.as_ref() == asked),
            "{context}: event {n}\n found {found:?}\n told {expected:?}\n asked {asked:?}",
        );
        if let Some(Told::Stored(head)) = &found {
            stored += 1;
            content_is_whole(&store, head, n, context);
        }
        if found.is_some() {
            let subject_of = store
                .read(|view| view.subject_of(&fingerprint(n)))
                .expect("reads");
            assert_eq!(subject_of, Some(subject(n)), "{context}: id of event {n}");
        }
    }
    let report = store.verify_handoff(|_, _| {}).expect("the chain holds");
    let in_flight = u64::from(book.asked.is_some());
    assert!(
        (book.handoffs..=book.handoffs + in_flight).contains(&report.entries),
        "{context}: {report:?}"
    );
    assert_eq!(store.queue(|queue| queue.len()), stored, "{context}");
    picture_equals_rows(&store, &disk, context);
    store
        .write(intake(EVENTS + 1))
        .unwrap_or_else(|error| panic!("{context}: takes no more: {error}"));
}

fn content_is_whole(store: &Store, head: &Head, n: u64, context: &str) {
    let found = store.read(|view| view.payload(head.seq)).expect("reads");
    match found {
        Some(found) => assert!(found == payload(n), "{context}: content of event {n}"),
        None => assert!(
            n.is_multiple_of(3) && head.state == State::Discarded,
            "{context}: content of event {n} is gone"
        ),
    }
}

/// The queue in memory is what a fresh opening of the same file makes of it.
fn picture_equals_rows(store: &Store, disk: &Disk, context: &str) {
    let entries =
        |store: &Store| store.queue(|queue| (queue.iter().copied().collect::<Vec<Entry>>(), queue.counts()));
    let before = entries(store);
    let again = Disk::holding(disk.contents());
    let (store, _) = open(&again).expect("opens");
    assert_eq!(entries(&store), before, "{context}: rescan");
    assert!(before.0.iter().all(|entry| entry.seq >= Seq(1)));
}

fn syncs_of_the_workload() -> u64 {
    let disk = Disk::default();
    let (store, _) = open(&disk).expect("opens");
    workload(&store, &mut Book::default()).expect("runs through");
    drop(store);
    disk.syncs()
}

#[test]
fn no_cut_at_any_sync_loses_what_was_acknowledged() {
    let syncs = syncs_of_the_workload();
    assert!(syncs > 2 * EVENTS, "the workload commits often");
    for cut in 1..=syncs {
        let disk = Disk::default();
        disk.cut_at(cut);
        let mut book = Book::default();
        match open(&disk) {
            Ok((store, _)) => {
                if workload(&store, &mut book).is_err() {
                    assert!(store.failure().is_some(), "a failed disk latches");
                    let refused = store.write(|_| Ok::<(), StoreError>(()));
                    assert!(matches!(refused, Err(StoreError::Failed { .. })), "{refused:?}");
                }
            }
            Err(error) => assert!(matches!(error, StoreError::Failed { .. }), "{error}"),
        }
        assert!(disk.dead(), "sync {cut} was reached");
        for seed in 0..SEEDS {
            audit(
                disk.after_cut(cut * 1000 + seed),
                &book,
                &format!("cut at sync {cut}, seed {seed}"),
            );
        }
    }
}

#[test]
fn no_cut_during_shared_commits_loses_what_was_acknowledged() {
    for cut in 3..20 {
        let disk = Disk::default();
        disk.cut_at(cut);
        let Ok((store, _)) = open(&disk) else { continue };
        let acknowledged: Vec<u64> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..6)
                .map(|sender| {
                    let store = store.clone();
                    scope.spawn(move || {
                        (0..8)
                            .map(|n| sender * 100 + n)
                            .take_while(|n| store.write(intake(*n)).is_ok())
                            .collect::<Vec<u64>>()
                    })
                })
                .collect();
            senders
                .into_iter()
                .flat_map(|sender| sender.join().expect("runs through"))
                .collect()
        });
        drop(store);
        for seed in 0..SEEDS {
            let (store, _) = open(&Disk::holding(disk.after_cut(seed))).expect("opens");
            for n in &acknowledged {
                let head = store
                    .read(|view| view.head_by_key(&event_key(*n)))
                    .expect("reads");
                let head = head.unwrap_or_else(|| panic!("event {n} is lost, cut {cut}, seed {seed}"));
                let found = store.read(|view| view.payload(head.seq)).expect("reads");
                assert!(found == Some(payload(*n)));
            }
        }
    }
}

#[test]
fn work_in_hand_at_a_cut_is_seen_to_in_the_opening_transaction() {
    let disk = Disk::default();
    let (store, opened) = open(&disk).expect("opens");
    assert_eq!((opened.boot.0, opened.interrupted, opened.fresh), (1, 0, true));
    let mut book = Book::default();
    workload(&store, &mut book).expect("runs through");
    disk.cut();
    let after = Disk::holding(disk.after_cut(1));
    let syncs = after.syncs();
    let (store, opened) = open(&after).expect("opens");
    assert_eq!((opened.boot.0, opened.interrupted, opened.fresh), (2, 3, false));
    let head = store
        .read(|view| view.head_by_key(&event_key(3)))
        .expect("reads")
        .expect("is stored");
    assert_eq!((head.lease, head.crashes), (None, 1));
    drop(store);
    assert!(after.syncs() > syncs);
    let (_, opened) = open(&after).expect("opens");
    assert_eq!((opened.boot.0, opened.interrupted), (3, 0));
}
