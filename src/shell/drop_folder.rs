//! The drop folder `<data_dir>/intake/`: a program that can only write files hands events in here.
//!
//! A file holds one JSON object, an array, or JSON Lines, and is taken as a whole: every event in it is checked before
//! the first is stored. What was taken leaves no content behind ([`leavings`]). A file's own name may be a child's, so
//! it is never said.
//!
//! Keys of events without one come from their content: an event met again, after a crash, in a file dropped twice, or in
//! one that has grown, is the same event again and is answered as such.
//!
//! A thread of its own does this, one file at a time: its bytes and [`STEP_EVENTS`] of its events are in memory. Each
//! step is one commit, and whoever else hands events in meanwhile shares it.

mod leavings;

pub use leavings::opened;

use super::clock::Clock;
use super::event_file::{FILE_BYTES_MAX, content_digest, events_in, keyed, whole};
use super::log;
use super::office::{Doorkeeper, Refusal};
use super::parts::Parts;
use super::surface::Ask;
use crate::config::Config;
use crate::core::time::Mono;
use leavings::Leavings;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirEntryExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often what has been left behind is looked at, besides after each file.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// A whole JSON text in a file `*.json` is taken once nobody has written to it for this long.
const SETTLED: Duration = Duration::from_secs(1);
/// Any other file may be one that grows: a writer that still holds it would write its next line into a file that is gone,
/// and half a file would be rejected.
const SETTLED_GROWING: Duration = Duration::from_secs(10);
/// Files handled in one look: the rest waits for the next.
const PER_LOOK: usize = 64;
/// Events stored in one step, and about how many bytes of a file: as many as fill a commit.
const STEP_EVENTS: usize = 64;
const STEP_BYTES: usize = 256 * 1024;
/// Reasons written for one file; of further ones only the number.
const REASONS_MAX: usize = 100;
/// Files remembered as in trouble.
const TROUBLED_MAX: usize = 1000;

/// The folder and what is needed to empty it.
pub struct DropFolder {
    intake: PathBuf,
    leavings: Leavings,
    doorkeeper: Arc<Doorkeeper>,
    clock: Clock,
    /// Hears of events that were taken.
    driver: mpsc::Sender<Ask>,
    stop: Arc<AtomicBool>,
    /// A file of which a part is in, while the rest waits for room.
    begun: Option<Begun>,
    /// It has been said that files wait.
    waits: bool,
    /// Files of which it has been said what is wrong.
    troubled: HashSet<(u64, ErrorKind)>,
    tidied: Option<Mono>,
}

/// A file on its way in.
struct Begun {
    digest: String,
    taken: usize,
    /// JSON objects with a comma between them.
    receipts: String,
}

/// What became of a file.
enum Fate {
    Gone,
    /// It stays, and so do the others.
    Waits,
    /// It stays: it may be growing.
    Grows,
}

