//! Certificates made for one test run: a private authority and leaves below it, and the files clients read.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use referral_gateway::shell::tls::{TlsFiles, client_config};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory of this test alone; removed with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("referral-gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub folder: Folder,
}

/// When a leaf is valid.
#[derive(Clone, Copy)]
pub enum Validity {
    Now,
    Over,
    Ahead,
    /// For so many more days.
    Days(u64),
}

pub struct Leaf {
    pub certificate_pem: String,
    pub key_pem: String,
    serial: u64,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a leaf with its issuer's name for self-signed.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of this test");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = Folder::new();
        folder.write("ca.pem", &issuer.pem());
        Authority { issuer, folder }
    }

    /// Written once: a program that is just starting must never find it half written.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.0.join("ca.pem")
    }

    pub fn leaf(&self, name: &str, validity: Validity) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = match validity {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1)),
            Validity::Over => (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1)),
            Validity::Ahead => (date_time_ymd(2089, 1, 1), date_time_ymd(2090, 1, 1)),
            Validity::Days(days) => {
                let before = date_time_ymd(1970, 1, 1)
                    + std::time::SystemTime::now()
                        .duration_since(std::time::UNIX_EPOCH)
                        .unwrap();
                (
                    date_time_ymd(2020, 1, 1),
                    before + std::time::Duration::from_secs(days * 86_400),
                )
            }
        };
        params.distinguished_name.push(DnType::CommonName, name);
        let serial = u64::from(NEXT.fetch_add(1, Ordering::Relaxed)) + 1000;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            serial,
        }
    }

    /// A list of certificates this authority has revoked.
    pub fn revoking(&self, leaves: &[&Leaf]) -> String {
        let revoked = |leaf: &&Leaf| RevokedCertParams {
            serial_number: SerialNumber::from(leaf.serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: leaves.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A client that trusts this authority and nobody else.
    pub fn trusting(&self) -> Arc<rustls::ClientConfig> {
        client_config(&TlsFiles {
            ca_file: Some(self.ca_file()),
            client: None,
        })
        .unwrap()
    }
}
