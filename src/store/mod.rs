//! The store ring: everything the gateway has promised to remember, in one sealed redb file.
//!
//! **Promise.** A write that was answered with `Ok` is on disk and whole, whatever happens next; one that was not is
//! there as a whole or not at all. Nobody who reads the file without the device key finds a name, an event key, an
//! organization or an id (`seal.rs`).
//!
//! **Format.** Five tables (`tables.rs`), each row with a version byte (`rows.rs`), the whole with a schema number
//! (`migrate.rs`). Order is the order of seq; the store reads no clock.
//!
//! **How.** One thread owns writing and commits in groups (`commit.rs`). Reading happens on the caller's thread, on
//! redb's snapshots; the queue's short picture is in memory and shows committed state only.
//!
//! **Limits.** A row takes at most 300 KB, 256 writes wait at most, the hand-off log and the receipts keep their
//! newest 50,000. How many events may wait is the caller's to check inside its transaction, through
//! [`Limits::exceeded`].
//!
//! **Failure.** A full disk refuses writes ([`StoreError::Full`]) and reading goes on. Any other failure of the disk
//! or damage to the file latches ([`StoreError::Failed`]): redb itself trusts nothing after one, so the process has
//! to open the store again. A panic in a closure is a broken invariant and ends the program.

mod commit;
mod copy;
mod error;
mod handoff;
mod migrate;
mod open;
mod picture;
mod purge;
mod rows;
mod scan;
mod seal;
mod tables;
mod tx;
mod view;

pub use commit::COMPANY_WAIT_MAX;
pub use copy::remove_copy;
pub use error::StoreError;
pub use handoff::{ChainReport, KEPT_MAX as HANDOFF_KEPT_MAX};
pub use migrate::SCHEMA;
pub use purge::Purged;
pub use rows::{Handoff, ROW_BYTES_MAX, Receipt};
pub use seal::{DeviceKey, KeyError, SEALED_TEXT};
pub use tx::Tx;
pub use view::View;

use crate::core::queue::{Counts, Queue};
use crate::core::record::{Head, Moment};
use crate::core::time::BootId;
use commit::{Answer, Job, Ran, WAITING_MAX};
use picture::Picture;
use redb::Database;
use seal::Keys;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use tables::{Snapshot, Staged};
use view::Held;

/// How much may wait in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub events: u32,
    pub bytes: u64,
}

impl Limits {
    /// Whether one more event of this size would be too many.
    pub fn exceeded(self, counts: Counts, more_bytes: usize) -> bool {
        let bytes = counts
            .open_bytes
            .saturating_add(u64::try_from(more_bytes).unwrap_or(u64::MAX));
        counts.open() >= self.events || bytes > self.bytes
    }
}

/// What opening the store found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The boot this opening began.
    pub boot: BootId,
    /// Events that were in hand when the program last stopped, and have been seen to.
    pub interrupted: u32,
    /// The highest wall time ever believed, Unix seconds; zero if none was.
    pub stored_floor: i64,
    /// The number of the last session with the broker.
    pub session: u64,
    /// The store was made by this opening.
    pub fresh: bool,
    /// The file was mostly empty and has been made small.
    pub compacted: bool,
}

/// Figures for `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Figures {
    /// Commits since opening; each is one sync of the card.
    pub commits: u64,
    /// Closures run since opening.
    pub writes: u64,
    /// Writes refused because too many waited.
    pub refused: u64,
    /// Bytes the file takes on disk; zero for a store that is not a file.
    pub file_bytes: u64,
}

/// The store, shared by everybody who holds a clone. The last one to go closes the file.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    /// Gone only while the handle is being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Nothing while a full disk keeps the file from being opened again.
    database: RwLock<Option<Database>>,
    path: Option<PathBuf>,
    keys: Keys,
    picture: RwLock<Picture>,
    failed: Mutex<Option<StoreError>>,
    commits: AtomicU64,
    writes: AtomicU64,
    refused: AtomicU64,
}

const NO_PANIC: &str = "no closure panics: a panic is a broken invariant and ends the program";

impl Store {
    /// Opens the store at `path`, or makes one.
    ///
    /// In one transaction it begins a new boot, and shows `recover` every event that an earlier boot had in hand; the
    /// heads it changed (it says so by returning true) are stored. `wall_unix` is the clock as read, believed if
    /// plausible.
    pub fn open(
        path: &Path,
        key: DeviceKey,
        wall_unix: Option<i64>,
        recover: &dyn Fn(&mut Head, Moment) -> bool,
    ) -> Result<(Store, Opened), StoreError> {
        let (database, draft) = open::open_or_draft(path)?;
        let opened = Store::start(database, Some(path.to_owned()), &key, wall_unix, recover)?;
        if draft {
            open::name_draft(path)?;
        }
        Ok(opened)
    }

    /// Opens a store on a backend of the caller's: the seam at which tests own the disk.
    pub fn open_on(
        backend: impl redb::StorageBackend,
        key: DeviceKey,
        wall_unix: Option<i64>,
        recover: &dyn Fn(&mut Head, Moment) -> bool,
    ) -> Result<(Store, Opened), StoreError> {
        Store::start(open::open_backend(backend)?, None, &key, wall_unix, recover)
    }

