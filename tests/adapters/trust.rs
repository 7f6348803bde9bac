//! The TLS policy as a technician meets it: which files are accepted and what is said about the others.

use crate::pki::{Authority, Folder, Validity};
use referral_gateway::shell::tls::{ClientIdentity, TlsError, TlsFiles, client_config};
use std::path::PathBuf;

fn with_ca(file: PathBuf) -> Result<(), TlsError> {
    client_config(&TlsFiles {
        ca_file: Some(file),
        client: None,
    })
    .map(|_| ())
}

#[test]
fn public_roots_are_compiled_in() {
    assert!(client_config(&TlsFiles::default()).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new();
    let error = with_ca(folder.0.join("absent.pem")).unwrap_err();
    assert!(matches!(error, TlsError::Unreadable { .. }));
    assert!(error.to_string().contains("absent.pem"));
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let folder = Folder::new();
    let key = Authority::new().leaf("localhost", Validity::Now).key_pem;
    for text in ["", "not a certificate", &key] {
        assert!(matches!(
            with_ca(folder.write("ca.pem", text)),
            Err(TlsError::NoCertificate { .. })
        ));
    }
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        with_ca(folder.write("ca.pem", damaged)),
        Err(TlsError::Damaged { .. })
    ));
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(matches!(
        with_ca(folder.write("ca.pem", cut)),
        Err(TlsError::Damaged { .. })
    ));
}

#[test]
fn a_client_certificate_needs_its_own_key() {
    let authority = Authority::new();
    let (one, two) = (
        authority.leaf("one", Validity::Now),
        authority.leaf("two", Validity::Now),
    );
    let identity = |certificate: &str, key: &str| ClientIdentity {
        certificate_file: authority.folder.write("client.pem", certificate),
        key_file: authority.folder.write("client.key", key),
    };
    let build = |client| {
        client_config(&TlsFiles {
            ca_file: None,
            client: Some(client),
        })
    };
    assert!(build(identity(&one.certificate_pem, &one.key_pem)).is_ok());
    let stranger = build(identity(&one.certificate_pem, &two.key_pem));
    assert!(matches!(stranger, Err(TlsError::Mismatch { .. })));
    let keyless = build(identity(&one.certificate_pem, &one.certificate_pem));
    assert!(matches!(keyless, Err(TlsError::NoKey { .. })));
}
