//! The provisioning file of a box: one plain text on the card, written by a person on any laptop.
//!
//! It is the configuration of [`super::Config`], with three liberties: passwords and certificate authorities stand in
//! it in clear, `[wifi]` and `[box]` speak of the box, and what is the same on every box (folders, caps) is left out. It
//! may come with a byte order mark and the line ends of any system. [`read`] takes it apart without touching a disk:
//! into the configuration the service reads, the secrets to be sealed, and the text that goes back to the card, equal
//! to the old one but for the secrets.

use super::ConfigError;
use std::fmt::Write;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest file that is read: a certificate authority or two and comments fit many times.
pub const CARD_BYTES_MAX: usize = 64 * 1024;
/// What the example says where a person must write something.
const TO_FILL_IN: &str = "FILL-IN";

/// A value that leaves the file for one of its own: section, key, the key that then names the file, the file.
struct Moved(&'static str, &'static str, &'static str, &'static str);

const SECRETS: [Moved; 5] = [
    Moved("primero", "password", "password_file", "primero.password"),
    Moved("oscar", "password", "password_file", "oscar.password"),
    Moved("mqtt", "password", "password_file", "mqtt.password"),
    Moved("wifi", "password", "", "wifi.password"),
    Moved("box", "swap_passphrase", "", "swap.passphrase"),
];
const OPEN: [Moved; 3] = [
    Moved("primero", "ca", "ca_file", "primero-ca.pem"),
    Moved("oscar", "ca", "ca_file", "oscar-ca.pem"),
    Moved("mqtt", "ca", "ca_file", "mqtt-ca.pem"),
];
/// Sections that are the box's own and never reach the service.
const OF_THE_BOX: [(&str, &[&str]); 2] = [
    ("wifi", &["network", "password", "country"]),
    ("box", &["swap_passphrase"]),
];
/// Where things lie is the same on every box; what a file says of it is not taken.
const FOLDERS: [&str; 2] = ["data_dir", "seal_key_file"];
/// Shortest passphrase of a swap: what it seals may lie on a lost stick.
const PASSPHRASE_CHARS_MIN: usize = 16;

