//! Documents and data say the same.

use super::files::{boards, flash, root};
use referral_gateway::shell::cli;
use std::collections::BTreeSet;
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

#[test]
fn every_board_says_what_to_flash_for_the_package() {
    for board in boards().iter().filter(|board| board.folder != "qemu") {
        let name = format!("`{}`", board.folder);
        let table = readme();
        let row = table
            .lines()
            .find(|line| line.starts_with('|') && line.contains(&name));
        let flashed = row.and_then(|row| row.trim_end_matches(" |").rsplit('|').next());
        let flashed = flashed.expect("the last column");
        assert!(
            flashed.contains("then our package"),
            "{name}: the guide sends everybody here for its Debian, and finds:{flashed}"
        );
    }
}

#[test]
fn what_is_said_to_stand_in_the_guide_stands_there() {
    let guide = std::fs::read_to_string(root().join("docs/field-guide.md")).expect("the guide");
    let readme = readme().replace('\n', " ");
    let mut named = 0;
    for rest in readme.split("docs/field-guide.md, \"").skip(1) {
        let heading = rest.split('"').next().unwrap_or_default();
        assert!(
            guide.contains(&format!("\n## {heading}")),
            "the guide has no \"{heading}\""
        );
        named += 1;
    }
    assert!(named >= 2, "{named}");
}

/// Commands of the gateway in a document: lines of frames, and spans between backticks, with or without its name.
fn commands(text: &str) -> Vec<String> {
    let first: BTreeSet<&str> = cli::HELP
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()) && *word != "help,")
        .collect();
    let spans = text
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|span| span.replace('\n', " "));
    let lines = text.lines().map(|line| line.trim().to_owned());
    let framed = lines.filter(|line| line.starts_with("sudo ") || line.starts_with("referral-gateway "));
    let mut found = Vec::new();
    for text in spans.chain(framed) {
        let (before, after) = text
            .rsplit_once("referral-gateway ")
            .unwrap_or(("", text.as_str()));
        let ours = before.is_empty() || before.starts_with("sudo -u ") || before == "sudo ";
        let word = after.split([' ', '|', '[']).next().unwrap_or_default();
        // Other programs are given the gateway's name too; the gateway's commands begin with one of its own words.
        let named = text.starts_with("referral-gateway ") || text.contains(" referral-gateway ");
        if ours && (first.contains(word) || named && !text.contains("apt-get") && !text.contains("systemctl"))
        {
            found.push(after.to_owned());
        }
    }
    found
}

/// The words of a command as its program gets them, without what it may do without, and without what is the shell's.
fn words(command: &str) -> Vec<String> {
    let mut needed = String::new();
    for (index, part) in command.split(['[', ']']).enumerate() {
        if index % 2 == 0 {
            needed.push_str(part);
        }
    }
    let ours = needed.split(['>', ';', '&', '|']).next().unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for (index, part) in ours.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_command_in_the_documents_is_one() {
    let mut checked = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let words = words(&command);
            let given = |more: &[&str]| {
                let more = more.iter().map(|word| (*word).to_owned());
                cli::parse(lexopt::Parser::from_args(words.iter().cloned().chain(more)))
            };
            // The desk's tables name its broker and its key once.
            let broker = ["--broker", "mqtts://broker"];
            let of_the_desk = words[0] == "fleet"
                && (given(&broker).is_ok() || given(&[&broker[..], &["--key", "desk.key"]].concat()).is_ok());
            // `enqueue`, `events requeue`: named, not given.
            let known = |word: &String| cli::HELP.split([' ', '\n', '[', '|']).any(|other| other == word);
            let named = words.iter().all(known);
            let parsed = given(&[]);
            assert!(
                parsed.is_ok() || of_the_desk || named,
                "{}: `{command}`: {parsed:?}",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn the_guide_tells_the_lights_as_they_are_shown() {
    let guide = std::fs::read_to_string(root().join("docs/field-guide.md")).expect("the guide");
    let panel = std::fs::read_to_string(root().join("boards/common/root/usr/lib/referral-gateway/panel"));
    let panel = panel.expect("the panel");
    let begin = panel.find("rhythm() {").expect("its rhythms");
    let rhythms = &panel[begin..begin + panel[begin..].find("\n}").expect("their end")];
    let shown = [
        ("steady", "online", "1000 0"),
        ("1 s on, 1 s off", "offline", "1000 1000"),
        (
            "short flash every 2 s",
            "attention | setup | handed-over",
            "100 1900",
        ),
        ("fast blinking", "booting", "200 200"),
        ("flickering", "updating", "50 50"),
        ("on with a short gap each second", "fault", "900 100"),
    ];
    for (light, state, rhythm) in shown {
        assert!(guide.contains(&format!("\n| {light} |")), "{light}");
        assert!(
            rhythms.contains(&format!("    {state}) echo \"{rhythm}\"")),
            "{state}: {rhythms}"
        );
    }
    assert_eq!(rhythms.matches("echo").count(), shown.len());
}
