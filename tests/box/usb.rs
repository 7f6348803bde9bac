//! A USB stick, and the port for it.

use crate::host::host;
use crate::machine::Machine;
use std::fs::File;
use std::path::{Path, PathBuf};

impl Machine {
    /// A FAT stick with these files, put into the USB port until the box has written its answer; the stick, out again.
    pub fn stick(&mut self, files: &[(&str, &str)]) -> Stick {
        let stick = Stick::formatted(&self.folder.join("stick.img"), files);
        self.insert(stick)
    }

    /// Puts a stick in, waits for the box to be done with it, and takes it out.
    pub fn insert(&mut self, stick: Stick) -> Stick {
        let before = self.serial().matches("stick done").count();
        let file = stick.file.display();
        // A name of its own: QEMU lets go of the one before only after a while.
        let id = format!("stick-{before}");
        self.monitor(&format!("drive_add 0 if=none,id={id},file={file},format=raw"));
        self.monitor(&format!("device_add usb-storage,id={id},drive={id},removable=on"));
        self.says_times("stick done", before + 1);
        self.monitor(&format!("device_del {id}"));
        stick
    }
}

/// A USB stick.
pub struct Stick {
    file: PathBuf,
}

impl Stick {
    fn formatted(file: &Path, files: &[(&str, &str)]) -> Stick {
        let _ = std::fs::remove_file(file);
        File::create(file).unwrap().set_len(64 << 20).unwrap();
        host("mkfs.vfat", &["-F", "32", file.to_str().unwrap()]);
        let stick = Stick {
            file: file.to_owned(),
        };
        for (name, text) in files {
            stick.write(name, text);
        }
        stick
    }

    pub fn write(&self, name: &str, text: &str) {
        let copy = self.file.with_extension("to-copy");
        std::fs::write(&copy, text).unwrap();
        let (stick, copy) = (self.file.to_str().unwrap(), copy.to_str().unwrap());
        host("mcopy", &["-o", "-i", stick, copy, &format!("::{name}")]);
    }

    /// What the box answered.
    pub fn result(&self) -> String {
        self.text("gateway-result.txt")
    }

    pub fn text(&self, name: &str) -> String {
        let stick = self.file.to_str().unwrap();
        host("mtype", &["-i", stick, &format!("::{name}")])
    }

    pub fn names(&self) -> String {
        host("mdir", &["-b", "-i", self.file.to_str().unwrap(), "::"])
    }
}
