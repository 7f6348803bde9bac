//! Figures of the box itself, read where the kernel shows them. What cannot be read is left out, not guessed.

use super::lan::certificate::Shown;
use super::parts::{Parts, wire_bytes};
use super::tls;
use crate::config::Config;
use crate::core::figures::{BootReason, Figures, Remaining};
use crate::core::time::{Mono, Now};
use ring::rand::{SecureRandom, SystemRandom};
use std::path::{Path, PathBuf};

/// What of the figures is this gateway's own.
#[derive(Clone, Debug)]
pub struct Place {
    data_dir: PathBuf,
    /// It has a listener, whose certificate is renewed while the program runs.
    lan: bool,
    /// When the certificate for the broker is over, Unix seconds; read at the start, as the certificate is.
    client_over: Option<i64>,
}

impl Place {
    pub fn of(config: &Config) -> Place {
        let client = config.mqtt.as_ref().and_then(|mqtt| mqtt.client_cert.as_deref());
        Place {
            data_dir: config.gateway.data_dir.clone(),
            lan: config.lan.is_some(),
            client_over: client.and_then(tls::over),
        }
    }

    fn certificate_over(&self) -> Option<i64> {
        let lan = self.lan.then(|| Shown::over(&self.data_dir)).flatten();
        lan.into_iter().chain(self.client_over).min()
    }
}

/// Reads everything the `health` payload wants.
pub fn read(parts: &Parts, now: Now) -> Figures {
    let store = parts.store.figures();
    let place = &parts.place;
    Figures {
        uptime_s: now.mono.since(Mono(0)).as_secs(),
        boot_reason: boot_reason(&place.data_dir),
        memory_kb: number_after("/proc/self/status", "VmRSS:"),
        temperature_c: temperature_c(),
        flash_bytes: number_after("/proc/self/io", "write_bytes:"),
        disk_free: disk_free(&place.data_dir),
        certificate: Remaining::of(place.certificate_over(), now.wall),
        store_bytes: store.file_bytes,
        commits: store.commits,
        wire_bytes: wire_bytes(&parts.primero_count) + wire_bytes(&parts.oscar_count),
    }
}

/// What the box's own boot-reason script has left; not every box has it.
fn boot_reason(data_dir: &Path) -> Option<BootReason> {
    let text = std::fs::read_to_string(data_dir.join("boot/reason")).ok()?;
    Some(BootReason::named(text.trim()))
}

/// Free for this user on the file system of a folder, bytes.
pub fn disk_free(folder: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(folder).ok()?;
    told.f_bavail.checked_mul(told.f_frsize)
}

fn number_after(file: &str, label: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

fn temperature_c() -> Option<i64> {
    let text = std::fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok()?;
    Some(text.trim().parse::<i64>().ok()? / 1000)
}

/// What the machine calls itself: "Raspberry Pi Zero 2 W Rev 1.0", or its processor's family where it has no name.
pub fn board() -> String {
    std::fs::read_to_string("/sys/firmware/devicetree/base/model").map_or_else(
        |_| std::env::consts::ARCH.to_owned(),
        // The kernel ends it with a zero byte.
        |model| model.trim_end_matches('\0').chars().take(64).collect(),
    )
}

/// A random number for jitter; without one, jitter is none.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_or(0, |()| u64::from_be_bytes(bytes))
}
