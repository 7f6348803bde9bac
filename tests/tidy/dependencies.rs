//! Rules about what the product is built from.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Issue 2: distinct crates in `cargo tree -e normal`.
const CRATES_MAX: usize = 110;

fn tree(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "referral-gateway", "-e", "normal"])
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Names and versions of everything linked into the product.
fn crates() -> BTreeSet<(String, String)> {
    tree(&["--prefix", "none"])
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

#[test]
fn the_product_is_built_from_few_crates_each_in_one_version() {
    let crates = crates();
    assert!(crates.len() > 20, "the listing was not read: {crates:?}");
    assert!(crates.len() <= CRATES_MAX, "{} crates", crates.len());
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in &crates {
        versions.entry(name).or_default().push(version);
    }
    let doubled: Vec<_> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .collect();
    assert!(doubled.is_empty(), "in two versions: {doubled:?}");
    println!("crates: {}", crates.len());
}

#[test]
fn one_tls_stack_and_no_simulator_is_linked() {
    let crates = crates();
    let names: BTreeSet<&str> = crates.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in [
        "rustls",
        "ring",
        "rumqttc-v4-next",
        "ureq",
        "redb",
        "heapless",
        "chrono",
        "serde",
        "tokio",
    ] {
        assert!(names.contains(wanted), "{wanted} is on the project's card");
    }
    for unwanted in [
        "openssl",
        "native-tls",
        "aws-lc-rs",
        "aws-lc-sys",
        "rustls-pemfile",
        "simulators",
        "rcgen",
    ] {
        assert!(!names.contains(unwanted), "{unwanted} must not be linked");
    }
    // RUSTSEC-2026-0049, -0098, -0099, -0104: the 0.102 line has no fixed release (shared/toolchain.md §2).
    let webpki = crates
        .iter()
        .find(|(name, _)| name == "rustls-webpki")
        .expect("rustls brings it");
    assert!(!webpki.1.starts_with("v0.102"), "{webpki:?} has open advisories");
}

#[test]
fn licences_allow_what_we_do() {
    let allowed = [
        "MIT",
        "Apache-2.0",
        "ISC",
        "BSD-3-Clause",
        "BSD-2-Clause",
        "Zlib",
        "Unicode-3.0",
        "CDLA-Permissive-2.0",
        "Unlicense",
        "0BSD",
        "CC0-1.0",
    ];
    for line in tree(&["--prefix", "none", "--format", "{p}|{l}"]).lines() {
        let Some((name, licence)) = line.trim_end_matches(" (*)").split_once('|') else {
            continue;
        };
        // One of the alternatives, or all of the parts, must be allowed.
        let fits = |part: &str| {
            part.split(" AND ")
                .all(|word| allowed.contains(&word.trim_matches(['(', ')', ' '])))
        };
        let ok = licence.split(" OR ").flat_map(|part| part.split('/')).any(fits);
        assert!(ok, "{name}: {licence}");
    }
}
