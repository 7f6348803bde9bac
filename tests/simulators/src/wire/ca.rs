//! A certificate authority for one test: what it signs is trusted by clients that were handed its PEM, and by
//! nobody else.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The gateway refuses secrets that others can read.
const KEY_MODE: u32 = 0o600;

/// A private certificate authority. Make a second one for "a certificate from another CA".
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, ready for a server of any kind.
#[derive(Clone)]
pub struct Identity {
    /// The leaf certificate.
    pub cert_pem: String,
    pub key_pem: String,
    cert_der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Default for TestCa {
    fn default() -> Self {
        TestCa::new()
    }
}

impl TestCa {
    /// A fresh authority with a fresh key.
    pub fn new() -> TestCa {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        // A name per key: a chain from the wrong authority then fails as an unknown issuer, as in the field.
        let tag: String = key
            .public_key_raw()
            .iter()
            .rev()
            .take(4)
            .map(|b| format!("{b:02x}"))
            .collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("simulators test CA {tag}"));
        let issuer = CertifiedIssuer::self_signed(params, key).expect("constant parameters can be signed");
        TestCa { issuer }
    }

    /// The authority's certificate, for clients to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's certificate in DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for these host names or IP addresses (mosquitto, another simulator, ...).
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(CertificateParams::new(owned(names)).expect("names are valid DNS names or addresses"))
    }

    /// A certificate for `localhost` and `127.0.0.1`.
    pub fn localhost(&self) -> Identity {
        self.issue(&["localhost", "127.0.0.1"])
    }

    /// A certificate whose validity ended on the first day of 2020.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let mut params =
            CertificateParams::new(owned(names)).expect("names are valid DNS names or addresses");
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    /// Write the authority's certificate to `ca.pem` in this directory, which is made if need be; returns the
    /// file. The authority's key is never written.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_pem(&self, folder: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let file = folder.join("ca.pem");
        fs::write(&file, self.pem())?;
        Ok(file)
    }

    fn sign(&self, mut params: CertificateParams) -> Identity {
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name.push(DnType::CommonName, "simulator");
        let key = KeyPair::generate().expect("ring makes a P-256 key");
        let cert = params.signed_by(&key, &self.issuer).expect("the CA key signs");
        Identity {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert_der: cert.der().clone(),
            key_der: key.serialize_der(),
        }
    }
}

impl Identity {
    /// Write the certificate to `NAME.pem` and the key, readable by its owner alone, to `NAME.key` in this
    /// directory, which is made if need be; returns the two files.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_pem(&self, folder: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        fs::create_dir_all(folder)?;
        let (cert, key) = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        fs::write(&cert, &self.cert_pem)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(KEY_MODE)
            .open(&key)?;
        // The mode above is for a new file alone; an old one may be open to others.
        file.set_permissions(fs::Permissions::from_mode(KEY_MODE))?;
        file.write_all(self.key_pem.as_bytes())?;
        Ok((cert, key))
    }

    /// A rustls server configuration with the ring provider. `p384_only` offers secp384r1 alone for the key
    /// exchange, as Primero's nginx does (primero.md 7.4).
    pub fn server_config(&self, p384_only: bool) -> Arc<rustls::ServerConfig> {
        let mut provider = rustls::crypto::ring::default_provider();
        if p384_only {
            provider.kx_groups = vec![rustls::crypto::ring::kx_group::SECP384R1];
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key_der.clone()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.cert_der.clone()], key)
            .expect("key and certificate belong together");
        Arc::new(config)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}
