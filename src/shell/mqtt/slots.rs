//! What is to be known at the broker: one slot per retained topic, where the latest payload wins, and behind them a
//! bounded line of what is said once. Pure, no I/O.
//!
//! A retained topic is *dirty* until the broker has acknowledged this very payload, and becomes dirty again whenever
//! a connection is lost, because a broker may come back without its store. A few publications may be under way, so that
//! what is said at one moment is one packet; a broker acknowledges in the order of their coming (MQTT 3.1.1 section 4.6),
//! so an acknowledgement can only mean the first of them. Slot 0 is the status topic and goes first. What is said once
//! waits in line while the broker is away; when the line is full its oldest goes, and is counted.

use super::publication::{Publication, PutError};
use std::collections::VecDeque;

/// Most retained topics of one gateway: five channels and an alert of every kind.
pub const TOPICS_MAX: usize = 24;
/// Most things that are said once and wait for the broker: a day's worth of an office in trouble, some 50 KB.
pub const ONCE_MAX: usize = 200;
/// Most publications under way: all that a session or a quarter of an hour has to say, and some news.
pub const UNDER_WAY_MAX: usize = 8;

struct Slot {
    content: Publication,
    dirty: bool,
    /// Changes with the payload, so that the acknowledgement of an older one settles nothing.
    version: u32,
}

impl Slot {
    fn new(content: Publication, version: u32) -> Slot {
        Slot {
            content,
            dirty: true,
            version,
        }
    }

    /// Nothing of it would have to be said again after a reconnect.
    fn spent(&self) -> bool {
        !self.dirty && self.content.payload.is_empty()
    }
}

/// Something said once, in as few bytes as it needs.
struct Once {
    topic: Box<str>,
    payload: Box<[u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    /// Index and version of a slot.
    Slot(usize, u32),
    /// The first in line that was not under way before it.
    Once,
}

/// One thing to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub retained: bool,
}

pub struct Slots {
    list: heapless::Vec<Slot, TOPICS_MAX>,
    line: VecDeque<Once>,
    /// Of the line, since the start.
    dropped: u64,
    /// The publications that wait for their acknowledgements, in the order they were sent.
    under_way: heapless::Deque<UnderWay, UNDER_WAY_MAX>,
    /// Only the last word may still go out.
    closing: bool,
}

impl Slots {
    pub fn new(birth: Publication) -> Slots {
        let mut list = heapless::Vec::new();
        let placed = list.push(Slot::new(birth, 0));
        assert!(placed.is_ok(), "an empty list has room for the birth");
        Slots {
            list,
            line: VecDeque::new(),
            dropped: 0,
            under_way: heapless::Deque::new(),
            closing: false,
        }
    }

    /// Retained: the latest wins. Nothing replaces a last word.
    pub fn put(&mut self, content: Publication) -> Result<(), PutError> {
        let known = self
            .list
            .iter_mut()
            .position(|slot| slot.content.topic == content.topic);
        match known {
            Some(0) if self.closing => Ok(()),
            Some(index) => {
                self.replace(index, content);
                Ok(())
            }
            None => self.list.push(Slot::new(content, 0)).map_err(|_| PutError::Full),
        }
    }

    fn replace(&mut self, index: usize, content: Publication) {
        let version = self.list[index].version.wrapping_add(1);
        self.list[index] = Slot::new(content, version);
    }

    /// Not retained: is said once, at least, in the order of coming.
    pub fn tell(&mut self, content: &Publication) {
        if self.line.len() >= ONCE_MAX {
            // What is under way may have arrived already: the first behind it goes.
            let under_way = self.once_under_way();
            self.line.remove(under_way);
            self.dropped += 1;
        }
        self.line.push_back(Once {
            topic: content.topic.as_str().into(),
            payload: content.payload.as_slice().into(),
        });
    }

    /// How many of the things said once found no room in the line.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A new connection says who it is before anything else.
    pub fn birth(&mut self, birth: Publication) {
        if !self.closing {
            self.replace(0, birth);
        }
    }

    /// The last word: goes out on the status topic after what is under way, and nothing after it.
    pub fn close(&mut self, farewell: Publication) {
        self.replace(0, farewell);
        self.closing = true;
    }