    fn start(
        database: Database,
        path: Option<PathBuf>,
        key: &DeviceKey,
        wall_unix: Option<i64>,
        recover: &dyn Fn(&mut Head, Moment) -> bool,
    ) -> Result<(Store, Opened), StoreError> {
        let (shared, opened) = open::begin(database, path, key, wall_unix, recover)?;
        let shared = Arc::new(shared);
        let (sender, jobs) = mpsc::sync_channel(WAITING_MAX);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || commit::serve(&for_thread, &jobs))
            .map_err(|error| StoreError::Failed {
                what: format!("no thread for the store: {error}"),
            })?;
        let handle = Handle {
            shared,
            jobs: Some(sender),
            thread: Some(thread),
        };
        Ok((Store(Arc::new(handle)), opened))
    }

    /// Runs `work` in a transaction and returns its result once everything it changed is on disk.
    ///
    /// Concurrent callers share one commit. If `work` returns `Err`, its changes are dropped and those of the others
    /// kept. It runs on the store's thread: it must be short, and may not call the store again.
    pub fn write<T, E>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(work, move |result| drop(sender.send(result)))?;
        receiver.recv().unwrap_or_else(|_| Err(gone().into()))
    }

    /// [`Store::write`] for callers that may not block. Once polled, the work is done even if the caller goes away.
    pub async fn write_async<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.submit(work, move |result| drop(sender.send(result)))?;
        receiver.await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Hands `work` to the store's thread; `reply` is called there with the result. An error here means that it
    /// never ran.
    pub fn submit<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        reply: impl FnOnce(Result<T, E>) + Send + 'static,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let job: Job = Box::new(move |turn| {
            let result = match turn {
                Ok(tx) => work(tx),
                Err(error) => {
                    reply(Err(error.into()));
                    return None;
                }
            };
            let kept = result.is_ok();
            let answer: Answer = Box::new(move |committed| reply(committed.map_err(E::from).and(result)));
            Some(if kept {
                Ran::Keep(answer)
            } else {
                Ran::TakeBack(answer)
            })
        });
        let jobs = self
            .0
            .jobs
            .as_ref()
            .expect("present until the last handle is dropped");
        match jobs.try_send(job) {
            Ok(()) => {
                self.0.shared.writes.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.0.shared.refused.fetch_add(1, Relaxed);
                Err(StoreError::Busy)
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    /// Reads committed state on the caller's thread. `work` may not call the store again, and holds up the next batch
    /// while it runs: read some tens of events at a time.
    pub fn read<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let shared = &self.0.shared;
        let picture = shared.picture.read().expect(NO_PANIC);
        let snapshot = shared.snapshot()?;
        work(&View::new(snapshot, &shared.keys, Held::Read(picture)))
    }

    /// Looks at the queue as committed. `look` may not call the store again.
    pub fn queue<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&self.0.shared.picture.read().expect(NO_PANIC).queue)
    }

    /// Walks the committed hand-off log from its checkpoint, oldest first, proving every link. Holds up nobody.
    pub fn verify_handoff(&self, see: impl FnMut(u64, Handoff)) -> Result<ChainReport, StoreError> {
        handoff::verify(&self.0.shared.keys, &self.0.shared.snapshot()?, see)
    }

    /// Why the store takes no more writes, if it does not.
    pub fn failure(&self) -> Option<StoreError> {
        self.0.shared.failed.lock().expect(NO_PANIC).clone()
    }

    pub fn figures(&self) -> Figures {
        let shared = &self.0.shared;
        Figures {
            commits: shared.commits.load(Relaxed),
            writes: shared.writes.load(Relaxed),
            refused: shared.refused.load(Relaxed),
            file_bytes: shared.path.as_deref().map_or(0, open::allocated),
        }
    }
}

fn gone() -> StoreError {
    StoreError::Failed {
        what: "the store's thread has stopped".to_owned(),
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.jobs = None;
        // A closure may hold the last handle; then this is the store's own thread, which is about to end.
        if let Some(thread) = self
            .thread
            .take()
            .filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            // It ends by itself once nobody can send; a panic there has been reported by the panic hook.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match self.database.read().expect(NO_PANIC).as_ref() {
            Some(database) => Snapshot::of(database),
            None => Err(StoreError::Full),
        }
    }

    /// Makes sure that writing makes sense: not failed, and opened again if a full disk had closed the file.
    fn usable(&self) -> Result<(), StoreError> {
        if let Some(error) = self.failed.lock().expect(NO_PANIC).clone() {
            return Err(error);
        }
        let closed = self.database.read().expect(NO_PANIC).is_none();
        if closed { self.open_again() } else { Ok(()) }
    }

    fn commit(&self, rows: &Staged) -> Result<(), StoreError> {
        let committed = match self.database.read().expect(NO_PANIC).as_ref() {
            Some(database) => rows.commit(database),
            None => Err(StoreError::Full),
        };
        committed.inspect_err(|error| self.note_failure(error))
    }

    /// After a full disk redb refuses everything until the file is opened again, so that is done; every other
    /// failure latches.
    fn note_failure(&self, error: &StoreError) {
        let latched = match (error, &self.path) {
            (StoreError::Full, Some(_)) => self.open_again().err().filter(|again| *again != StoreError::Full),
            (error, _) => Some(error.clone()),
        };
        if let Some(error) = latched {
            self.failed.lock().expect(NO_PANIC).get_or_insert(error);
        }
    }

    /// Closes the file and opens it again. The picture is made anew: a commit whose sync failed may have reached
    /// the disk all the same.
    fn open_again(&self) -> Result<(), StoreError> {
        let Some(path) = &self.path else {
            return Err(StoreError::Full);
        };
        let mut slot = self.database.write().expect(NO_PANIC);
        *slot = None;
        let database = open::open_file(path)?;
        let (fresh, _) = scan::scan(&Snapshot::of(&database)?, &self.keys)?;
        *self.picture.write().expect(NO_PANIC) = fresh;
        *slot = Some(database);
        Ok(())
    }
}
