//! What the data files of `boards/` promise: partitions that do not overlap, caps that fit, triples that both kinds of
//! cross build know, and documents that say the same. That every board builds is seen by `tests/run --boards`.

mod documents;
mod editors;
mod files;
mod provisioning;
mod scripts;

use files::{arches, boards, cross, flash, root, rustflags};
use std::collections::BTreeSet;

/// Ends of partitions are kept on this grid: erase blocks of cards are up to 4 MB.
const GRID_MB: i64 = 4;
/// Memory an event in the queue costs while it waits, generously (README, "Numbers").
const EVENT_MEMORY_BYTES: i64 = 1024;
/// The service itself and its store's cache, generously (README, "Numbers").
const SERVICE_MEMORY_BYTES: i64 = 16_000_000;
/// Largest event the door lets in, and what a row takes besides.
const EVENT_DISK_BYTES: i64 = 2048;

#[test]
fn partitions_lie_side_by_side_and_fit_the_smallest_card() {
    let flash = flash();
    let parts = flash.partitions();
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["boot", "slot-a", "slot-b", "data"]);
    let mut free_from = GRID_MB;
    for part in &parts {
        assert_eq!(part.start_mb % GRID_MB, 0, "{} starts off the grid", part.name);
        assert!(
            part.start_mb >= free_from,
            "{} starts inside what lies before it",
            part.name
        );
        assert!(part.size_mb > 0);
        free_from = part.start_mb + part.size_mb;
    }
    assert!(
        free_from <= flash.card_mb_min(),
        "the partitions end after {free_from} MB, the card may have {}",
        flash.card_mb_min()
    );
    let slots: BTreeSet<i64> = parts[1..3].iter().map(|part| part.size_mb).collect();
    assert_eq!(slots.len(), 1, "one slot's system must fit the other");
    for board in boards() {
        let card_mb = board.whole("storage", "card_gb_min") * 1000;
        assert!(card_mb >= flash.card_mb_min(), "{}", board.folder);
    }
}

#[test]
fn caps_fit_memory_and_card() {
    let data = flash().partitions().remove(3);
    for board in boards() {
        let events = board.whole("limits", "queue_events");
        let bytes = board.bytes("limits", "queue_bytes");
        let memory = board.whole("memory", "ram_mb") * 1_000_000;
        let needed = SERVICE_MEMORY_BYTES + events * EVENT_MEMORY_BYTES;
        // The rest is the kernel's, the system's, and a reserve.
        assert!(
            needed <= memory / 4,
            "{}: {events} events need {needed} B of memory",
            board.folder
        );
        let data_bytes = (board.whole("storage", "card_gb_min") * 1000 - data.start_mb) * 1_000_000;
        // The store's file grows by doubling, and a compaction or an export needs a second one.
        assert!(
            bytes * 4 <= data_bytes.max(data.size_mb * 2_000_000),
            "{}: {bytes} B",
            board.folder
        );
        assert!(
            events * EVENT_DISK_BYTES <= bytes,
            "{}: {events} events fill more than {bytes} B",
            board.folder
        );
    }
}

#[test]
fn every_board_has_a_known_architecture_and_both_builds_know_its_triple() {
    let arches = arches();
    let cross: BTreeSet<String> = cross();
    let ours: BTreeSet<String> = arches.values().map(|arch| arch.target.clone()).collect();
    assert_eq!(ours, cross, "boards/common/arch.toml against cross.toml");
    let boards = boards();
    assert!(boards.len() >= 7, "{}", boards.len());
    for board in &boards {
        let arch = board.word("", "arch");
        assert!(arches.contains_key(arch), "{}: {arch}", board.folder);
        let image = board.word("", "image");
        assert!(["rpi", "qemu", "none"].contains(&image), "{}", board.folder);
        assert_eq!(
            image == "none",
            board.list("boot", "files").is_empty(),
            "{}",
            board.folder
        );
    }
    for arch in arches.keys() {
        assert!(
            boards.iter().any(|board| board.word("", "arch") == arch),
            "no board has a {arch}"
        );
    }
}

#[test]
fn the_binary_budgets_are_those_of_issue_5() {
    for (name, arch) in arches() {
        let budget = if name == "aarch64" { 3_200_000 } else { 3_000_000 };
        assert!(arch.binary_bytes_max <= budget, "{name}");
    }
}

#[test]
fn both_kinds_of_cross_build_compile_alike() {
    for (name, arch) in arches() {
        let flags = rustflags(&arch.target);
        let has = |flag: &str| flags.iter().any(|given| given == flag);
        assert!(
            has("-Crelocation-model=static") && has("-Cforce-unwind-tables=no"),
            "{name}"
        );
        // ARMv6 has it by boards/build alone: below.
        assert_eq!(has("-Ctarget-feature=+thumb-mode"), name == "armv7", "{name}");
    }
    let read = |name: &str| std::fs::read_to_string(root().join(name)).expect("UTF-8");
    // Either would replace the flags above in one of the two.
    assert!(!read("cross.toml").contains("\"RUSTFLAGS\""));
    let build = read("boards/build");
    assert!(build.contains("\nunset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS"));
    for of_both in [
        "RUSTFLAGS=",
        "RUSTFLAGS+=",
        "llvm-args",
        "target-cpu",
        "relocation-model",
    ] {
        assert!(
            !build.contains(of_both),
            "boards/build: {of_both} belongs in .cargo/config.toml"
        );
    }
    // The one exception: as Thumb code ARMv6 needs a standard library of its own, which `cross` has not got.
    assert_eq!(build.matches("target-feature").count(), 1);
    let (_, of_armv6) = build
        .split_once("if [ \"$arch\" = armv6 ]; then\n")
        .expect("a part for armv6");
    let (of_armv6, _) = of_armv6.split_once("\nfi\n").expect("its end");
    assert!(of_armv6.contains("'-Ctarget-feature=+thumb-mode'"));
}

#[test]
fn every_script_parses() {
    let mut scripts = 0;
    for folder in [
        "boards",
        "boards/common",
        "boards/common/deb",
        "boards/common/root/usr/lib/referral-gateway",
        "tests/boards",
    ] {
        for entry in std::fs::read_dir(root().join(folder))
            .expect("a folder")
            .flatten()
        {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let shell = if text.starts_with(b"#!/bin/sh") {
                "sh"
            } else {
                "bash"
            };
            if text.starts_with(b"#!/") || entry.path().extension().is_some_and(|ending| ending == "sh") {
                let parsed = std::process::Command::new(shell)
                    .arg("-n")
                    .arg(entry.path())
                    .status();
                assert!(
                    parsed.expect("a shell runs").success(),
                    "{}",
                    entry.path().display()
                );
                scripts += 1;
            }
        }
    }
    assert!(scripts > 15, "{scripts}");
}
