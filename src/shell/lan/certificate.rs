//! The listener's own certificate: made at the first start, kept in the data folder, renewed by itself.
//!
//! **Files.** `lan.key` (PKCS#8, for the service alone) and `lan.crt` (may be copied to whoever is to trust it). The
//! key stays for good; a damaged or missing file is made anew.
//!
//! **Dates.** Good from the day this program was built, whatever the clock says: a certificate made while the clock
//! stands at 1970, or by a clock that runs ahead, works as soon as the clocks are right. Good for ten years, because
//! people compare its fingerprint by hand and nothing but a person can, and renewed in the last of them, by a
//! plausible clock only: an old one works on until then. A change of names also makes a new one.

use super::der::{self, Dates};
use crate::config::{Config, Lan};
use crate::core::status::stamp;
use crate::core::time::{BUILD_FLOOR, Wall};
use crate::shell::identity::sha256;
use crate::shell::log;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

const KEY_FILE: &str = "lan.key";
const CERTIFICATE_FILE: &str = "lan.crt";
/// What makes the listener the one people know, in the data folder.
pub const FILES: [&str; 2] = [KEY_FILE, CERTIFICATE_FILE];

const DAY_S: i64 = 24 * 3600;
const GOOD_FOR_S: i64 = 3653 * DAY_S;
const RENEWED_BEFORE_S: i64 = 365 * DAY_S;

const NO_PANIC: &str = "nobody panics with the certificate in hand";

/// What people compare and the desk watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of the certificate, as browsers write it: `AB:CD:…`.
    pub fingerprint: String,
    pub dates: Dates,
}

impl Shown {
    /// The certificate in the data folder, if the listener has made one. For `status` and `self-test`, whether the
    /// service runs or not.
    pub fn of(config: &Config) -> Option<Shown> {
        config.lan.as_ref()?;
        Shown::of_der(&read(&config.gateway.data_dir.join(CERTIFICATE_FILE))?)
    }

    /// When the listener's certificate is over, Unix seconds.
    pub fn over(data_dir: &Path) -> Option<i64> {
        Some(der::dates(&read(&data_dir.join(CERTIFICATE_FILE))?)?.not_after)
    }

    fn of_der(der: &[u8]) -> Option<Shown> {
        let dates = der::dates(der)?;
        let pairs: Vec<String> = sha256(der).iter().map(|byte| format!("{byte:02X}")).collect();
        Some(Shown {
            fingerprint: pairs.join(":"),
            dates,
        })
    }

    /// As `status` shows it.
    pub fn json(&self) -> Value {
        json!({ "fingerprint": self.fingerprint, "expires": stamp(self.dates.not_after) })
    }
}

/// The certificate in use. A renewal changes what the next connection is shown.
#[derive(Debug)]
pub struct OwnCertificate {
    files: PathBuf,
    title: String,
    names: Vec<String>,
    key: PrivatePkcs8KeyDer<'static>,
    used: RwLock<Arc<CertifiedKey>>,
}

impl OwnCertificate {
    /// Reads the certificate, or makes one; renews it if it is time.
    pub fn open(config: &Config, lan: &Lan, wall: Wall) -> io::Result<OwnCertificate> {
        let files = config.gateway.data_dir.clone();
        let (key, fresh) = match read_key(&files.join(KEY_FILE)) {
            Some(key) => (key, false),
            None => (make_key(&files)?, true),
        };
        let title = format!("referral-gateway {}", config.gateway.id);
        let names = names(&config.gateway.id, lan);
        let kept = read(&files.join(CERTIFICATE_FILE))
            .filter(|der| !fresh && !due(der, &names, wall))
            .and_then(|der| certified(der, &key).ok());
        let used = match kept {
            Some(kept) => kept,
            None => make(&files, &title, &names, &key, wall)?,
        };
        Ok(OwnCertificate {
            files,
            title,
            names,
            key,
            used: RwLock::new(Arc::new(used)),
        })
    }

