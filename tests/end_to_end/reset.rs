//! `box reset`: what a box knew is gone from it, wherever its configuration kept it, and a power cut in the middle is made
//! good by giving the command again.

use crate::office::{OSCAR_PASSWORD, Office, PRIMERO_PASSWORD, gateway, private, referral};
use crate::pki::{Authority, Validity};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What must not be found on an emptied box.
const BROKER_PASSWORD: &str = "broker-password-1";

/// An office whose secrets lie here and there, under names of its own.
fn scattered() -> Office {
    let office = Office::with(
        "[mqtt]\nurl = \"mqtts://localhost:1\"\nuser_name = \"kpt-03\"\npassword_file = \"etc/broker.txt\"\n\
         client_cert = \"etc/tls/box.crt\"\nclient_key = \"etc/tls/box.key\"\n",
    );
    let at = |name: &str| office.folder.path().join(name);
    std::fs::create_dir_all(at("etc/tls")).unwrap();
    let leaf = Authority::new().leaf("kpt-03", Validity::Now);
    private(&at("etc/broker.txt"), BROKER_PASSWORD);
    private(&at("etc/tls/box.crt"), &leaf.certificate_pem);
    private(&at("etc/tls/box.key"), &leaf.key_pem);
    std::fs::rename(at("primero.password"), at("etc/first")).unwrap();
    let text = std::fs::read_to_string(&office.config).unwrap();
    std::fs::write(
        &office.config,
        text.replace("\"primero.password\"", "\"etc/first\""),
    )
    .unwrap();
    office.enqueue(&referral("sent", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    office
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// As a technician in the configuration's folder would type it.
fn reset_from_its_folder(office: &Office) -> Output {
    Command::new(gateway())
        .args(["--config", "gateway.toml", "box", "reset"])
        .current_dir(office.folder.path())
        .output()
        .unwrap()
}

fn is_empty(office: &Office) {
    let left = files(office.folder.path());
    for file in &left {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        for secret in [
            PRIMERO_PASSWORD,
            OSCAR_PASSWORD,
            BROKER_PASSWORD,
            "PRIVATE KEY",
            "[gateway]",
        ] {
            assert!(!text.contains(secret), "{secret} is left in {}", file.display());
        }
    }
    for name in ["handed-over", "gateway.redb", "seal.key"] {
        assert!(!office.data(name).exists(), "{name}");
    }
    assert!(!left.iter().any(|file| file.ends_with("box.crt")), "{left:?}");
}

#[test]
fn every_secret_the_configuration_names_goes_with_it() {
    let office = scattered();
    let done = reset_from_its_folder(&office);
    assert!(done.status.success(), "{done:?}");
    is_empty(&office);
}

#[test]
fn an_emptying_cut_off_anywhere_is_finished_by_giving_it_again() {
    // The order in which they go.
    let order = [
        "data/seal.key",
        "data/gateway.redb",
        "etc/first",
        "oscar.password",
        "etc/tls/box.key",
    ];
    for cut in 1..=order.len() {
        let office = scattered();
        std::fs::write(office.data("handed-over"), "emptied\n").unwrap();
        for name in &order[..cut] {
            std::fs::remove_file(office.folder.path().join(name)).unwrap();
        }
        let done = reset_from_its_folder(&office);
        assert!(done.status.success(), "after {}: {done:?}", order[cut - 1]);
        is_empty(&office);
    }
}

#[test]
fn a_box_set_up_by_its_card_is_emptied_to_the_end_by_the_stick_given_again() {
    let office = Office::new();
    let folder = office.folder.path();
    let at = |name: &str| folder.join(name);
    let run = |words: &[&str]| Command::new(gateway()).args(words).output().unwrap();
    let text = std::fs::read_to_string(&office.config).unwrap();
    let text = text
        .replace("data_dir = \"data\"\n", "")
        .replace("password_file = \"primero.password\"", "password = \"first\"")
        .replace("password_file = \"oscar.password\"", "password = \"second\"")
        .replace("ca_file = \"ca.pem\"\n", "");
    let phrase = "five words for the stick";
    std::fs::write(
        at("card.txt"),
        format!("{text}\n[box]\nswap_passphrase = \"{phrase}\"\n"),
    )
    .unwrap();
    std::fs::write(at("gateway-reset.txt"), phrase).unwrap();
    std::fs::create_dir_all(at("box/config")).unwrap();
    let [card, home, words] =
        ["card.txt", "box/config", "gateway-reset.txt"].map(|name| at(name).display().to_string());
    let applied = run(&["provision", "apply", &card, &home]);
    assert!(applied.status.success(), "{applied:?}");
    // As a power cut leaves it right after the key: nothing sealed can be opened any more.
    std::fs::write(at("box/handed-over"), "emptied\n").unwrap();
    std::fs::remove_file(at("box/seal.key")).unwrap();
    let config = format!("{home}/current/gateway.toml");
    // As the stick does: first whether it may command this box at all.
    let asked = run(&["--config", &config, "box", "check-passphrase", &words]);
    assert!(asked.status.success(), "{asked:?}");
    let done = run(&["--config", &config, "box", "reset", &words]);
    assert!(done.status.success(), "{done:?}");
    let left = files(&at("box"));
    let gone = [
        "gateway.toml",
        "handed-over",
        "seal.key",
        "primero.password",
        "swap.passphrase",
    ];
    let found = left
        .iter()
        .find(|file| gone.iter().any(|name| file.ends_with(name)));
    assert_eq!(found, None, "{left:?}");
}
