//! `self-test`: what a technician runs before leaving the office. Works beside the running service, and without it: it
//! takes no lock on the store and opens nothing of it.
//!
//! At the peers it shows itself once: one password at Primero, one sign-in at OSCaR, and a password that was refused
//! is not tried a second time before it has been changed (six refusals lock an account, primero.md §1.4).

mod broker;
mod peers;
mod refused;
mod sheet;

pub use sheet::sheet;

use super::clock::{self, Clock};
use super::figures::disk_free;
use super::lan::certificate::Shown;
use super::office::LOCKED;
use super::{control, parts};
use crate::config::Config;
use crate::core::finding::{self, Finding};
use crate::core::outcome::Trouble;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Pages written, each on disk before the next: enough to see a card stall, few enough to spare it.
const PAGES: usize = 8;
const PAGE: [u8; 4096] = [0x5a; 4096];

/// Looks at everything, says each finding as it comes, and returns them all.
pub fn run(config: &Config, say: &mut dyn FnMut(&Finding)) -> Vec<Finding> {
    let clock = Clock::new(0);
    let mut found = Vec::new();
    let mut put = |finding: Finding| {
        say(&finding);
        found.push(finding);
    };
    put(settings(config));
    put(service(config));
    put(disk(config, &clock));
    put(space(config));
    put(key(config));
    put(lan(config));
    let mut servers = Vec::new();
    peers::look(config, &clock, &mut servers, &mut put);
    put(finding::clock(clock::wall(0), &servers));
    broker::look(config, &clock, &mut put);
    found
}

/// Milliseconds since the program began.
fn ms(clock: &Clock) -> u64 {
    clock.now().mono.0
}

fn settings(config: &Config) -> Finding {
    match parts::check(config) {
        Ok(notices) if notices.is_empty() => Finding::ok("configuration", "every setting makes sense"),
        Ok(notices) => Finding::warn(
            "configuration",
            notices.join("; "),
            "correct it if it is not meant so",
        ),
        Err(error) => Finding::fail(
            "configuration",
            error.to_string(),
            "correct it, then run this again",
        ),
    }
}

fn service(config: &Config) -> Finding {
    let about = "service";
    match control::ask(&parts::socket_path(config), "GET", "/v1/status", Vec::new()) {
        Ok(Some((200, status))) => {
            let queue = &status["queue"];
            let needs = [&queue["parked"], &queue["in_doubt"]].map(|count| count.as_u64().unwrap_or(0));
            let told = format!(
                "running; {} pending, {} parked, {} in doubt",
                queue["pending"], needs[0], needs[1]
            );
            if status["locked"] == true {
                return Finding::warn(about, told, LOCKED);
            }
            if needs != [0, 0] {
                return Finding::warn(
                    about,
                    told,
                    "some events need a person: `referral-gateway events list`",
                );
            }
            Finding::ok(about, told)
        }
        Ok(None) => Finding::warn(
            about,
            "not running",
            "start it: `systemctl start referral-gateway`",
        ),
        Ok(Some(_)) | Err(_) => Finding::fail(
            about,
            "there, but not answering",
            "run this as its user or as root; if it stays: `systemctl restart referral-gateway`",
        ),
    }
}

fn disk(config: &Config, clock: &Clock) -> Finding {
    let data_dir = &config.gateway.data_dir;
    let path = data_dir.join(format!("self-test-{}", std::process::id()));
    let written = timed_writes(&path, clock);
    // There only if it was made just now.
    let _ = fs::remove_file(&path);
    match written {
        Ok(sync_ms) => finding::disk(sync_ms),
        Err(error) => Finding::fail(
            "disk",
            format!("cannot write in {}: {error}", data_dir.display()),
            "check that the data partition is there, writable, and this user's",
        ),
    }
}

fn timed_writes(path: &Path, clock: &Clock) -> std::io::Result<Vec<u64>> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut sync_ms = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun = ms(clock);
        file.write_all(&PAGE)?;
        file.sync_all()?;
        sync_ms.push(ms(clock) - begun);
    }
    Ok(sync_ms)
}

fn space(config: &Config) -> Finding {
    match disk_free(&config.gateway.data_dir) {
        Some(free) => finding::space(free, config.limits.queue_bytes),
        None => Finding::warn("space", "cannot be told", "look at it by hand: `df`"),
    }
}

/// Where the device key is, and so what a stolen card reveals (docs/threat-model.md).
fn key(config: &Config) -> Finding {
    let about = "device key";
    let path = &config.gateway.seal_key_file;
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    let mode = match fs::metadata(path) {
        Ok(meta) => meta.mode() & 0o777,
        Err(_) if !config.gateway.data_dir.join(parts::STORE_FILE).exists() => {
            return Finding::ok(about, "made at the first start");
        }
        Err(error) => {
            return Finding::fail(
                about,
                format!("{}: {error}", path.display()),
                "the queue cannot be read without it: put the key from the box's envelope back",
            );
        }
    };
    if path.starts_with("/run/credentials") {
        return Finding::ok(about, "a systemd credential");
    }
    if mode & 0o077 != 0 {
        return Finding::fail(about, "others may read it", "run chmod 600 on it");
    }
    match (device(path), device(&config.gateway.data_dir)) {
        (Ok(key), Ok(data)) if key == data => Finding::ok(about, "on the same medium as the queue (level 1)"),
        _ => Finding::ok(about, "on a medium of its own (level 2)"),
    }
}

fn lan(config: &Config) -> Finding {
    let about = "lan";
    let Some(lan) = &config.lan else {
        return Finding::ok(about, "switched off");
    };
    match Shown::of(config) {
        Some(shown) => Finding::ok(
            about,
            format!("{}, certificate {}", lan.listen, shown.fingerprint),
        ),
        None => Finding::warn(
            about,
            "no certificate yet",
            "start the service once: it makes one",
        ),
    }
}

/// Whether a trouble is of the line and may be gone in an hour.
pub fn passes(trouble: Trouble) -> bool {
    trouble.of_the_line() || matches!(trouble, Trouble::Throttled | Trouble::Server)
}
