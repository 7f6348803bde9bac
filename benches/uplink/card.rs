//! A card of its own: an ext4 file system in a file, attached to a loop device, whose kernel counts what is written.

use crate::net::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::NamedTempFile;

const CARD_BYTES: u64 = 256 * 1024 * 1024;
/// The unit of the kernel's disk statistics.
const SECTOR_BYTES: u64 = 512;
/// Sectors written, among the fields of `/sys/block/DEVICE/stat`.
const SECTORS_WRITTEN: usize = 6;

pub struct Card {
    folder: PathBuf,
    /// `/dev/loop3`
    device: String,
    _image: NamedTempFile,
}

impl Card {
    /// Formats a card and mounts it at this folder.
    pub fn at(folder: &Path) -> Card {
        let image = NamedTempFile::new().expect("a temporary file");
        image.as_file().set_len(CARD_BYTES).expect("room for a card");
        let path = image.path().display().to_string();
        // Everything is laid out now: nothing the kernel does later is ours by mistake.
        run(&format!(
            "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 {path}"
        ));
        let shown = Command::new("losetup").args(["-f", "--show", &path]).output();
        let device = String::from_utf8_lossy(&shown.expect("losetup runs").stdout)
            .trim()
            .to_owned();
        assert!(
            device.starts_with("/dev/loop"),
            "no loop device; this bench needs root"
        );
        std::fs::create_dir_all(folder).expect("the office's folder is writable");
        run(&format!("mount {device} {}", folder.display()));
        run(&format!("chmod 700 {}", folder.display()));
        let card = Card {
            folder: folder.to_owned(),
            device,
            _image: image,
        };
        card.settle();
        card
    }

    /// Lets everything go to the card that is still on its way: what the kernel would do by itself within seconds.
    pub fn settle(&self) {
        run(&format!("sync -f {}", self.folder.display()));
    }

    /// Bytes the card has been told to write, journal and all.
    pub fn written(&self) -> u64 {
        self.settle();
        let name = self.device.trim_start_matches("/dev/");
        let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat")).expect("the device is there");
        let sectors = stat.split_whitespace().nth(SECTORS_WRITTEN);
        let sectors: u64 = sectors.and_then(|word| word.parse().ok()).expect("a number");
        sectors * SECTOR_BYTES
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // Lazily: whoever still holds a file there lets go a moment later.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        let _ = Command::new("losetup").args(["-d", &self.device]).status();
    }
}
