//! TLS policy, one for HTTPS and MQTT: rustls with ring, TLS 1.2 and 1.3, certificates always checked.
//!
//! Roots are the compiled-in Mozilla set, or, when a `ca_file` is configured, *only* the certificates of that file:
//! a private CA narrows what is trusted, it never widens it. Nothing here can switch verification off, and there is
//! no process-wide default provider, so nobody can change this policy from afar.

use super::lan::der;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ClientConnection, RootCertStore, SupportedCipherSuite,
};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sessions remembered for resumption. Each configuration speaks to one host; a few tickets of it are enough, and
/// the default of 256 would reserve memory for nothing.
const RESUMED_SESSIONS: usize = 4;

/// Where trust and, for brokers that want one, our own identity come from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// PEM file with the only accepted certificate authorities; the compiled-in public ones if absent.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate chain and its key, for brokers that know their clients by certificate.
    pub client: Option<ClientIdentity>,
}

/// PEM files of a client certificate (leaf first) and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

/// Why there is no TLS configuration; for whoever wrote the configuration file.
#[derive(Debug)]
pub enum TlsError {
    /// The file cannot be read.
    Unreadable { file: PathBuf, source: io::Error },
    /// The file is readable but holds no certificate in PEM form.
    NoCertificate { file: PathBuf },
    /// The file holds no private key in PEM form.
    NoKey { file: PathBuf },
    /// A PEM block is damaged, or what it holds is no usable certificate.
    Damaged { file: PathBuf },
    /// Certificate and key do not belong together, or the key is of a kind TLS cannot use.
    Mismatch {
        certificate_file: PathBuf,
        key_file: PathBuf,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Unreadable { file, source } => {
                write!(
                    f,
                    "cannot read {}: {source}; check the path and its permissions",
                    file.display()
                )
            }
            TlsError::NoCertificate { file } => {
                write!(
                    f,
                    "no certificate in {}; it must hold BEGIN CERTIFICATE blocks (PEM)",
                    file.display()
                )
            }
            TlsError::NoKey { file } => {
                write!(
                    f,
                    "no private key in {}; it must hold a BEGIN PRIVATE KEY block (PEM)",
                    file.display()
                )
            }
            TlsError::Damaged { file } => {
                write!(
                    f,
                    "{} is damaged or holds something else; copy it again",
                    file.display()
                )
            }
            TlsError::Mismatch {
                certificate_file,
                key_file,
            } => write!(
                f,
                "the key in {} does not belong to the certificate in {}; install the pair again",
                key_file.display(),
                certificate_file.display()
            ),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Unreadable { source, .. } => Some(source),
            TlsError::NoCertificate { .. }
            | TlsError::NoKey { .. }
            | TlsError::Damaged { .. }
            | TlsError::Mismatch { .. } => None,
        }
    }
}

/// The one way to a TLS configuration. Build it once per peer and share it: it remembers sessions.
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring implements TLS 1.2 and 1.3")
        .with_root_certificates(roots(files.ca_file.as_deref())?);
    let mut config = match &files.client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificate_file)?;
            let key = private_key(&identity.key_file)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| TlsError::Mismatch {
                    certificate_file: identity.certificate_file.clone(),
                    key_file: identity.key_file.clone(),
                })?
        }
    };
    config.resumption = Resumption::in_memory_sessions(RESUMED_SESSIONS);
    Ok(Arc::new(config))
}

/// Everything ring can do, ChaCha20-Poly1305 first: the boards have no instructions for AES, and its hash is 16 bytes
/// shorter in each of the three proofs of a handshake.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let first = |suite: &SupportedCipherSuite| suite.suite() != CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    provider.cipher_suites.sort_by_key(first);
    provider
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let Some(file) = ca_file else {
        return Ok(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        });
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|_| TlsError::Damaged {
            file: file.to_owned(),
        })?;
    }
    Ok(store)
}

/// When the first certificate of a file is over, Unix seconds; nothing if none of them says so.
pub fn over(file: &Path) -> Option<i64> {
    let found = certificates(file).ok()?;
    let dates = found.iter().filter_map(|certificate| der::dates(certificate));
    dates.map(|dates| dates.not_after).min()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Err(_) => Err(TlsError::Damaged {
            file: file.to_owned(),
        }),
        Ok(list) if list.is_empty() => Err(TlsError::NoCertificate {
            file: file.to_owned(),
        }),
        Ok(list) => Ok(list),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| match error {
        Error::NoItemsFound => TlsError::NoKey {
            file: file.to_owned(),
        },
        _ => TlsError::Damaged {
            file: file.to_owned(),
        },
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| TlsError::Unreadable {
        file: file.to_owned(),
        source,
    })
}

/// One step of a handshake: says what is to be said and hears what comes next. Our last word stays behind: it goes out
/// in one packet with the request that follows.
pub fn handshake_step(tls: &mut ClientConnection, line: &mut (impl Read + Write)) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(line)?;
    }
    if tls.read_tls(line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    tls.process_new_packets().map(drop).map_err(|error| {
        // The server is told why, if it still listens.
        let _ = tls.write_tls(line);
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

/// What a failed handshake means to the person who must fix it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The certificate is not valid yet or any more by this box's clock: first suspect the clock.
    Dates,
    /// Unknown authority, revoked: first suspect a portal or the wrong `ca_file`.
    Certificate,
    /// A good certificate of somebody else.
    OtherName,
    /// The line broke or fell silent meanwhile: nothing is wrong with TLS.
    Line,
    /// Anything else: no common version, not TLS at all.
    Other,
}

impl Refusal {
    /// Judges an I/O error of a handshake; rustls travels inside as its source.
    pub fn of(error: &io::Error) -> Refusal {
        error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .map_or(Refusal::Line, Refusal::of_rustls)
    }

    /// The same for an error that still is one of rustls.
    pub fn of_rustls(error: &rustls::Error) -> Refusal {
        match error {
            rustls::Error::InvalidCertificate(why) => Refusal::of_certificate(why),
            rustls::Error::NoCertificatesPresented => Refusal::Certificate,
            // rustls has many other errors and may gain more.
            _ => Refusal::Other,
        }
    }

    fn of_certificate(why: &CertificateError) -> Refusal {
        match why {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Refusal::Dates,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Refusal::OtherName
            }
            // rustls may add kinds; all of them mean "not this certificate".
            _ => Refusal::Certificate,
        }
    }
}
