//! A copy of the whole store in another file, sealed rows as they are: for trying something out without touching it.

use super::Store;
use super::error::StoreError;
use super::open;
use super::tables::copy_rows;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

impl Store {
    /// Copies what is committed into a new file at `path`, in place of whatever is there. It is to be opened with the
    /// same device key, and to be taken away again: see [`remove_copy`].
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::Failed {
            what: format!("{}: {error}", path.display()),
        };
        remove_copy(path).map_err(failed)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        drop(file.map_err(failed)?);
        let copy = open::open_file(path)?;
        copy_rows(&self.0.shared.snapshot()?, &copy)
    }
}

/// Takes a copy away; none is fine.
pub fn remove_copy(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
