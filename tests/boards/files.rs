//! The data files of `boards/`, read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub struct Board {
    pub folder: String,
    table: Table,
}

impl Board {
    fn value(&self, section: &str, key: &str) -> &Value {
        let table = match section {
            "" => &self.table,
            _ => self
                .table
                .get(section)
                .and_then(Value::as_table)
                .unwrap_or_else(|| panic!("{}: no [{section}]", self.folder)),
        };
        table
            .get(key)
            .unwrap_or_else(|| panic!("{}: no {section}.{key}", self.folder))
    }

    pub fn word(&self, section: &str, key: &str) -> &str {
        self.value(section, key).as_str().expect("text")
    }

    pub fn whole(&self, section: &str, key: &str) -> i64 {
        self.value(section, key).as_integer().expect("a whole number")
    }

    pub fn flag(&self, section: &str, key: &str) -> bool {
        self.value(section, key).as_bool().expect("true or false")
    }

    pub fn list(&self, section: &str, key: &str) -> &[Value] {
        self.value(section, key).as_array().expect("a list")
    }

    /// A size written as `256 MB`.
    pub fn bytes(&self, section: &str, key: &str) -> i64 {
        let text = self.word(section, key);
        let number = text.strip_suffix(" MB").expect("in MB");
        number.parse::<i64>().expect("a number") * 1_000_000
    }
}

/// All boards, each with every key a board must have.
pub fn boards() -> Vec<Board> {
    let mut boards = Vec::new();
    for entry in std::fs::read_dir(root().join("boards"))
        .expect("boards/")
        .flatten()
    {
        let file: PathBuf = entry.path().join("board.toml");
        if file.exists() {
            let folder = entry.file_name().to_string_lossy().into_owned();
            boards.push(Board {
                folder,
                table: table(&file),
            });
        }
    }
    for board in &boards {
        board.word("", "name");
        board.word("storage", "disk");
        for key in ["watchdog", "led", "serial", "network"] {
            board.word("hardware", key);
        }
        assert!(board.whole("hardware", "watchdog_s") >= 10, "{}", board.folder);
        board.flag("hardware", "rtc");
    }
    boards.sort_by(|a, b| a.folder.cmp(&b.folder));
    boards
}

pub struct Arch {
    pub target: String,
    pub binary_bytes_max: i64,
}

pub fn arches() -> BTreeMap<String, Arch> {
    let table = table(&root().join("boards/common/arch.toml"));
    let arch = |value: Value| Arch {
        target: value["target"].as_str().expect("text").to_owned(),
        binary_bytes_max: value["binary_bytes_max"].as_integer().expect("a number"),
    };
    table
        .into_iter()
        .map(|(name, value)| (name, arch(value)))
        .collect()
}

/// The targets `cross.toml` names; nothing in it may be unknown to cross.
pub fn cross() -> BTreeSet<String> {
    let table = table(&root().join("cross.toml"));
    for (section, value) in &table {
        let known: &[&str] = match section.as_str() {
            "build" => &["env", "build-std", "zig", "default-target", "pre-build"],
            "target" => continue,
            other => panic!("cross.toml: cross reads no [{other}]"),
        };
        for key in value.as_table().expect("a section").keys() {
            assert!(known.contains(&key.as_str()), "cross.toml: build.{key}");
        }
    }
    let targets = table["target"].as_table().expect("[target.…]");
    for (name, settings) in targets {
        let known = ["image", "pre-build", "runner", "zig", "build-std", "env"];
        for key in settings.as_table().expect("a section").keys() {
            assert!(known.contains(&key.as_str()), "cross.toml: {name}.{key}");
        }
    }
    targets.keys().cloned().collect()
}

/// How `.cargo/config.toml` has a target compiled.
pub fn rustflags(target: &str) -> Vec<String> {
    let table = table(&root().join(".cargo/config.toml"));
    let flags = table["target"][target]["rustflags"].as_array().expect("a list");
    let text = |flag: &Value| flag.as_str().expect("text").to_owned();
    flags.iter().map(text).collect()
}

pub struct Flash(Table);

pub struct Partition {
    pub name: String,
    pub start_mb: i64,
    pub size_mb: i64,
}

pub fn flash() -> Flash {
    Flash(table(&root().join("boards/common/flash.toml")))
}

impl Flash {
    pub fn card_mb_min(&self) -> i64 {
        self.0["card_mb_min"].as_integer().expect("a number")
    }

    pub fn partitions(&self) -> Vec<Partition> {
        let parts = self.0["partition"].as_array().expect("[[partition]]");
        let read = |part: &Value| Partition {
            name: part["name"].as_str().expect("text").to_owned(),
            start_mb: part["start_mb"].as_integer().expect("a number"),
            size_mb: part["size_mb"].as_integer().expect("a number"),
        };
        parts.iter().map(read).collect()
    }
}
