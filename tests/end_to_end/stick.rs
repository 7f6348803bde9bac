//! A technician's USB stick and a box that serves: the image's own script, run with the real program. Where the box
//! mounts a stick, a folder stands here; the emulated box (`tests/box/stick.rs`) has a real one.

use crate::office::{Office, gateway, referral};
use referral_gateway::store::DeviceKey;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PHRASE: &str = "five words for the stick";
const LAN: &str = "[lan]\nlisten = \"127.0.0.1:0\"\n";

/// A box that was given its passphrase, and the stick in it.
struct Plugged {
    office: Office,
    stick: PathBuf,
}

impl Plugged {
    /// The service runs.
    fn new() -> Plugged {
        let mut plugged = Plugged::unprovisioned();
        plugged.office.start();
        let key = DeviceKey::load_or_make(&plugged.office.data("seal.key")).unwrap();
        let sealed = key.seal_text("swap.passphrase", PHRASE);
        std::fs::write(plugged.office.folder.path().join("swap.passphrase"), sealed).unwrap();
        plugged
    }

    /// A box that was never given a passphrase; its service does not run.
    fn unprovisioned() -> Plugged {
        let office = Office::with(LAN);
        let stick = office.folder.path().join("stick");
        std::fs::create_dir(&stick).unwrap();
        for name in ["mount", "umount", "systemctl"] {
            let program = office.folder.path().join("bin").join(name);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Plugged { office, stick }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.stick.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.stick.join(name)).ok()
    }

    /// Puts the stick in; the exit code on the box's screen, and the result on the stick.
    fn insert(&self) -> (String, String) {
        let folder = self.office.folder.path();
        let screen = folder.join("screen");
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/common/root/usr/lib/referral-gateway/stick");
        let program = format!(
            "{} --config {}",
            gateway().display(),
            self.office.config.display()
        );
        let ran = Command::new("sh")
            .arg(script)
            .arg("/dev/stick")
            .env("PATH", format!("{}/bin:/usr/bin:/bin", folder.display()))
            .env("GATEWAY_STICK", &self.stick)
            .env("GATEWAY_PROGRAM", program)
            .env("GATEWAY_CONSOLES", &screen)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let said = std::fs::read_to_string(screen).unwrap_or_default();
        let code = said
            .split("exit code ")
            .nth(1)
            .and_then(|rest| rest.split('.').next());
        (
            code.unwrap_or_default().to_owned(),
            self.read("gateway-result.txt").unwrap_or_default(),
        )
    }

    /// The stations of the roster, those revoked with a mark.
    fn stations(&self) -> Vec<String> {
        let list = self.office.json(&["station", "list"]);
        let name = |station: &serde_json::Value| {
            let mark = if station["revoked"] == true { "-" } else { "" };
            format!("{mark}{}", station["station"].as_str().unwrap())
        };
        list["stations"].as_array().unwrap().iter().map(name).collect()
    }
}

#[test]
fn the_last_station_of_a_file_counts_and_a_refused_one_stays_in_it() {
    let plugged = Plugged::new();
    plugged.write("gateway-stations.txt", "not the passphrase\r\nphone-1");
    let (code, result) = plugged.insert();
    assert!(
        code == "3" && result.contains("not the swap passphrase"),
        "{code}: {result}"
    );
    assert!(plugged.stations().is_empty() && plugged.read("gateway-stations.txt").is_some());

    // As Windows' editor writes it.
    plugged.write(
        "gateway-stations.txt",
        &format!("\u{feff}{PHRASE}\r\nfront-desk\r\n\r\nphone-1"),
    );
    let (code, result) = plugged.insert();
    assert_eq!(code, "0", "{result}");
    assert_eq!(plugged.stations(), ["front-desk", "phone-1"]);
    assert!(result.contains("station phone-1 may send"), "{result}");
    assert_eq!(
        plugged.read("gateway-stations.txt"),
        None,
        "a passphrase does not stay on a stick"
    );

    plugged.write(
        "gateway-stations.txt",
        &format!("{PHRASE}\nPhone 2\nphone-3\nphone-1"),
    );
    let (code, result) = plugged.insert();
    assert_eq!(code, "3", "{result}");
    assert!(
        result.contains("small letters") && result.contains("station phone-3 may send"),
        "{result}"
    );
    assert_eq!(
        plugged.read("gateway-stations.txt").unwrap(),
        format!("{PHRASE}\nPhone 2\r\nphone-1\r\n"),
        "what is not done is still to be done"
    );
    assert_eq!(plugged.stations(), ["front-desk", "phone-1", "phone-3"]);
    assert_eq!(
        std::fs::read_dir(&plugged.stick).unwrap().count(),
        2,
        "nothing else is left there"
    );
}

#[test]
fn a_box_without_a_passphrase_gives_nothing_to_a_stick() {
    for file in ["gateway-stations.txt", "gateway-swap.txt", "gateway-reset.txt"] {
        let plugged = Plugged::unprovisioned();
        plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
        plugged.write(file, "words of whoever passes by\r\nphone-1\r\n");
        let (code, result) = plugged.insert();
        assert_eq!(code, "3", "{file}: {result}");
        assert!(result.contains("has no swap passphrase"), "{file}: {result}");
        assert_eq!(plugged.stations(), [""; 0]);
        assert_eq!(
            plugged.office.state("k-1"),
            "pending",
            "neither locked nor emptied"
        );
        assert_eq!(std::fs::read_dir(&plugged.stick).unwrap().count(), 2, "{file}");
    }
}

#[test]
fn a_stick_hands_over_and_the_box_stays_away_then() {
    let mut plugged = Plugged::new();
    plugged.office.enqueue(&referral("k-1", "Dara", "cif"));
    plugged.write("gateway-swap.txt", "not the passphrase");
    assert_eq!(plugged.insert().0, "3");
    assert!(
        plugged.office.run(&["status"]).code == 0,
        "not even stopped for it"
    );
    // Here nobody stops it as systemd would.
    plugged.office.stop();
    plugged.write("gateway-swap.txt", PHRASE);
    plugged.write("gateway-support.txt", "");
    let (code, result) = plugged.insert();
    assert_eq!(code, "0", "{result}");
    assert!(
        result.contains("gateway-support.json") && result.contains("this box is locked"),
        "{result}"
    );
    assert!(plugged.read("gateway-swap.txt").is_none() && plugged.stick.join("kpt-03.gateway-swap").exists());
    assert!(
        plugged
            .office
            .run(&["status"])
            .err
            .contains("handed everything over")
    );
}
