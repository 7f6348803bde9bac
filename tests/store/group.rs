//! Guards against a card worn out by commits that could have been shared, and against a neighbour's failure
//! spoiling a shared commit.

use super::disk::Disk;
use super::samples::{event_key, fingerprint, head, intake, open_on, short_payload, subject};
use referral_gateway::core::record::Seq;
use referral_gateway::store::{StoreError, Tx};
use std::sync::{Arc, Barrier};

/// The budget is stated for this load.
fn short_intake(n: u64) -> impl FnOnce(&mut Tx<'_>) -> Result<Seq, StoreError> + Send + 'static {
    move |tx| {
        let head = head(tx.next_seq(), tx.boot(), n);
        tx.insert(&head, &short_payload(n), &[fingerprint(n)])?;
        Ok(head.seq)
    }
}

#[test]
fn a_lone_event_costs_one_sync_and_at_most_32_kilobytes() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    let mut growths = 0;
    for n in 0..300 {
        let (syncs, bytes, length) = (disk.syncs(), disk.bytes(), disk.contents().len());
        store.write(intake(n)).expect("is accepted");
        let (syncs, bytes) = (disk.syncs() - syncs, disk.bytes() - bytes);
        // Growing the file costs a sync of its own, each time twice as rarely.
        let grown = u64::from(disk.contents().len() > length);
        assert_eq!(syncs, 1 + grown, "event {n}");
        growths += grown;
        assert!(bytes <= 32 * 1024, "event {n} took {bytes} bytes");
    }
    assert!(growths <= 5, "{growths} growths");
    let written = disk.bytes();
    store.write(intake(300)).expect("is accepted");
    println!("a lone event: {} bytes", disk.bytes() - written);
    assert_eq!(store.figures().commits, 301);
}

#[test]
fn sixteen_senders_share_commits_and_stay_below_4_kilobytes_per_event() {
    const SENDERS: u64 = 16;
    const EACH: u64 = 40;
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    let (syncs, bytes) = (disk.syncs(), disk.bytes());
    let start = Arc::new(Barrier::new(16));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, start) = (store.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                for n in 0..EACH {
                    store.write(short_intake(sender * EACH + n)).expect("is accepted");
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().expect("sends everything");
    }
    let events = SENDERS * EACH;
    let per_event = (disk.bytes() - bytes) / events;
    let (syncs, commits) = (disk.syncs() - syncs, store.figures().commits);
    println!(
        "{events} events from {SENDERS} senders: {commits} commits, {syncs} syncs, {per_event} bytes each"
    );
    assert!(commits * 4 <= events, "{commits} commits");
    assert!(per_event <= 4096, "{per_event} bytes per event");
    assert_eq!(store.queue(|queue| queue.counts().pending), 640);
}

/// Holds the store's thread in one closure while others queue up behind it, so that they share a batch.
fn behind_a_slow_one(store: &referral_gateway::store::Store, queue_up: impl FnOnce()) {
    let gate = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&gate);
    store
        .submit(
            move |_| -> Result<(), StoreError> {
                inside.wait();
                inside.wait();
                Ok(())
            },
            drop,
        )
        .expect("there is room");
    gate.wait();
    queue_up();
    gate.wait();
}

