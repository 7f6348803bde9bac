//! Opening: the file, the key, the schema, a new boot, and the picture in memory.
//!
//! Nothing in the file changes before the schema and the device key have been accepted. Then one transaction begins
//! the boot and sees to the events that were in hand when the program last stopped: a cut before it leaves the last
//! boot's state, a cut after it leaves a boot that did nothing.

use super::error::{self, StoreError};
use super::migrate;
use super::picture::Picture;
use super::purge;
use super::scan::scan;
use super::seal::{DeviceKey, Keys, sync_directory};
use super::tables::{Snapshot, Staged, Table};
use super::tx::Tx;
use super::{NO_PANIC, Opened, Shared};
use crate::core::record::{Head, Moment, Seq};
use crate::core::time::{BootId, Wall};
use redb::{Builder, Database};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, RwLock};

/// redb's default cache is 1 GiB. Half of this buffers a commit: 64 events of 2 KB with their tree pages take less,
/// and the reads of a session find the upper levels of every tree in the other half.
const CACHE_BYTES: usize = 1024 * 1024;

/// A file below this is not worth compacting: after a power cut it is walked in a few tens of milliseconds.
const COMPACT_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Compact when less than one part in this many is in use.
const COMPACT_RATIO: u64 = 4;

const STORE_ID: &[u8] = b"store";
const CHECK: &[u8] = b"check";
/// Sealed into every store; opening it proves the key.
const CHECK_TEXT: &[u8] = b"sealed under the right device key";

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Opens the database file. A file that is not there yet is made under its draft name: redb needs several writes to
/// lay out a file, and a power cut among them would leave one that it refuses for ever. Returns whether it did.
pub(super) fn open_or_draft(path: &Path) -> Result<(Database, bool), StoreError> {
    if path.exists() {
        refuse_newer(path)?;
        return Ok((open_file(path)?, false));
    }
    let draft = draft_path(path);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path, &error)),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft);
    Ok((
        open_on_file(file.map_err(|error| failed(path, &error))?, path)?,
        true,
    ))
}

/// Gives a new store its name, now that it is whole and on disk. A link, because it refuses to replace: of two
/// processes that both found no store, one wins.
pub(super) fn name_draft(path: &Path) -> Result<(), StoreError> {
    let draft = draft_path(path);
    match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(StoreError::InUse {
                path: path.to_owned(),
            });
        }
        linked => linked
            .and_then(|()| fs::remove_file(&draft))
            .and_then(|()| sync_directory(path)),
    }
    .map_err(|error| failed(path, &error))
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    PathBuf::from(name)
}

/// Refuses a store of a later version without touching it: an ordinary opening writes, even if nothing comes of it.
/// Whatever else is wrong, and after a power cut, the ordinary opening says so.
fn refuse_newer(path: &Path) -> Result<(), StoreError> {
    let Ok(database) = builder().open_read_only(path) else {
        return Ok(());
    };
    match Snapshot::of(&database)?.get(Table::Meta, migrate::SCHEMA_KEY) {
        Ok(Some(schema)) => migrate::read_stamp(&schema).map(drop),
        Ok(None) | Err(_) => Ok(()),
    }
}

pub(super) fn open_file(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    open_on_file(file.map_err(|error| failed(path, &error))?, path)
}

fn open_on_file(file: File, path: &Path) -> Result<Database, StoreError> {
    let refused = |error| error::opening(error, path.to_owned());
    let backend = redb::backends::FileBackend::new(file).map_err(refused)?;
    builder().create_with_backend(backend).map_err(refused)
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Failed {
            what: format!("{}: {error}", path.display()),
        },
    }
}

/// Opens on a backend of the caller's, who also sees to it that a half-made file is not kept.
pub(super) fn open_backend(backend: impl redb::StorageBackend) -> Result<Database, StoreError> {
    builder()
        .create_with_backend(backend)
        .map_err(|error| error::opening(error, PathBuf::new()))
}

/// Bytes a file really takes: redb's files have holes.
pub(super) fn allocated(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.blocks() * 512)
}