/// The thread that empties the folder. Dropping this waits until it has ended.
pub struct Emptying {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Emptying {
    /// Ends it after the step in hand.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Emptying {
    fn drop(&mut self) {
        self.stop();
        // A panic there has been reported by the panic hook.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl DropFolder {
    /// Makes the folders: this user's, and its group may put files in.
    pub fn open(config: &Config, parts: &Parts, driver: mpsc::Sender<Ask>) -> io::Result<DropFolder> {
        let intake = config.gateway.data_dir.join("intake");
        let keep = config.limits.keep_delivered;
        Ok(DropFolder {
            leavings: Leavings::open(&intake, keep, &parts.reject_key)?,
            intake,
            doorkeeper: Arc::clone(&parts.doorkeeper),
            clock: parts.clock.clone(),
            driver,
            stop: Arc::default(),
            begun: None,
            waits: false,
            troubled: HashSet::new(),
            tidied: None,
        })
    }

    /// Begins to empty it.
    pub fn emptied(mut self) -> io::Result<Emptying> {
        let stop = Arc::clone(&self.stop);
        let work = move || {
            while !self.stop.load(Relaxed) {
                self.look();
                std::thread::park_timeout(LOOK);
            }
        };
        let thread = std::thread::Builder::new()
            .name("intake".to_owned())
            .spawn(work)?;
        Ok(Emptying {
            stop,
            thread: Some(thread),
        })
    }

    /// Takes what has settled.
    fn look(&mut self) {
        let now = self.clock.now();
        if self.tidied.is_none_or(|at| now.mono.since(at) >= TIDY_EVERY) {
            self.tidied = Some(now.mono);
            self.leavings.tidy(now.wall.known());
        }
        if self.waits && self.doorkeeper.takes_nothing() {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.intake) else {
            return;
        };
        let mut troubled = HashSet::new();
        let mut gone = 0;
        for entry in entries.flatten().filter(ready) {
            match self.take(&entry.path()) {
                Ok(Fate::Gone) => gone += 1,
                Ok(Fate::Waits) => break,
                Ok(Fate::Grows) => {}
                Err(error) => self.trouble(&entry, error.kind(), &mut troubled),
            }
            if gone == PER_LOOK || self.stop.load(Relaxed) {
                break;
            }
        }
        self.troubled = troubled;
        if gone > 0 {
            self.leavings.tidy(self.clock.now().wall.known());
        }
    }

    /// Says once, not at every look, what is wrong with a file.
    fn trouble(&self, entry: &fs::DirEntry, kind: ErrorKind, troubled: &mut HashSet<(u64, ErrorKind)>) {
        let file = (entry.ino(), kind);
        if troubled.len() == TROUBLED_MAX || !troubled.insert(file) || self.troubled.contains(&file) {
            return;
        }
        match entry.metadata() {
            Ok(meta) if kind == ErrorKind::PermissionDenied => log::warn(format_args!(
                "drop folder: a file of user {} with mode {:o} cannot be read and waits; its group must be able to read it, \
                 and must be the service's",
                meta.uid(),
                meta.mode() & 0o777
            )),
            Ok(meta) if kind == ErrorKind::FileTooLarge => log::warn(format_args!(
                "drop folder: a file of {} bytes is too large and stays as it is; at most 4 MiB are taken: split it",
                meta.len()
            )),
            _ => log::warn(format_args!("drop folder: {kind}")),
        }
    }

    fn take(&mut self, path: &Path) -> io::Result<Fate> {
        let (bytes, meta) = read(path)?;
        let complete = one_text(path) && whole(&bytes);
        if !complete && !quiet(&meta, SETTLED_GROWING) {
            return Ok(Fate::Grows);
        }
        let digest = content_digest(&bytes);
        // What has begun has been checked.
        let begun = self.begun.take().filter(|begun| begun.digest == digest);
        let mut begun = match begun {
            Some(begun) => begun,
            None => {
                if let Some(reasons) = self.reasons_against(&bytes) {
                    return self.reject(path, &meta, bytes, &digest, &reasons);
                }
                Begun {
                    digest,
                    taken: 0,
                    receipts: String::new(),
                }
            }
        };
        match self.store(&bytes, &mut begun) {
            Ok(true) => {
                self.waits = false;
                let unix = self.clock.now().wall.known();
                self.leavings
                    .accepted(&begun.digest, &format!("[{}]", begun.receipts), unix)?;
                self.leavings.clear(path, &meta)?;
                log::info(format_args!(
                    "drop folder: {} events accepted from file {}",
                    begun.taken, begun.digest
                ));
                Ok(Fate::Gone)
            }
            Ok(false) => Ok(Fate::Waits),
            // Full or failing: the file stays and goes on from here; after a crash, what is in answers as before.
            Err(refusal @ (Refusal::QueueFull | Refusal::Locked | Refusal::Store(_))) => {
                self.stays(&begun.digest, &refusal);
                self.begun = Some(begun);
                Ok(Fate::Waits)
            }
            // Only the store can tell: what came before it in the file is in, and is named.
            Err(refusal) => {
                let Begun {
                    digest,
                    taken,
                    receipts,
                } = begun;
                let reasons = format!(
                    "[{{\"event\":{taken},\"refusal\":{},\"accepted_before\":[{receipts}]}}]",
                    refusal.json()
                );
                self.reject(path, &meta, bytes, &digest, &reasons)
            }
        }
    }

    /// Why a file cannot be taken, as JSON, if it cannot.
    fn reasons_against(&self, bytes: &[u8]) -> Option<String> {
        let now = self.clock.now();
        let mut wrong = Vec::new();
        let mut unnamed = 0_usize;
        for (index, event) in events_in(bytes).enumerate() {
            let checked = match event {
                Ok(event) => self.doorkeeper.check(&keyed(event), now),
                Err(refusal) => return Some(json!([refusal.json()]).to_string()),
            };
            match checked {
                Err(refusal) if wrong.len() < REASONS_MAX => {
                    wrong.push(json!({ "event": index, "refusal": refusal.json() }));
                }
                Err(_) => unnamed += 1,
                Ok(()) => {}
            }
        }
        if unnamed > 0 {
            wrong.push(json!({ "further_events_refused": unnamed }));
        }
        (!wrong.is_empty()).then(|| json!(wrong).to_string())
    }

    /// Stores the events that are not in yet, step by step; false if told to stop before the end.
    fn store(&self, bytes: &[u8], begun: &mut Begun) -> Result<bool, Refusal> {
        let mut events = events_in(bytes);
        for _ in 0..begun.taken {
            events.next();
        }
        loop {
            let from = events.read();
            let mut step: Vec<Value> = Vec::new();
            while step.len() < STEP_EVENTS && events.read() - from < STEP_BYTES {
                let Some(event) = events.next() else { break };
                step.push(keyed(event?));
            }
            if step.is_empty() {
                return Ok(true);
            }
            if self.stop.load(Relaxed) {
                return Ok(false);
            }
            let (accepted, done) = self.doorkeeper.accept_together(&step, self.clock.now());
            for one in &accepted {
                let comma = if begun.receipts.is_empty() { "" } else { "," };
                let receipt = json!({ "event_key": one.event_key, "seq": one.seq });
                begun.receipts.push_str(&format!("{comma}{receipt}"));
            }
            begun.taken += accepted.len();
            if !accepted.is_empty() {
                // A full channel means the driver has news waiting already.
                let _ = self.driver.try_send(Ask::EventAccepted);
            }
            done?;
        }
    }

    /// Says once, not at every look, that a file has to wait.
    fn stays(&mut self, digest: &str, refusal: &Refusal) {
        if !std::mem::replace(&mut self.waits, true) {
            let reason = refusal.json();
            let code = reason["error"].as_str().unwrap_or_default();
            log::warn(format_args!("drop folder: file {digest} waits: {code}"));
        }
    }

    fn reject(
        &self,
        path: &Path,
        meta: &Metadata,
        bytes: Vec<u8>,
        digest: &str,
        reasons: &str,
    ) -> io::Result<Fate> {
        let unix = self.clock.now().wall.known();
        self.leavings.rejected(digest, bytes, reasons, unix)?;
        self.leavings.clear(path, meta)?;
        log::warn(format_args!(
            "drop folder: file {digest} rejected, reasons beside it"
        ));
        Ok(Fate::Gone)
    }
}

/// A file's bytes, and what it was when they had been read. One that is too large is left alone: sealing a part of it
/// would lose the rest. Nothing that has come in its place, a pipe or a link to elsewhere, is waited for or followed.
fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    if meta.len() > FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len() + 1).unwrap_or(0));
    (&file).take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    // Written to meanwhile.
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok((bytes, file.metadata()?))
}

/// A plain file, not being written, not hidden, not marked as unfinished.
fn ready(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let unfinished = name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part");
    let Ok(meta) = entry.metadata() else { return false };
    let settled = if one_text(&entry.path()) {
        SETTLED
    } else {
        SETTLED_GROWING
    };
    meta.is_file() && !unfinished && quiet(&meta, settled)
}

/// A file that by its name holds one JSON text: once that is whole, the file grows no more.
fn one_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

/// Whether nobody has written to a file for so long. One from the future (the clock was set back) will not wait for its
/// time to come.
fn quiet(meta: &Metadata, time: Duration) -> bool {
    let written = meta.modified().ok();
    let age = written.and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age >= time)
}
