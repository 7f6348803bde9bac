//! Flat JSON for MQTT (design §6): one object, words and whole numbers only, at most [`PAYLOAD_BYTES_MAX`] bytes.
//!
//! Every document begins with `v` and `ts`. What a word may hold is narrowed to printable ASCII without quotes, so that
//! nothing has to be escaped and nothing said by an outside system slips in by accident. A field that no longer fits is
//! left out whole: the document stays valid, whatever goes into it.

use heapless::Vec as Bounded;

/// Largest MQTT payload, in bytes (design §6).
pub const PAYLOAD_BYTES_MAX: usize = 1024;

/// A payload that fits its bound by type.
pub type Payload = Bounded<u8, PAYLOAD_BYTES_MAX>;

/// A document under construction.
pub struct Flat(Payload);

impl Flat {
    /// A document of this moment, Unix seconds where the clock is plausible.
    pub fn new(ts: Option<i64>) -> Flat {
        let begun = Payload::from_slice(b"{\"v\":1").expect("a few bytes fit an empty payload");
        let mut flat = Flat(begun);
        flat.maybe("ts", ts);
        flat
    }

    /// A number, or null where there is none.
    pub fn maybe(&mut self, key: &str, value: Option<i64>) -> &mut Flat {
        let Some(value) = value else {
            return self.field(key, b"null");
        };
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).expect("below ten");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            at -= 1;
            digits[at] = b'-';
        }
        self.field(key, &digits[at..])
    }

    /// A count; beyond the largest signed number it stays there.
    pub fn count(&mut self, key: &str, value: u64) -> &mut Flat {
        self.maybe(key, Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// A word, or null where there is none.
    pub fn word(&mut self, key: &str, value: Option<&str>) -> &mut Flat {
        let Some(value) = value else {
            return self.field(key, b"null");
        };
        let before = self.0.len();
        let mut fits = self.begin(key) && self.0.push(b'"').is_ok();
        for char in value.chars() {
            let plain = matches!(char, ' '..='~') && char != '"' && char != '\\';
            let byte = if plain { char as u8 } else { b'?' };
            fits = fits && self.0.push(byte).is_ok();
        }
        fits = fits && self.0.push(b'"').is_ok();
        self.end(before, fits)
    }

    /// Yes or no.
    pub fn truth(&mut self, key: &str, value: bool) -> &mut Flat {
        self.field(key, if value { b"true" } else { b"false" })
    }

    /// The finished document.
    pub fn done(&mut self) -> Payload {
        self.0
            .push(b'}')
            .expect("every field leaves room for the closing brace");
        std::mem::take(&mut self.0)
    }

    fn field(&mut self, key: &str, value: &[u8]) -> &mut Flat {
        let before = self.0.len();
        let fits = self.begin(key) && self.0.extend_from_slice(value).is_ok();
        self.end(before, fits)
    }

    fn begin(&mut self, key: &str) -> bool {
        self.0.extend_from_slice(b",\"").is_ok()
            && self.0.extend_from_slice(key.as_bytes()).is_ok()
            && self.0.extend_from_slice(b"\":").is_ok()
    }

    /// Takes the field back if it does not fit together with the closing brace.
    fn end(&mut self, before: usize, fits: bool) -> &mut Flat {
        if !fits || self.0.len() == PAYLOAD_BYTES_MAX {
            self.0.truncate(before);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_written_is_read_back() {
        let mut flat = Flat::new(Some(7));
        flat.maybe("least", Some(i64::MIN))
            .maybe("none", None)
            .count("most", u64::MAX)
            .word("word", Some("every 5m"))
            .truth("yes", true);
        let read: Value = serde_json::from_slice(&flat.done()).unwrap();
        assert_eq!(
            read,
            json!({ "v": 1, "ts": 7, "least": i64::MIN, "none": null, "most": i64::MAX, "word": "every 5m", "yes": true })
        );
    }

    #[test]
    fn nothing_makes_it_too_long_or_wrong() {
        for length in 900..1100 {
            let mut flat = Flat::new(Some(1));
            flat.word("long", Some(&"x".repeat(length)))
                .word("odd", Some("a\"b\\c\nសុខ"))
                .maybe("n", Some(-5));
            let payload = flat.done();
            assert!(payload.len() <= PAYLOAD_BYTES_MAX);
            let read: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(read["v"], 1);
            assert!(read.get("odd").is_none_or(|odd| odd == "a?b?c????"), "{read}");
        }
    }
}
