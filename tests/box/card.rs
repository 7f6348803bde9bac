//! The box's card: a file served to QEMU over NBD, with a write cache in front that forgets what was not flushed when
//! the power goes. A real card does the same: it keeps what it confirmed after a flush, and of the rest any part.
//!
//! The protocol: <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>, fixed newstyle, simple replies.

use crate::host::wait_until;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a card writes whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Sectors that make a cut worth its name: more than one page of the store.
const UNFLUSHED_MIN: usize = 16;
/// Longest request taken; QEMU sends at most 32 MB.
const REQUEST_BYTES_MAX: u32 = 64 << 20;

const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const OPTION_INFO: u32 = 6;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;
/// Has flags, takes flushes, takes writes that are flushed by themselves.
const EXPORT_FLAGS: u16 = 0b1101;
const FORCE_UNIT_ACCESS: u16 = 1;
const REPLY: u32 = 0x6744_6698;
const INVALID: u32 = 22;

type Sector = [u8; SECTOR_BYTES];

struct Medium {
    file: File,
    /// Written and not flushed, by number.
    cache: BTreeMap<u64, Sector>,
    flushes: u64,
    /// When the power is to go as soon as there is something to lose: the seed of what is lost.
    cut_with: Option<u64>,
    /// Without power it answers nothing and keeps nothing.
    powered: bool,
    cut: Option<Cut>,
}

/// What a power cut did.
#[derive(Debug)]
pub struct Cut {
    /// Sectors written and not flushed at that moment, which are gone.
    pub lost: usize,
    /// Others that happened to have reached the card.
    pub kept: usize,
    /// Flushes it had answered until then.
    pub flushes: u64,
}

/// A card in the slot of one machine.
pub struct Card {
    /// Where QEMU finds it.
    pub socket: PathBuf,
    medium: Arc<Mutex<Medium>>,
}

