//! A disk that can be cut off: a `redb::StorageBackend` in memory that knows what a real one promises.
//!
//! What a completed sync covered is safe. Of what was written since, a cut may leave any part: each write may have
//! arrived, not arrived, or arrived in some of its 512-byte sectors, and a growth of the file may be missing. Nothing
//! from before the last completed sync may change: a model that disorders more finds faults no disk can cause.

use redb::StorageBackend;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

/// What a card writes at once, or not at all.
const SECTOR: usize = 512;

/// Small, seeded, and the same everywhere (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

#[derive(Clone, Debug)]
enum Pending {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What the program sees.
    live: Vec<u8>,
    /// What a cut cannot take away.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    syncs: u64,
    bytes: u64,
    /// The power goes during this sync, counted from one.
    cut_at: Option<u64>,
    dead: bool,
    /// No write may reach beyond this.
    room: Option<usize>,
}

/// A handle to the disk; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk that holds these bytes, safely.
    pub fn holding(image: Vec<u8>) -> Disk {
        let disk = Disk::default();
        disk.state().live.clone_from(&image);
        disk.state().durable = image;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of the disk panics")
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Bytes written so far, as a block device counts them: whole 4 KiB pages.
    pub fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Lets the power go during the given sync: it fails, and so does everything after it.
    pub fn cut_at(&self, sync: u64) {
        self.state().cut_at = Some(sync);
    }

    /// Whether the power has gone.
    pub fn dead(&self) -> bool {
        self.state().dead
    }

    /// Lets the power go now.
    pub fn cut(&self) {
        self.state().dead = true;
    }

    /// Refuses writes beyond so many bytes, as a full disk does.
    pub fn room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    /// Everything the program has written.
    pub fn contents(&self) -> Vec<u8> {
        self.state().live.clone()
    }

    /// What is found after a cut; the seed decides about everything no sync covered.
    pub fn after_cut(&self, seed: u64) -> Vec<u8> {
        let state = self.state();
        let mut dice = Dice(seed);
        // Whole classes of luck as well as mixtures: nothing arrived, everything did, or each for itself.
        let luck = dice.below(4);
        let mut image = state.durable.clone();
        for pending in &state.pending {
            let fate = match luck {
                0 => 0,
                1 => 1,
                _ => dice.below(3),
            };
            match (pending, fate) {
                (_, 0) => {}
                (Pending::Length(length), _) => image.resize(*length, 0),
                (Pending::Write { offset, bytes }, 1) => put(&mut image, *offset, bytes),
                (Pending::Write { offset, bytes }, _) => {
                    for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                        if dice.below(2) == 0 {
                            put(&mut image, offset + n * SECTOR, sector);
                        }
                    }
                }
            }
        }
        image
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("test files are small")
}

impl State {
    fn powered(&self) -> Result<(), Error> {
        if self.dead {
            Err(Error::other("the power is gone"))
        } else {
            Ok(())
        }
    }

    fn fits(&self, end: usize) -> Result<(), Error> {
        match self.room {
            Some(room) if end > room => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        let state = self.state();
        state.powered()?;
        Ok(state.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let state = self.state();
        state.powered()?;
        let offset = place(offset);
        let bytes = state
            .live
            .get(offset..offset + out.len())
            .ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        let mut state = self.state();
        state.powered()?;
        let length = place(length);
        state.fits(length)?;
        state.live.resize(length, 0);
        state.pending.push(Pending::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.powered()?;
        state.syncs += 1;
        if state.cut_at == Some(state.syncs) {
            state.dead = true;
            return Err(Error::other("the power went during a sync"));
        }
        for pending in std::mem::take(&mut state.pending) {
            match pending {
                Pending::Write { offset, bytes } => put(&mut state.durable, offset, &bytes),
                Pending::Length(length) => state.durable.resize(length, 0),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        state.powered()?;
        let start = place(offset);
        state.fits(start + bytes.len())?;
        let pages = (start + bytes.len()).div_ceil(4096) - start / 4096;
        state.bytes += pages as u64 * 4096;
        put(&mut state.live, start, bytes);
        state.pending.push(Pending::Write {
            offset: start,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }
}
