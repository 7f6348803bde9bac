//! The file that carries a box to another box: everything its data folder must not lose, sealed under a passphrase.
//!
//! **Format.** `GWSWAP1\n | salt (16) | rounds (4, big-endian)`, then blocks of up to 64 KiB, each followed by its tag.
//! The key is PBKDF2-HMAC-SHA256 of the passphrase; block n has n as its nonce, and the last one says so in its
//! associated data, so that a file cut short, reordered or continued does not open. Inside, one after another:
//! `name length (2) | name | content length (8) | content`.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, Read, Write};
use std::num::NonZeroU32;

const MAGIC: &[u8; 8] = b"GWSWAP1\n";
const SALT_BYTES: usize = 16;
const BLOCK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// About ten seconds on a Pi Zero. Passphrases are long, so this is a second wall, not the first.
const ROUNDS: u32 = 200_000;
/// A file that asks for more than this is not ours.
const ROUNDS_MAX: u32 = 10_000_000;
const NAME_BYTES_MAX: usize = 64;

fn key(passphrase: &str, salt: &[u8], rounds: u32) -> io::Result<LessSafeKey> {
    let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= ROUNDS_MAX);
    let rounds = rounds.ok_or_else(not_ours)?;
    let mut bytes = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        salt,
        passphrase.as_bytes(),
        &mut bytes,
    );
    let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).expect("the key has the cipher's length");
    Ok(LessSafeKey::new(key))
}

fn not_ours() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "this is no file of a box, or the passphrase is another one, or it is damaged",
    )
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Seals what is written to it.
pub struct Sealer<W> {
    out: W,
    key: LessSafeKey,
    number: u64,
    block: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub fn new(mut out: W, passphrase: &str) -> io::Result<Sealer<W>> {
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| io::Error::other("the kernel gives no random bytes yet"))?;
        out.write_all(MAGIC)?;
        out.write_all(&salt)?;
        out.write_all(&ROUNDS.to_be_bytes())?;
        Ok(Sealer {
            out,
            key: key(passphrase, &salt, ROUNDS)?,
            number: 0,
            block: Vec::with_capacity(BLOCK_BYTES + TAG_BYTES),
        })
    }

    /// Adds one file.
    pub fn add(&mut self, name: &str, length: u64, content: &mut dyn Read) -> io::Result<()> {
        let name_length = u16::try_from(name.len()).map_err(|_| not_ours())?;
        self.push(&name_length.to_be_bytes())?;
        self.push(name.as_bytes())?;
        self.push(&length.to_be_bytes())?;
        let mut left = length;
        let mut buffer = [0; 4096];
        while left > 0 {
            let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            content.read_exact(&mut buffer[..want])?;
            self.push(&buffer[..want])?;
            left -= want as u64;
        }
        Ok(())
    }

    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.block.len() == BLOCK_BYTES {
                self.flush(false)?;
            }
            let room = (BLOCK_BYTES - self.block.len()).min(bytes.len());
            self.block.extend_from_slice(&bytes[..room]);
            bytes = &bytes[room..];
        }
        Ok(())
    }

    fn flush(&mut self, last: bool) -> io::Result<()> {
        let aad = Aad::from([u8::from(last)]);
        self.key
            .seal_in_place_append_tag(nonce(self.number), aad, &mut self.block)
            .map_err(|_| not_ours())?;
        self.out.write_all(&self.block)?;
        self.block.clear();
        self.number += 1;
        Ok(())
    }

    /// Ends the file; without this it does not open.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush(true)?;
        Ok(self.out)
    }
}

/// Opens a file again, block by block.
struct Opener<R> {
    from: R,
    key: LessSafeKey,
    number: u64,
    /// The block being read, opened, and the one after it, still sealed: only a block with nothing behind it is last.
    open: Vec<u8>,
    at: usize,
    sealed: Vec<u8>,
}

