//! From one box to another without losing or doubling an event: export onto a stick, import on the new box.
//!
//! The export carries the device key and the store, so the new box *is* the old one: it knows what was sent, what is in
//! doubt, and under which ids. The old box is locked before the first byte is written and stays locked: two boxes that
//! both believe they are this one would send everything twice. [`unlock`] is for a stick that was lost before it was
//! imported, and a person vouches for that. The order of the steps is such that a power cut leaves a locked box that can
//! export again, or a new box that can import again.

use super::lan::certificate;
use super::parts::{self, DATA_MODE, Parts, STORE_FILE, StartError};
use super::swap_file::{self, Sealer};
use super::{clock, reset, sealed};
use crate::config::Config;
use crate::config::card::CARD_BYTES_MAX;
use crate::core::outbox;
use crate::store::{DeviceKey, SEALED_TEXT, Store};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// In the data folder of a box that has handed everything over.
pub(super) const LOCK_FILE: &str = "handed-over";
/// How the file on the stick ends; an imported one ends otherwise, so that no second box takes it by mistake.
pub const ENDING: &str = "gateway-swap";
const KEY_NAME: &str = "seal.key";
/// What the file on the stick carries.
const CARRIED: [&str; 4] = [KEY_NAME, STORE_FILE, certificate::FILES[0], certificate::FILES[1]];
/// The lock's last line once the file on the stick has been read back.
pub(super) const VERIFIED: &str = "verified";

/// Why nothing was done: a sentence for a technician.
pub type Refused = String;

pub(super) fn told(what: &str) -> impl Fn(io::Error) -> Refused + '_ {
    move |error| format!("{what}: {error}")
}

/// Refuses a box that has handed over.
pub fn locked(data_dir: &Path) -> Result<(), StartError> {
    match fs::read_to_string(data_dir.join(LOCK_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        lock => {
            let file = lock.unwrap_or_default();
            if reset::begun(&file) {
                return Err(StartError::Setting(
                    "this box was being emptied when it was interrupted: referral-gateway box reset, again"
                        .to_owned(),
                ));
            }
            let file = file.lines().next().unwrap_or_default();
            Err(StartError::Setting(format!(
                "this box has handed everything over to {file} and sends nothing any more. Import that file on the new \
                 box; if it was lost before anybody imported it: referral-gateway box unlock --note \"why\""
            )))
        }
    }
}

/// Events that are not delivered yet.
pub fn undelivered(config: &Config) -> Result<u32, StartError> {
    let status = super::control::ask(&parts::socket_path(config), "GET", "/v1/status", Vec::new());
    if let Ok(Some((200, status))) = status {
        let count = |state| status["queue"][state].as_u64().unwrap_or(0);
        let open = count("pending") + count("in_doubt") + count("parked");
        return Ok(u32::try_from(open).unwrap_or(u32::MAX));
    }
    if !config.gateway.data_dir.join(STORE_FILE).exists() {
        return Ok(0);
    }
    let parts = parts::open_existing(config)?;
    Ok(open_events(&parts))
}

pub(super) fn open_events(parts: &Parts) -> u32 {
    parts.store.queue(|queue| queue.counts().open())
}

/// The passphrase that provisioning brought, or the first line of a file. Of both, the file's must be the same: who
/// holds a stick does not choose what it is sealed under.
pub fn passphrase(config: &Config, config_folder: &Path, file: Option<&Path>) -> Result<String, Refused> {
    let own = match fs::read_to_string(config_folder.join("swap.passphrase")) {
        Ok(sealed) => Some(own_passphrase(config, &sealed)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(told("the swap passphrase")(error)),
    };
    let Some(file) = file else {
        let none = "this box has no swap passphrase: write box.swap_passphrase into gateway.txt, or name a file that holds one";
        return own.ok_or_else(|| none.to_owned());
    };
    let mut text = String::new();
    File::open(file)
        .and_then(|file| file.take(CARD_BYTES_MAX as u64).read_to_string(&mut text))
        .map_err(told(&file.display().to_string()))?;
    let line = text
        .trim_start_matches('\u{feff}')
        .lines()
        .next()
        .unwrap_or_default();
    let line = line.trim().to_owned();
    match own {
        Some(own) if own != line => Err("that is not the swap passphrase of this box".to_owned()),
        None if line.chars().count() < 16 => Err("the passphrase needs at least 16 characters".to_owned()),
        _ => Ok(line),
    }
}

fn own_passphrase(config: &Config, sealed: &str) -> Result<String, Refused> {
    let key = DeviceKey::load_or_make(&config.gateway.seal_key_file).map_err(|error| error.to_string())?;
    key.open_text("swap.passphrase", sealed).ok_or_else(|| {
        "the swap passphrase was sealed by another box: write it into gateway.txt again".to_owned()
    })
}

/// Writes the box onto the stick and locks it. The service must not run.
pub fn export(config: &Config, stick: &Path, passphrase: &str) -> Result<PathBuf, Refused> {
    let data_dir = &config.gateway.data_dir;
    let store_file = data_dir.join(STORE_FILE);
    if !store_file.exists() {
        return Err("there is nothing on this box to hand over".to_owned());
    }
    let waiting = dropped(data_dir);
    if waiting > 0 {
        return Err(format!(
            "{waiting} files wait in the drop folder: let the service take them in first (start it for a minute)"
        ));
    }
    // Open during the whole export: the service cannot start meanwhile.
    let parts = parts::open_even_locked(config).map_err(|error| error.to_string())?;
    let target = stick.join(format!("{}.{ENDING}", config.gateway.id));
    write_lock(data_dir, &format!("{}\n", target.display())).map_err(told("the lock"))?;
    let written = write_export(config, &store_file, &target, passphrase);
    let checked = written.and_then(|()| {
        let file = File::open(&target)?;
        swap_file::read(file, passphrase, &mut |_, content| {
            io::copy(content, &mut io::sink()).map(drop)
        })
    });
    checked.map_err(|error| {
        format!(
            "the stick: {error}. The box stays locked: export again, or `box unlock` if no file of it is left"
        )
    })?;
    write_lock(data_dir, &format!("{}\n{VERIFIED}\n", target.display())).map_err(told("the lock"))?;
    drop(parts);
    Ok(target)
}

/// Files in the drop folder that nobody has taken in yet.
pub(super) fn dropped(data_dir: &Path) -> usize {
    fs::read_dir(data_dir.join("intake")).map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.path().is_file()).count()
    })
}