#[test]
fn a_closure_that_fails_leaves_nothing_and_spoils_nothing() {
    let disk = Disk::default();
    let (store, _) = open_on(&disk).expect("opens");
    let (sender, results) = std::sync::mpsc::channel();
    behind_a_slow_one(&store, || {
        for n in 0..9 {
            let sender = sender.clone();
            let fails = n % 3 == 1;
            let work = move |tx: &mut Tx<'_>| {
                intake(n)(tx)?;
                tx.put_id(&fingerprint(100 + n), subject(n));
                tx.meta_put("last", &n);
                tx.next_session();
                if fails { Err(StoreError::Busy) } else { Ok(()) }
            };
            store
                .submit(work, move |result| drop(sender.send((n, result))))
                .expect("there is room");
        }
    });
    for _ in 0..9 {
        let (n, result) = results.recv().expect("everybody is answered");
        assert_eq!(result.is_err(), n % 3 == 1);
    }
    assert_eq!(store.figures().commits, 1, "they shared one commit");
    let audit = |store: &referral_gateway::store::Store| {
        store.read(|view| {
            for n in 0..9 {
                let kept = n % 3 != 1;
                assert_eq!(view.head_by_key(&event_key(n))?.is_some(), kept, "event {n}");
                assert_eq!(
                    view.subject_of(&fingerprint(n))?.is_some(),
                    kept,
                    "id of event {n}"
                );
                assert_eq!(
                    view.subject_of(&fingerprint(100 + n))?.is_some(),
                    kept,
                    "stored id of event {n}"
                );
            }
            assert_eq!(view.queue().len(), 6);
            assert_eq!(view.next_seq(), Seq(7));
            assert_eq!(view.session(), 6);
            assert_eq!(view.meta_get::<u64>("last")?, Some(8));
            Ok(())
        })
    };
    audit(&store).expect("reads");
    drop(store);
    let (store, opened) = open_on(&disk).expect("opens again");
    assert_eq!(opened.session, 6);
    audit(&store).expect("reads");
}

#[test]
fn a_full_waiting_line_is_refused_and_not_waited_for() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    let (sender, results) = std::sync::mpsc::channel();
    let mut sent = 0;
    behind_a_slow_one(&store, || {
        for n in 0.. {
            let sender = sender.clone();
            match store.submit(intake(n), move |result| drop(sender.send(result))) {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert_eq!(error, StoreError::Busy);
                    break;
                }
            }
        }
    });
    for _ in 0..sent {
        results
            .recv()
            .expect("everybody is answered")
            .expect("what was taken in is done");
    }
    assert_eq!(store.figures().refused, 1);
    assert_eq!(store.queue(|queue| queue.len()), sent);
}

#[test]
fn a_transaction_sees_what_its_neighbours_in_the_batch_staged() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    let (sender, results) = std::sync::mpsc::channel();
    behind_a_slow_one(&store, || {
        for _ in 0..3 {
            let sender = sender.clone();
            // The same event from three stations at once: one is stored, two see it.
            let work = |tx: &mut Tx<'_>| match tx.head_by_key(&event_key(1))? {
                Some(known) => Ok((known.seq, false)),
                None => intake(1)(tx).map(|seq| (seq, true)),
            };
            let reply = move |result: Result<_, StoreError>| drop(sender.send(result));
            store.submit(work, reply).expect("there is room");
        }
    });
    let answers: Vec<_> = (0..3)
        .map(|_| results.recv().expect("everybody is answered").expect("works"))
        .collect();
    assert_eq!(answers.iter().filter(|(_, stored)| *stored).count(), 1);
    assert!(answers.iter().all(|(seq, _)| *seq == Seq(1)));
}

#[test]
fn reading_shows_no_change_before_its_commit() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    store.write(intake(1)).expect("is accepted");
    let failed: Result<(), StoreError> = store.write(|tx| {
        let mut head = tx.head(Seq(1))?.expect("is stored");
        head.attempts = 9;
        tx.update(&head)?;
        assert_eq!(tx.head(Seq(1))?.expect("is stored").attempts, 9);
        Err(StoreError::Busy)
    });
    assert!(failed.is_err());
    let attempts = store.read(|view| Ok(view.head(Seq(1))?.expect("is stored").attempts));
    assert_eq!(attempts, Ok(0));
}

#[test]
fn senders_on_one_thread_share_a_commit_without_blocking_it() {
    let (store, _) = open_on(&Disk::default()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("builds");
    runtime.block_on(async {
        let senders: Vec<_> = (0..16)
            .map(|n| {
                let store = store.clone();
                tokio::task::spawn(async move { store.write_async(intake(n)).await })
            })
            .collect();
        for sender in senders {
            sender.await.expect("runs through").expect("is accepted");
        }
    });
    assert_eq!(store.queue(|queue| queue.len()), 16);
    assert!(store.figures().commits <= 4, "{:?}", store.figures());
}
