//! What is shipped: how large, and of how many parts.

use crate::table::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The 4.0 MB of issue 2 were set for what issue 2 asked; since then the LAN listener, the desk's commands, two-way flows
/// and provisioning came in. What boards can bear is held by `boards/build`.
const BINARY_BYTES_MAX: u64 = 4_200_000;
const CRATES_MAX: u64 = 110;

pub fn measure(table: &mut Table) {
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_referral-gateway")).expect("the binary is built");
    table.hold("release binary, stripped", binary.len(), BINARY_BYTES_MAX, " B");
    let crates = crates();
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, _) in &crates {
        *versions.entry(name).or_default() += 1;
    }
    let doubled = versions.values().filter(|count| **count > 1).count();
    table.hold(
        "crates linked or run to build it",
        crates.len() as u64,
        CRATES_MAX,
        "",
    );
    table.hold("crates in more than one version", doubled as u64, 0, "");
}

/// Names and versions in `cargo tree -e normal`.
fn crates() -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "-p",
            "referral-gateway",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let crates: BTreeSet<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    assert!(crates.len() > 20, "the listing was not read: {crates:?}");
    crates
}