impl Card {
    /// Serves an image from a socket in `folder`.
    pub fn inserted(image: &Path, folder: &Path, number: u32) -> Card {
        let file = File::options().read(true).write(true).open(image).unwrap();
        let medium = Arc::new(Mutex::new(Medium {
            file,
            cache: BTreeMap::new(),
            flushes: 0,
            cut_with: None,
            powered: true,
            cut: None,
        }));
        let socket = folder.join(format!("card-{number}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let served = Arc::clone(&medium);
        std::thread::spawn(move || {
            for line in listener.incoming().map_while(Result::ok) {
                let medium = Arc::clone(&served);
                // A machine that was killed breaks off in the middle: that is the point of it.
                std::thread::spawn(move || serve(line, &medium).ok());
            }
        });
        Card { socket, medium }
    }

    /// The power goes in the middle of the next write that leaves enough unflushed. Of that about half is lost, sector by
    /// sector, and nothing is answered any more.
    pub fn cut(&self, seed: u64) -> Cut {
        self.medium.lock().unwrap().cut_with = Some(seed);
        let mut cut = None;
        wait_until("the power goes in the middle of a write", || {
            cut = self.medium.lock().unwrap().cut.take();
            cut.is_some()
        });
        cut.expect("waited for")
    }

    /// The power goes after the machine has stopped in good order.
    pub fn off(&self) {
        let mut medium = self.medium.lock().unwrap();
        medium.flush().unwrap();
        medium.powered = false;
    }
}

impl Medium {
    fn lose_power(&mut self, seed: u64) {
        self.powered = false;
        let unflushed = std::mem::take(&mut self.cache);
        let mut dice = seed.wrapping_mul(2).wrapping_add(1);
        let mut cut = Cut {
            lost: 0,
            kept: 0,
            flushes: self.flushes,
        };
        for (number, sector) in unflushed {
            // Xorshift: any even-handed coin will do, the same one for the same seed.
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice & 1 == 0 {
                cut.lost += 1;
            } else {
                cut.kept += 1;
                self.keep(number, &sector).unwrap();
            }
        }
        self.cut = Some(cut);
    }

    fn keep(&self, number: u64, sector: &Sector) -> io::Result<()> {
        self.file.write_all_at(sector, number * SECTOR_BYTES as u64)
    }

    fn flush(&mut self) -> io::Result<()> {
        for (number, sector) in std::mem::take(&mut self.cache) {
            self.keep(number, &sector)?;
        }
        self.flushes += 1;
        Ok(())
    }

    /// A write that asked to be flushed by itself.
    fn keep_now(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let first = offset / SECTOR_BYTES as u64;
        for number in first..first + (length / SECTOR_BYTES) as u64 {
            if let Some(sector) = self.cache.remove(&number) {
                self.keep(number, &sector)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let first = offset / SECTOR_BYTES as u64;
        for (number, chunk) in (first..).zip(bytes.chunks_exact(SECTOR_BYTES)) {
            self.cache
                .insert(number, chunk.try_into().expect("a whole sector"));
        }
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)?;
        let first = offset / SECTOR_BYTES as u64;
        let after = first + (bytes.len() / SECTOR_BYTES) as u64;
        for (number, sector) in self.cache.range(first..after) {
            let at = (number - first) as usize * SECTOR_BYTES;
            bytes[at..at + SECTOR_BYTES].copy_from_slice(sector);
        }
        Ok(())
    }
}

fn number<const N: usize>(line: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    line.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn serve(mut line: UnixStream, medium: &Mutex<Medium>) -> io::Result<()> {
    let size = medium.lock().unwrap().file.metadata()?.len();
    line.write_all(GREETING)?;
    line.write_all(&3u16.to_be_bytes())?;
    number::<4>(&mut line)?;
    loop {
        number::<8>(&mut line)?;
        let option = u32::from_be_bytes(number(&mut line)?);
        let length = u32::from_be_bytes(number(&mut line)?);
        io::copy(&mut (&mut line).take(length.into()), &mut io::sink())?;
        if option != OPTION_GO && option != OPTION_INFO {
            answer_option(&mut line, option, REPLY_UNSUPPORTED, &[])?;
            continue;
        }
        let mut export = vec![0, 0];
        export.extend(size.to_be_bytes());
        export.extend(EXPORT_FLAGS.to_be_bytes());
        answer_option(&mut line, option, REPLY_INFO, &export)?;
        answer_option(&mut line, option, REPLY_ACK, &[])?;
        if option == OPTION_GO {
            break;
        }
    }
    while request(&mut line, medium)? {}
    Ok(())
}

fn answer_option(line: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut reply = OPTION_REPLY.to_be_bytes().to_vec();
    reply.extend(option.to_be_bytes());
    reply.extend(kind.to_be_bytes());
    reply.extend(u32::try_from(data.len()).expect("short").to_be_bytes());
    reply.extend(data);
    line.write_all(&reply)
}

/// One request; false when the machine says good-bye or the power is off.
fn request(line: &mut UnixStream, medium: &Mutex<Medium>) -> io::Result<bool> {
    number::<4>(line)?;
    let flags = u16::from_be_bytes(number(line)?);
    let kind = u16::from_be_bytes(number(line)?);
    let handle: [u8; 8] = number(line)?;
    let offset = u64::from_be_bytes(number(line)?);
    let length = u32::from_be_bytes(number(line)?);
    if length > REQUEST_BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut data = vec![0; if kind < 2 { length as usize } else { 0 }];
    if kind == 1 {
        line.read_exact(&mut data)?;
    }
    let mut medium = medium.lock().unwrap();
    if !medium.powered || kind == 2 {
        return Ok(false);
    }
    let whole_sectors = offset % SECTOR_BYTES as u64 == 0 && data.len() % SECTOR_BYTES == 0;
    let error = match kind {
        0 | 1 if !whole_sectors => INVALID,
        0 => medium.read(offset, &mut data).map_or(INVALID, |()| 0),
        1 => {
            medium.write(offset, &data);
            if let Some(seed) = medium.cut_with.filter(|_| medium.cache.len() >= UNFLUSHED_MIN) {
                medium.lose_power(seed);
                return Ok(false);
            }
            if flags & FORCE_UNIT_ACCESS != 0 {
                medium.keep_now(offset, data.len())?;
            }
            0
        }
        3 => {
            medium.flush()?;
            0
        }
        _ => INVALID,
    };
    // Answered while nobody can cut the power: what was confirmed is what is kept.
    let mut reply = REPLY.to_be_bytes().to_vec();
    reply.extend(error.to_be_bytes());
    reply.extend(handle);
    if kind == 0 && error == 0 {
        reply.extend(&data);
    }
    line.write_all(&reply)?;
    Ok(true)
}
