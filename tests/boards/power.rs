//! The whole way of a box: from the image to a running gateway, through power cuts, from slot to slot. Needs the QEMU
//! image (boards/image qemu), qemu-system-aarch64, mtools, mosquitto and some minutes: `tests/run --boards` runs it.

use crate::files::flash;
use crate::guest::{Card, Guest, artefact, text, tool, wait};
use serde_json::{Value, json};
use simulators::wire::{Options, TestCa};
use simulators::{oscar, primero};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PRIMERO_PASSWORD: &str = "primero-password-1";
const OSCAR_PASSWORD: &str = "oscar-password-1";
const PHRASE: &str = "five short words for sticks";
/// Where qemu's user network shows this machine to the box.
const HOST: &str = "10.0.2.2";

/// Both systems and the broker, as the box reaches them.
struct World {
    folder: TempDir,
    ca: TestCa,
    primero: primero::Primero,
    oscar: oscar::Oscar,
    broker: Child,
    broker_port: u16,
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn port_of(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

impl World {
    fn new() -> World {
        // Cards are large: beside the image, not in a memory file system.
        let folder = tempfile::Builder::new()
            .prefix("guest-")
            .tempdir_in(artefact("").as_path())
            .unwrap();
        let ca = TestCa::new();
        let identity = ca.issue(&[HOST, "localhost"]);
        let config = primero::Config::cambodia("gateway-test", PRIMERO_PASSWORD);
        let primero = primero::Primero::start_with(&identity, "127.0.0.1:0", config, Options::default());
        let config = oscar::Config::default_for("gateway@example.org", OSCAR_PASSWORD);
        let oscar = oscar::Oscar::start_with(&identity, "127.0.0.1:0", config);
        let (certificate, key) = identity.write_pem(folder.path(), "broker").unwrap();
        let authority = ca.write_pem(folder.path()).unwrap();
        let broker_port = free_port();
        let settings = folder.path().join("mosquitto.conf");
        let text = format!(
            "user root\npersistence false\nlistener {broker_port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nallow_anonymous true\n",
            authority.display(),
            certificate.display(),
            key.display()
        );
        std::fs::write(&settings, text).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let broker = Command::new("mosquitto")
            .env("PATH", path)
            .arg("-c")
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed");
        World {
            folder,
            ca,
            primero,
            oscar,
            broker,
            broker_port,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The provisioning file, as Notepad saves it.
    fn card_file(&self) -> Vec<u8> {
        let ca = self.ca.pem();
        let text = format!(
            r#"[gateway]
id = "kpt-03"
fleet = "kh-pilot"
office_time_zone = "Asia/Phnom_Penh"

[primero]
url = "https://{HOST}:{}"
user_name = "gateway-test"
password = "{PRIMERO_PASSWORD}"
module_id = "primeromodule-cp"
ca = """
{ca}"""
read_back_after = "0s"

[oscar]
url = "https://{HOST}:{}"
email = "gateway@example.org"
password = "{OSCAR_PASSWORD}"
organizations = ["cif"]
ca = """
{ca}"""

[mqtt]
url = "mqtts://{HOST}:{}"
ca = """
{ca}"""

[lan]
listen = "0.0.0.0:8443"

[schedule]
every = "15s"
jitter = "0s"

[box]
swap_passphrase = "{PHRASE}"
"#,
            port_of(&self.primero.url()),
            port_of(&self.oscar.url()),
            self.broker_port
        );
        format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes()
    }

    /// What a newcomer is told on a topic.
    fn retained(&self, channel: &str) -> Option<Value> {
        let port = self.broker_port.to_string();
        let topic = format!("referral-gateway/v1/kh-pilot/kpt-03/{channel}");
        let ca = self.ca.write_pem(self.folder.path()).unwrap();
        let output = Command::new("mosquitto_sub")
            .args(["-h", "localhost", "-p", &port, "--cafile", text(&ca)])
            .args(["-t", &topic, "-C", "1", "-W", "2"])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    fn is_online(&self) -> bool {
        self.retained("status")
            .is_some_and(|status| status["state"] == "online")
    }

    /// Each of these children once at OSCaR, and nobody else.
    fn arrived(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .oscar
            .with(|sim| sim.referrals())
            .iter()
            .map(|row| row.reason.split("key ").last().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.broker.kill();
        let _ = self.broker.wait();
    }
}

/// A referral whose reason ends with its own key, so that the other side can be asked for it.
fn referral(key: &str) -> String {
    json!({
        "event_key": key, "kind": "referral", "to": "oscar", "organization": "cif",
        "child": { "given_name": format!("Child {key}"), "family_name": "Sok", "local_given_name": "ដារ៉ា",
            "local_family_name": "សុខ", "sex": "female", "date_of_birth": "2015-01-01",
            "location_code": "10060805" },
        "services": [{ "subtype": "family_based_care_kinship" }],
        "reason": format!("needs a home key {key}"), "risk_level": "high", "referred_on": "2026-11-20",
        "consent": { "services": true, "disclosure_other_organizations": true },
        "case_worker": { "name": "Officer Chan", "phone": "012 345 678", "email": null }
    })
    .to_string()
}

/// A stick with one file on it.
fn stick(file: PathBuf, name: &str, content: &str) -> PathBuf {
    let image = File::create(&file);
    image.unwrap().set_len(64 * 1024 * 1024).unwrap();
    tool("mkfs.vfat", &["-n", "STICK", text(&file)]);
    let draft = file.with_extension("txt");
    std::fs::write(&draft, content).unwrap();
    tool("mcopy", &["-i", text(&file), text(&draft), &format!("::{name}")]);
    file
}

use std::fs::File;

fn on_stick(stick: &Path, name: &str) -> String {
    tool("mtype", &["-i", text(stick), &format!("::{name}")])
}

/// The station's token, as the stick brings it back.
fn token(stick: &Path) -> String {
    let result = on_stick(stick, "gateway-result.txt");
    let line = result
        .lines()
        .map(str::trim)
        .find(|line| line.len() > 16 && !line.contains(' '));
    line.unwrap_or_else(|| panic!("no token in: {result}")).to_owned()
}

#[test]
#[ignore = "needs the image and minutes: tests/run --boards"]
fn from_the_image_through_a_power_cut_nothing_accepted_is_lost() {
    let world = World::new();
    let image = artefact("referral-gateway-qemu.img");
    let data_mb = flash().partitions().remove(3).start_mb;

    // A card is written, a file put on it, the box started; a stick brings the station's token.
    let card = Card::copy_of(&image, world.at("card.img"));
    card.put("gateway.txt", &world.card_file());
    let stick = stick(
        world.at("stick.img"),
        "gateway-stations.txt",
        &format!("{PHRASE}\r\nfront-desk\r\n"),
    );
    let mut guest = Guest::start(&card, Some(&stick), free_port(), "first");
    guest.wait_for("stick done, exit code 0");
    wait("the box is online at the broker", || world.is_online());
    let token = token(&stick);

    // One event over the LAN, and its way to both systems.
    let answer = guest.ask("POST", "/v1/events", &token, &referral("k-0"));
    let (code, body) = answer.expect("the door answers");
    assert!((200..300).contains(&code), "{code}: {body}");
    wait("the referral is at OSCaR", || world.arrived() == ["k-0"]);
    assert_eq!(world.primero.cases().len(), 1);
    guest.cut();
    let first = card.data("boot/reason", data_mb);
    assert_eq!(first, "first\n", "the reason of the first start");
    let left = card.get("gateway.txt").expect("the file is still there");
    assert!(
        !left.contains(PRIMERO_PASSWORD) && left.contains("password = \"\""),
        "{left}"
    );
    assert_eq!(card.get("gateway-errors.txt"), None);

    // The power goes in the middle of a load, three times, each time on the card as the last cut left it.
    let mut accepted = vec!["k-0".to_owned()];
    let mut before = card;
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 1..=3 {
        let running = Card::copy_of(&before.file, world.at(&format!("run-{round}.img")));
        let mut guest = Guest::start(&running, None, free_port(), &format!("round-{round}"));
        let asked = |target: &str| guest.ask("GET", target, &token, "");
        wait("the door answers", || {
            asked("/v1/status").is_some_and(|(code, _)| code == 200)
        });
        for number in 0..25 {
            let key = format!("k-{round}-{number}");
            if let Some((200..=299, _)) = guest.ask("POST", "/v1/events", &token, &referral(&key)) {
                accepted.push(key);
            }
        }
        guest.cut();
        let (cut, writes, lost) = before.after_cut(&guest.log, world.at(&format!("cut-{round}.img")), || {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            dice >> 63 == 1
        });
        println!(
            "round {round}: {} accepted so far, {writes} writes, {lost} after the last flush lost",
            accepted.len()
        );
        before = cut;
    }
    assert!(accepted.len() > 60, "{}", accepted.len());

    // The last card comes back: everything that was accepted arrives, once.
    let mut guest = Guest::start(&before, None, free_port(), "last");
    wait("everything has arrived", || {
        world.arrived().len() >= accepted.len()
    });
    std::thread::sleep(std::time::Duration::from_secs(40));
    accepted.sort();
    assert_eq!(world.arrived(), accepted, "each once, and nothing else");
    wait("the box is online at the broker", || world.is_online());
    guest.cut();
    assert_eq!(before.data("boot/reason", data_mb), "power\n");
}

#[test]
#[ignore = "needs the image and minutes: tests/run --boards"]
fn a_slot_is_tried_confirmed_and_left_when_it_does_not_serve() {
    let world = World::new();
    let card = Card::copy_of(&artefact("referral-gateway-qemu.img"), world.at("card.img"));
    card.put("gateway.txt", &world.card_file());
    let data_mb = flash().partitions().remove(3).start_mb;
    let mut guest = Guest::start(&card, None, free_port(), "a");
    wait("the box is online", || world.is_online());
    guest.cut();

    // By hand: try the other slot.
    card.put("slot.env", b"slot=a\ntry=b\nleft=3\n");
    let mut guest = Guest::start(&card, None, free_port(), "b");
    guest.wait_for("Starting slot b");
    wait("slot b is confirmed", || {
        card.get("slot.env").is_some_and(|env| env.contains("slot=b"))
    });
    guest.cut();
    assert_eq!(card.data("boot/reason", data_mb), "update\n");

    // An update that does not even start: three tries, then the good one comes back by itself.
    let slot_a = format!(
        "{}?offset={}",
        text(&card.file),
        flash().partitions()[1].start_mb * 1024 * 1024
    );
    tool("debugfs", &["-w", "-R", "rm /boot/vmlinuz", &slot_a]);
    card.put("slot.env", b"slot=b\ntry=a\nleft=3\n");
    let mut guest = Guest::start(&card, None, free_port(), "rollback");
    guest.wait_for("Starting slot a");
    guest.wait_for("Starting slot b");
    wait("slot b is good again", || {
        card.data("boot/reason", data_mb) == "rollback\n"
    });
    guest.cut();
    assert_eq!(guest.said().matches("Starting slot a").count(), 3);
}
