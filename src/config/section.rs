//! Takes typed settings out of a section of the file, and says of each fault on which line it is.
//!
//! Not with serde's derive: that writes a reader for every section and every kind of value, 100 KB of the binary.

use super::ConfigError;
use std::fmt::Display;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value as the file has it, with its place.
pub type Written<'a> = Spanned<DeValue<'a>>;

/// What is wrong, and at which byte of the text.
pub struct Fault {
    at: usize,
    words: String,
}

impl Fault {
    fn new(at: usize, words: String) -> Fault {
        Fault { at, words }
    }

    /// In words, with the line.
    fn told(&self, text: &str) -> ConfigError {
        let line = text[..self.at.min(text.len())].matches('\n').count() + 1;
        ConfigError(format!("line {line}: {}", self.words))
    }
}

/// What may stand behind a key. [`settings!`] makes it of a section.
pub trait Setting: Sized {
    /// What holds when the file leaves it out; `None` where it must not.
    fn left_out() -> Option<Self> {
        None
    }

    fn read(written: &Written) -> Result<Self, Fault>;
}

/// Declares sections: each field is the key of its name. A section may be left out if every key of it may.
macro_rules! settings {
    ($(pub struct $name:ident { $(pub $key:ident: $kind:ty,)* })*) => { $(
        pub struct $name {
            $(pub $key: $kind,)*
        }

        impl Setting for $name {
            fn left_out() -> Option<Self> {
                Some($name { $($key: <$kind>::left_out()?,)* })
            }

            fn read(written: &Written) -> Result<Self, Fault> {
                let section = Section::of(written, &[$(stringify!($key)),*])?;
                Ok($name { $($key: section.get(stringify!($key))?,)* })
            }
        }
    )* };
}
pub(super) use settings;

/// Reads a whole file.
pub fn read<T: Setting>(text: &str) -> Result<T, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| not_toml(&error, text))?;
    let whole = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    T::read(&whole).map_err(|fault| fault.told(text))
}

/// Why a text is no TOML, with its line.
pub fn not_toml(error: &toml::de::Error, text: &str) -> ConfigError {
    match error.span() {
        Some(span) => Fault::new(span.start, error.message().to_owned()).told(text),
        None => ConfigError(error.message().to_owned()),
    }
}