    /// Makes a new certificate if the one in use will soon be over. To be asked now and then.
    pub fn renew_if_due(&self, wall: Wall) {
        let used = Arc::clone(&self.used.read().expect(NO_PANIC));
        if !due(&used.cert[0], &self.names, wall) {
            return;
        }
        match make(&self.files, &self.title, &self.names, &self.key, wall) {
            Ok(fresh) => {
                *self.used.write().expect(NO_PANIC) = Arc::new(fresh);
                let shown = self.shown();
                log::warn(format_args!(
                    "lan: the certificate was renewed; its fingerprint is now {}",
                    shown.fingerprint
                ));
            }
            Err(error) => log::warn(format_args!("lan: the certificate cannot be renewed: {error}")),
        }
    }

    pub fn shown(&self) -> Shown {
        let used = self.used.read().expect(NO_PANIC);
        Shown::of_der(&used.cert[0]).expect("its dates were read before it was used")
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.used.read().expect(NO_PANIC)))
    }
}

/// What this box is called in the office, for programs that check names: people compare the fingerprint.
fn names(gateway: &str, lan: &Lan) -> Vec<String> {
    let mut names = vec![gateway.to_owned(), format!("{gateway}.local")];
    names.extend(["localhost", "127.0.0.1"].map(str::to_owned));
    let ip = lan.listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        names.push(ip.to_string());
    }
    names.extend(lan.names.iter().cloned());
    names
}

/// Whether a certificate must give way to a new one. While the clock is not plausible none is over.
fn due(der: &[u8], names: &[String], wall: Wall) -> bool {
    let Some(dates) = der::dates(der) else {
        return true;
    };
    let over = wall
        .known()
        .is_some_and(|unix| unix < dates.not_before || unix > dates.not_after - RENEWED_BEFORE_S);
    let good_for = der::alternative_names(names);
    over || !der.windows(good_for.len()).any(|part| part == good_for)
}

fn make(
    files: &Path,
    title: &str,
    names: &[String],
    key: &PrivatePkcs8KeyDer<'static>,
    wall: Wall,
) -> io::Result<CertifiedKey> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_pkcs8_der(), &random)
        .map_err(|_| io::Error::other("the key is not one for P-256"))?;
    let dates = Dates {
        not_before: BUILD_FLOOR,
        not_after: wall.known().unwrap_or(BUILD_FLOOR) + GOOD_FOR_S,
    };
    let der = der::certificate(&pair, title, names, dates)
        .ok_or_else(|| io::Error::other("the system gives no random numbers"))?;
    write(files, CERTIFICATE_FILE, 0o644, "CERTIFICATE", &der)?;
    certified(der, key)
}

fn certified(der: Vec<u8>, key: &PrivatePkcs8KeyDer<'static>) -> io::Result<CertifiedKey> {
    let key = any_ecdsa_type(&PrivateKeyDer::Pkcs8(key.clone_key())).map_err(io::Error::other)?;
    let certified = CertifiedKey::new(vec![CertificateDer::from(der)], key);
    certified.keys_match().map_err(io::Error::other)?;
    Ok(certified)
}

fn make_key(files: &Path) -> io::Result<PrivatePkcs8KeyDer<'static>> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    write(files, KEY_FILE, 0o600, "PRIVATE KEY", made.as_ref())?;
    Ok(PrivatePkcs8KeyDer::from(made.as_ref().to_vec()))
}

fn read_key(path: &Path) -> Option<PrivatePkcs8KeyDer<'static>> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(&std::fs::read(path).ok()?).ok()?;
    any_ecdsa_type(&PrivateKeyDer::Pkcs8(key.clone_key())).ok()?;
    Some(key)
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from_pem_slice(&std::fs::read(path).ok()?).ok()?;
    Some(certificate.to_vec())
}

/// Writes a PEM file beside its place and moves it there: a cut leaves the old one or the new one.
fn write(files: &Path, name: &str, mode: u32, label: &str, der: &[u8]) -> io::Result<()> {
    let draft = files.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)?;
    let text = STANDARD.encode(der);
    writeln!(file, "-----BEGIN {label}-----")?;
    for line in text.as_bytes().chunks(64) {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    writeln!(file, "-----END {label}-----")?;
    file.sync_all()?;
    std::fs::rename(&draft, files.join(name))?;
    File::open(files)?.sync_all()
}
