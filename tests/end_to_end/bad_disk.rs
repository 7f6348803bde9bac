//! A disk that is full, or cannot be written: said clearly, nothing lost, and all well again once there is room.

use crate::office::{Office, planted, referral, wait_until};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own as the office's data folder. Undone when dropped; must outlive the office.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn below(office: &Office, kb: u32) -> SmallDisk {
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(user, 0, "only root may mount: ./tests/run runs this as root");
        let path = office.data("");
        std::fs::create_dir(&path).unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={kb}k,mode=700"), "tmpfs"],
            &path,
        );
        SmallDisk(path)
    }

    fn read_only(&self, on: bool) {
        run(
            "mount",
            &["-o", if on { "remount,ro" } else { "remount,rw" }],
            &self.0,
        );
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("ballast")).unwrap();
        let block = [7; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            planted::clean_folder(&self.0);
        }
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, words: &[&str], path: &Path) {
    let done = Command::new(program).args(words).arg(path).status().unwrap();
    assert!(done.success(), "{program} {words:?} {}", path.display());
}

fn enqueue(office: &Office, number: u32) -> (i32, Value) {
    office.enqueue(&referral(
        &format!("k-{number}"),
        &format!("Child {number}"),
        "cif",
    ))
}

#[test]
fn a_disk_that_fills_refuses_aloud_and_keeps_what_it_has() {
    let mut office = Office::new();
    let disk = SmallDisk::below(&office, 8 * 1024);
    office.start();
    office.first_session_over();
    assert_eq!(enqueue(&office, 1).0, 0);
    disk.fill();
    // The file may hold room of its own for a while.
    let mut accepted = 1;
    let refused = loop {
        match enqueue(&office, accepted + 1) {
            (0, _) => accepted += 1,
            refused => break refused,
        }
        assert!(accepted < 2000, "the disk is never full");
    };
    let (code, answer) = refused;
    assert_eq!(code, 75, "{answer}");
    assert!(answer.to_string().contains("full"), "{answer}");
    assert_eq!(office.json(&["status"])["queue"]["pending"], accepted);
    let ran = office.run(&["self-test"]);
    assert!(
        ran.code != 0 && ran.out.contains("fail  space") && ran.out.contains("fail  disk"),
        "{ran:?}"
    );
    office.kill();

    // Not even a restart helps while there is no room, and it hurts nothing.
    let ran = office.run(&["run"]);
    assert!([1, 75].contains(&ran.code) && ran.err.contains("full"), "{ran:?}");
    disk.empty();
    office.start();
    // The first session may have sent some of them already.
    let kept = office.states().len();
    assert_eq!(kept, usize::try_from(accepted).unwrap(), "{}", office.log());
    assert_eq!(enqueue(&office, accepted + 1).0, 0);
    assert_eq!(office.sync(), 0);
    let states = office.states();
    assert_eq!(states.len(), usize::try_from(accepted).unwrap() + 1);
    assert!(states.values().all(|state| state == "delivered"), "{states:?}");
    assert_eq!(office.primero.cases().len(), states.len(), "each once");
    assert_eq!(office.stop(), Some(0));
}

#[test]
fn room_made_while_the_service_runs_is_used_without_a_restart() {
    let mut office = Office::new();
    let disk = SmallDisk::below(&office, 8 * 1024);
    office.start();
    office.first_session_over();
    disk.fill();
    let mut number = 1;
    while enqueue(&office, number).0 == 0 {
        number += 1;
    }
    disk.empty();
    wait_until("there is room again", || enqueue(&office, number).0 == 0);
    assert_eq!(office.json(&["status"])["queue"]["pending"], number);
    assert_eq!(office.json(&["status"])["store"], "ok");
    assert_eq!(office.stop(), Some(0), "{}", office.log());
}

#[test]
fn a_disk_without_room_for_a_store_is_named_at_the_first_start() {
    let office = Office::new();
    let disk = SmallDisk::below(&office, 256);
    disk.fill();
    let ran = office.run(&["run"]);
    assert!(
        [1, 75].contains(&ran.code) && (ran.err.contains("full") || ran.err.contains("No space left")),
        "{ran:?}"
    );
    disk.empty();
}

#[test]
fn a_disk_that_cannot_be_written_is_named_and_left_alone() {
    let mut office = Office::new();
    let disk = SmallDisk::below(&office, 8 * 1024);
    office.start();
    assert_eq!(enqueue(&office, 1).0, 0);
    assert_eq!(office.stop(), Some(0));
    let before = std::fs::read(office.data("gateway.redb")).unwrap();
    disk.read_only(true);
    for words in [&["run"][..], &["events", "list"], &["enqueue", "-"]] {
        let ran = office.run_with(words, &referral("k-2", "Bopha", "cif").to_string());
        assert!(
            ran.code == 1 && ran.err.contains("Read-only file system"),
            "{ran:?}"
        );
        assert!(!ran.err.contains("panicked"), "{ran:?}");
    }
    let ran = office.run(&["self-test"]);
    assert!(
        ran.out.contains("fail  disk") && ran.out.contains("data partition"),
        "{ran:?}"
    );
    disk.read_only(false);
    assert_eq!(std::fs::read(office.data("gateway.redb")).unwrap(), before);
    office.start();
    wait_until("the event is there and goes out", || {
        office.state("k-1") == "delivered"
    });
    office.stop();
}
