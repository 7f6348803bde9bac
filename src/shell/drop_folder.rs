//! The drop folder `<data_dir>/intake/`: a program that can only write files hands events in here.
//!
//! A file holds one JSON object, an array, or JSON Lines, and is taken as a whole: every event in it is checked before
//! the first is stored. What was taken leaves no content behind: `accepted/` gets a receipt with keys and numbers;
//! `rejected/` gets a reason file without content and the file itself, sealed (`events rejected FILE` opens it on this
//! box). A file's own name may be a child's, so results are named by a digest.
//!
//! Keys of events without one come from the file's content: a file met again after a crash, or dropped twice, is the
//! same events again and is answered as such.

use super::identity::sha256;
use super::log;
use super::office::{Doorkeeper, Refusal, checked_json, checked_json_of};
use crate::core::intake::BODY_BYTES_MAX;
use crate::core::time::Now;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Largest file taken: as many events of the largest size as fit in memory without trouble.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A file is taken once nobody has written to it for this long; writers that rename into place need not wait.
const SETTLED: Duration = Duration::from_secs(1);
/// Files handled in one look: the rest waits for the next.
const PER_LOOK: usize = 64;

/// The folder and what is needed to empty it.
pub struct DropFolder {
    intake: PathBuf,
    seal: LessSafeKey,
    random: SystemRandom,
    /// It has been said that files wait.
    waiting: Cell<bool>,
}

/// Splits a text into events: one object, an array of them, or one object a line. Never none.
pub fn events_in(bytes: &[u8]) -> Result<Vec<Value>, Refusal> {
    // Some editors put a mark in front of UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines: Vec<(usize, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect();
    if lines.is_empty() {
        return Err(Refusal::Empty);
    }
    let begins = |(_, line): &(usize, &[u8])| line.trim_ascii().starts_with(b"{");
    if lines.len() > 1 && lines.iter().all(begins) && checked_json(lines[0].1).is_ok() {
        let read = |(before, line)| checked_json_of(line, BODY_BYTES_MAX, before);
        return lines.into_iter().map(read).collect();
    }
    let list = bytes.trim_ascii_start().starts_with(b"[");
    let bytes_max = if list {
        usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX)
    } else {
        BODY_BYTES_MAX
    };
    match checked_json_of(bytes, bytes_max, 0)? {
        Value::Array(events) if events.is_empty() => Err(Refusal::Empty),
        Value::Array(events) => Ok(events),
        one => Ok(vec![one]),
    }
}

/// Gives an event without a key one that its place in this content decides.
pub fn keyed(mut event: Value, digest: &str, index: usize) -> Value {
    if let Value::Object(object) = &mut event
        && object.get("event_key").is_none_or(Value::is_null)
    {
        object.insert("event_key".to_owned(), json!(format!("f-{digest}-{index}")));
    }
    event
}

