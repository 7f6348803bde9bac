//! Every numbered trap of the contracts has a test, and `docs/traps.md` names exactly the tests there are.

use std::collections::BTreeSet;
use std::path::Path;

/// The numbered lists of the contracts: `primero.md` §9, `oscar.md` §9.1 and §9.2.
const LISTS: [(&str, usize); 3] = [("primero_trap", 23), ("oscar_trap", 13), ("job_defect", 41)];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words that begin like a trap's test, wherever they stand between `before` and a character that ends a name.
fn named(text: &str, before: &str) -> BTreeSet<String> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(before)
        .filter_map(|(at, _)| text[at + before.len()..].split(ends).next())
        .filter(|name| {
            LISTS
                .iter()
                .any(|(list, _)| name.starts_with(&format!("{list}_")))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_trap_has_a_test_and_the_table_names_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traps");
    let mut tests = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the traps").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("UTF-8");
        let after_attribute = text.replace("#[test]\nfn ", "#[test] fn ");
        tests.extend(named(&after_attribute, "#[test] fn "));
    }
    for (list, count) in LISTS {
        for number in 1..=count {
            let start = format!("{list}_{number:02}_");
            assert!(
                tests.iter().any(|name| name.starts_with(&start)),
                "no test for {start}"
            );
        }
    }
    assert_eq!(named(&read("docs/traps.md"), "`"), tests, "docs/traps.md");
}