/// Checks schema and key, begins a boot, recovers, and compacts if there is much to gain.
pub(super) fn begin(
    mut database: Database,
    path: Option<PathBuf>,
    key: &DeviceKey,
    wall_unix: Option<i64>,
    recover: &dyn Fn(&mut Head, Moment) -> bool,
) -> Result<(Shared, Opened), StoreError> {
    let (keys, mut rows) = admit(&database, key)?;
    let fresh = !rows.is_empty();
    let snapshot = Snapshot::of(&database)?;
    let (picture, leased) = scan(&snapshot, &keys)?;
    purge::trim_receipts(&keys, &snapshot, &mut rows)?;
    drop(snapshot);
    let mut compacted = false;
    if path.as_deref().is_some_and(|path| mostly_empty(path, &picture)) {
        match database.compact().map_err(StoreError::from) {
            Ok(done) => compacted = done,
            // Compaction needs a little room of its own; without it the file just stays large.
            Err(StoreError::Full) => {
                drop(database);
                database = open_file(path.as_deref().expect("only a file is compacted"))?;
            }
            Err(error) => return Err(error),
        }
    }
    let shared = Shared {
        database: RwLock::new(Some(database)),
        path,
        keys,
        picture: RwLock::new(picture),
        failed: Mutex::new(None),
        commits: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    };
    let mut opened = begin_boot(&shared, rows, leased, wall_unix, recover)?;
    opened.fresh = fresh;
    opened.compacted = compacted;
    Ok((shared, opened))
}

/// Proves that the file is ours, readable by this version, and sealed under this key. For an empty file it returns
/// the rows that make it a store.
fn admit(database: &Database, key: &DeviceKey) -> Result<(Keys, Staged), StoreError> {
    let snapshot = Snapshot::of(database)?;
    let mut rows = Staged::default();
    let Some(schema) = snapshot.get(Table::Meta, migrate::SCHEMA_KEY)? else {
        if !snapshot.blank()? {
            return Err(StoreError::Foreign);
        }
        let id = Keys::fresh_store_id();
        let keys = Keys::derive(key, &id, Table::NAMES);
        migrate::stamp(&mut rows, migrate::SCHEMA);
        rows.set(Table::Meta, STORE_ID, Some(id.to_vec()));
        rows.set(
            Table::Meta,
            CHECK,
            Some(keys.seal(Table::Meta.index(), CHECK, CHECK_TEXT.to_vec())),
        );
        return Ok((keys, rows));
    };
    let schema = migrate::read_stamp(&schema)?;
    let id = snapshot
        .get(Table::Meta, STORE_ID)?
        .and_then(|id| id.try_into().ok())
        .ok_or(StoreError::Foreign)?;
    let keys = Keys::derive(key, &id, Table::NAMES);
    let check = snapshot.get(Table::Meta, CHECK)?.ok_or(StoreError::Foreign)?;
    let mut plain = Vec::new();
    if !keys.open(Table::Meta.index(), CHECK, &check, &mut plain) || plain != CHECK_TEXT {
        return Err(StoreError::WrongKey);
    }
    drop(snapshot);
    migrate::forward(database, &keys, schema, migrate::STEPS)?;
    Ok((keys, rows))
}

/// Whether most of the file is free pages, by a generous guess at what the rows take.
fn mostly_empty(path: &Path, picture: &Picture) -> bool {
    let file = allocated(path);
    let counters = &picture.counters;
    let events: u64 = picture.queue.iter().map(|entry| u64::from(entry.bytes) * 2).sum();
    let used = events + counters.receipts * 600 + counters.links * 600 + counters.chain_rows * 200;
    file >= COMPACT_BYTES_MIN && used < file / COMPACT_RATIO
}

fn begin_boot(
    shared: &Shared,
    mut rows: Staged,
    leased: Vec<Seq>,
    wall_unix: Option<i64>,
    recover: &dyn Fn(&mut Head, Moment) -> bool,
) -> Result<Opened, StoreError> {
    let picture = shared.picture.write().expect(NO_PANIC);
    let before = picture.counters.state;
    let boot = BootId(before.boot.0 + 1);
    let unix = wall_unix.and_then(|unix| Wall::judge(unix, before.floor, false).known());
    let mut tx = Tx::new(shared.snapshot()?, &shared.keys, picture);
    tx.change_box(|counters| counters.state.boot = boot);
    let mut interrupted = 0;
    for seq in leased {
        let mut head = tx.head(seq)?.ok_or(StoreError::Unknown(seq))?;
        if recover(&mut head, Moment { boot, unix }) {
            tx.update(&head)?;
            interrupted += 1;
        }
    }
    tx.keep();
    let mut batch = tx.finish();
    rows.take_over(&mut batch.rows);
    shared.commit(&rows)?;
    let mut picture = shared.picture.write().expect(NO_PANIC);
    for change in batch.changes {
        picture.apply(change);
    }
    picture.counters = batch.counters;
    Ok(Opened {
        boot,
        interrupted,
        stored_floor: before.floor,
        session: before.session,
        fresh: false,
        compacted: false,
    })
}
