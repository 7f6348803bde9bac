//! Provisioning: takes the file on the card into the box.
//!
//! `home/current` points to the folder of the configuration in force: `gateway.toml`, the sealed secrets, and what the
//! card says now. A new file is taken into a folder of its own, checked as the service would check it, and put in force
//! by one rename; then its secrets are overwritten on the card. A power cut at any moment leaves the old configuration
//! or the new one, and the overwriting is taken up again at the next start. A file that is refused changes nothing.
//!
//! **Limit.** Overwriting clears the file as any computer can read it; flash may keep old copies of a block where only
//! a laboratory finds them. So a password is changed when a card is lost, not only when a box is.

use super::{parts, sealed};
use crate::config::card::{self, Card, Ground};
use crate::config::{Config, ConfigError};
use crate::store::DeviceKey;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where a refusal is written, beside the file.
pub const ERRORS_FILE: &str = "gateway-errors.txt";
const CURRENT: &str = "current";
/// What the card says once its secrets are gone.
const REDACTED: &str = "card.txt";
/// There while the card still has to be overwritten; holds the digest of the file that was taken in.
const TO_SCRUB: &str = "to-scrub";
const WIFI: &str = "wifi";

/// What became of the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in force from now on.
    Taken,
    /// It is the one in force, or there is none and the box is provisioned already.
    Unchanged,
}

/// Why the file was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// There is none, and never was.
    Missing,
    /// Each thing that is wrong with it.
    Faults(Vec<ConfigError>),
    /// The box failed, not the file.
    Disk(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Disk(error)
    }
}

/// Takes the file in if it is new. `standard` is the board's part ([`Ground::standard`]).
pub fn apply(file: &Path, home: &Path, standard: &str) -> Result<Applied, Refusal> {
    let current = home.join(CURRENT);
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && current.exists() => {
            return Ok(Applied::Unchanged);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::Missing),
        read => read?,
    };
    let in_force = fs::read(current.join(REDACTED)).unwrap_or_default();
    let to_scrub = fs::read_to_string(current.join(TO_SCRUB)).ok();
    if to_scrub.is_none() && current.exists() && bytes == in_force {
        return Ok(Applied::Unchanged);
    }
    let taken_before = to_scrub.is_some_and(|taken| taken == name_of(&bytes));
    let staged = if taken_before {
        Ok(None)
    } else {
        stage(&bytes, home, standard).map(Some)
    };
    match staged {
        Ok(Some(folder)) => put_in_force(home, &folder)?,
        Ok(None) => {}
        // Cut off in the middle of the overwriting: what lies there is neither the old file nor a new one.
        Err(Refusal::Faults(_)) if current.join(TO_SCRUB).exists() => {}
        Err(refusal) => return Err(refusal),
    }
    let redacted = fs::read(current.join(REDACTED))?;
    overwrite(file, &redacted)?;
    fs::remove_file(current.join(TO_SCRUB))?;
    Ok(Applied::Taken)
}

/// Says on the card why its file was refused, or takes an old refusal away. Lines end as Windows wants them.
pub fn answer(file: &Path, refusal: Option<&Refusal>) -> io::Result<()> {
    let beside = file.with_file_name(ERRORS_FILE);
    let words = match refusal {
        None => {
            return match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        Some(refusal) => refusal.words(),
    };
    let mut text = String::from(
        "gateway.txt was not accepted. Correct what follows, put the card back, start again.\r\n\r\n",
    );
    for line in words {
        text.push_str(&format!("- {line}\r\n"));
    }
    let mut out = File::create(&beside)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

impl Refusal {
    /// One line for each thing that is wrong.
    pub fn words(&self) -> Vec<String> {
        match self {
            Refusal::Missing => vec![
                "there is no gateway.txt on the card: make one with `referral-gateway provision new`"
                    .to_owned(),
            ],
            Refusal::Faults(faults) => faults.iter().map(|fault| fault.0.clone()).collect(),
            Refusal::Disk(error) => {
                vec![format!(
                    "the box could not read or write its card: {error}; try another card"
                )]
            }
        }
    }
}

/// Checks a file where no box is: in a folder that is gone afterwards. Secrets the file leaves empty are taken as held.
pub fn check(bytes: &[u8], standard: &str) -> Result<(), Refusal> {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let scratch = base.join(format!("referral-gateway-check-{}", random_name()));
    let home = scratch.join("config");
    make_folder(&home)?;
    let held = home.join(CURRENT);
    make_folder(&held)?;
    let kept = card::read(bytes, &ground(&|_| true, standard, &home.to_string_lossy()))
        .map(|card| card.kept)
        .unwrap_or_default();
    let result = DeviceKey::load_or_make(&scratch.join("seal.key"))
        .map_err(|error| Refusal::Disk(io::Error::other(error.to_string())))
        .and_then(|key| {
            for name in kept {
                write_new(
                    &held.join(name),
                    key.seal_text(name, "as the box has it").as_bytes(),
                )?;
            }
            stage(bytes, &home, standard).map(|_| ())
        });
    fs::remove_dir_all(&scratch)?;
    result
}

fn ground<'a>(held: &'a dyn Fn(&str) -> bool, standard: &'a str, data_dir: &'a str) -> Ground<'a> {
    Ground {
        held,
        standard,
        data_dir,
    }
}