/// The short name of some content.
pub fn content_digest(bytes: &[u8]) -> String {
    sha256(bytes)[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl DropFolder {
    /// Makes the folders, for this user and its group.
    pub fn open(data_dir: &Path, seal_key: &[u8; 32]) -> io::Result<DropFolder> {
        let intake = data_dir.join("intake");
        for folder in [intake.clone(), intake.join("accepted"), intake.join("rejected")] {
            fs::DirBuilder::new().recursive(true).mode(0o770).create(folder)?;
        }
        let key = UnboundKey::new(&AES_256_GCM, seal_key).expect("the key has the cipher's length");
        Ok(DropFolder {
            intake,
            seal: LessSafeKey::new(key),
            random: SystemRandom::new(),
            waiting: Cell::new(false),
        })
    }

    /// Takes what has settled. Returns how many events were accepted.
    pub fn look(&self, doorkeeper: &Doorkeeper, now: Now) -> usize {
        let Ok(entries) = fs::read_dir(&self.intake) else {
            return 0;
        };
        let mut accepted = 0;
        for entry in entries.flatten().filter(ready).take(PER_LOOK) {
            accepted += self.take(&entry.path(), doorkeeper, now).unwrap_or_else(|error| {
                log::warn(format_args!("drop folder: {}", error.kind()));
                0
            });
        }
        accepted
    }

    fn take(&self, path: &Path, doorkeeper: &Doorkeeper, now: Now) -> io::Result<usize> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        let digest = content_digest(&bytes);
        let refuse = |reasons: Value| self.reject(path, &bytes, &digest, &reasons).map(|()| 0);
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return refuse(json!([{"error": "too_large", "reason": "a file takes at most 4 MiB"}]));
        }
        let events = match events_in(&bytes) {
            Ok(events) => events,
            Err(refusal) => return refuse(json!([refusal.json()])),
        };
        let events: Vec<Value> = events
            .into_iter()
            .enumerate()
            .map(|(index, event)| keyed(event, &digest, index))
            .collect();
        let wrong: Vec<Value> = events
            .iter()
            .enumerate()
            .filter_map(|(index, event)| {
                let refusal = doorkeeper.check(event, now).err()?;
                Some(json!({ "event": index, "refusal": refusal.json() }))
            })
            .collect();
        if !wrong.is_empty() {
            return refuse(json!(wrong));
        }
        let mut receipts = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match doorkeeper.accept(event, now) {
                Ok(accepted) => receipts.push(json!({"event_key": accepted.event_key, "seq": accepted.seq})),
                // Full or failing: the file stays and is met again; what was stored of it answers as before.
                Err(refusal @ (Refusal::QueueFull | Refusal::Locked | Refusal::Store(_))) => {
                    self.stays(&digest, &refusal);
                    return Ok(receipts.len());
                }
                // Only the store can tell: what came before it in the file is in, and is named.
                Err(refusal) => {
                    return refuse(
                        json!([{"event": index, "refusal": refusal.json(), "accepted_before": receipts}]),
                    );
                }
            }
        }
        self.waiting.set(false);
        self.write(
            "accepted",
            &format!("{digest}.json"),
            json!(receipts).to_string().as_bytes(),
        )?;
        fs::remove_file(path)?;
        log::info(format_args!(
            "drop folder: {} events accepted from file {digest}",
            receipts.len()
        ));
        Ok(receipts.len())
    }

    /// Says once, not at every look, that a file has to wait.
    fn stays(&self, digest: &str, refusal: &Refusal) {
        if !self.waiting.replace(true) {
            let reason = refusal.json();
            let code = reason["error"].as_str().unwrap_or_default();
            log::warn(format_args!("drop folder: file {digest} waits: {code}"));
        }
    }

    fn reject(&self, path: &Path, bytes: &[u8], digest: &str, reasons: &Value) -> io::Result<()> {
        self.write("rejected", &format!("{digest}.sealed"), &self.sealed(bytes)?)?;
        self.write(
            "rejected",
            &format!("{digest}.reason.json"),
            reasons.to_string().as_bytes(),
        )?;
        fs::remove_file(path)?;
        log::warn(format_args!(
            "drop folder: file {digest} rejected, reasons beside it"
        ));
        Ok(())
    }

    /// On disk, file and name, before the original goes.
    fn write(&self, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.intake.join(folder);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(folder.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }

    fn sealed(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; 12];
        self.random
            .fill(&mut nonce)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let mut sealed = bytes.to_vec();
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| io::Error::other("too large to seal"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens a rejected file for whoever has to correct it.
    pub fn opened(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(12)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let plain = self.seal.open_in_place(nonce, Aad::empty(), &mut rest).ok()?;
        Some(plain.to_vec())
    }
}

/// A plain file, not being written, not hidden, not marked as unfinished.
fn ready(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let unfinished = name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part");
    let Ok(meta) = entry.metadata() else { return false };
    let age = meta
        .modified()
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    // A file from the future (the clock was set back) will not wait for its time to come.
    let settled = age.is_none_or(|age| age >= SETTLED);
    meta.is_file() && !unfinished && settled
}
