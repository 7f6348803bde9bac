//! What the central desk sees: every gateway it has heard of, put together from the retained topics of design §6.
//!
//! Whether a gateway is silent is judged by its own promise (`now > next_by`) and by nothing else. A will says that a
//! line broke, which happens all day; it is shown, and ignored when it belongs to an earlier connection than the last
//! one heard of. Gateways nobody has heard of are not invented.
//!
//! What comes in was written by anybody the broker lets write: topics and payloads that are not of the agreed form are
//! counted and left alone, and everything kept is bounded.

mod gateway;
pub mod metrics;
pub mod report;

pub use gateway::{ALERTS_MAX, Alert, FIGURES, Gateway, Peer, State};

use super::flat::PAYLOAD_BYTES_MAX;
use gateway::{number, plain};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most gateways kept; what further ones say is counted as ignored. Some 2 KB each.
pub const GATEWAYS_MAX: usize = 5_000;

/// A gateway's name: fleet and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub fleet: Box<str>,
    pub id: Box<str>,
}

/// The picture.
#[derive(Debug)]
pub struct Fleet {
    /// Topics begin with this, a slash behind it.
    prefix: String,
    gateways: BTreeMap<Name, Gateway>,
    /// Messages that were not of the agreed form, or of one gateway too many.
    ignored: u64,
}

impl Fleet {
    /// An empty picture of what is said below `prefix`.
    pub fn new(prefix: &str) -> Fleet {
        Fleet {
            prefix: format!("{prefix}/"),
            gateways: BTreeMap::new(),
            ignored: 0,
        }
    }

    pub fn gateways(&self) -> impl Iterator<Item = (&Name, &Gateway)> {
        self.gateways.iter()
    }

    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Takes note of one message.
    pub fn hear(&mut self, topic: &[u8], payload: &[u8]) {
        if self.note(topic, payload).is_none() {
            self.ignored += 1;
        }
    }

    fn note(&mut self, topic: &[u8], payload: &[u8]) -> Option<()> {
        let topic = std::str::from_utf8(topic).ok()?.strip_prefix(&self.prefix)?;
        let mut parts = topic.split('/');
        let (fleet, id, channel) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !plain(fleet) || !plain(id) || payload.len() > PAYLOAD_BYTES_MAX {
            return None;
        }
        // What happened is for logs; what is asked and answered is between others; a self-test talks to itself.
        if matches!(channel, "event" | "cmd" | "cmd-result" | "self-test") {
            return Some(());
        }
        let name = Name {
            fleet: fleet.into(),
            id: id.into(),
        };
        if payload.is_empty() {
            if let Some(gateway) = self.gateways.get_mut(&name) {
                gateway.forget(channel);
                if gateway.empty() {
                    self.gateways.remove(&name);
                }
            }
            return Some(());
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice(payload) else {
            return None;
        };
        // A breaking change of the agreed form would change this number.
        if number(&fields, "v") != Some(1) {
            return None;
        }
        if let Some(gateway) = self.gateways.get_mut(&name) {
            return gateway.take(channel, &fields);
        }
        let mut gateway = Gateway::default();
        gateway.take(channel, &fields)?;
        if self.gateways.len() >= GATEWAYS_MAX {
            return None;
        }
        self.gateways.insert(name, gateway);
        Some(())
    }
}
