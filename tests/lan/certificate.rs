//! The listener's own certificate: made once, shown, renewed in time, and good however wrong the clock was.

use crate::client::LanOffice;
use crate::office::Office;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use referral_gateway::config::Config;
use referral_gateway::core::time::{BUILD_FLOOR, Wall};
use referral_gateway::shell::lan::certificate::{OwnCertificate, Shown};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const LAN: &str = "[lan]\nlisten = \"127.0.0.1:0\"\nnames = [\"gateway.office.lan\", \"192.168.7.1\"]\n";
const YEAR_S: i64 = 365 * 24 * 3600;

/// What openssl says of the certificate on disk.
fn openssl(office: &Office, words: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-in"])
        .arg(office.data("lan.crt"))
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn open(office: &Office, unix: i64) -> Shown {
    let config = Config::load(&office.config).unwrap();
    std::fs::create_dir_all(&config.gateway.data_dir).unwrap();
    let wall = Wall::judge(unix, 0, true);
    OwnCertificate::open(&config, config.lan.as_ref().unwrap(), wall)
        .unwrap()
        .shown()
}

#[test]
fn it_is_made_once_and_its_fingerprint_is_shown() {
    let mut lan = LanOffice::of(Office::with(LAN));
    let shown = lan.office.json(&["status"])["lan"].clone();
    let text = openssl(&lan.office, &["-fingerprint", "-sha256"]);
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    assert!(text.trim().ends_with(fingerprint), "{text} {fingerprint}");
    assert!(lan.office.run(&["status"]).out.contains(fingerprint));
    let names = openssl(&lan.office, &["-ext", "subjectAltName,keyUsage,extendedKeyUsage"]);
    for name in [
        "DNS:kpt-03.local",
        "DNS:gateway.office.lan",
        "IP Address:192.168.7.1",
        "Digital Signature",
    ] {
        assert!(names.contains(name), "{names}");
    }
    let mode = std::fs::metadata(lan.office.data("lan.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    lan.office.stop();
    assert!(
        lan.office.run(&["status"]).out.contains(fingerprint),
        "without the service too"
    );
    let again = LanOffice::of(lan.office);
    assert_eq!(again.office.json(&["status"])["lan"]["fingerprint"], fingerprint);
}

#[test]
fn made_at_1970_it_is_good_once_the_clock_is_right() {
    let office = Office::with(LAN);
    let shown = open(&office, 0);
    assert_eq!(shown.dates.not_before, BUILD_FLOOR);
    assert!(shown.dates.not_after > BUILD_FLOOR + 9 * YEAR_S);
    assert_eq!(open(&office, 0), shown);
    assert_eq!(open(&office, BUILD_FLOOR + YEAR_S), shown, "nothing to renew");
    assert!(openssl(&office, &["-checkend", "3600"]).contains("will not expire"));
}

#[test]
fn one_that_is_nearly_over_is_renewed_by_a_plausible_clock_only() {
    let office = Office::with(LAN);
    let config = Config::load(&office.config).unwrap();
    let first = open(&office, 0);
    let used = OwnCertificate::open(&config, config.lan.as_ref().unwrap(), Wall::judge(0, 0, true)).unwrap();
    let late = first.dates.not_after - YEAR_S / 2;
    used.renew_if_due(Wall::judge(5, 0, true));
    assert_eq!(used.shown(), first, "a clock at 1970 renews nothing");
    used.renew_if_due(Wall::judge(late - YEAR_S, 0, true));
    assert_eq!(used.shown(), first, "not before its last year");
    used.renew_if_due(Wall::judge(late, 0, true));
    let second = used.shown();
    assert_ne!(second.fingerprint, first.fingerprint);
    assert_eq!(
        second.dates.not_before, BUILD_FLOOR,
        "good for clocks behind this one"
    );
    assert!(second.dates.not_after > late + 9 * YEAR_S);
    assert_eq!(Shown::of(&config), Some(second), "on disk as well");
}

#[test]
fn an_expired_one_is_renewed_at_the_start_and_its_key_stays() {
    let office = Office::with(LAN);
    open(&office, 0);
    let key_pem = std::fs::read_to_string(office.data("lan.key")).unwrap();
    let key = KeyPair::from_pem_and_sign_algo(&key_pem, &PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    std::fs::write(office.data("lan.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    assert!(!openssl(&office, &["-dates"]).contains("2036"));
    let lan = LanOffice::of(office);
    let token = lan.station("front-desk");
    assert_eq!(
        lan.get(&token, "/v1/status").0,
        200,
        "whoever trusts the new one gets in"
    );
    assert_eq!(
        std::fs::read_to_string(lan.office.data("lan.key")).unwrap(),
        key_pem
    );
}

#[test]
fn damaged_files_and_other_names_make_a_new_one() {
    let office = Office::with(LAN);
    let first = open(&office, 0);
    std::fs::write(
        office.data("lan.crt"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let second = open(&office, 0);
    assert_ne!(first.fingerprint, second.fingerprint);
    std::fs::write(office.data("lan.key"), "").unwrap();
    let third = open(&office, 0);
    assert_ne!(second.fingerprint, third.fingerprint);
    let text = std::fs::read_to_string(&office.config).unwrap();
    std::fs::write(&office.config, text.replace("192.168.7.1", "10.0.0.9")).unwrap();
    let fourth = open(&office, 0);
    assert_ne!(third.fingerprint, fourth.fingerprint);
    assert!(openssl(&office, &["-ext", "subjectAltName"]).contains("IP Address:10.0.0.9"));
    assert_eq!(open(&office, 0), fourth);
}