fn write_export(config: &Config, store: &Path, target: &Path, passphrase: &str) -> io::Result<()> {
    let draft = target.with_extension("part");
    let out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    let mut sealer = Sealer::new(BufWriter::new(out), passphrase)?;
    let files = [
        (KEY_NAME, config.gateway.seal_key_file.as_path()),
        (STORE_FILE, store),
    ];
    // The stations know the box by its certificate; without a LAN listener there is none.
    let lan = certificate::FILES.map(|name| (name, config.gateway.data_dir.join(name)));
    let lan = lan.iter().filter(|(_, path)| path.exists());
    let lan = lan.map(|(name, path)| (*name, path.as_path()));
    for (name, path) in files.into_iter().chain(lan) {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        sealer.add(name, length, &mut file)?;
    }
    let out = sealer.finish()?.into_inner().map_err(io::Error::other)?;
    out.sync_all()?;
    fs::rename(&draft, target)?;
    sync_folder(target)
}

/// Takes the one file on the stick into this box, which must be fresh. The service must not run. Its new name, or why
/// it still has its old one although this box has taken over: a second box could take it too, then.
pub fn import(
    config: &Config,
    config_folder: &Path,
    stick: &Path,
    passphrase: &str,
) -> Result<Result<PathBuf, String>, Refused> {
    let data_dir = &config.gateway.data_dir;
    locked(data_dir).map_err(|error| error.to_string())?;
    let source = the_file_on(stick)?;
    let mut events = 0;
    if data_dir.join(STORE_FILE).exists() {
        let parts = parts::open(config).map_err(|error| error.to_string())?;
        events = parts.store.queue(|queue| queue.iter().count());
    }
    let secrets = opened_secrets(config, config_folder)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(DATA_MODE)
        .create(data_dir)
        .map_err(told("the data folder"))?;
    drop_drafts(data_dir)?;
    let file = File::open(&source).map_err(told("the stick"))?;
    let taken = swap_file::read(file, passphrase, &mut |name, content| {
        if CARRIED.contains(&name) {
            keep(content, &draft(data_dir, name))?;
        }
        Ok(())
    });
    taken.map_err(told(&source.display().to_string()))?;
    if [KEY_NAME, STORE_FILE]
        .iter()
        .any(|name| !draft(data_dir, name).exists())
    {
        return Err(format!("{} does not hold a whole box", source.display()));
    }
    let key = DeviceKey::load_or_make(&draft(data_dir, KEY_NAME)).map_err(|error| error.to_string())?;
    let done = source.with_extension("imported");
    if events == 0 {
        // Opening it proves that store and key belong together.
        let store = draft(data_dir, STORE_FILE);
        Store::open(&store, key.clone(), clock::wall(0).known(), &outbox::recover)
            .map_err(|error| error.to_string())?;
        writable(&done).map_err(told("the stick cannot be written"))?;
        put_in_place(config, &key, secrets).map_err(told("this box's own card"))?;
    } else {
        drop_drafts(data_dir)?;
        // Cut off before it could give the file its new name: it has taken over, and that is all that is left to do.
        if DeviceKey::load_or_make(&config.gateway.seal_key_file) != Ok(key) {
            return Err(format!(
                "this box has {events} events of its own: only a fresh box can take another's place"
            ));
        }
    }
    let renamed = fs::rename(&source, &done).and_then(|()| sync_folder(&done));
    Ok(renamed.map(|()| done).map_err(|error| {
        format!(
            "THIS BOX HAS TAKEN OVER, but {} could not be renamed: {error}. Import it here again, or destroy it: no other box may have it",
            source.display()
        )
    }))
}

