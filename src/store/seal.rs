//! Sealing: what keeps a stolen card from being a list of children.
//!
//! **Promise.** Nothing about an event, a child, a link or a cursor reaches redb in clear: values are sealed, and
//! keys are numbers or keyed digests. A row opens only at the place it was sealed for.
//!
//! **Format.** A sealed value is `nonce (12) | ciphertext | tag (16)`, ChaCha20-Poly1305, with the table's name and
//! the row's key as associated data. ChaCha20, because no Raspberry Pi before the 5 has AES instructions: there AES
//! is several times slower and harder to keep constant in time. Nonces are random; at under 2^24 seals in a box's
//! life the chance that two meet is below 2^-49.
//!
//! **Keys.** HKDF-SHA256 of the device key, salted with the store's id, gives one sealing key per table and one
//! key for digests, so a row can move neither between tables nor between stores. An event's content has a key of
//! its own, kept in the sealed head: rewriting the row without it erases the content.
//!
//! **Limits.** The device key is as safe as the place it lies in (docs/threat-model.md). An older copy of a row can
//! be put back by somebody who can write the card; that is not detected.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes that sealing adds to a value.
pub const OVERHEAD: usize = aead::NONCE_LEN + 16;
/// Key of one event's content.
pub type ContentKey = [u8; 32];
/// A keyed digest, short enough for an index: 128 bits leave no chance of two meeting by accident.
pub type Digest = [u8; 16];

/// How a sealed text begins.
pub const SEALED_TEXT: &str = "sealed:";

const KEY_BYTES: usize = 32;

/// The secret that seals this box's store.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceKey([u8; KEY_BYTES]);

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<device key>")
    }
}

/// Why a device key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Others than its owner may read the file.
    Exposed { path: PathBuf, mode: u32 },
    /// The content is not 64 hexadecimal digits.
    Shape { path: PathBuf },
    /// The file could not be read or made.
    Io { path: PathBuf, what: String },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Exposed { path, mode } => write!(
                f,
                "the device key {} can be read by others (mode {mode:03o}); run chmod 600 on it, and consider the \
                 key known if others use this machine",
                path.display(),
            ),
            KeyError::Shape { path } => write!(
                f,
                "the device key {} is not 64 hexadecimal digits; restore it from the envelope of this box",
                path.display(),
            ),
            KeyError::Io { path, what } => write!(f, "the device key {}: {what}", path.display()),
        }
    }
}

impl std::error::Error for KeyError {}

