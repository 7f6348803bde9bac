//! The Raspberry Pis' image: what lies on its card, and how far QEMU's Raspberry Pi 3 gets with it. That machine has no
//! firmware of its own (a real one's first steps are the maker's closed files), so U-Boot is put where these would have put
//! it; everything after it is the card's.

use crate::far::Far;
use crate::files::{boards, flash, root};
use crate::host::{built, change_boot_script, host, script_text, wait_until};
use crate::machine::PROMPT;
use crate::serial::Serial;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// QEMU takes only cards whose size is a power of two.
const CARD_BYTES: u64 = 4 << 30;

struct Card(PathBuf);

impl Card {
    /// A copy of the image on a card.
    fn written(folder: &Path) -> Card {
        let card = folder.join("pi.card");
        let image = built("referral-gateway-rpi.img");
        host(
            "cp",
            &["--sparse=always", image.to_str().unwrap(), card.to_str().unwrap()],
        );
        File::options()
            .write(true)
            .open(&card)
            .unwrap()
            .set_len(CARD_BYTES)
            .unwrap();
        Card(card)
    }

    fn first_partition(&self) -> String {
        format!("{}@@4M", self.0.display())
    }

    fn names(&self) -> Vec<String> {
        let list = host("mdir", &["-b", "-i", &self.first_partition(), "::"]);
        list.lines()
            .map(|line| line.trim_start_matches("::/").to_owned())
            .collect()
    }

    /// A file of the first partition, copied beside the card.
    fn file(&self, name: &str) -> PathBuf {
        let copy = self.0.with_file_name(name);
        let from = format!("::{name}");
        let to = copy.to_str().unwrap();
        host("mcopy", &["-o", "-i", &self.first_partition(), &from, to]);
        copy
    }

    /// A file beside the card, onto the first partition.
    fn put(&self, name: &str) {
        let from = self.0.with_file_name(name);
        let to = format!("::{name}");
        host(
            "mcopy",
            &["-o", "-i", &self.first_partition(), from.to_str().unwrap(), &to],
        );
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }
}

#[test]
fn the_card_holds_what_each_pi_looks_for() {
    let folder = tempfile::tempdir().unwrap();
    let card = Card::written(folder.path());
    let names = card.names();
    for board in boards() {
        if board.word("", "image") == "rpi" {
            for wanted in board.list("boot", "files") {
                let wanted = wanted.as_str().unwrap();
                assert!(
                    names.iter().any(|name| name == wanted),
                    "{}: no {wanted}",
                    board.folder
                );
                let bytes = card.bytes(wanted);
                assert!(!bytes.is_empty(), "{wanted}");
                if wanted.ends_with(".dtb") {
                    let led = format!("{}\0", board.word("hardware", "led"));
                    let named = |window: &[u8]| window == led.as_bytes();
                    assert!(
                        bytes.windows(led.len()).any(named),
                        "{wanted} names no LED {led:?}"
                    );
                }
            }
        }
    }
    let config = String::from_utf8(card.bytes("config.txt")).unwrap();
    let kernel = config
        .lines()
        .find_map(|line| line.strip_prefix("kernel="))
        .unwrap();
    let kernel = card.bytes(kernel);
    assert!(
        kernel.windows(9).any(|window| window == b"U-Boot 20"),
        "the firmware starts U-Boot"
    );
    for name in names.iter().filter(|name| name.ends_with(".dtb")) {
        let tree = card.bytes(name);
        let length = u32::from_be_bytes(tree[4..8].try_into().unwrap());
        assert_eq!(
            (&tree[..4], length as usize),
            (&b"\xd0\x0d\xfe\xed"[..], tree.len()),
            "{name}"
        );
    }
    let script = card.file("boot.scr");
    host("mkimage", &["-l", script.to_str().unwrap()]);
    let script = script_text(&script);
    let shipped = std::fs::read_to_string(root().join("boards/common/boot.cmd")).unwrap();
    let shipped = shipped.replace("@CONSOLE@", "console=tty0 console=ttyS1,115200");
    assert_eq!(script, shipped);
    assert_eq!(card.bytes("slot.env"), b"slot=a\ntry=none\nleft=0\n");
    assert!(
        !names.iter().any(|name| name == "gateway.txt"),
        "nobody's settings"
    );
}

