//! Reads a JSON object field by field and collects what is wrong with it: one reason per field, never the content.

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value};

/// Longest short text (a name, a word, a number), in characters.
pub const NAME_CHARS_MAX: usize = 120;
/// Longest event key, in characters.
pub const KEY_CHARS_MAX: usize = 64;

/// One refused field: where it is and why. Holds no content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer.
    pub path: String,
    pub reason: &'static str,
}

/// The fields read so far and what was wrong with them.
#[derive(Debug, Default)]
pub struct Form {
    pub errors: Vec<FieldError>,
}

impl Form {
    pub fn refuse(&mut self, path: &str, reason: &'static str) {
        self.errors.push(FieldError {
            path: path.to_owned(),
            reason,
        });
    }

    pub fn refused(&self, path: &str) -> bool {
        self.errors.iter().any(|error| error.path == path)
    }

    /// Refuses keys that mean nothing. The key itself is echoed only in a harmless form.
    pub fn only(&mut self, object: &Map<String, Value>, at: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let shown: String = key
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .take(40)
                .collect();
            self.refuse(&format!("{at}/{shown}"), "unknown field");
        }
    }

    pub fn object<'v>(
        &mut self,
        object: &'v Map<String, Value>,
        key: &str,
    ) -> Option<&'v Map<String, Value>> {
        let found = object.get(key).and_then(Value::as_object);
        if found.is_none() {
            self.refuse(&format!("/{key}"), "required: an object");
        }
        found
    }

    /// Text, trimmed; absent and null are the same. Characters no system can store are refused (a NUL is a 500 in
    /// Primero: primero-measured.md, "Creating cases").
    pub fn text(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        key: &str,
        chars_max: usize,
        required: bool,
    ) -> Option<String> {
        let path = format!("{at}/{key}");
        let reason = match object.get(key) {
            None | Some(Value::Null) if required => "required",
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => {
                let text = text.trim();
                let control = |c: char| c.is_control() && c != '\n' && c != '\t';
                match () {
                    () if required && text.is_empty() => "required",
                    () if text.chars().count() > chars_max => "too long",
                    () if text.chars().any(control) => "holds control characters",
                    () => return Some(text.to_owned()),
                }
            }
            Some(_) => "must be text",
        };
        self.refuse(&path, reason);
        None
    }

    /// One of a list of words.
    pub fn word(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        key: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(object, at, key, NAME_CHARS_MAX, true)?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            self.refuse(&format!("{at}/{key}"), "not one of the allowed values");
        }
        found
    }

    pub fn optional_word(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        match object.get(key) {
            None | Some(Value::Null) => None,
            Some(_) => self.word(object, "", key, words),
        }
    }

    /// `YYYY-MM-DD`, exactly: five-digit years and slashes occur and are not guessed at (mapping/rules.md "Dates").
    pub fn date(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        key: &str,
        required: bool,
    ) -> Option<NaiveDate> {
        let text = self.text(object, at, key, 32, required)?;
        let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d")
            .ok()
            .filter(|_| text.len() == 10);
        if date.is_none() {
            self.refuse(&format!("{at}/{key}"), "must be a date, YYYY-MM-DD");
        }
        date
    }

    pub fn flag(&mut self, object: &Map<String, Value>, key: &str) -> Option<bool> {
        let found = object.get(key).and_then(Value::as_bool);
        if found.is_none() {
            self.refuse(&format!("/consent/{key}"), "required: true or false");
        }
        found
    }

    pub fn id(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        reason: &'static str,
        valid: fn(&str) -> bool,
    ) -> Option<String> {
        let text = self
            .text(object, "/child", key, NAME_CHARS_MAX, false)
            .filter(|text| !text.is_empty())?;
        if valid(&text) {
            return Some(text);
        }
        self.refuse(&format!("/child/{key}"), reason);
        None
    }

    /// An event key: letters, digits and `. _ : -`, so that it can stand in a path and holds no sentence.
    pub fn key(&mut self, object: &Map<String, Value>, key: &str, required: bool) -> Option<String> {
        let text = self.text(object, "", key, KEY_CHARS_MAX, required)?;
        let plain = !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
        if !plain {
            self.refuse(&format!("/{key}"), "letters, digits and . _ : - only");
            return None;
        }
        Some(text)
    }
}
