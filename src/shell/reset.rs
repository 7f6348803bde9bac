//! Empties a box for another office: store, keys and configuration go. Refused while an event would be lost with it.
//!
//! The device key goes first, because without it the rest is noise. From before that until nothing is left the box is
//! locked, so that a box that was cut off half-way neither starts nor refuses to be emptied to the end.

use super::lan::certificate;
use super::parts::{self, STORE_FILE};
use super::sealed;
use super::swap::{
    LOCK_FILE, Refused, VERIFIED, dropped, open_events, remove, sync_folder, told, write_lock,
};
use crate::config::Config;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// The lock's last line once nothing on the box is to be kept.
const BEGUN: &str = "emptied";

/// Whether a lock says that the box is being emptied.
pub(super) fn begun(lock: &str) -> bool {
    lock.lines().any(|line| line == BEGUN)
}

/// `box reset`. The service must not run.
pub fn reset(config: &Config, config_folder: &Path) -> Result<(), Refused> {
    let data_dir = &config.gateway.data_dir;
    may_remove_from(config_folder)?;
    let lock = fs::read_to_string(data_dir.join(LOCK_FILE)).unwrap_or_default();
    if !begun(&lock) {
        nothing_is_lost(config, &lock)?;
        write_lock(data_dir, &format!("{lock}{BEGUN}\n")).map_err(told("the lock"))?;
    }
    let gone = || -> io::Result<()> {
        remove(&config.gateway.seal_key_file)?;
        sync_folder(&config.gateway.seal_key_file)?;
        remove(&data_dir.join(STORE_FILE))?;
        for name in certificate::FILES {
            remove(&data_dir.join(name))?;
        }
        for name in sealed::NAMES {
            remove(&config_folder.join(name))?;
        }
        // The last but one: it says where the rest is.
        remove(&config_folder.join("gateway.toml"))?;
        sync_folder(&config_folder.join("gateway.toml"))?;
        remove(&data_dir.join(LOCK_FILE))?;
        sync_folder(&data_dir.join(LOCK_FILE))
    };
    gone().map_err(told("the card"))
}

/// Where the package put it, the configuration is root's. Found out before anything is gone: a box without a store but
/// with its old configuration would start as a second box of that name.
fn may_remove_from(folder: &Path) -> Result<(), Refused> {
    let probe = folder.join(".reset");
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe);
    match made {
        Ok(_) => remove(&probe).map_err(told(&folder.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(format!(
            "the configuration in {} is root's and has to go too: sudo referral-gateway box reset",
            folder.display()
        )),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
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
