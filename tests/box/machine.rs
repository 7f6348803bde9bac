//! The emulated box: QEMU's `virt` machine with the image's card, a network as an office has it, a hardware watchdog,
//! a USB port, and its serial line.

use crate::card::{Card, Cut};
use crate::host::{built, change_boot_script, host, wait_until};
use crate::serial::Serial;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the shell says when it waits for a command.
pub const PROMPT: &str = "root@gateway:/# ";
/// Where the first partition of the card begins (`boards/common/flash.toml`).
const BOOT_AT: &str = "@@4M";
/// The card is larger than the image, as every card is.
const CARD_BYTES: u64 = 2500 << 20;

/// A box and what belongs to it, on or off.
pub struct Machine {
    pub folder: PathBuf,
    pub card_file: PathBuf,
    /// Where this machine reaches the box's LAN listener.
    pub lan_port: u16,
    running: Option<Running>,
    starts: u32,
}

struct Running {
    process: Child,
    serial: Serial,
    card: Card,
    monitor: BufReader<UnixStream>,
}

impl Machine {
    /// A box with a card fresh from the image, off.
    pub fn fresh(folder: &Path, name: &str) -> Machine {
        let card_file = folder.join(format!("{name}.card"));
        let image = built("referral-gateway-qemu.img");
        host(
            "cp",
            &[
                "--sparse=always",
                image.to_str().unwrap(),
                card_file.to_str().unwrap(),
            ],
        );
        File::options()
            .write(true)
            .open(&card_file)
            .unwrap()
            .set_len(CARD_BYTES)
            .unwrap();
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let machine = Machine {
            folder,
            card_file,
            lan_port: free_port(),
            running: None,
            starts: 0,
        };
        machine.open_a_shell();
        machine
    }

    /// The image has no way in; for the test, its own boot script is given one word more: systemd's shell for
    /// debugging, on the serial line.
    fn open_a_shell(&self) {
        let script = self.folder.join("boot.scr");
        std::fs::write(&script, self.read_from_card("boot.scr")).unwrap();
        change_boot_script(&script, " quiet ", " quiet systemd.debug_shell=ttyAMA0 ");
        self.write_to_card("boot.scr", &std::fs::read(script).unwrap());
    }

    fn partition(&self) -> String {
        format!("{}{BOOT_AT}", self.card_file.display())
    }

    /// A file of the first partition, as a laptop sees it. The box is off.
    pub fn read_from_card(&self, name: &str) -> Vec<u8> {
        let copy = self.folder.join("copied");
        let _ = std::fs::remove_file(&copy);
        host(
            "mcopy",
            &[
                "-n",
                "-i",
                &self.partition(),
                &format!("::{name}"),
                copy.to_str().unwrap(),
            ],
        );
        std::fs::read(copy).unwrap()
    }

    pub fn text_from_card(&self, name: &str) -> String {
        String::from_utf8(self.read_from_card(name)).unwrap()
    }

    pub fn write_to_card(&self, name: &str, bytes: &[u8]) {
        let copy = self.folder.join("to-copy");
        std::fs::write(&copy, bytes).unwrap();
        host(
            "mcopy",
            &[
                "-o",
                "-i",
                &self.partition(),
                copy.to_str().unwrap(),
                &format!("::{name}"),
            ],
        );
    }

    /// The names on the first partition.
    pub fn names_on_card(&self) -> String {
        host("mdir", &["-b", "-i", &self.partition(), "::"])
    }