/// A table of the file in which every key is known.
pub struct Section<'a> {
    at: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Refuses a key that is none of `known`, with the nearest of them.
    pub fn of(written: &'a Written, known: &[&str]) -> Result<Section<'a>, Fault> {
        let Some(table) = written.get_ref().as_table() else {
            return Err(unlike(written, "a section"));
        };
        for key in table.keys() {
            let wrong: &str = key.get_ref();
            if !known.contains(&wrong) {
                let nearest = known.iter().min_by_key(|known| distance(wrong, known));
                let hint = nearest.map(|name| format!("; did you mean `{name}`?"));
                let hint = hint.unwrap_or_default();
                return Err(Fault::new(
                    key.span().start,
                    format!("there is no setting `{wrong}` here{hint}"),
                ));
            }
        }
        let at = written.span().start;
        Ok(Section { at, table })
    }

    pub fn get<T: Setting>(&self, key: &str) -> Result<T, Fault> {
        match self.table.get(key) {
            Some(written) => T::read(written),
            None => T::left_out().ok_or_else(|| Fault::new(self.at, format!("missing field `{key}`"))),
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    fn left_out() -> Option<Self> {
        Some(None)
    }

    fn read(written: &Written) -> Result<Self, Fault> {
        T::read(written).map(Some)
    }
}

impl Setting for String {
    fn read(written: &Written) -> Result<String, Fault> {
        let text = written.get_ref().as_str();
        text.map(str::to_owned).ok_or_else(|| unlike(written, "a string"))
    }
}

impl Setting for PathBuf {
    fn read(written: &Written) -> Result<PathBuf, Fault> {
        String::read(written).map(PathBuf::from)
    }
}

impl Setting for bool {
    fn read(written: &Written) -> Result<bool, Fault> {
        let flag = written.get_ref().as_bool();
        flag.ok_or_else(|| unlike(written, "true or false"))
    }
}

impl Setting for i64 {
    fn read(written: &Written) -> Result<i64, Fault> {
        let number = written.get_ref().as_integer();
        number
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| unlike(written, "a whole number of 64 bits"))
    }
}

impl Setting for Vec<String> {
    fn read(written: &Written) -> Result<Vec<String>, Fault> {
        let list = written.get_ref().as_array();
        let list = list.ok_or_else(|| unlike(written, "a list"))?;
        list.iter().map(String::read).collect()
    }
}

fn unlike(written: &Written, wanted: &str) -> Fault {
    let quoted = |value: &dyn Display| format!(" `{value}`");
    let value = match written.get_ref() {
        DeValue::String(text) => format!(" {text:?}"),
        DeValue::Integer(number) => quoted(number),
        DeValue::Float(number) => quoted(number),
        DeValue::Boolean(flag) => quoted(flag),
        DeValue::Datetime(moment) => quoted(moment),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    };
    let kind = written.get_ref().type_str();
    Fault::new(
        written.span().start,
        format!("invalid type: {kind}{value}, expected {wanted}"),
    )
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    settings! {
        pub struct File {
            pub office: Office,
            pub limits: Limits,
            pub lan: Option<Limits>,
        }

        pub struct Office {
            pub id: String,
            pub names: Vec<String>,
            pub open: Option<bool>,
        }

        pub struct Limits {
            pub events: Option<i64>,
        }
    }

    const GOOD: &str = "[office]\nid = \"a\"\nnames = [\"b\"]\nopen = true\n";

    #[test]
    fn what_may_be_left_out_may() {
        let file: File = read("office = {id='a', names=[]}").unwrap();
        assert!(file.office.open.is_none() && file.limits.events.is_none() && file.lan.is_none());
        let file: File = read(&format!("{GOOD}[limits]\nevents = 0x1_0\n[lan]\n")).unwrap();
        assert_eq!((file.office.id.as_str(), file.office.open), ("a", Some(true)));
        assert_eq!(file.office.names, ["b"]);
        assert_eq!((file.limits.events, file.lan.unwrap().events), (Some(16), None));
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        for (from, to, told) in [
            (
                "[office]",
                "[ofice]",
                "line 1: there is no setting `ofice` here; did you mean `office`?",
            ),
            (
                "open",
                "opn",
                "line 4: there is no setting `opn` here; did you mean `open`?",
            ),
            ("id = \"a\"", "", "line 1: missing field `id`"),
            ("names", "#", "line 1: missing field `names`"),
            (GOOD, "", "line 1: missing field `office`"),
            (
                "\"a\"",
                "3",
                "line 2: invalid type: integer `3`, expected a string",
            ),
            (
                "\"a\"",
                "2026-11-30",
                "line 2: invalid type: datetime `2026-11-30`, expected a string",
            ),
            (
                "[\"b\"]",
                "\"b\"",
                "line 3: invalid type: string \"b\", expected a list",
            ),
            (
                "[\"b\"]",
                "[\n1.5]",
                "line 4: invalid type: float `1.5`, expected a string",
            ),
            (
                "true",
                "\"yes\"",
                "line 4: invalid type: string \"yes\", expected true or false",
            ),
            (
                "[office]",
                "[[office]]",
                "line 1: invalid type: array, expected a section",
            ),
            (
                "[office]",
                "limits = true\n[office]",
                "line 1: invalid type: boolean `true`, expected a section",
            ),
            (
                "[office]",
                "[limits]\nevents = 9223372036854775808\n[office]",
                "line 2: invalid type: integer `9223372036854775808`, expected a whole number of 64 bits",
            ),
            ("open = true", "id = \"b\"", "line 4: duplicate key"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let fault = read::<File>(&GOOD.replacen(from, to, 1)).err();
            assert_eq!(fault.map(|fault| fault.0).as_deref(), Some(told));
        }
    }
}
