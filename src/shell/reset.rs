//! Empties a box for another office: store, keys, passwords and configuration go. Refused while an event would be lost
//! with it.
//!
//! The device key goes first, because without it the rest is noise. From before that until nothing is left the box is
//! locked, so that a box that was cut off half-way neither starts nor refuses to be emptied to the end: the configuration
//! goes last, because it names all the others.

use super::lan::certificate;
use super::parts::{self, STORE_FILE};
use super::sealed;
use super::swap::{
    LOCK_FILE, Refused, VERIFIED, dropped, open_events, remove, sync_folder, told, write_lock,
};
use crate::config::{Belongings, Config};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The lock's last line once nothing on the box is to be kept.
const BEGUN: &str = "emptied";

/// Whether a lock says that the box is being emptied.
pub(super) fn begun(lock: &str) -> bool {
    lock.lines().any(|line| line == BEGUN)
}

/// `box reset` of a box that has not been emptied by half. The service must not run.
pub fn reset(config: &Config, config_file: &Path) -> Result<(), Refused> {
    let data_dir = &config.gateway.data_dir;
    let belongings = Belongings::named_in(config_file).map_err(|error| error.to_string())?;
    may_remove(&belongings, config_file)?;
    let lock = fs::read_to_string(data_dir.join(LOCK_FILE)).unwrap_or_default();
    nothing_is_lost(config, &lock)?;
    write_lock(data_dir, &format!("{lock}{BEGUN}\n")).map_err(told("the lock"))?;
    empty(&belongings, config_file)
}

/// `box reset` of a box whose emptying was cut off: its key is gone and perhaps its passwords, so that nothing of it can
/// be opened and nobody is asked again. Nothing if that is not how this box stands.
pub fn finish(config_file: &Path) -> Option<Result<(), Refused>> {
    let belongings = under_way(config_file)?;
    Some(may_remove(&belongings, config_file).and_then(|()| empty(&belongings, config_file)))
}

/// What is to go, if the emptying has begun.
pub fn under_way(config_file: &Path) -> Option<Belongings> {
    let belongings = Belongings::named_in(config_file).ok()?;
    let lock = fs::read_to_string(belongings.data_dir.join(LOCK_FILE)).ok()?;
    begun(&lock).then_some(belongings)
}

fn empty(belongings: &Belongings, config_file: &Path) -> Result<(), Refused> {
    let Belongings {
        data_dir,
        seal_key_file,
        secrets,
    } = belongings;
    // For good, before what follows goes.
    let gone = |file: &Path| {
        let removed = remove(file).and_then(|()| if_there(sync_folder(file)));
        removed.map_err(told(&file.display().to_string()))
    };
    gone(seal_key_file)?;
    gone(&data_dir.join(STORE_FILE))?;
    for name in certificate::FILES {
        gone(&data_dir.join(name))?;
    }
    for file in secrets {
        gone(file)?;
    }
    for name in sealed::NAMES {
        gone(&config_file.with_file_name(name))?;
    }
    // The last but one: it says where the rest is.
    gone(config_file)?;
    gone(&data_dir.join(LOCK_FILE))
}

/// A folder that is not there holds nothing.
fn if_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Where the package put it, the configuration is root's, and secrets may lie anywhere. Found out before anything is gone:
/// a box without a store but with its old configuration would start as a second box of that name.
fn may_remove(belongings: &Belongings, config_file: &Path) -> Result<(), Refused> {
    let files = belongings.secrets.iter().map(PathBuf::as_path);
    let folders: BTreeSet<&Path> = files.chain([config_file]).filter_map(Path::parent).collect();
    for folder in folders {
        let probe = folder.join(".reset");
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&probe);
        match made.and_then(|_| remove(&probe)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(format!(
                    "what lies in {} is root's and has to go too: sudo referral-gateway box reset",
                    folder.display()
                ));
            }
            done => if_there(done).map_err(told(&folder.display().to_string()))?,
        }
    }
    Ok(())
}

fn nothing_is_lost(config: &Config, lock: &str) -> Result<(), Refused> {
    let data_dir = &config.gateway.data_dir;
    let handed_over = lock.lines().any(|line| line == VERIFIED);
    if data_dir.join(STORE_FILE).exists() {
        let parts = parts::open_existing(config).map_err(|error| error.to_string())?;
        let open = open_events(&parts);
        if open > 0 && !handed_over {
            return Err(format!(
                "{open} events on this box were never delivered. Let them go out, or hand them to another box \
                 (`box export`), or give each up with a note (`events discard`); then reset"
            ));
        }
    }
    let waiting = dropped(data_dir);
    if waiting > 0 {
        return Err(format!(
            "{waiting} files wait in the drop folder, in clear: hand them in on the box that works now and remove them"
        ));
    }
    Ok(())
}
