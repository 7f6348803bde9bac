//! Rules about the sources themselves.

use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 140;

struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<Source> {
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .expect("a folder of this repository")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let path = path.strip_prefix(root()).expect("inside").display().to_string();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(
        !sources.is_empty(),
        "nothing found below {folder}: the rule would check nothing"
    );
    sources
}

/// Lines of code without comments, numbered from one.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.text.lines().enumerate().filter_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        (!code.trim().is_empty()).then_some((index + 1, code))
    })
}

fn forbid(folder: &str, words: &[&str], except: &[&str], why: &str) {
    let mut found = Vec::new();
    for source in rust_files(folder)
        .iter()
        .filter(|source| !except.contains(&source.path.as_str()))
    {
        for (number, line) in code(source) {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn the_rings_import_inwards_only() {
    let outer = ["crate::peers", "crate::store", "crate::shell", "crate::config"];
    forbid("src/core", &outer, &[], "core imports nothing of ours");
    let outer = ["crate::store", "crate::shell", "crate::config"];
    forbid("src/peers", &outer, &[], "peers import core only");
    let outer = ["crate::peers", "crate::shell", "crate::config"];
    forbid("src/store", &outer, &[], "the store imports core only");
    forbid(
        "src/config",
        &["crate::peers", "crate::store", "crate::shell"],
        &[],
        "config imports core only",
    );
}

#[test]
fn the_inner_rings_do_no_io_and_read_no_clock() {
    let effects = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "tokio",
        "ureq",
        "rumqttc",
        "Instant",
        "SystemTime",
        "eprintln",
        "println",
        "use ring",
        "Utc::now",
        "Local::now",
        "async ",
    ];
    forbid("src/core", &effects, &[], "core does no I/O and reads no clock");
    forbid("src/peers", &effects, &[], "peers do no I/O and read no clock");
}

#[test]
fn texts_are_parsed_through_one_kind_of_reader() {
    let why =
        "from_slice(text.as_bytes()): a second kind of reader is a second JSON parser in the binary, 20 KB";
    forbid("src", &["serde_json::from_str"], &[], why);
}

#[test]
fn clocks_are_read_in_one_place() {
    let socket_deadlines = [
        "src/shell/clock.rs",
        "src/shell/http.rs",
        "src/shell/http/connection.rs",
        "src/shell/http/socket.rs",
        "src/shell/mqtt.rs",
        "src/shell/mqtt/connection.rs",
        "src/shell/mqtt/listener.rs",
        "src/shell/mqtt/pause.rs",
        "src/shell/mqtt/probe.rs",
        // Compares a file's own time stamp with the same clock.
        "src/shell/drop_folder.rs",
    ];
    let clocks = ["Instant::now", "SystemTime::now", "Utc::now", "Local::now"];
    forbid(
        "src",
        &clocks,
        &socket_deadlines,
        "only shell/clock.rs reads clocks; sockets keep their own deadlines",
    );
}

#[test]
fn nothing_is_left_undone_or_silenced() {
    let unfinished = [
        "todo!",
        "unimplemented!",
        "dbg!",
        "#[ignore",
        "#[allow(",
        "#![allow(",
    ];
    forbid(
        "src",
        &unfinished,
        &[],
        "finish it, or say why with #[expect(.., reason)]",
    );
    for source in rust_files("src") {
        assert!(
            !source.text.contains("FIXME") && !source.text.contains("XXX"),
            "{}",
            source.path
        );
    }
}

/// A test that ends early counts as passed, and what it printed nobody sees.
#[test]
fn no_test_passes_itself_over() {
    let silent = ["SKIPPED", "#[ignore"];
    forbid(
        "tests",
        &silent,
        &["tests/tidy/sources.rs"],
        "fail, and say what is missing: ./tests/run brings it",
    );
}

#[test]
fn unwrap_stays_in_tests() {
    let mut found = Vec::new();
    for source in rust_files("src") {
        let end = source.text.find("#[cfg(test)]").unwrap_or(source.text.len());
        let product = Source {
            path: source.path.clone(),
            text: source.text[..end].to_owned(),
        };
        found.extend(
            code(&product)
                .filter(|(_, line)| line.contains(".unwrap()"))
                .map(|(number, _)| format!("{}:{number}", product.path)),
        );
    }
    assert!(
        found.is_empty(),
        "expect states the invariant, unwrap does not: {found:?}"
    );
}

#[test]
fn files_functions_and_lines_stay_readable() {
    let mut long = Vec::new();
    let mut sources = rust_files("src");
    sources.extend(rust_files("tests"));
    for source in &sources {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            long.push(format!("{}: {lines} lines", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                long.push(format!(
                    "{}:{}: a line of {} characters",
                    source.path,
                    number + 1,
                    line.chars().count()
                ));
            }
        }
        long.extend(long_functions(source));
    }
    assert!(long.is_empty(), "split by promise:\n{}", long.join("\n"));
}

/// Functions over the bound: from a line that begins one to the closing brace at the same indent.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let begins = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "async fn ",
            "pub async fn ",
        ];
        if !begins.iter().any(|begin| words.starts_with(begin)) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|line| *line == close);
        if let Some(length) = end.filter(|length| *length > FUNCTION_LINES_MAX) {
            found.push(format!(
                "{}:{}: a function of {length} lines",
                source.path,
                start + 1
            ));
        }
    }
    found
}

#[test]
fn every_module_says_what_it_is() {
    for source in rust_files("src") {
        assert!(
            source.text.starts_with("//! "),
            "{} begins without saying what it is",
            source.path
        );
    }
}
