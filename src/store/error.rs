//! What a caller of the store must do next. No variant carries anything about a child.

use super::seal::KeyError;
use crate::core::record::Seq;
use std::fmt;
use std::path::PathBuf;

/// Why the store did not do what was asked. Clone, because one failed commit answers everybody in its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Too many writes wait already. Nothing was stored; try again later.
    Busy,
    /// The disk has no room. Nothing was stored; reading goes on, and writing once there is room again.
    Full,
    /// The disk or the file failed. Latched: no write succeeds until the store is opened again.
    Failed { what: String },
    /// Another process has the store open.
    InUse { path: PathBuf },
    /// The store was sealed under another device key. It was left as it is.
    WrongKey,
    /// A later version of this program wrote the store.
    Newer { found: u32, known: u32 },
    /// The file is a database, but not one of ours.
    Foreign,
    /// The device key file cannot be used.
    Key(KeyError),
    /// The event is larger than a stored row may be.
    TooLarge { bytes: usize, bytes_max: usize },
    /// No stored event has this number.
    Unknown(Seq),
    /// A stored row does not open under the device key, or does not read as what it should be.
    Damaged { table: &'static str },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Busy => f.write_str("too many writes are waiting for the store; try again later"),
            StoreError::Full => {
                f.write_str("the disk is full, nothing was stored; free some room on the data partition")
            }
            StoreError::Failed { what } => {
                write!(f, "the store failed and takes no more writes: {what}; check the disk and restart")
            }
            StoreError::InUse { path } => {
                write!(f, "another process has {} open; stop it, or ask it to do the work", path.display())
            }
            StoreError::WrongKey => f.write_str(
                "the store was sealed under another device key and was left untouched; put the right key file \
                 back, or move the store away to start with an empty one",
            ),
            StoreError::Newer { found, known } => write!(
                f,
                "the store has format {found} and this program knows formats up to {known}; install the newer \
                 version again",
            ),
            StoreError::Foreign => {
                f.write_str("the file is not a store of this program; check data_dir in the configuration")
            }
            StoreError::Key(problem) => problem.fmt(f),
            StoreError::TooLarge { bytes, bytes_max } => {
                write!(f, "the event takes {bytes} bytes and may take {bytes_max}; shorten it")
            }
            StoreError::Unknown(seq) => write!(f, "no stored event has number {}", seq.0),
            StoreError::Damaged { table } => write!(
                f,
                "a row of table {table} is damaged or was tampered with; keep the file for the maintainers and \
                 restore a backup",
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<KeyError> for StoreError {
    fn from(problem: KeyError) -> StoreError {
        StoreError::Key(problem)
    }
}

impl StoreError {
    /// Whether trying again later can help without anybody doing anything to the program.
    pub fn passing(&self) -> bool {
        matches!(self, StoreError::Busy | StoreError::Full)
    }
}

/// redb reports failures by the operation; what follows for the caller is the same for all of them.
macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> StoreError {
                classify(redb::Error::from(error))
            }
        }
    )*};
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError
);

fn classify(error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) if no_room(&error) => StoreError::Full,
        other => StoreError::Failed {
            what: other.to_string(),
        },
    }
}

fn no_room(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The errors of opening the database file.
pub(super) fn opening(error: redb::DatabaseError, path: PathBuf) -> StoreError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        redb::DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            StoreError::Foreign
        }
        other => classify(redb::Error::from(other)),
    }
}
