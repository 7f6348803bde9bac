//! Figures of the box itself, read where the kernel shows them. What cannot be read is left out, not guessed.

use super::parts::{Parts, wire_bytes};
use crate::core::status::Figures;
use crate::core::time::{Mono, Now};
use ring::rand::{SecureRandom, SystemRandom};

/// Reads everything the `health` payload wants.
pub fn read(parts: &Parts, now: Now) -> Figures {
    let store = parts.store.figures();
    Figures {
        uptime_s: now.mono.since(Mono(0)).as_secs(),
        memory_kb: number_after("/proc/self/status", "VmRSS:"),
        temperature_c: temperature_c(),
        flash_bytes: number_after("/proc/self/io", "write_bytes:"),
        store_bytes: store.file_bytes,
        commits: store.commits,
        wire_bytes: wire_bytes(&parts.primero_count) + wire_bytes(&parts.oscar_count),
    }
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
