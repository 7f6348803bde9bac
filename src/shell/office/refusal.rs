//! Why an event is not taken in, and how it is said.

use crate::core::form::FieldError;
use crate::core::intake::BODY_BYTES_MAX;
use crate::shell::strict_json::{Strict, TWICE};
use crate::store::StoreError;
use serde_json::{Value, json};

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
    checked_json_of(bytes, BODY_BYTES_MAX, 0)
}

/// The same for a piece of a larger text, which begins after so many lines.
pub fn checked_json_of(bytes: &[u8], bytes_max: usize, lines_before: usize) -> Result<Value, Refusal> {
    if bytes.len() > bytes_max {
        return Err(Refusal::TooLarge);
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| Refusal::NotJson("the text is not UTF-8".to_owned()))?;
    let strict: Strict = serde_json::from_slice(text.as_bytes()).map_err(|error| {
        let place = format!("line {}, column {}", lines_before + error.line(), error.column());
        let twice = error.to_string().starts_with(TWICE);
        Refusal::NotJson(if twice {
            format!("a key is named twice ({place})")
        } else {
            format!("not JSON ({place})")
        })
    })?;
    Ok(strict.0)
}
