//! Documents and data say the same.

use super::files::{boards, flash, root};
use std::path::PathBuf;

fn readme() -> String {
    std::fs::read_to_string(root().join("boards/README.md")).expect("boards/README.md")
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["", "boards", "docs", "docs/decisions"] {
        for entry in std::fs::read_dir(root().join(folder))
            .expect("a folder")
            .flatten()
        {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_cross_recipe_names_its_configuration() {
    let mut recipes = 0;
    let mut texts = documents();
    for name in ["cross.toml", "boards/build", "boards/package", "boards/image"] {
        let path = root().join(name);
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        texts.push((path, text));
    }
    for (path, text) in texts {
        for line in text.lines() {
            if ["build", "test", "run"]
                .iter()
                .any(|word| line.contains(&format!("cross {word} --")))
            {
                recipes += 1;
                assert!(
                    line.contains("CROSS_CONFIG=cross.toml"),
                    "{}: cross would not read cross.toml: {line}",
                    path.display()
                );
            }
        }
    }
    assert!(recipes > 0, "no recipe for cross found");
    assert!(!root().join("Cross.toml").exists(), "one of the two names");
}

#[test]
fn the_hardware_table_has_every_board_as_it_is() {
    let readme = readme();
    for board in boards() {
        let name = format!("`{}`", board.folder);
        let row = readme
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&name))
            .unwrap_or_else(|| panic!("no row for {}", board.folder));
        let facts = [
            board.word("", "name").to_owned(),
            board.word("", "arch").to_owned(),
            format!("{} MB", board.whole("memory", "ram_mb")),
            board.word("hardware", "watchdog").to_owned(),
            board.word("hardware", "serial").to_owned(),
        ];
        for fact in facts {
            assert!(row.contains(&fact), "{}: the table lacks {fact}", board.folder);
        }
    }
}

#[test]
fn the_flash_map_is_the_one_that_is_built() {
    let readme = readme();
    for part in flash().partitions() {
        let row = format!("| {} | {} MB | {} MB |", part.name, part.start_mb, part.size_mb);
        assert!(readme.contains(&row), "the map lacks: {row}");
    }
}
