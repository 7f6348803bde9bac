//! Planted names: every event the tests hand in bears them, and every output a test process sees is searched for them.
//!
//! The collector is not something a test asks for; the harnesses call it. The office of the end-to-end, LAN and uplink
//! tests searches what each command prints and writes (the support bundle, the sheet) and, when it is dropped, its log
//! with whatever a panic printed, its folders and the names in them; a station of the LAN tests each answer; Mosquitto
//! is listened to from its start to its end; what `fleet` prints, serves and logs is read. A leak anywhere fails the
//! test in whose course it happened.

use std::path::Path;

/// The child, the family, the worker, and what is told of them, as every event of the tests bears them.
pub const FAMILY_NAME: &str = "Zyzzyva";
pub const KHMER_NAME: &str = "ក្រចៅឆ្មា";
pub const BORN: &str = "2014-07-19";
pub const REASON: &str = "ត្រូវការ quokka ក្រចៅឆ្មា";
pub const WORKER: &str = "Officer Plover";
pub const PHONE: &str = "099 777 111";
pub const EMAIL: &str = "plover@example.org";

/// What must never be found. Khmer also in the ways programs write it in ASCII.
const NEEDLES: [&str; 13] = [
    "Xanthippe",
    "XANTHIPPE",
    FAMILY_NAME,
    "ZYZZYVA",
    KHMER_NAME,
    "\\u1780\\u17d2\\u179a\\u1785",
    "\\u{1780}\\u{17d2}\\u{179a}\\u{1785}",
    "%E1%9E%80%E1%9F%92%E1%9E%9A",
    "quokka",
    PHONE,
    EMAIL,
    WORKER,
    BORN,
];

/// The first planted thing in these bytes, and where.
pub fn found(bytes: &[u8]) -> Option<(&'static str, usize)> {
    let mut begins = [false; 256];
    for needle in NEEDLES {
        begins[usize::from(needle.as_bytes()[0])] = true;
    }
    let starts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| begins[usize::from(**byte)]);
    for (at, _) in starts {
        let hit = NEEDLES
            .iter()
            .find(|needle| bytes[at..].starts_with(needle.as_bytes()));
        if let Some(needle) = hit {
            return Some((needle, at));
        }
    }
    None
}

/// Fails if anything planted is in these bytes.
pub fn clean(what: &str, bytes: &[u8]) {
    if let Some((needle, at)) = found(bytes) {
        let around = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
        panic!(
            "LEAK: {needle:?} in {what} at {at}: {}",
            String::from_utf8_lossy(around)
        );
    }
}

/// Searches everything below a folder, names included; the number of files searched. What people have just put into
/// the drop folder is theirs until it is taken.
pub fn clean_folder(folder: &Path) -> usize {
    let mut files = 0;
    let waiting = folder.ends_with("intake");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            clean("a folder's name", path.display().to_string().as_bytes());
            files += clean_folder(&path);
        } else if path.is_file() && !waiting {
            files += 1;
            clean("a file's name", path.display().to_string().as_bytes());
            // It may be gone by now; then it is nobody's.
            clean(
                &path.display().to_string(),
                &std::fs::read(&path).unwrap_or_default(),
            );
        }
    }
    files
}
