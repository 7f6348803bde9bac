//! The provisioning file: what a person may do to it with any editor, and what becomes of the secrets in it.

use referral_gateway::store::DeviceKey;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub const PRIMERO: &str = "primero-pass-1";
const OSCAR: &str = "oscar-pass-1";
const WIFI: &str = "wifi-pass-word";
const PHRASE: &str = "five short words for stick";

/// A box's folders: the card's first partition and the data partition.
pub struct Box {
    folder: TempDir,
}

impl Box {
    pub fn new() -> Box {
        let made = Box {
            folder: TempDir::new().unwrap(),
        };
        std::fs::create_dir(made.at("card")).unwrap();
        std::fs::create_dir_all(made.at("data/config")).unwrap();
        made
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn card(&self) -> PathBuf {
        self.at("card/gateway.txt")
    }

    pub fn write(&self, text: &str) {
        std::fs::write(self.card(), text).unwrap();
    }

    pub fn card_text(&self) -> String {
        std::fs::read_to_string(self.card()).unwrap()
    }

    pub fn start(&self) -> Output {
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/rpi-zero/board.toml");
        run(&[
            "provision",
            "apply",
            path(&self.card()),
            path(&self.at("data/config")),
            path(&board),
        ])
    }

    pub fn errors(&self) -> Option<String> {
        std::fs::read_to_string(self.at("card/gateway-errors.txt")).ok()
    }

    fn in_force(&self, name: &str) -> String {
        std::fs::read_to_string(self.at("data/config/current").join(name)).unwrap()
    }

    pub fn secret(&self, name: &str) -> Option<String> {
        let key = DeviceKey::load_or_make(&self.at("data/seal.key")).unwrap();
        key.open_text(name, &self.in_force(name))
    }

    /// Every byte below the box's folders.
    fn everything(&self) -> Vec<u8> {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut bytes = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    bytes.extend(std::fs::read(entry.path()).unwrap());
                }
            }
        }
        bytes
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_referral-gateway"))
        .args(words)
        .output()
        .unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub fn good() -> String {
    format!(
        r#"# our office
[gateway]
id = "kpt-03"   # on the door
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"

[primero]
url = "https://primero.example.org"
user_name = "gateway-kpt-03"
password = "{PRIMERO}"
module_id = "primeromodule-cp"

[primero.fields]
mosvy_number = "mosvy"

[oscar]
url = "https://oscar.example.org"
email = "gateway-kpt-03@example.org"
password = "{OSCAR}"
organizations = ["cif", "gpc"]

[wifi]
network = "office upstairs"
password = "{WIFI}"
country = "KH"

[box]
swap_passphrase = "{PHRASE}"
"#
    )
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_file_from_windows_is_taken_and_its_secrets_leave_the_card() {
    let place = Box::new();
    place.write(&format!("\u{feff}{}", good().replace('\n', "\r\n")));
    let output = place.start();
    assert_eq!(code(&output), 0, "{output:?}");
    let everything = place.everything();
    for secret in [PRIMERO, OSCAR, WIFI, PHRASE] {
        assert!(!holds(&everything, secret), "{secret} lies about in clear");
    }
    let left = place.card_text();
    assert!(
        left.contains("# on the door\r\n") && left.contains("password = \"\"\r\n"),
        "{left}"
    );
    assert_eq!(place.secret("primero.password").as_deref(), Some(PRIMERO));
    assert_eq!(place.secret("swap.passphrase").as_deref(), Some(PHRASE));
    let config = place.at("data/config/current/gateway.toml");
    let printed = run(&["--config", path(&config), "check-config"]);
    assert_eq!(code(&printed), 0, "{printed:?}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(
        printed.contains("mosvy") && printed.contains("5000"),
        "the board's caps: {printed}"
    );
    let wifi = run(&["provision", "wifi", path(&place.at("data/config"))]);
    let wifi = String::from_utf8(wifi.stdout).unwrap();
    assert!(
        wifi.contains("ssid=\"office upstairs\"") && wifi.contains(WIFI),
        "{wifi}"
    );
}

#[test]
fn the_same_card_again_changes_nothing() {
    let place = Box::new();
    place.write(&good());
    place.start();
    let target = std::fs::read_link(place.at("data/config/current")).unwrap();
    let again = place.start();
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("unchanged"),
        "{again:?}"
    );
    std::fs::remove_file(place.card()).unwrap();
    assert_eq!(code(&place.start()), 0, "a lost file is no fault");
    assert_eq!(
        target,
        std::fs::read_link(place.at("data/config/current")).unwrap()
    );
}

