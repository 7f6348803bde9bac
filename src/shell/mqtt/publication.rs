//! A topic and what is said on it, within the bounds of design §6.

use crate::core::flat::Payload;
use std::fmt;

/// Longest topic name. `<prefix>/<fleet>/<gateway>/<channel>` needs about half.
pub const TOPIC_MAX_BYTES: usize = 128;

pub type Topic = heapless::String<TOPIC_MAX_BYTES>;

/// A topic and what to say on it. `Debug` shows the topic only.
#[derive(Clone, PartialEq, Eq)]
pub struct Publication {
    pub topic: Topic,
    pub payload: Payload,
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.topic, self.payload.len())
    }
}

impl Publication {
    pub fn new(topic: &str, payload: &[u8]) -> Result<Publication, PutError> {
        if topic.is_empty() || topic.contains(['+', '#', '\0']) {
            return Err(PutError::Topic);
        }
        Ok(Publication {
            topic: Topic::try_from(topic).map_err(|_| PutError::Topic)?,
            payload: Payload::from_slice(payload).map_err(|_| PutError::Payload)?,
        })
    }
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutError {
    /// Empty, too long, or with a character MQTT reserves.
    Topic,
    /// Longer than [`PAYLOAD_BYTES_MAX`](crate::core::flat::PAYLOAD_BYTES_MAX).
    Payload,
    /// All [`TOPICS_MAX`](super::TOPICS_MAX) slots belong to other topics.
    Full,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Topic => {
                "the topic is empty, too long or holds + or #; shorten prefix, fleet or gateway id"
            }
            PutError::Payload => "the payload is longer than a message may be; send less",
            PutError::Full => "too many topics at once; wait until some are acknowledged",
        })
    }
}

impl std::error::Error for PutError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::flat::PAYLOAD_BYTES_MAX;

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(TOPIC_MAX_BYTES + 1);
        for topic in ["", "a/+", "a/#", "a\0b", &long] {
            assert_eq!(Publication::new(topic, b""), Err(PutError::Topic));
        }
        assert_eq!(
            Publication::new("a", &[0; PAYLOAD_BYTES_MAX + 1]),
            Err(PutError::Payload)
        );
        assert!(Publication::new(&long[1..], &[0; PAYLOAD_BYTES_MAX]).is_ok());
    }
}