#[test]
fn its_partitions_are_where_they_should_be_and_sound() {
    let image = built("referral-gateway-rpi.img");
    let table = host("sfdisk", &["--json", image.to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_slice(table.as_bytes()).unwrap();
    let found = table["partitiontable"]["partitions"].as_array().unwrap();
    let wanted = flash().partitions();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(
            (found["start"].as_i64(), found["size"].as_i64()),
            (Some(wanted.start_mb * 2048), Some(wanted.size_mb * 2048)),
            "{}",
            wanted.name
        );
    }
    for part in &wanted[1..] {
        let place = format!("{}?offset={}", image.display(), part.start_mb << 20);
        host("e2fsck", &["-fn", &place]);
        if part.name.starts_with("slot") {
            for name in ["/boot/vmlinuz", "/boot/initrd.img", "/usr/bin/referral-gateway"] {
                let stat = host("debugfs", &["-R", &format!("stat {name}"), &place]);
                assert!(stat.contains("Type: regular"), "{}: no {name}: {stat}", part.name);
            }
        }
    }
}

/// QEMU's Raspberry Pi 3 Model B, switched off when the test is over.
struct Pi {
    process: Child,
    serial: Serial,
}

impl Pi {
    fn started(card: &Card) -> Pi {
        let mut process = Command::new("qemu-system-aarch64")
            .args(["-M", "raspi3b", "-display", "none", "-monitor", "none"])
            .arg("-kernel")
            .arg(card.file("u-boot-rpi_arm64.bin"))
            .arg("-dtb")
            .arg(card.file("bcm2837-rpi-3-b.dtb"))
            .arg("-drive")
            .arg(format!("if=sd,format=raw,file={}", card.0.display()))
            // Its second UART is the one on the pins.
            .args(["-serial", "null", "-serial", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-system-arm is installed");
        let serial = Serial::of(&mut process, &card.0.with_file_name("serial.log"));
        Pi { process, serial }
    }

    fn says(&self, words: &str) {
        wait_until(&format!("the Pi says {words:?}"), || {
            self.serial.heard().contains(words)
        });
    }
}

impl Drop for Pi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.serial.show_its_end();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// QEMU 7.2 resets its Pi in the moment somebody arms the watchdog, whatever time is set: there the emulation of the card
/// as it is ends. So systemd is told to leave it alone; and a shell is opened to switch the Pi off.
#[test]
fn a_pi_starts_from_the_card_and_sets_itself_up() {
    let folder = tempfile::tempdir().unwrap();
    let far = Far::up();
    let card = Card::written(folder.path());
    change_boot_script(
        &card.file("boot.scr"),
        " quiet ",
        " quiet systemd.watchdog_sec=off systemd.debug_shell=ttyS1 ",
    );
    card.put("boot.scr");
    std::fs::write(folder.path().join("gateway.txt"), far.gateway_txt()).unwrap();
    card.put("gateway.txt");

    let mut pi = Pi::started(&card);
    pi.says("Starting slot a");
    // The machine has no network: the gateway serves, and finds no way out.
    pi.says("gateway: offline.");
    pi.says(PROMPT);
    pi.serial.type_in("cat /sys/class/watchdog/watchdog0/identity\n");
    pi.says("Broadcom BCM2835 Watchdog timer");
    pi.serial.type_in("systemctl poweroff\n");
    wait_until("the Pi is off", || pi.process.try_wait().unwrap().is_some());
    let text = String::from_utf8(card.bytes("gateway.txt")).unwrap();
    assert!(
        text.contains("kpt-09") && !text.contains("primero-password-1"),
        "{text}"
    );
    let sectors = host("sfdisk", &["--json", card.0.to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_slice(sectors.as_bytes()).unwrap();
    let data = &table["partitiontable"]["partitions"][3]["size"];
    assert!(data.as_u64() > Some(2 << 21), "the data partition grew: {data}");
}