impl DeviceKey {
    /// Reads the key file, or makes one if there is none. A new key is on disk, directory entry and all, before
    /// this returns: nothing may be sealed under a key that a power cut can take away.
    pub fn load_or_make(path: &Path) -> Result<DeviceKey, KeyError> {
        let failed = |error: io::Error| KeyError::Io {
            path: path.to_owned(),
            what: error.to_string(),
        };
        match File::open(path) {
            Ok(file) => read_key(file, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_key(path).map_err(failed)?;
                read_key(File::open(path).map_err(failed)?, path)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The key in its written form, for a source that is not a file of ours (a systemd credential).
    pub fn parse(text: &str) -> Option<DeviceKey> {
        let digits = text.trim_ascii().as_bytes();
        if digits.len() != KEY_BYTES * 2 {
            return None;
        }
        let mut key = [0; KEY_BYTES];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(DeviceKey(key))
    }

    /// A secret for another purpose than sealing: the same for ever for one key and label, whatever store it opens.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0);
        let tag = ring::hmac::sign(&key, label.as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }

    /// Seals a short text for a file of its own; `name` ties it to its place. Base64 after [`SEALED_TEXT`].
    pub fn seal_text(&self, name: &str, plain: &str) -> String {
        let key = content_key(&self.derive("sealed texts"));
        let sealed = seal_under(
            &key,
            &SystemRandom::new(),
            name.as_bytes(),
            plain.as_bytes().to_vec(),
        );
        format!("{SEALED_TEXT}{}", STANDARD.encode(sealed))
    }

    /// Opens what [`DeviceKey::seal_text`] sealed under this key and name.
    pub fn open_text(&self, name: &str, sealed: &str) -> Option<String> {
        let sealed = STANDARD.decode(sealed.trim().strip_prefix(SEALED_TEXT)?).ok()?;
        let mut plain = Vec::new();
        let key = content_key(&self.derive("sealed texts"));
        open_under(&key, name.as_bytes(), &sealed, &mut plain).then_some(())?;
        String::from_utf8(plain).ok()
    }

    /// A key from raw bytes, for tests and the simulation.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> DeviceKey {
        DeviceKey(bytes)
    }
}

fn read_key(mut file: File, path: &Path) -> Result<DeviceKey, KeyError> {
    let failed = |error: io::Error| KeyError::Io {
        path: path.to_owned(),
        what: error.to_string(),
    };
    let meta = file.metadata().map_err(failed)?;
    let mode = meta.permissions().mode() & 0o777;
    // systemd gives a credential, which nobody may write, to the service by an access list, whose mask shows as the
    // rights of the group root.
    let credential = meta.gid() == 0 && meta.uid() == 0 && mode == 0o440;
    let others = if credential { 0o037 } else { 0o077 };
    if mode & others != 0 {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    // A bound, so that a wrong path (a device, a log) cannot fill the memory.
    let read = Read::by_ref(&mut file).take(1024).read_to_string(&mut text);
    match read {
        Ok(_) => DeviceKey::parse(&text).ok_or(KeyError::Shape {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(KeyError::Shape {
            path: path.to_owned(),
        }),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a fresh key beside its place and links it in: a cut leaves no half key, and of two processes that both
/// start for the first time one wins and the other reads the winner's.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    fill(&SystemRandom::new(), &mut key);
    let mut text = String::with_capacity(KEY_BYTES * 2 + 1);
    for byte in key {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let draft = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    fs::remove_file(&draft)?;
    linked?;
    sync_directory(path)
}

/// Makes the entry of a new file survive a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn fill(random: &SystemRandom, bytes: &mut [u8]) {
    random
        .fill(bytes)
        .expect("the kernel gives random bytes once it has booted");
}

/// Every key of one opened store.
pub(super) struct Keys {
    tables: [LessSafeKey; 5],
    digest: hmac::Key,
    random: SystemRandom,
}

impl Keys {
    /// Derives the keys of the store with this id.
    pub fn derive(device: &DeviceKey, store_id: &[u8; 16], labels: [&'static str; 5]) -> Keys {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, store_id).extract(&device.0);
        let tables = labels.map(|label| {
            let info = [b"seal ".as_slice(), label.as_bytes()];
            let okm = root
                .expand(&info, &aead::CHACHA20_POLY1305)
                .expect("one block of key material");
            LessSafeKey::new(UnboundKey::from(okm))
        });
        let info = [b"digest".as_slice()];
        let digest = root
            .expand(&info, hmac::HMAC_SHA256)
            .expect("one block of key material")
            .into();
        Keys {
            tables,
            digest,
            random: SystemRandom::new(),
        }
    }

    /// Seals a value for one row of a table.
    pub fn seal(&self, table: usize, place: &[u8], plain: Vec<u8>) -> Vec<u8> {
        seal_under(&self.tables[table], &self.random, place, plain)
    }

    /// Opens a value into `plain`, replacing what it holds; false if it was not sealed for this row.
    pub fn open(&self, table: usize, place: &[u8], sealed: &[u8], plain: &mut Vec<u8>) -> bool {
        open_under(&self.tables[table], place, sealed, plain)
    }

    pub fn fresh_content_key(&self) -> ContentKey {
        let mut key = [0; 32];
        fill(&self.random, &mut key);
        key
    }

    pub fn seal_content(&self, key: &ContentKey, place: &[u8], plain: Vec<u8>) -> Vec<u8> {
        seal_under(&content_key(key), &self.random, place, plain)
    }

    pub fn open_content(&self, key: &ContentKey, place: &[u8], sealed: &[u8], plain: &mut Vec<u8>) -> bool {
        open_under(&content_key(key), place, sealed, plain)
    }

    /// A digest nobody without the device key can recompute; `domain` keeps kinds of names apart.
    pub fn digest(&self, domain: &str, name: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.digest);
        context.update(domain.as_bytes());
        context.update(&[0]);
        context.update(name);
        let mut digest = Digest::default();
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        digest
    }

    /// A new random name for a store.
    pub fn fresh_store_id() -> [u8; 16] {
        let mut id = [0; 16];
        fill(&SystemRandom::new(), &mut id);
        id
    }
}

fn content_key(key: &ContentKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&aead::CHACHA20_POLY1305, key).expect("the key has the cipher's length"))
}

fn seal_under(key: &LessSafeKey, random: &SystemRandom, place: &[u8], mut plain: Vec<u8>) -> Vec<u8> {
    let mut nonce = [0; aead::NONCE_LEN];
    fill(random, &mut nonce);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut plain)
        .expect("the plaintext is far below the cipher's limit");
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&plain);
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

fn open_under(key: &LessSafeKey, place: &[u8], sealed: &[u8], plain: &mut Vec<u8>) -> bool {
    let Some((nonce, body)) = sealed.split_first_chunk::<{ aead::NONCE_LEN }>() else {
        return false;
    };
    plain.clear();
    plain.extend_from_slice(body);
    let Ok(opened) = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), plain) else {
        plain.clear();
        return false;
    };
    let length = opened.len();
    plain.truncate(length);
    true
}