    /// After a last word: everything may be said again.
    pub fn reopen(&mut self) {
        self.closing = false;
        self.lost();
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
        !self.under_way.is_empty()
    }

    /// How many at the head of the line.
    fn once_under_way(&self) -> usize {
        self.under_way
            .iter()
            .filter(|sent| **sent == UnderWay::Once)
            .count()
    }

    /// What to send now, if anything. A topic is never under way twice.
    pub fn next(&mut self) -> Option<Next<'_>> {
        if self.under_way.is_full() {
            return None;
        }
        let last = if self.closing { 1 } else { self.list.len() };
        let sent = |index: usize| {
            let same = |sent: &UnderWay| matches!(sent, UnderWay::Slot(other, _) if *other == index);
            self.under_way.iter().any(same)
        };
        let next = (0..last).find(|index| self.list[*index].dirty && !sent(*index));
        if let Some(index) = next {
            let slot = &self.list[index];
            let room = self.under_way.push_back(UnderWay::Slot(index, slot.version));
            debug_assert!(room.is_ok(), "asked above");
            return Some(Next {
                topic: &slot.content.topic,
                payload: &slot.content.payload,
                retained: true,
            });
        }
        let under_way = self.once_under_way();
        let once = self.line.get(under_way).filter(|_| !self.closing)?;
        let room = self.under_way.push_back(UnderWay::Once);
        debug_assert!(room.is_ok(), "asked above");
        Some(Next {
            topic: &once.topic,
            payload: &once.payload,
            retained: false,
        })
    }

    /// The broker has the first of what was under way.
    pub fn acknowledged(&mut self) {
        match self.under_way.pop_front() {
            Some(UnderWay::Slot(index, version)) => {
                let slot = &mut self.list[index];
                slot.dirty = slot.version != version;
                if index > 0 && slot.spent() {
                    self.remove(index);
                }
            }
            Some(UnderWay::Once) => drop(self.line.pop_front()),
            None => {}
        }
    }

    /// Gives a slot back; those behind it move up.
    fn remove(&mut self, index: usize) {
        self.list.remove(index);
        for sent in &mut self.under_way {
            if let UnderWay::Slot(other, _) = sent
                && *other > index
            {
                *other -= 1;
            }
        }
    }

    /// The connection is gone: what was under way is in doubt, what was retained may be forgotten.
    pub fn lost(&mut self) {
        self.under_way.clear();
        self.say_again();
    }

    /// Everything retained is said again.
    pub fn say_again(&mut self) {
        for slot in &mut self.list {
            slot.dirty = true;
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
            .map(|next| format!("{} {}", next.topic, String::from_utf8_lossy(next.payload)))
    }

    fn sent(slots: &mut Slots) -> Vec<String> {
        std::iter::from_fn(|| next(slots).inspect(|_| slots.acknowledged())).collect()
    }

    #[test]
    fn the_birth_goes_first_and_each_topic_once() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1")).unwrap();
        slots.put(said("health", "2")).unwrap();
        assert_eq!(sent(&mut slots), ["status online", "health 2"]);
        assert_eq!(next(&mut slots), None);
    }

    #[test]
    fn an_old_acknowledgement_does_not_settle_a_newer_payload() {
        let mut slots = Slots::new(said("status", "online"));
        assert_eq!(next(&mut slots).as_deref(), Some("status online"));
        slots.put(said("status", "sleeping")).unwrap();
        assert_eq!(next(&mut slots), None, "a topic is under way once");
        slots.acknowledged();
        assert_eq!(sent(&mut slots), ["status sleeping"]);
    }

    #[test]
    fn what_is_said_at_one_moment_is_under_way_together() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("alert", "raised")).unwrap();
        slots.put(said("health", "1")).unwrap();
        for number in 1..=UNDER_WAY_MAX {
            slots.tell(&said("event", &number.to_string()));
        }
        sent(&mut slots);
        slots.put(said("alert", "")).unwrap();
        slots.put(said("health", "2")).unwrap();
        for number in 1..=UNDER_WAY_MAX {
            slots.tell(&said("event", &number.to_string()));
        }
        let together: Vec<String> = std::iter::from_fn(|| next(&mut slots)).collect();
        assert_eq!(together.len(), UNDER_WAY_MAX);
        assert_eq!(together[..4], ["alert ", "health 2", "event 1", "event 2"]);
        // The cleared alert gives its slot back: health is still known for what it is, and settled once.
        slots.acknowledged();
        slots.acknowledged();
        assert_eq!(next(&mut slots).as_deref(), Some("event 7"));
        slots.lost();
        assert_eq!(sent(&mut slots)[..3], ["status online", "health 2", "event 1"]);
    }

    #[test]
    fn after_a_loss_everything_retained_is_said_again() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1")).unwrap();
        slots.tell(&said("event", "boot"));
        assert_eq!(sent(&mut slots).len(), 3);
        slots.lost();
        slots.birth(said("status", "online again"));
        assert_eq!(sent(&mut slots), ["status online again", "health 1"]);
    }

    #[test]
    fn what_is_said_once_goes_in_order_and_again_until_it_is_acknowledged() {
        let mut slots = Slots::new(said("status", "online"));
        sent(&mut slots);
        slots.tell(&said("event", "1"));
        slots.tell(&said("event", "2"));
        assert_eq!(next(&mut slots).as_deref(), Some("event 1"));
        slots.lost();
        assert_eq!(sent(&mut slots), ["status online", "event 1", "event 2"]);
        slots.lost();
        assert_eq!(sent(&mut slots), ["status online"]);
    }

    #[test]
    fn a_full_line_drops_its_oldest_and_counts_them() {
        let mut slots = Slots::new(said("status", "online"));
        sent(&mut slots);
        slots.tell(&said("event", "0"));
        assert_eq!(next(&mut slots).as_deref(), Some("event 0"));
        for number in 1..ONCE_MAX + 3 {
            slots.tell(&said("event", &number.to_string()));
        }
        assert_eq!(slots.dropped(), 3);
        slots.acknowledged();
        let rest = sent(&mut slots);
        assert_eq!(
            rest.first().map(String::as_str),
            Some("event 4"),
            "the one under way stayed"
        );
        assert_eq!(rest.len(), ONCE_MAX - 1);
        let last = format!("event {}", ONCE_MAX + 2);
        assert_eq!(rest.last(), Some(&last));
    }

    #[test]
    fn a_cleared_topic_gives_its_slot_back() {
        let mut slots = Slots::new(said("status", "online"));
        for round in 0..TOPICS_MAX * 2 {
            let topic = format!("alert-{round}");
            slots.put(said(&topic, "raised")).unwrap();
            sent(&mut slots);
            slots.put(said(&topic, "")).unwrap();
            assert_eq!(sent(&mut slots), [format!("{topic} ")]);
        }
        for topic in 1..TOPICS_MAX {
            slots.put(said(&topic.to_string(), "x")).unwrap();
        }
        assert_eq!(slots.put(said("one too many", "x")), Err(PutError::Full));
        let channels = 5;
        assert!(
            channels + crate::core::alert::Code::ALL.len() <= TOPICS_MAX,
            "every alert may be on its way at once"
        );
    }

    #[test]
    fn the_last_word_waits_for_what_is_under_way_and_for_nothing_else() {
        let mut slots = Slots::new(said("status", "online"));
        slots.put(said("health", "1")).unwrap();
        slots.put(said("info", "1")).unwrap();
        slots.tell(&said("event", "1"));
        slots.next();
        slots.acknowledged();
        assert_eq!(next(&mut slots).as_deref(), Some("health 1"));
        slots.close(said("status", "offline"));
        slots.put(said("status", "online")).unwrap();
        slots.birth(said("status", "online"));
        slots.acknowledged();
        assert!(!slots.closed());
        assert_eq!(sent(&mut slots), ["status offline"]);
        assert!(slots.closed());
        slots.reopen();
        slots.birth(said("status", "awake"));
        assert_eq!(
            sent(&mut slots),
            ["status awake", "health 1", "info 1", "event 1"]
        );
    }
}
