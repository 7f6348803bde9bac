//! The events of a file: one JSON object, an array of them, or one object a line.
//!
//! They are read one after the other, so that a file of thousands takes no more memory than its bytes and one event.

use super::identity::sha256;
use super::office::{Refusal, checked_json, checked_json_in, not_json};
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value, json};

/// Largest file taken.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The events of a text, in order. At least one, or the reason why not; after a reason nothing comes.
pub struct Events<'a> {
    text: &'a [u8],
    /// Where what has not been read begins.
    at: usize,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Empty,
    One,
    Lines,
    /// Before the bracket, and behind it.
    List,
    Listed,
    Over,
}

/// Splits a text into events.
pub fn events_in(text: &[u8]) -> Events<'_> {
    let text = unmarked(text);
    let begins = |line: &[u8]| line.trim_ascii_start().starts_with(b"{");
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    let form = match (lines.next(), lines.next()) {
        (None, _) => Form::Empty,
        (Some(first), Some(second))
            if begins(first) && begins(second) && lines.all(begins) && checked_json(first).is_ok() =>
        {
            Form::Lines
        }
        _ if text.trim_ascii_start().starts_with(b"[") => Form::List,
        _ => Form::One,
    };
    Events { text, at: 0, form }
}

/// Some editors put a mark in front of UTF-8.
fn unmarked(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl Events<'_> {
    /// Bytes of the text read so far.
    pub fn read(&self) -> usize {
        self.at
    }

    fn next_line(&mut self) -> Option<Result<Value, Refusal>> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let length = rest.iter().position(|byte| *byte == b'\n');
            let line = self.at..self.at + length.unwrap_or(rest.len());
            self.at = line.end + 1;
            if !self.text[line.clone()].trim_ascii().is_empty() {
                return Some(checked_json_in(self.text, line));
            }
        }
    }

    /// What stands next, past blanks.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
        self.text.get(self.at).copied()
    }

    fn next_listed(&mut self, first: bool) -> Option<Result<Value, Refusal>> {
        let sign = self.peek();
        if first || sign == Some(b',') {
            self.at += 1;
            if !first || self.peek() != Some(b']') {
                return Some(self.element());
            }
        } else if sign != Some(b']') {
            return Some(Err(not_json(&self.text[..self.at], 1, 1)));
        }
        self.at += 1;
        if self.peek().is_some() {
            return Some(Err(not_json(&self.text[..self.at], 1, 1)));
        }
        first.then_some(Err(Refusal::Empty))
    }

    /// Finds the end of the element before anything is made of it.
    fn element(&mut self) -> Result<Value, Refusal> {
        self.peek();
        let begin = self.at;
        let mut elements = Deserializer::from_slice(&self.text[begin..]).into_iter::<IgnoredAny>();
        match elements.next() {
            Some(Ok(_)) => {
                self.at += elements.byte_offset();
                checked_json_in(self.text, begin..self.at)
            }
            Some(Err(error)) => Err(not_json(&self.text[..begin], error.line(), error.column())),
            None => Err(not_json(self.text, 1, 1)),
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Value, Refusal>;

    fn next(&mut self) -> Option<Result<Value, Refusal>> {
        let form = self.form;
        let next = match form {
            Form::Over => None,
            Form::Empty => Some(Err(Refusal::Empty)),
            Form::One => Some(checked_json_in(self.text, 0..self.text.len())),
            Form::Lines => self.next_line(),
            Form::List | Form::Listed => self.next_listed(matches!(form, Form::List)),
        };
        self.form = match (form, &next) {
            (Form::Lines, Some(Ok(_))) => Form::Lines,
            (Form::List | Form::Listed, Some(Ok(_))) => Form::Listed,
            _ => Form::Over,
        };
        next
    }
}

/// Gives an event without a key one that its content decides: met again, in whatever file, it is the same event.
pub fn keyed(mut event: Value) -> Value {
    if let Value::Object(object) = &mut event
        && object.get("event_key").is_none_or(Value::is_null)
    {
        object.remove("event_key");
        let content = serde_json::to_vec(object).expect("JSON is written as JSON");
        let digest = content_digest(&content);
        object.insert("event_key".to_owned(), json!(format!("f-{digest}")));
    }
    event
}

/// Whether a text is one whole JSON object or array: nothing can follow it but another text.
pub fn whole(text: &[u8]) -> bool {
    let mut texts = Deserializer::from_slice(unmarked(text)).into_iter::<IgnoredAny>();
    matches!(texts.next(), Some(Ok(_))) && texts.next().is_none()
}

/// The short name of some content.
pub fn content_digest(bytes: &[u8]) -> String {
    sha256(bytes)[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::intake::BODY_BYTES_MAX;

    fn read(text: &str) -> Result<Vec<Value>, String> {
        let read: Result<Vec<Value>, Refusal> = events_in(text.as_bytes()).collect();
        read.map_err(|refusal| match refusal {
            Refusal::NotJson(why) => why,
            other => other.json()["error"].as_str().unwrap().to_owned(),
        })
    }

    #[test]
    fn the_three_forms_are_told_apart() {
        let two = Ok(vec![json!({"a": 1}), json!({"b": [2, "]"]})]);
        assert_eq!(read("{\"a\":1}\n\n {\"b\":[2,\"]\"]}\r\n"), two);
        assert_eq!(read("\u{feff}[{\"a\":1} ,\n{\"b\":[2,\"]\"]}]\n"), two);
        assert_eq!(read("{\n\"a\":1}"), Ok(vec![json!({"a": 1})]));
        assert_eq!(read("[1,null ,[2]]"), Ok(vec![json!(1), Value::Null, json!([2])]));
        assert_eq!(read("7"), Ok(vec![json!(7)]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for empty in ["", " \n\n", "[]", " [ ] \n"] {
            assert_eq!(read(empty), Err("empty".to_owned()), "{empty:?}");
        }
        for (text, why) in [
            ("[{\"a\":1},\n {\"a\":tru}]", "not JSON (line 2, column 10)"),
            ("[{\"a\":1} {}]", "not JSON (line 1, column 10)"),
            ("[1,]", "not JSON (line 1, column 4)"),
            ("[1] 2", "not JSON (line 1, column 5)"),
            ("[] 2", "not JSON (line 1, column 4)"),
            ("[1,\n 2,\n", "not JSON (line 3, column 1)"),
            ("[1", "not JSON (line 1, column 3)"),
            (
                "[0, {\"a\":1,\"a\":2}]",
                "a key is named twice (line 1, column 14)",
            ),
            (
                "{\"a\":1}\n{\"a\":1,\"a\":2}",
                "a key is named twice (line 2, column 10)",
            ),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_may_still_grow_is_told_from_what_is_whole() {
        for text in ["{\"a\":1}", "\u{feff}[{\"a\":1}]\r\n", " {}\n\n"] {
            assert!(whole(text.as_bytes()), "{text:?}");
        }
        for text in ["", "[{\"a\":1}", "{\"a\":", "{}\n{}", "{} x"] {
            assert!(!whole(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn the_same_content_is_the_same_key() {
        let key = |text: &str| keyed(serde_json::from_slice(text.as_bytes()).unwrap())["event_key"].clone();
        let first = key("{\"a\":1,\"b\":2}");
        assert_eq!(first, key("{ \"b\": 2, \"event_key\": null, \"a\": 1 }"));
        assert_ne!(first, key("{\"a\":1,\"b\":3}"));
        assert_eq!(key("{\"event_key\":\"k\"}"), "k");
    }

    #[test]
    fn no_single_event_is_larger_than_elsewhere() {
        let large = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX - 2));
        assert_eq!(read(&format!("[{large},{large}]")).map(|all| all.len()), Ok(2));
        assert_eq!(
            read(&format!("[{large}, {large}x]")),
            Err("not JSON (line 1, column 524292)".to_owned())
        );
        assert_eq!(
            read(&format!("[ {} ]", large.replacen('x', "xx", 1))),
            Err("too_large".to_owned())
        );
        assert!(read(&"[".repeat(1 << 20)).is_err());
    }
}
