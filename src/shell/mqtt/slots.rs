//! What is to be known at the broker: one slot per topic, the latest payload wins. Pure, no I/O.
//!
//! A retained topic is *dirty* until the broker has acknowledged this very payload, and becomes dirty again whenever
//! a connection is lost, because a broker may come back without its store. One publication is under way at a time,
//! so an acknowledgement can only mean that one. Slot 0 is the status topic and goes first.

use std::fmt;

/// Longest topic name. `<prefix>/<fleet>/<gateway>/<channel>` needs about half.
pub const TOPIC_MAX_BYTES: usize = 128;
/// Longest payload (design §6).
pub const PAYLOAD_MAX_BYTES: usize = 1024;
/// Most topics one gateway speaks on: five retained channels, two more, and an alert of every kind.
pub const TOPICS_MAX: usize = 24;

pub type Topic = heapless::String<TOPIC_MAX_BYTES>;
pub type Payload = heapless::Vec<u8, PAYLOAD_MAX_BYTES>;

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
    /// Longer than [`PAYLOAD_MAX_BYTES`].
    Payload,
    /// All [`TOPICS_MAX`] slots belong to other topics.
    Full,
    /// Something that is said once is still waiting on this topic; it was not replaced.
    Busy,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Topic => {
                "the topic is empty, too long or holds + or #; shorten prefix, fleet or gateway id"
            }
            PutError::Payload => "the payload is longer than a message may be; send less",
            PutError::Full => "too many topics at once; wait until some are acknowledged",
            PutError::Busy => "the message before is still on its way; offer this one later",
        })
    }
}

impl std::error::Error for PutError {}

struct Slot {
    content: Publication,
    retained: bool,
    dirty: bool,
    /// Changes with the payload, so that the acknowledgement of an older one settles nothing.
    version: u32,
}

impl Slot {
    fn new(content: Publication, retained: bool) -> Slot {
        Slot {
            content,
            retained,
            dirty: true,
            version: 0,
        }
    }

    /// Nothing of it would have to be said again after a reconnect.
    fn spent(&self) -> bool {
        !self.dirty && (!self.retained || self.content.payload.is_empty())
    }
}

pub struct Slots {
    list: heapless::Vec<Slot, TOPICS_MAX>,
    /// Index and version of the publication that waits for its acknowledgement.
    under_way: Option<(usize, u32)>,
    /// Only the farewell may still go out.
    closing: bool,
}

impl Slots {
    pub fn new(birth: Publication) -> Slots {
        let mut list = heapless::Vec::new();
        let placed = list.push(Slot::new(birth, true));
        assert!(placed.is_ok(), "an empty list has room for the birth");
        Slots {
            list,
            under_way: None,
            closing: false,
        }
    }

    pub fn put(&mut self, content: Publication, retained: bool) -> Result<(), PutError> {
        match self
            .list
            .iter_mut()
            .find(|slot| slot.content.topic == content.topic)
        {
            Some(slot) if !slot.retained && slot.dirty => Err(PutError::Busy),
            Some(slot) => {
                // The birth stays retained whatever the caller says: the will shares its topic.
                let version = slot.version.wrapping_add(1);
                *slot = Slot {
                    version,
                    ..Slot::new(content, retained || slot.retained)
                };
                Ok(())
            }
            None => self
                .list
                .push(Slot::new(content, retained))
                .map_err(|_| PutError::Full),
        }
    }

    /// The last word: goes out on the status topic after what is under way, and nothing after it.
    pub fn close(&mut self, farewell: Publication) {
        let version = self.list[0].version.wrapping_add(1);
        self.list[0] = Slot {
            version,
            ..Slot::new(farewell, true)
        };
        self.closing = true;
    }

    pub fn closing(&self) -> bool {
        self.closing
    }

    /// Closing, and the last word is acknowledged.
    pub fn closed(&self) -> bool {
        self.closing && !self.list[0].dirty
    }

    /// Something waits for its acknowledgement.
    pub fn waiting(&self) -> bool {
        self.under_way.is_some()
    }

    /// What to send now, if anything: its topic, payload and whether it is retained.
    pub fn next(&mut self) -> Option<(&Publication, bool)> {
        if self.under_way.is_some() {
            return None;
        }
        let last = if self.closing { 1 } else { self.list.len() };
        let index = self.list[..last].iter().position(|slot| slot.dirty)?;
        let slot = &self.list[index];
        self.under_way = Some((index, slot.version));
        Some((&slot.content, slot.retained))
    }

