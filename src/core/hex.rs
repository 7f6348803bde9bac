//! Fixed-size bytes as hexadecimal text, for `#[serde(with)]`: as a JSON array of numbers they take twice the room.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;

/// The first twelve digits: enough to tell two files apart by eye.
pub fn short(digest: &[u8; 32]) -> String {
    Hex(&digest[..6]).to_string()
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Hex(bytes))
}

pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || D::Error::custom("not the right number of hexadecimal digits");
    if text.len() != 2 * N {
        return Err(wrong());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |of: u8| {
            char::from(of)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        *byte = digit(pair[0])
            .zip(digit(pair[1]))
            .map(|(high, low)| high * 16 + low)
            .ok_or_else(wrong)?;
    }
    Ok(bytes)
}

/// The bytes as small hexadecimal digits.
pub fn lower(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}