/// Writes the file's parts into a fresh folder of `home` and checks them there as the service would.
fn stage(bytes: &[u8], home: &Path, standard: &str) -> Result<PathBuf, Refusal> {
    let current = home.join(CURRENT);
    let data_dir = home.parent().unwrap_or(home);
    let held = |name: &str| current.join(name).exists();
    let read = card::read(bytes, &ground(&held, standard, &data_dir.to_string_lossy()));
    let card = read.map_err(Refusal::Faults)?;
    let folder = home.join(format!("conf-{}", random_name()));
    make_folder(&folder)?;
    let written = write_parts(bytes, &card, &folder, &current, data_dir);
    let checked = written.and_then(|()| {
        check_as_service(&folder).map_err(|refusal| match refusal {
            Refusal::Faults(faults) => {
                let told = |fault| card::told_of_the_file(fault, &card.config, bytes);
                Refusal::Faults(faults.into_iter().map(told).collect())
            }
            other => other,
        })
    });
    if checked.is_err() {
        fs::remove_dir_all(&folder)?;
    }
    checked.map(|()| folder)
}

fn write_parts(
    bytes: &[u8],
    card: &Card,
    folder: &Path,
    current: &Path,
    data_dir: &Path,
) -> Result<(), Refusal> {
    let key = DeviceKey::load_or_make(&data_dir.join("seal.key"))
        .map_err(|error| Refusal::Disk(io::Error::other(error.to_string())))?;
    write_new(&folder.join("gateway.toml"), card.config.as_bytes())?;
    for (name, secret) in &card.secrets {
        write_new(&folder.join(name), key.seal_text(name, secret).as_bytes())?;
    }
    for name in &card.kept {
        write_new(&folder.join(name), &fs::read(current.join(name))?)?;
    }
    for (name, content) in &card.open {
        write_new(&folder.join(name), content.as_bytes())?;
    }
    if let Some(wifi) = &card.wifi {
        let text = format!("{}\n{}\n", wifi.country, wifi.network);
        write_new(&folder.join(WIFI), text.as_bytes())?;
    }
    write_new(&folder.join(REDACTED), card.redacted.as_bytes())?;
    write_new(&folder.join(TO_SCRUB), name_of(bytes).as_bytes())?;
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn check_as_service(folder: &Path) -> Result<(), Refusal> {
    let config = Config::load(&folder.join("gateway.toml"))
        .and_then(sealed::opened)
        .map_err(|error| Refusal::Faults(vec![error]))?;
    parts::check(&config)
        .map(drop)
        .map_err(|error| Refusal::Faults(vec![ConfigError(error.to_string())]))
}

/// One rename puts the folder in force; the others go.
fn put_in_force(home: &Path, folder: &Path) -> io::Result<()> {
    let link = home.join(format!("next-{}", random_name()));
    let name = folder.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(name, &link)?;
    fs::rename(&link, home.join(CURRENT))?;
    File::open(home)?.sync_all()?;
    for entry in fs::read_dir(home)?.flatten() {
        let old = entry.file_name().to_string_lossy().starts_with("conf-") && entry.file_name() != name;
        if old {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Blanks the file where it lies, then writes the new text over it.
fn overwrite(file: &Path, text: &[u8]) -> io::Result<()> {
    let mut card = OpenOptions::new().write(true).open(file)?;
    let length = usize::try_from(card.metadata()?.len()).unwrap_or(card::CARD_BYTES_MAX);
    card.write_all(&vec![b' '; length])?;
    card.sync_all()?;
    let mut card = OpenOptions::new().write(true).open(file)?;
    card.write_all(text)?;
    card.set_len(text.len() as u64)?;
    card.sync_all()
}

/// The Wi-Fi part as wpa_supplicant reads it, to be kept in memory only; `None` if the box has no Wi-Fi to join.
pub fn wifi(home: &Path) -> io::Result<Option<String>> {
    let current = home.join(CURRENT);
    let Ok(text) = fs::read_to_string(current.join(WIFI)) else {
        return Ok(None);
    };
    let (country, network) = text.trim_end().split_once('\n').unwrap_or_default();
    let mut out = format!("country={country}\nnetwork={{\n  ssid=\"{network}\"\n");
    match fs::read_to_string(current.join("wifi.password")) {
        Ok(sealed) => {
            let data_dir = home.parent().unwrap_or(home);
            let key = DeviceKey::load_or_make(&data_dir.join("seal.key")).map_err(io::Error::other)?;
            let password = key.open_text("wifi.password", &sealed);
            let password =
                password.ok_or_else(|| io::Error::other("the Wi-Fi password was sealed by another box"))?;
            out.push_str(&format!("  psk=\"{password}\"\n}}\n"));
        }
        Err(_) => out.push_str("  key_mgmt=NONE\n}\n"),
    }
    Ok(Some(out))
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A digest, in hexadecimal.
fn name_of(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    crate::core::hex::lower(digest.as_ref())
}

fn random_name() -> String {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the kernel gives random bytes once it has booted");
    crate::core::hex::lower(&bytes)
}