/// The file, taken apart.
pub struct Card {
    /// `gateway.toml` for the service; files it names lie beside it.
    pub config: String,
    /// Name and value of each secret the file brought; to be sealed.
    pub secrets: Vec<(&'static str, String)>,
    /// Names of the secrets that stay as they are: the file leaves them empty.
    pub kept: Vec<&'static str>,
    /// Name and content of each file that is no secret.
    pub open: Vec<(&'static str, String)>,
    pub wifi: Option<Wifi>,
    /// What goes back to the card.
    pub redacted: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    pub network: String,
    /// Two letters; decides which channels may be used.
    pub country: String,
}

/// What the box adds to the file.
pub struct Ground<'a> {
    /// Which secrets the box has from an earlier file.
    pub held: &'a dyn Fn(&str) -> bool,
    /// TOML for sections the file does not have (a board's caps).
    pub standard: &'a str,
    pub data_dir: &'a str,
}

/// Takes the file apart. Every fault found at this stage is told, not just the first.
pub fn read(bytes: &[u8], ground: &Ground) -> Result<Card, Vec<ConfigError>> {
    let text = text(bytes, CARD_BYTES_MAX).map_err(|error| vec![error])?;
    let parsed = DeTable::parse(text);
    let table = parsed.map_err(|error| vec![with_hint(super::section::not_toml(&error, text), text)])?;
    let table = table.get_ref();
    let mut card = Card {
        config: String::new(),
        secrets: Vec::new(),
        kept: Vec::new(),
        open: Vec::new(),
        wifi: None,
        redacted: text.to_owned(),
    };
    let mut faults = Vec::new();
    own_sections(table, &mut card, &mut faults);
    let mut blanks = Vec::new();
    for Moved(section, key, _, file) in &SECRETS {
        match string(table, section, key) {
            None => {}
            Some(value) if value.get_ref().is_empty() && (ground.held)(file) => card.kept.push(file),
            Some(value) if value.get_ref().is_empty() => faults.push(ConfigError(format!(
                "{}{section}.{key} is empty, and this box has none from before: write it",
                line(text, value.span().start)
            ))),
            Some(value) => {
                blanks.push(value.span());
                card.secrets.push((file, value.get_ref().to_owned()));
            }
        }
    }
    for Moved(section, key, _, file) in &OPEN {
        if let Some(value) = string(table, section, key) {
            card.open.push((file, value.get_ref().to_owned()));
        }
    }
    find_placeholders(table, "", text, &mut faults);
    blanks.sort_by_key(|span| std::cmp::Reverse(span.start));
    for span in blanks {
        card.redacted.replace_range(span, "\"\"");
    }
    write_table(&mut card.config, "", table, ground.data_dir);
    add_standard(&mut card.config, table, ground.standard);
    faults.sort_by_key(|fault| line_of(&fault.0));
    if faults.is_empty() { Ok(card) } else { Err(faults) }
}

/// What a person wrote with any editor: UTF-8 with or without a byte order mark, of at most so many bytes. Both kinds of
/// line ends stay as they are.
pub fn text(bytes: &[u8], most: usize) -> Result<&str, ConfigError> {
    if bytes.len() > most {
        return Err(ConfigError(format!("longer than {most} bytes")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    if wide || bytes.contains(&0) {
        let words = "not plain text in UTF-8 but another kind of \"Unicode\" (UTF-16), or a damaged file: save it as \"UTF-8\"";
        return Err(ConfigError(words.into()));
    }
    std::str::from_utf8(bytes)
        .map_err(|_| ConfigError("not plain text in UTF-8: save it as \"UTF-8\" or \"plain text\"".into()))
}

/// `line 7: `, for a person with an editor.
fn line(text: &str, at: usize) -> String {
    format!("line {}: ", text[..at].matches('\n').count() + 1)
}

/// The number in [`line`]; what is said of no line comes first.
fn line_of(words: &str) -> usize {
    let number = words
        .strip_prefix("line ")
        .and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A fault found in the configuration that was written from the file, told by the line of the file: that is the one the
/// technician has.
pub fn told_of_the_file(fault: ConfigError, config: &str, file: &[u8]) -> ConfigError {
    let number = line_of(&fault.0);
    let Some((_, words)) = fault.0.split_once(": ").filter(|_| number > 0) else {
        return fault;
    };
    let Some((_, wanted)) = settings(config).find(|(at, _)| *at == number) else {
        return ConfigError(words.to_owned());
    };
    let text = text(file, CARD_BYTES_MAX).unwrap_or_default();
    let place = settings(text).find(|(_, setting)| *setting == wanted);
    let place = place.map_or_else(|| wanted.clone(), |(at, _)| format!("line {at}"));
    ConfigError(format!("{place}: {words}"))
}

/// Each line that sets something or begins a section, by its number, as `[section] key`.
fn settings(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut section = String::new();
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.split_inclusive(']').next().unwrap_or(line).replace('"', "");
            return Some((index + 1, section.clone()));
        }
        let (key, _) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((index + 1, format!("{section} {}", key.trim().trim_matches('"'))))
    })
}

/// What word processors and telephones do to a file behind the writer's back.
fn with_hint(fault: ConfigError, text: &str) -> ConfigError {
    let faulty = text.lines().nth(line_of(&fault.0).saturating_sub(1));
    let faulty = faulty.unwrap_or_default();
    if faulty.contains([
        '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
    ]) {
        return ConfigError(format!(
            "{}; write straight quotes (\") there, not curly ones",
            fault.0
        ));
    }
    if faulty.contains(['\u{a0}', '\u{200b}', '\u{feff}']) {
        let words = "there is an invisible character in it: delete the line and type it anew";
        return ConfigError(format!("{}; {words}", fault.0));
    }
    fault
}

fn section<'a>(table: &'a DeTable<'_>, name: &str) -> Option<&'a DeTable<'a>> {
    table.get(name)?.get_ref().as_table()
}

struct Text<'a>(&'a str, std::ops::Range<usize>);

impl Text<'_> {
    fn get_ref(&self) -> &str {
        self.0
    }

    fn span(&self) -> std::ops::Range<usize> {
        self.1.clone()
    }
}

fn string<'a>(table: &'a DeTable<'_>, part: &str, key: &str) -> Option<Text<'a>> {
    let value = section(table, part)?.get(key)?;
    Some(Text(value.get_ref().as_str()?, value.span()))
}

