//! What is installed beside the binary says what the binary does: unit, example configuration, man pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn ran(program: &str, words: &[&str]) -> Output {
    let made = Command::new(program)
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .output();
    made.unwrap_or_else(|error| panic!("{program}: {error}; ./tests/run installs what is needed"))
}

/// Sections and keys of the configuration, read from the structs that read it: `section.key`, and `section` alone.
fn known_keys() -> BTreeSet<String> {
    let mut text = read("src/config/raw.rs");
    let fields = read("src/core/fields.rs");
    let begin = fields.find("pub struct FieldNames {").expect("the field names");
    text.push_str(&fields[begin..begin + fields[begin..].find("\n}").expect("its end")]);
    let mut keys = BTreeSet::new();
    let (mut section, mut renamed) = (None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix("pub struct ")
            .and_then(|rest| rest.strip_suffix(" {"))
        {
            section = match name {
                "RawConfig" => Some(String::new()),
                "FieldNames" => Some("primero.fields".to_owned()),
                other => other.strip_prefix("Raw").map(str::to_lowercase),
            };
        } else if line == "}" {
            section = None;
        }
        if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
            renamed = name.split('"').next().map(str::to_owned);
        }
        let field = line.split_once(": ").filter(|_| line.ends_with(','));
        if let (Some(section), Some((name, _))) = (&section, field) {
            let name = name.trim_start_matches("pub ").to_owned();
            let name = renamed.take().unwrap_or(name);
            keys.insert(format!("{section}.{name}").trim_start_matches('.').to_owned());
        }
    }
    keys.retain(|key| key.contains('.'));
    assert!(
        keys.len() > 50 && keys.contains("mqtt.client_key"),
        "the structs were not read: {keys:?}"
    );
    keys
}

/// Sections and keys a configuration file shows, commented out or not.
fn shown_keys(text: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default().to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && !key.contains(' ')
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn the_example_configuration_shows_every_setting_and_no_other() {
    let (known, shown) = (known_keys(), shown_keys(&read("boards/common/gateway.toml")));
    let missing: Vec<_> = known
        .difference(&shown)
        .filter(|key| *key != "primero.fields")
        .collect();
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "boards/common/gateway.toml lacks {missing:?}, invents {unknown:?}"
    );
}

#[test]
fn the_man_pages_name_every_setting_command_and_option() {
    let page = read("docs/man/gateway.toml.5");
    let body = |section: &str| {
        let head = [format!(".SH [{section}]\n"), format!(".SS [{section}]\n")];
        let begin = head.iter().find_map(|head| page.find(head));
        let begin = begin.unwrap_or_else(|| panic!("gateway.toml.5 has no [{section}]"));
        let rest = &page[begin + 4..];
        rest[..rest.find("\n.S").unwrap_or(rest.len())].replace('\\', "")
    };
    let words = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .map(str::to_owned)
            .collect()
    };
    for key in known_keys().iter().filter(|key| *key != "primero.fields") {
        let (section, name) = key.rsplit_once('.').expect("section.key");
        assert!(
            words(&body(section)).contains(name),
            "gateway.toml.5 does not name {key}"
        );
    }
    let page = read("docs/man/referral-gateway.8").replace('\\', "");
    let help = referral_gateway::shell::cli::HELP;
    let commands = help.lines().filter_map(|line| line.strip_prefix("  "));
    let mut seen = 0;
    for line in commands.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '-')) {
        let before = line.split("  ").next().unwrap_or_default();
        let quiet = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
        let named: Vec<&str> = before
            .split([' ', ',', '[', ']', '|'])
            .filter(|w| !w.is_empty())
            .filter(quiet)
            .filter(|word| *word != "-")
            .collect();
        for word in &named {
            let found = page
                .lines()
                .filter(|line| line.starts_with('.'))
                .any(|line| line.split([' ', '"']).any(|other| other == *word));
            assert!(found, "referral-gateway.8 does not name {word} of `{line}`");
        }
        seen += named.len();
    }
    assert!(seen > 20, "the help was not read");
}

#[test]
fn the_man_pages_are_good_roff() {
    for page in ["docs/man/referral-gateway.8", "docs/man/gateway.toml.5"] {
        let path = at(page);
        let path = path.to_str().expect("UTF-8");
        let output = ran("groff", &["-ww", "-man", "-Tutf8", path]);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && complaints.is_empty(),
            "{page}: {complaints}"
        );
        assert!(output.stdout.len() > 2000, "{page} comes out empty");
    }
}

/// Where the package puts what a person is sent to.
const DOCUMENTS: &str = "/usr/share/doc/referral-gateway/";

#[test]
fn every_document_a_page_names_is_installed_under_that_name() {
    let recipe = read("boards/package");
    let places = recipe.lines().filter(|line| line.starts_with("put "));
    let installed: BTreeSet<&str> = places
        .filter_map(|line| line.split(' ').next_back()?.strip_prefix(DOCUMENTS))
        .collect();
    let mut named = 0;
    for page in [
        "docs/man/referral-gateway.8",
        "docs/man/gateway.toml.5",
        "docs/field-guide.md",
        "boards/common/deb/postinst",
        "boards/common/gateway.toml",
        "boards/common/referral-gateway.service",
    ] {
        for rest in read(page).replace('\\', "").split(DOCUMENTS).skip(1) {
            let name = rest.split([' ', '\n', '`', ')', '"']).next().unwrap_or_default();
            assert!(
                installed.contains(name),
                "{page}: {DOCUMENTS}{name} is not in {installed:?}"
            );
            named += 1;
        }
    }
    assert!(named >= 3 && installed.len() >= 3, "{named}, {installed:?}");
}

/// Most exposure `systemd-analyze security` may find, in its tenths: 0 is a closed box, 96 an unconfined service. What
/// is left is the network, which is what the gateway is for.
const EXPOSURE_MAX: &str = "12";

#[test]
fn the_unit_is_sound_and_tightly_confined() {
    let unit = at("boards/common/referral-gateway.service");
    let unit = unit.to_str().expect("UTF-8");
    let output = ran(
        "systemd-analyze",
        &[
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold",
            EXPOSURE_MAX,
            unit,
        ],
    );
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().last().unwrap_or_default().to_owned();
    println!("{verdict}");
    assert!(
        output.status.success() && verdict.contains("exposure level"),
        "{said}"
    );

    // As installed: where the binary is, and the pages the unit points to.
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(unit).expect("the unit");
    let installed = folder.path().join("referral-gateway.service");
    let text = text.replace("/usr/bin/referral-gateway", "/bin/true");
    std::fs::write(&installed, text).expect("is written");
    let output = ran(
        "systemd-analyze",
        &["verify", "--man=no", installed.to_str().expect("UTF-8")],
    );
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !complaints.contains("referral-gateway.service"),
        "{complaints}"
    );
}
