//! Why an event is not taken in, and how it is said.

use crate::core::form::FieldError;
use crate::core::intake::BODY_BYTES_MAX;
use crate::shell::strict_json::{Strict, TWICE};
use crate::store::StoreError;
use serde_json::{Value, json};
use std::ops::Range;

/// Said to whoever wants something of a gateway the desk has locked.
pub const LOCKED: &str =
    "the central desk has locked this gateway: nothing is taken in, sent or shown; telephone them";

/// An event that is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not JSON, or JSON that says one thing twice.
    NotJson(String),
    /// A list without a single event.
    Empty,
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// No room for more bodies at the moment.
    Busy,
    Invalid(Vec<FieldError>),
    /// The key stands for another body already.
    KeyTaken,
    QueueFull,
    /// The desk has locked the gateway.
    Locked,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

impl Refusal {
    /// The HTTP status of design §3.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NotJson(_) | Refusal::Empty => 400,
            Refusal::TooLarge => 413,
            Refusal::TooSlow => 408,
            Refusal::Invalid(_) => 422,
            Refusal::KeyTaken => 409,
            Refusal::Busy | Refusal::QueueFull | Refusal::Locked | Refusal::Store(_) => 503,
        }
    }

    /// The error object of design §3.
    pub fn json(&self) -> Value {
        match self {
            Refusal::NotJson(why) => json!({"error": "not_json", "reason": why}),
            Refusal::Empty => json!({"error": "empty", "reason": "there is no event in it"}),
            Refusal::TooLarge => json!({"error": "too_large", "reason": "an event takes at most 256 KiB"}),
            Refusal::TooSlow => {
                json!({"error": "too_slow", "reason": "the event did not come within 30 seconds; send it again"})
            }
            Refusal::Busy => {
                json!({"error": "busy", "reason": "too many events at once; try again in a minute"})
            }
            Refusal::Invalid(fields) => json!({"error": "validation", "fields": fields}),
            Refusal::KeyTaken => {
                json!({"error": "key_taken", "reason": "this event_key was used for another event; use a new key"})
            }
            Refusal::QueueFull => json!({"error": "queue_full",
                "reason": "too many events wait already; nothing was stored: get the uplink going, then send again"}),
            Refusal::Locked => json!({"error": "locked", "reason": LOCKED}),
            Refusal::Store(error) => json!({"error": "store", "reason": error.to_string()}),
        }
    }
}

/// Parses a body, refusing what JSON leaves open: a key named twice has no meaning, so it has none here.
pub fn checked_json(bytes: &[u8]) -> Result<Value, Refusal> {
    checked_json_in(bytes, 0..bytes.len())
}

/// The same for one event in a larger text.
pub fn checked_json_in(text: &[u8], event: Range<usize>) -> Result<Value, Refusal> {
    let before = &text[..event.start];
    let bytes = &text[event];
    if bytes.len() > BODY_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::NotJson("the text is not UTF-8".to_owned()))?;
    let strict: Strict = serde_json::from_slice(text.as_bytes()).map_err(|error| {
        if error.to_string().starts_with(TWICE) {
            let place = place(before, error.line(), error.column());
            Refusal::NotJson(format!("a key is named twice ({place})"))
        } else {
            not_json(before, error.line(), error.column())
        }
    })?;
    Ok(strict.0)
}

/// What is not JSON at this line and column, counted from the end of `before`.
pub fn not_json(before: &[u8], line: usize, column: usize) -> Refusal {
    Refusal::NotJson(format!("not JSON ({})", place(before, line, column)))
}

fn place(before: &[u8], line: usize, column: usize) -> String {
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let columns = match line {
        1 => before.iter().rev().take_while(|byte| **byte != b'\n').count(),
        _ => 0,
    };
    format!("line {}, column {}", lines + line, columns + column)
}