    /// The broker has what was under way.
    pub fn acknowledged(&mut self) {
        let Some((index, version)) = self.under_way.take() else {
            return;
        };
        let slot = &mut self.list[index];
        slot.dirty = slot.version != version;
        if index > 0 && slot.spent() {
            self.list.remove(index);
        }
    }

    /// The connection is gone: what was under way is in doubt, what was retained may be forgotten.
    pub fn lost(&mut self) {
        self.under_way = None;
        for slot in &mut self.list {
            slot.dirty |= slot.retained;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(topic: &str, payload: &str) -> Publication {
        Publication::new(topic, payload.as_bytes()).unwrap()
    }

    fn next(slots: &mut Slots) -> Option<String> {
        slots
            .next()
            .map(|(content, _)| format!("{} {}", content.topic, String::from_utf8_lossy(&content.payload)))
    }

    fn sent(slots: &mut Slots) -> Vec<String> {
        std::iter::from_fn(|| next(slots).inspect(|_| slots.acknowledged())).collect()
    }

    #[test]
    fn the_birth_goes_first_and_each_topic_once() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1"), true).unwrap();
        slots.put(said("health", "2"), true).unwrap();
        assert_eq!(sent(&mut slots), ["status online", "health 2"]);
        assert_eq!(next(&mut slots), None);
    }

    #[test]
    fn an_old_acknowledgement_does_not_settle_a_newer_payload() {
        let mut slots = Slots::new(said("status", "online"));
        assert_eq!(next(&mut slots).as_deref(), Some("status online"));
        slots.put(said("status", "sleeping"), true).unwrap();
        assert_eq!(next(&mut slots), None, "one at a time");
        slots.acknowledged();
        assert_eq!(sent(&mut slots), ["status sleeping"]);
    }

    #[test]
    fn after_a_loss_everything_retained_is_said_again() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1"), true).unwrap();
        slots.put(said("event", "boot"), false).unwrap();
        assert_eq!(sent(&mut slots).len(), 3);
        slots.lost();
        assert_eq!(sent(&mut slots), ["status online", "health 1"]);
    }

    #[test]
    fn something_said_once_is_neither_replaced_nor_lost() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("event", "1"), false).unwrap();
        assert_eq!(slots.put(said("event", "2"), false), Err(PutError::Busy));
        slots.lost();
        assert_eq!(sent(&mut slots), ["status online", "event 1"]);
        assert_eq!(slots.put(said("event", "2"), false), Ok(()));
    }

    #[test]
    fn a_cleared_topic_gives_its_slot_back() {
        let mut slots = Slots::new(said("status", "online"));
        for round in 0..TOPICS_MAX * 2 {
            let topic = format!("alert-{round}");
            slots.put(said(&topic, "raised"), true).unwrap();
            sent(&mut slots);
            slots.put(said(&topic, ""), true).unwrap();
            assert_eq!(sent(&mut slots), [format!("{topic} ")]);
        }
        for topic in 1..TOPICS_MAX {
            slots.put(said(&topic.to_string(), "x"), true).unwrap();
        }
        assert_eq!(slots.put(said("one too many", "x"), true), Err(PutError::Full));
    }

    #[test]
    fn the_last_word_waits_for_what_is_under_way_and_for_nothing_else() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1"), true).unwrap();
        slots.put(said("info", "1"), true).unwrap();
        slots.next();
        slots.acknowledged();
        assert_eq!(next(&mut slots).as_deref(), Some("health 1"));
        slots.close(said("status", "offline"));
        slots.acknowledged();
        assert!(!slots.closed());
        assert_eq!(sent(&mut slots), ["status offline"]);
        assert!(slots.closed());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(TOPIC_MAX_BYTES + 1);
        for topic in ["", "a/+", "a/#", "a\0b", &long] {
            assert_eq!(Publication::new(topic, b""), Err(PutError::Topic));
        }
        assert_eq!(
            Publication::new("a", &[0; PAYLOAD_MAX_BYTES + 1]),
            Err(PutError::Payload)
        );
        assert!(Publication::new(&long[1..], &[0; PAYLOAD_MAX_BYTES]).is_ok());
    }
}