/// `[wifi]` and `[box]`.
fn own_sections(table: &DeTable, card: &mut Card, faults: &mut Vec<ConfigError>) {
    for (name, known) in OF_THE_BOX {
        let Some(own) = section(table, name) else { continue };
        for key in own.keys() {
            let key: &str = key.get_ref();
            if !known.contains(&key) {
                let known = known.join(", ");
                faults.push(ConfigError(format!(
                    "[{name}] has no setting `{key}`; it has: {known}"
                )));
            }
        }
    }
    if section(table, "wifi").is_some() {
        let word = |key| string(table, "wifi", key).map(|text| text.get_ref().to_owned());
        let network = word("network").unwrap_or_default();
        let country = word("country").unwrap_or_default();
        if network.is_empty() || network.len() > 32 || network.contains(['"', '\n']) {
            faults.push(ConfigError(
                "wifi.network: write the network's name, up to 32 characters without quotes".into(),
            ));
        }
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            faults.push(ConfigError(
                "wifi.country: write two capital letters, like \"KH\"".into(),
            ));
        }
        if string(table, "wifi", "password").is_some_and(|text| {
            let length = text.get_ref().len();
            length != 0 && (!(8..=63).contains(&length) || text.get_ref().contains(['"', '\n']))
        }) {
            faults.push(ConfigError(
                "wifi.password: 8 to 63 characters without quotes".into(),
            ));
        }
        card.wifi = Some(Wifi { network, country });
    }
    if string(table, "box", "swap_passphrase").is_some_and(|text| {
        let length = text.get_ref().chars().count();
        length != 0 && length < PASSPHRASE_CHARS_MIN
    }) {
        faults.push(ConfigError(format!(
            "box.swap_passphrase: at least {PASSPHRASE_CHARS_MIN} characters; five words do"
        )));
    }
}

/// The example's gaps, each with its line.
fn find_placeholders(table: &DeTable, path: &str, text: &str, faults: &mut Vec<ConfigError>) {
    for (key, value) in table {
        let key: &str = key.get_ref();
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        let here = |value: &Spanned<DeValue>, faults: &mut Vec<ConfigError>| {
            if value
                .get_ref()
                .as_str()
                .is_some_and(|value| value.contains(TO_FILL_IN))
            {
                let place = line(text, value.span().start);
                faults.push(ConfigError(format!("{place}{path} is still to be filled in")));
            }
        };
        here(value, faults);
        if let Some(table) = value.get_ref().as_table() {
            find_placeholders(table, &path, text, faults);
        }
        for item in value.get_ref().as_array().into_iter().flatten() {
            here(item, faults);
        }
    }
}

/// The table as TOML again, without what the box keeps to itself and with files for what has moved into files.
fn write_table(out: &mut String, path: &str, table: &DeTable, data_dir: &str) {
    if path == "gateway" {
        let _ = writeln!(out, "data_dir = {}", quoted(data_dir));
    }
    for (key, value) in table {
        let key: &str = key.get_ref();
        let moved = |Moved(section, moved, ..): &&Moved| *section == path && *moved == key;
        match SECRETS.iter().chain(&OPEN).find(moved) {
            Some(Moved(_, _, file_key, file)) => {
                let _ = writeln!(out, "{file_key} = \"{file}\"");
            }
            None if value.get_ref().is_table() => {}
            None if path == "gateway" && FOLDERS.contains(&key) => {}
            None => {
                let _ = write!(out, "{} = ", quoted(key));
                write_value(out, value.get_ref());
                out.push('\n');
            }
        }
    }
    for (key, value) in table {
        let key: &str = key.get_ref();
        let own = path.is_empty() && OF_THE_BOX.iter().any(|(name, _)| *name == key);
        if let Some(table) = value.get_ref().as_table().filter(|_| !own) {
            let below = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{}", quoted(key))
            };
            let _ = write!(out, "\n[{below}]\n");
            write_table(out, &below, table, data_dir);
        }
    }
}

fn write_value(out: &mut String, value: &DeValue) {
    match value {
        DeValue::String(text) => out.push_str(&quoted(text)),
        DeValue::Integer(number) => out.push_str(&number.to_string()),
        DeValue::Float(number) => out.push_str(&number.to_string()),
        DeValue::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        DeValue::Datetime(moment) => out.push_str(&moment.to_string()),
        DeValue::Array(items) => {
            out.push('[');
            for item in items {
                write_value(out, item.get_ref());
                out.push_str(", ");
            }
            out.push(']');
        }
        DeValue::Table(table) => {
            out.push('{');
            for (index, (key, value)) in table.into_iter().enumerate() {
                let _ = write!(
                    out,
                    "{}{} = ",
                    if index > 0 { ", " } else { "" },
                    quoted(key.get_ref())
                );
                write_value(out, value.get_ref());
            }
            out.push('}');
        }
    }
}

/// A key or text as TOML writes it: JSON's escapes are TOML's too, and DEL is the one character only TOML forbids.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\x7f', "\\u007f")
}

/// Adds the sections of `standard` that the file has not.
fn add_standard(out: &mut String, table: &DeTable, standard: &str) {
    let Ok(parsed) = DeTable::parse(standard) else {
        return;
    };
    for (name, value) in parsed.get_ref() {
        let name: &str = name.get_ref();
        if let Some(section) = value.get_ref().as_table().filter(|_| !table.contains_key(name)) {
            let _ = write!(out, "\n[{name}]\n");
            write_table(out, name, section, "");
        }
    }
}