    /// Power on.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "it is on already");
        self.starts += 1;
        let card = Card::inserted(&self.card_file, &self.folder, self.starts);
        let monitor = self.folder.join(format!("monitor-{}.sock", self.starts));
        let mut process = Command::new("qemu-system-aarch64")
            .args([
                "-M",
                "virt",
                "-cpu",
                "cortex-a53",
                "-smp",
                "2",
                "-m",
                "512",
                "-display",
                "none",
            ])
            .arg("-bios")
            .arg(built("u-boot-qemu.bin"))
            .args(["-monitor", "none", "-serial", "stdio", "-qmp"])
            .arg(format!("unix:{},server=on,wait=off", monitor.display()))
            .arg("-blockdev")
            .arg(format!(
                "driver=nbd,node-name=card,server.type=unix,server.path={}",
                card.socket.display()
            ))
            .args(["-device", "virtio-blk-pci,drive=card,write-cache=on"])
            .arg("-netdev")
            .arg(format!(
                "user,id=lan,hostfwd=tcp:127.0.0.1:{}-:8443",
                self.lan_port
            ))
            .args([
                "-device",
                "virtio-net-pci,netdev=lan,romfile=",
                "-device",
                "virtio-rng-pci",
            ])
            .args([
                "-device",
                "qemu-xhci",
                "-device",
                "i6300esb",
                "-action",
                "watchdog=reset",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(self.folder.join("qemu.log")).unwrap())
            .spawn()
            .expect("qemu-system-arm is installed");
        let serial = Serial::of(
            &mut process,
            &self.folder.join(format!("serial-{}.log", self.starts)),
        );
        wait_until("QEMU listens", || UnixStream::connect(&monitor).is_ok());
        let monitor = BufReader::new(UnixStream::connect(&monitor).unwrap());
        let mut running = Running {
            process,
            serial,
            card,
            monitor,
        };
        running.ask(r#"{"execute":"qmp_capabilities"}"#);
        self.running = Some(running);
    }

    /// Something typed into QEMU itself.
    pub fn monitor(&mut self, command: &str) {
        self.on().monitor_command(command);
    }

    fn on(&mut self) -> &mut Running {
        self.running.as_mut().expect("the box is on")
    }

    /// Everything on the serial line since power on.
    pub fn serial(&self) -> String {
        self.running.as_ref().expect("the box is on").serial.heard()
    }

    pub fn says(&self, words: &str) {
        self.says_times(words, 1);
    }

    /// Waits until the serial line has shown something this often since power on.
    pub fn says_times(&self, words: &str, times: usize) {
        wait_until(&format!("the box says {words:?}"), || {
            self.serial().matches(words).count() >= times
        });
    }

    /// Waits for the shell of the latest start. Before that a key would stop U-Boot.
    pub fn wait_for_shell(&self) {
        wait_until("the shell is up", || {
            let heard = self.serial();
            heard
                .rfind("Starting slot")
                .is_some_and(|from| heard[from..].contains(PROMPT))
        });
    }

    pub fn type_in(&mut self, text: &str) {
        self.on().type_in(text);
    }

    /// Starts again in good order, and waits until this slot has been tried this often since power on.
    pub fn restart_into(&mut self, slot: &str, times: usize) {
        self.type_in("systemctl reboot\n");
        self.says_times(&format!("Starting slot {slot}"), times);
    }

    /// Runs a command as root inside; what it printed, and its exit code.
    pub fn shell(&mut self, command: &str) -> (String, i32) {
        self.on().shell(command)
    }

    /// The same of a command that must succeed.
    pub fn shell_ok(&mut self, command: &str) -> String {
        let (said, code) = self.shell(command);
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    /// Pulls the plug in the middle of a write to the card.
    pub fn cut_power(&mut self, seed: u64) -> Cut {
        let mut running = self.running.take().expect("the box is on");
        let cut = running.card.cut(seed);
        running.process.kill().unwrap();
        running.process.wait().unwrap();
        cut
    }

    /// Stops in good order and waits for it.
    pub fn shut_down(&mut self) {
        let mut running = self.running.take().expect("the box is on");
        running.type_in("systemctl poweroff\n");
        wait_until("the box is off", || running.process.try_wait().unwrap().is_some());
        running.card.off();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            if std::thread::panicking() {
                running.serial.show_its_end();
            }
            let _ = running.process.kill();
            let _ = running.process.wait();
        }
    }
}

impl Running {
    fn type_in(&mut self, text: &str) {
        self.serial.type_in(text);
    }

    fn shell(&mut self, command: &str) -> (String, i32) {
        let from = self.serial.heard().len();
        // The line is echoed; the sum is not, and marks where the answer begins and ends.
        self.type_in(&format!(
            "echo; echo \"<$((6*7))\"; {command}; echo \"$((6*7))>$?.\"\n"
        ));
        let mut found = None;
        wait_until(&format!("the shell has done {command:?}"), || {
            found = answer(&self.serial.heard()[from..]);
            found.is_some()
        });
        found.expect("found")
    }

    /// QMP: one line there, one answer back; what else is told in between is passed over.
    fn ask(&mut self, line: &str) -> String {
        self.monitor.get_mut().write_all(line.as_bytes()).unwrap();
        loop {
            let mut answer = String::new();
            self.monitor.read_line(&mut answer).unwrap();
            assert!(!answer.contains("\"error\""), "{line}: {answer}");
            if answer.contains("\"return\"") {
                return answer;
            }
        }
    }

    fn monitor_command(&mut self, command: &str) {
        let request =
            serde_json::json!({"execute": "human-monitor-command", "arguments": {"command-line": command}});
        let answer = self.ask(&request.to_string());
        assert!(!answer.to_lowercase().contains("error"), "{command}: {answer}");
    }
}

/// What stands between the two marks, and the exit code behind the second.
fn answer(heard: &str) -> Option<(String, i32)> {
    let begin = heard.find("\n<42")? + 4;
    let end = begin + heard[begin..].find("42>")?;
    let after = &heard[end + 3..];
    let code = after[..after.find('.')?].parse().ok()?;
    Some((heard[begin..end].replace('\r', "").trim().to_owned(), code))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