#[test]
fn every_fault_is_told_beside_the_file_and_the_old_configuration_stays() {
    let place = Box::new();
    place.write(&good());
    place.start();
    let bad = good()
        .replace(PHRASE, "short")
        .replace("country = \"KH\"", "country = \"Cambodia\"")
        .replace("primero.example.org", "FILL-IN");
    place.write(&bad);
    let output = place.start();
    assert_eq!(code(&output), 3, "{output:?}");
    let errors = place.errors().expect("an errors file");
    for words in ["swap_passphrase", "wifi.country", "line 8: primero.url"] {
        assert!(errors.contains(words), "{words} is not in: {errors}");
    }
    assert!(errors.lines().count() >= 5 && errors.matches("\r\n").count() == errors.matches('\n').count());
    assert!(!errors.contains(PRIMERO) && !errors.contains("short"));
    assert!(
        place.card_text().contains(PRIMERO),
        "a refused file is the technician's"
    );
    assert_eq!(place.secret("swap.passphrase").as_deref(), Some(PHRASE));
    place.write(&good().replace("kpt-03", "kpt-04"));
    assert_eq!(code(&place.start()), 0);
    assert_eq!(place.errors(), None, "the errors are of the past");
    assert!(place.in_force("gateway.toml").contains("kpt-04"));
}

#[test]
fn a_mistake_only_the_service_would_find_is_found_before_the_file_is_taken() {
    let place = Box::new();
    place.write(&good().replace("[oscar]", "[oscar]\nvolume = 11"));
    assert_eq!(code(&place.start()), 3);
    // By the line of the technician's file, not of what the box makes of it.
    let line = place.card_text().lines().position(|line| line == "volume = 11");
    let told = format!("- line {}: there is no setting `volume`", line.unwrap() + 1);
    assert!(place.errors().unwrap().contains(&told), "{:?}", place.errors());
    for (from, to, told) in [
        ("url = \"https://oscar.example.org\"\n", "", "url"),
        ("Asia/Phnom_Penh", "Asia/Nowhere", "Asia/Nowhere"),
        ("[\"cif\", \"gpc\"]", "\"cif\"", "line 20: "),
        ("mosvy_number", "mosvi_number", "line 14: "),
    ] {
        place.write(&good().replace(from, to));
        assert_eq!(code(&place.start()), 3);
        assert!(
            place.errors().unwrap().contains(told),
            "{told}: {:?}",
            place.errors()
        );
    }
    assert!(!place.at("data/config/current").exists());
    assert!(
        std::fs::read_dir(place.at("data/config"))
            .unwrap()
            .next()
            .is_none(),
        "what was tried is gone"
    );
}

#[test]
fn an_empty_password_keeps_what_the_box_has() {
    let place = Box::new();
    place.write(&good());
    place.start();
    let edited = place.card_text().replace("kpt-03", "kpt-09");
    let edited = edited.replacen("password = \"\"", "password = \"changed-one\"", 1);
    place.write(&edited);
    let output = place.start();
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(place.secret("primero.password").as_deref(), Some("changed-one"));
    assert_eq!(place.secret("oscar.password").as_deref(), Some(OSCAR));
    assert!(!place.card_text().contains("changed-one"));
    let fresh = Box::new();
    fresh.write(&place.card_text());
    assert_eq!(code(&fresh.start()), 3, "another box has no password to keep");
    assert!(fresh.errors().unwrap().contains("oscar.password is empty"));
}

#[test]
fn an_overwriting_that_was_cut_off_is_finished_at_the_next_start() {
    let place = Box::new();
    place.write(&good());
    place.start();
    let redacted = place.card_text();
    let taken = good();
    let digest = ring::digest::digest(&ring::digest::SHA256, taken.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    for left in [
        taken.clone(),
        " ".repeat(taken.len()),
        format!("{}{}", " ".repeat(300), &taken[300..]),
        redacted[..200].to_owned() + &" ".repeat(100),
    ] {
        std::fs::write(place.at("data/config/current/to-scrub"), &digest).unwrap();
        place.write(&left);
        let output = place.start();
        assert_eq!(code(&output), 0, "{output:?}");
        assert_eq!(place.card_text(), redacted);
        assert_eq!(place.errors(), None);
    }
    assert_eq!(place.secret("primero.password").as_deref(), Some(PRIMERO));
}

#[test]
fn the_secrets_bytes_are_overwritten_where_they_lie() {
    let place = Box::new();
    place.write(&good());
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let held = std::fs::File::open(place.card()).unwrap();
    let before = inode(&place.card());
    place.start();
    assert_eq!(
        inode(&place.card()),
        before,
        "a new file would leave the old one's blocks"
    );
    let mut seen = Vec::new();
    std::io::Read::read_to_end(&mut &held, &mut seen).unwrap();
    assert_eq!(
        seen,
        place.card_text().into_bytes(),
        "whoever has it open sees the new text"
    );
}

#[test]
fn a_folder_named_from_here_is_taken_as_well() {
    let place = Box::new();
    place.write(&good());
    let output = Command::new(env!("CARGO_BIN_EXE_referral-gateway"))
        .args(["provision", "apply", "card/gateway.txt", "data/config"])
        .current_dir(place.at(""))
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(place.secret("oscar.password").as_deref(), Some(OSCAR));
    let config = place.at("data/config/current/gateway.toml");
    let checked = run(&["--config", path(&config), "check-config"]);
    assert_eq!(code(&checked), 0, "{checked:?}");
}

#[test]
fn a_box_without_a_file_says_so() {
    let place = Box::new();
    assert_eq!(code(&place.start()), 4);
    assert!(place.errors().unwrap().contains("provision new"));
}