impl<R: Read> Opener<R> {
    fn new(mut from: R, passphrase: &str) -> io::Result<Opener<R>> {
        let mut head = [0; 8 + SALT_BYTES + 4];
        from.read_exact(&mut head).map_err(|_| not_ours())?;
        let (magic, rest) = head.split_at(8);
        let (salt, rounds) = rest.split_at(SALT_BYTES);
        if magic != MAGIC {
            return Err(not_ours());
        }
        let rounds = u32::from_be_bytes(rounds.try_into().expect("four bytes"));
        let key = key(passphrase, salt, rounds)?;
        let mut opener = Opener {
            from,
            key,
            number: 0,
            open: Vec::new(),
            at: 0,
            sealed: Vec::new(),
        };
        opener.sealed = opener.next_sealed()?;
        // Even an empty file has its last block; a head alone was cut short.
        if opener.sealed.is_empty() {
            return Err(not_ours());
        }
        Ok(opener)
    }

    fn next_sealed(&mut self) -> io::Result<Vec<u8>> {
        let mut block = Vec::new();
        let most = (BLOCK_BYTES + TAG_BYTES) as u64;
        Read::by_ref(&mut self.from).take(most).read_to_end(&mut block)?;
        Ok(block)
    }

    /// Opens the next block; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if self.sealed.is_empty() {
            return Ok(false);
        }
        let next = self.next_sealed()?;
        let mut block = std::mem::replace(&mut self.sealed, next);
        let aad = Aad::from([u8::from(self.sealed.is_empty())]);
        let opened = self.key.open_in_place(nonce(self.number), aad, &mut block);
        let length = opened.map_err(|_| not_ours())?.len();
        block.truncate(length);
        self.number += 1;
        self.open = block;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.open.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let amount = buffer.len().min(self.open.len() - self.at);
        buffer[..amount].copy_from_slice(&self.open[self.at..self.at + amount]);
        self.at += amount;
        Ok(amount)
    }
}

/// Reads the whole file: `take` gets each name and its content. An error leaves what was taken so far worthless.
pub fn read(
    from: impl Read,
    passphrase: &str,
    take: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut opener = Opener::new(from, passphrase)?;
    loop {
        let mut length = [0; 2];
        if opener.read(&mut length[..1])? == 0 {
            return Ok(());
        }
        opener.read_exact(&mut length[1..])?;
        let length = usize::from(u16::from_be_bytes(length));
        if length > NAME_BYTES_MAX {
            return Err(not_ours());
        }
        let mut name = vec![0; length];
        opener.read_exact(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| not_ours())?;
        let mut length = [0; 8];
        opener.read_exact(&mut length)?;
        let mut content = Read::by_ref(&mut opener).take(u64::from_be_bytes(length));
        take(&name, &mut content)?;
        if io::copy(&mut content, &mut io::sink())? > 0 || content.limit() > 0 {
            return Err(not_ours());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &str = "five words that nobody guesses";

    fn sealed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), PHRASE).unwrap();
        for (name, content) in files {
            sealer.add(name, content.len() as u64, &mut &content[..]).unwrap();
        }
        sealer.finish().unwrap()
    }

    fn opened(bytes: &[u8], phrase: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        read(bytes, phrase, &mut |name, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            files.push((name.to_owned(), bytes));
            Ok(())
        })?;
        Ok(files)
    }

    #[test]
    fn what_goes_in_comes_out_whole_or_not_at_all() {
        let large: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let files: [(&str, &[u8]); 3] = [("seal.key", b"key"), ("empty", b""), ("gateway.redb", &large)];
        let bytes = sealed(&files);
        assert!(!bytes.windows(8).any(|window| window == b"seal.key"));
        let back = opened(&bytes, PHRASE).unwrap();
        assert_eq!(back.len(), 3);
        for ((name, content), (other, bytes)) in files.iter().zip(&back) {
            assert!(name == other && *content == bytes.as_slice());
        }
        assert!(opened(&bytes, "five words that nobody guessed").is_err());
        for cut in [
            bytes.len() - 1,
            bytes.len() / 2,
            28 + BLOCK_BYTES + TAG_BYTES,
            28,
            5,
        ] {
            assert!(opened(&bytes[..cut], PHRASE).is_err(), "cut at {cut}");
        }
        for flipped in [0, 10, 25, 40, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[flipped] ^= 1;
            assert!(opened(&damaged, PHRASE).is_err(), "flipped at {flipped}");
        }
    }
}
