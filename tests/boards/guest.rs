//! The image in an emulated box, and a card whose power can be cut.
//!
//! qemu logs every write and every flush of the guest (its `blklogwrites`, the kernel's dm-log-writes format). A cut
//! card is made from that log: everything up to the last completed flush is there; of what came after, each write may
//! or may not have arrived. Killing qemu alone would prove less: what it had written is safe in the host's memory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An emulated box on a shared machine may need minutes for what a real one does in seconds.
pub const PATIENCE: Duration = Duration::from_secs(420);
const LOG_SECTOR: u64 = 512;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

pub fn artefact(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/boards")
        .join(name);
    assert!(
        path.exists(),
        "{} is not there: boards/image qemu makes it",
        path.display()
    );
    path
}

/// Runs a tool that must succeed; what it printed.
pub fn tool(name: &str, words: &[&str]) -> String {
    let output = Command::new(name)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {words:?}: {out}{err}");
    out
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("plain paths")
}

pub fn wait(what: &str, mut come: impl FnMut() -> bool) {
    let start = Instant::now();
    while !come() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// A card: a copy of the image, and what lies on its first partition.
pub struct Card {
    pub file: PathBuf,
}

impl Card {
    pub fn copy_of(image: &Path, file: PathBuf) -> Card {
        tool("cp", &["--sparse=always", text(image), text(&file)]);
        Card { file }
    }

    /// mtools' name of the first partition; boards/common/flash.toml has its start.
    fn first(&self) -> String {
        format!("{}@@4M", text(&self.file))
    }

    pub fn put(&self, name: &str, content: &[u8]) {
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, content).unwrap();
        tool(
            "mcopy",
            &["-o", "-i", &self.first(), text(&draft), &format!("::{name}")],
        );
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let words = ["-i", &self.first(), &format!("::{name}")];
        let output = Command::new("mtype").args(words).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A file of the data partition. `start_mb` is from boards/common/flash.toml.
    pub fn data(&self, name: &str, start_mb: i64) -> String {
        let disk = format!("{}?offset={}", text(&self.file), start_mb * 1024 * 1024);
        let read = format!("cat /{name}");
        let output = Command::new("debugfs")
            .args(["-R", &read, &disk])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What would be on this card had the power gone at the end of `log`: `self` is the card before it was started.
    pub fn after_cut(
        &self,
        log: &Path,
        file: PathBuf,
        mut chance: impl FnMut() -> bool,
    ) -> (Card, usize, usize) {
        let cut = Card::copy_of(&self.file, file);
        let mut card = OpenOptions::new().write(true).open(&cut.file).unwrap();
        let mut log = File::open(log).unwrap();
        let entries = read_log(&mut log);
        let safe = entries
            .iter()
            .rposition(|entry| entry.flags & FLUSH != 0)
            .map_or(0, |at| at + 1);
        let mut lost = 0;
        for (number, entry) in entries.iter().enumerate() {
            if entry.flags & DISCARD != 0 || entry.bytes == 0 {
                continue;
            }
            if number >= safe && !chance() {
                lost += 1;
                continue;
            }
            let mut bytes = vec![0; usize::try_from(entry.bytes).unwrap()];
            log.seek(SeekFrom::Start(entry.data)).unwrap();
            log.read_exact(&mut bytes).unwrap();
            card.seek(SeekFrom::Start(entry.sector * 512)).unwrap();
            card.write_all(&bytes).unwrap();
        }
        (cut, entries.len(), lost)
    }
}

struct Entry {
    sector: u64,
    flags: u64,
    /// Where its data lies in the log, and how long it is.
    data: u64,
    bytes: u64,
}

/// Entries follow each other, each a sector of its own before its data; after the last one there is nothing whole.
fn read_log(log: &mut File) -> Vec<Entry> {
    let length = log.metadata().unwrap().len();
    let mut head = [0; 32];
    let mut read = |at: u64| -> Option<[u64; 4]> {
        log.seek(SeekFrom::Start(at)).ok()?;
        log.read_exact(&mut head).ok()?;
        let word = |n: usize| u64::from_le_bytes(head[n * 8..n * 8 + 8].try_into().expect("eight"));
        Some([word(0), word(1), word(2), word(3)])
    };
    let top = read(0).expect("a log");
    assert_eq!(top[0], 0x006a_7366_7773_6872, "not a log of writes");
    let mut entries = Vec::new();
    let mut at = LOG_SECTOR;
    while let Some([sector, sectors, flags, _]) = read(at) {
        let bytes = if flags & DISCARD == 0 {
            sectors * LOG_SECTOR
        } else {
            0
        };
        let data = at + LOG_SECTOR;
        if (sectors == 0 && flags == 0) || data + bytes > length {
            break;
        }
        entries.push(Entry {
            sector,
            flags,
            data,
            bytes,
        });
        at = data + bytes;
    }
    entries
}

/// The running box.
pub struct Guest {
    process: Option<Child>,
    serial: PathBuf,
    /// Where the box's own port 8443 is reached on this machine.
    pub port: u16,
    pub log: PathBuf,
}

impl Guest {
    pub fn start(card: &Card, stick: Option<&Path>, port: u16, name: &str) -> Guest {
        let folder = card.file.parent().expect("a folder");
        let serial = folder.join(format!("{name}.serial"));
        let log = folder.join(format!("{name}.writes"));
        File::create(&log).unwrap();
        let mut words: Vec<String> = ["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512"]
            .map(str::to_owned)
            .to_vec();
        let mut add = |more: &[String]| words.extend_from_slice(more);
        add(&["-bios".into(), text(&artefact("u-boot-qemu.bin")).into()]);
        let disk = format!(
            "driver=blklogwrites,node-name=card,file.driver=file,file.filename={},log.driver=file,log.filename={},log-sector-size=512",
            text(&card.file),
            text(&log)
        );
        add(&[
            "-blockdev".into(),
            disk,
            "-device".into(),
            "virtio-blk-pci,drive=card".into(),
        ]);
        let net = format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:8443");
        add(&[
            "-netdev".into(),
            net,
            "-device".into(),
            "virtio-net-pci,netdev=net,romfile=".into(),
        ]);
        if let Some(stick) = stick {
            let drive = format!("if=none,id=stick,format=raw,file={}", text(stick));
            add(&["-device".into(), "qemu-xhci".into(), "-drive".into(), drive]);
            add(&["-device".into(), "usb-storage,drive=stick,removable=on".into()]);
        }
        add(&["-display".into(), "none".into(), "-monitor".into(), "none".into()]);
        add(&["-serial".into(), format!("file:{}", text(&serial))]);
        let process = Command::new("qemu-system-aarch64")
            .args(&words)
            .stdin(Stdio::null())
            .spawn();
        Guest {
            process: Some(process.expect("qemu-system-aarch64 is installed")),
            serial,
            port,
            log,
        }
    }

    /// What the serial line has said.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.serial).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn wait_for(&self, words: &str) {
        let start = Instant::now();
        while !self.said().contains(words) {
            if start.elapsed() > PATIENCE {
                let said = self.said();
                let tail = said.len().saturating_sub(3000);
                panic!(
                    "the box never said {words:?}: {}",
                    String::from_utf8_lossy(&said.as_bytes()[tail..])
                );
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// A request at the box's door on the LAN: status and body, or nothing.
    pub fn ask(&self, method: &str, target: &str, token: &str, body: &str) -> Option<(u16, String)> {
        let url = format!("https://127.0.0.1:{}{target}", self.port);
        let bearer = format!("authorization: Bearer {token}");
        let mut command = Command::new("curl");
        // The certificate is the box's own; tests/lan looks at it.
        command.args([
            "-sk",
            "-m",
            "60",
            "-X",
            method,
            "-H",
            &bearer,
            "-w",
            "\n%{http_code}",
        ]);
        if !body.is_empty() {
            command.args(["-d", body]);
        }
        let output = command.arg(url).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = out.rsplit_once('\n')?;
        let code = code.parse().ok().filter(|code| *code != 0)?;
        Some((code, body.to_owned()))
    }

    /// Pulls the plug.
    pub fn cut(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.cut();
    }
}
