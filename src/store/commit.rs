//! Group commit: the store thread.
//!
//! **Promise.** A closure's answer goes out only after the commit that holds its changes is on disk, and whatever it
//! read (its own changes and those of its neighbours in the batch) is on disk by then too.
//!
//! **Why batches.** A commit costs about 25 KB and one sync whatever it holds (toolchain.md §3), so sixteen events in
//! one commit cost the card a tenth of sixteen commits. A lone writer never waits: the thread lingers for company
//! only while the last batch or the time of its commit has shown that there is some.
//!
//! **Failure.** A closure that fails is taken back alone. A commit that fails answers everybody in it, and latches
//! unless the disk was merely full.

use super::error::StoreError;
use super::tx::{Batch, Tx};
use super::{NO_PANIC, Shared};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// Writes that may wait before further ones are refused: four full batches, a second or two of a slow card.
pub(super) const WAITING_MAX: usize = 256;
/// Closures in one commit: by then its fixed cost is a small part, and the changes still fit redb's cache.
const BATCH_MAX: usize = 64;
/// One wait for company.
const LINGER: Duration = Duration::from_millis(1);
/// Waits in all, and in a row without anybody arriving: at most 16 ms on top of a sync that takes 20 or more on a card.
const LINGERS_MAX: u32 = 16;
const LINGERS_QUIET_MAX: u32 = 5;
/// The longest any acknowledgement waits for company.
pub const COMPANY_WAIT_MAX: Duration = LINGER.saturating_mul(LINGERS_MAX);

/// Sends a closure's result to whoever waits for it; an error stands for the commit having failed.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What came of running a closure.
pub(super) enum Ran {
    /// Its changes join the batch.
    Keep(Answer),
    /// It failed: its changes are dropped.
    TakeBack(Answer),
}

/// A closure waiting for its turn, or told that there will be none.
pub(super) type Job = Box<dyn FnOnce(Result<&mut Tx<'_>, StoreError>) -> Option<Ran> + Send>;

/// Runs batches until every handle to the store is gone.
pub(super) fn serve(shared: &Shared, jobs: &Receiver<Job>) {
    let mut last = 0;
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while gather(jobs, &mut batch, last) {
        last = batch.len();
        run(shared, batch.drain(..));
    }
}

/// Collects a batch; false when nobody can send any more.
fn gather(jobs: &Receiver<Job>, batch: &mut Vec<Job>, last: usize) -> bool {
    drain(jobs, batch);
    let overlapped = batch.len();
    if batch.is_empty() {
        match jobs.recv() {
            Ok(job) => batch.push(job),
            Err(_) => return false,
        }
        drain(jobs, batch);
    }
    // Those who came during the last commit, and those just answered, who may come back with their next.
    let company = (overlapped + last).min(BATCH_MAX);
    if last >= 2 || overlapped >= 2 {
        let mut quiet = 0;
        for _ in 0..LINGERS_MAX {
            if batch.len() >= company || quiet >= LINGERS_QUIET_MAX {
                break;
            }
            match jobs.recv_timeout(LINGER) {
                Ok(job) => {
                    quiet = 0;
                    batch.push(job);
                    drain(jobs, batch);
                }
                Err(RecvTimeoutError::Timeout) => quiet += 1,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
    true
}

fn drain(jobs: &Receiver<Job>, batch: &mut Vec<Job>) {
    while batch.len() < BATCH_MAX {
        match jobs.try_recv() {
            Ok(job) => batch.push(job),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
        }
    }
}

/// Runs the closures of a batch, commits what they staged, and answers them.
fn run(shared: &Shared, jobs: impl Iterator<Item = Job>) {
    let mut answers: Vec<Answer> = Vec::new();
    let outcome = stage(shared, jobs, &mut answers).and_then(|batch| commit(shared, batch));
    for answer in answers {
        answer(outcome.clone());
    }
}

fn stage(
    shared: &Shared,
    jobs: impl Iterator<Item = Job>,
    answers: &mut Vec<Answer>,
) -> Result<Batch, StoreError> {
    let snapshot = match shared.usable().and_then(|()| shared.snapshot()) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            shared.note_failure(&error);
            jobs.for_each(|job| drop(job(Err(error.clone()))));
            return Err(error);
        }
    };
    let picture = shared.picture.write().expect(NO_PANIC);
    let mut tx = Tx::new(snapshot, &shared.keys, picture);
    for job in jobs {
        let mark = tx.mark();
        match job(Ok(&mut tx)) {
            Some(Ran::Keep(answer)) => {
                tx.keep();
                answers.push(answer);
            }
            Some(Ran::TakeBack(answer)) => {
                tx.take_back(mark);
                answers.push(answer);
            }
            None => tx.take_back(mark),
        }
    }
    Ok(tx.finish())
}

fn commit(shared: &Shared, batch: Batch) -> Result<(), StoreError> {
    if batch.rows.is_empty() {
        return Ok(());
    }
    shared.commit(&batch.rows)?;
    shared.commits.fetch_add(1, Relaxed);
    let mut picture = shared.picture.write().expect(NO_PANIC);
    for change in batch.changes {
        picture.apply(change);
    }
    picture.counters = batch.counters;
    Ok(())
}