fn drop_drafts(data_dir: &Path) -> Result<(), Refused> {
    let mut drafts = CARRIED.iter().map(|name| draft(data_dir, name));
    drafts
        .try_for_each(|draft| remove(&draft))
        .map_err(told("an earlier try"))
}

/// A stick that cannot be written would stay one that a second box can import.
fn writable(file: &Path) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)?
        .sync_all()?;
    sync_folder(file)
}

/// The store of this box is empty and of no worth when it goes, the other's is the last to come: a cut before leaves a
/// box that can import again.
fn put_in_place(
    config: &Config,
    key: &DeviceKey,
    secrets: Vec<(PathBuf, &'static str, String)>,
) -> io::Result<()> {
    let data_dir = &config.gateway.data_dir;
    let place = data_dir.join(STORE_FILE);
    remove(&place)?;
    sync_folder(&place)?;
    for name in certificate::FILES {
        let draft = draft(data_dir, name);
        if draft.exists() {
            fs::rename(draft, data_dir.join(name))?;
        }
    }
    for (path, name, text) in secrets {
        replace(&path, key.seal_text(name, &text).as_bytes())?;
    }
    let key = draft(data_dir, KEY_NAME);
    replace(&config.gateway.seal_key_file, &fs::read(&key)?)?;
    remove(&key)?;
    fs::rename(draft(data_dir, STORE_FILE), &place)?;
    sync_folder(&place).inspect_err(|_| drop(remove(&place)))
}

/// Where an imported file waits until all have come.
fn draft(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join(format!("{name}.import"))
}

/// Passwords that provisioning sealed, opened under the key that is about to go.
fn opened_secrets(config: &Config, folder: &Path) -> Result<Vec<(PathBuf, &'static str, String)>, Refused> {
    let names = sealed::NAMES;
    if !config.gateway.seal_key_file.exists() {
        return Ok(Vec::new());
    }
    let key = DeviceKey::load_or_make(&config.gateway.seal_key_file).map_err(|error| error.to_string())?;
    let mut opened = Vec::new();
    for name in names {
        let path = folder.join(name);
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if text.starts_with(SEALED_TEXT)
            && let Some(plain) = key.open_text(name, &text)
        {
            opened.push((path, name, plain));
        }
    }
    Ok(opened)
}

fn the_file_on(stick: &Path) -> Result<PathBuf, Refused> {
    let entries = fs::read_dir(stick).map_err(told(&stick.display().to_string()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
        .collect();
    match (found.pop(), found.len()) {
        (Some(file), 0) => Ok(file),
        (Some(_), _) => Err("there is more than one box on this stick: leave one file on it".to_owned()),
        (None, _) => Err(format!(
            "there is no file ending in .{ENDING} on this stick; one ending in .imported was imported already"
        )),
    }
}

/// Lets a locked box work again: a person vouches that its file was never imported and never will be.
pub fn unlock(config: &Config) -> Result<(), Refused> {
    let lock = config.gateway.data_dir.join(LOCK_FILE);
    if !lock.exists() {
        return Err("this box is not locked".to_owned());
    }
    remove(&lock)
        .and_then(|()| sync_folder(&lock))
        .map_err(told("the lock"))
}

pub(super) fn write_lock(data_dir: &Path, text: &str) -> io::Result<()> {
    replace(&data_dir.join(LOCK_FILE), text.as_bytes())
}

fn keep(content: &mut dyn Read, path: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::copy(content, &mut out)?;
    out.sync_all()
}

/// Whole or not at all, and on disk.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    remove(&draft)?;
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&draft, path)?;
    sync_folder(path)
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
