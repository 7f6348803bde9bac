//! One gateway as the desk knows it: what was said on each channel, and how it stands at a moment.

use crate::core::alert::Level;
use crate::core::figures::BootReason;
use crate::core::status::Connection;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most alerts kept of one gateway: more than there are codes.
pub const ALERTS_MAX: usize = 32;
/// Longest word kept, in characters.
const WORD_MAX: usize = 120;
/// A promise further ahead than this, in seconds, is no promise: the gateway's clock or somebody's intent is wrong.
const PROMISE_MAX_S: i64 = 8 * 24 * 3600;
/// A gateway whose last word comes from so far ahead, in seconds, has another clock than the desk.
const AHEAD_S: i64 = 600;

/// Figures of `health` that are shown on, in the order they are kept: key in the payload, name as a metric, what it is.
pub const FIGURES: [(&str, &str, &str); 16] = [
    ("queue", "queue_events", "Events in the queue"),
    ("bytes", "queue_bytes", "Stored bytes of events in the queue"),
    ("oldest_s", "oldest_event_seconds", "Age of the oldest open event"),
    ("parked", "parked_events", "Events that need a person"),
    ("in_doubt", "in_doubt_events", "Events whose answer was lost"),
    ("delivered", "delivered_events", "Delivered events still kept"),
    ("uptime_s", "uptime_seconds", "Time since the program started"),
    ("mem_kb", "memory_kilobytes", "Resident memory"),
    ("temp_c", "temperature_celsius", "Temperature of the processor"),
    (
        "flash_bytes",
        "flash_written_bytes",
        "Written to the card since the program started",
    ),
    ("store_bytes", "store_bytes", "Size of the store"),
    ("commits", "store_commits", "Commits since the program started"),
    (
        "wire_bytes",
        "wire_bytes",
        "Bytes exchanged with both peers since the program started",
    ),
    ("disk_free_b", "disk_free_bytes", "Free room where the store is"),
    (
        "cert_days",
        "certificate_days",
        "Days until the first certificate runs out",
    ),
    ("month_bytes", "month_bytes", "Bytes over the uplink this month"),
];

/// What is known of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    status: Option<Status>,
    health: Option<Health>,
    pub info: BTreeMap<&'static str, Box<str>>,
    pub peers: [Option<Peer>; 2],
    pub alerts: BTreeMap<Box<str>, Alert>,
    /// The newest `ts` of anything, Unix seconds.
    pub heard: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Online,
    Sleeping,
    Offline,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Status {
    word: Word,
    of: Connection,
    next_by: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Health {
    of: Connection,
    next_by: Option<i64>,
    figures: [Option<i64>; FIGURES.len()],
    boot_reason: Option<BootReason>,
}

/// A peer as a gateway last met it.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub last_ok: Option<i64>,
    pub last_attempt: Option<i64>,
    pub error: Option<Box<str>>,
}

/// A raised alert.
#[derive(Clone, Copy, Debug)]
pub struct Alert {
    pub level: Level,
    pub since: Option<i64>,
}

/// How a gateway stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// In touch, within its promise.
    Online,
    /// In a planned silence, within its promise.
    Sleeping,
    /// The line broke, and the promise still runs: it will be back, or it will be silent.
    Lost,
    /// It was stopped in an orderly way.
    Offline,
    /// It promises nothing: its clock is not set, or stands far off ours.
    Unclear,
    /// Its promise has passed.
    Silent,
}

impl State {
    pub const ALL: [State; 6] = [
        State::Online,
        State::Sleeping,
        State::Lost,
        State::Offline,
        State::Unclear,
        State::Silent,
    ];

    pub fn word(self) -> &'static str {
        match self {
            State::Online => "online",
            State::Sleeping => "sleeping",
            State::Lost => "lost",
            State::Offline => "offline",
            State::Unclear => "unclear",
            State::Silent => "silent",
        }
    }

    /// How bad it is by itself.
    pub fn level(self) -> Option<Level> {
        match self {
            State::Online | State::Sleeping | State::Lost => None,
            State::Offline | State::Unclear => Some(Level::Warning),
            State::Silent => Some(Level::Critical),
        }
    }
}

impl Gateway {
    /// When it promised to be heard again, Unix seconds.
    pub fn promise(&self) -> Option<i64> {
        let status = self.status.and_then(|status| status.next_by);
        status.max(self.health.and_then(|health| health.next_by))
    }

    pub fn state(&self, now: i64) -> State {
        let promise = self.promise();
        let word = match (&self.status, &self.health) {
            // A will of an earlier connection than the one health was said on: the line is up again.
            (Some(status), Some(health)) if status.word == Word::Lost && health.of > status.of => {
                Word::Online
            }
            (Some(status), _) => status.word,
            (None, _) => Word::Lost,
        };
        match (word, promise) {
            (Word::Offline, _) => State::Offline,
            (_, Some(promise)) if now > promise => State::Silent,
            (_, None) => State::Unclear,
            _ if promise > Some(now + PROMISE_MAX_S) || self.heard > Some(now + AHEAD_S) => State::Unclear,
            (Word::Online, _) => State::Online,
            (Word::Sleeping, _) => State::Sleeping,
            (Word::Lost, _) => State::Lost,
        }
    }

    /// How bad it is, alerts included.
    pub fn level(&self, now: i64) -> Option<Level> {
        let alerts = self.alerts.values().map(|alert| alert.level).max();
        self.state(now).level().max(alerts)
    }

    /// One of [`FIGURES`], by its place there.
    pub fn figure(&self, at: usize) -> Option<i64> {
        self.health.and_then(|health| health.figures[at])
    }

    /// Why its box started, where that is kept.
    pub fn boot_reason(&self) -> Option<&'static str> {
        self.health?.boot_reason.map(BootReason::word)
    }

    pub(super) fn empty(&self) -> bool {
        self.status.is_none()
            && self.health.is_none()
            && self.info.is_empty()
            && self.alerts.is_empty()
            && self.peers.iter().all(Option::is_none)
    }

    /// Takes note of one channel; nothing, if it is not of the agreed form.
    pub(super) fn take(&mut self, channel: &str, fields: &Map<String, Value>) -> Option<()> {
        match channel {
            "status" => self.take_status(fields)?,
            "health" => {
                self.health = Some(Health {
                    of: connection(fields),
                    next_by: number(fields, "next_by"),
                    figures: FIGURES.map(|(key, _, _)| number(fields, key)),
                    boot_reason: fields
                        .get("boot_reason")
                        .and_then(Value::as_str)
                        .map(BootReason::named),
                });
            }
            "info" => {
                let keys = [
                    "version",
                    "board",
                    "time_zone",
                    "schedule",
                    "flows",
                    "organizations",
                ];
                let told = |key| Some((key, word(fields, key)?));
                self.info = keys.into_iter().filter_map(told).collect();
            }
            "sync-primero" | "sync-oscar" => {
                self.peers[usize::from(channel == "sync-oscar")] = Some(Peer {
                    last_ok: number(fields, "last_ok"),
                    last_attempt: number(fields, "last_attempt"),
                    error: word(fields, "error"),
                });
            }
            _ => {
                let code = channel.strip_prefix("alert-").filter(|code| plain(code))?;
                if self.alerts.len() >= ALERTS_MAX && !self.alerts.contains_key(code) {
                    return None;
                }
                let critical = word(fields, "level").as_deref() == Some(Level::Critical.word());
                let level = if critical { Level::Critical } else { Level::Warning };
                let since = number(fields, "since");
                self.alerts.insert(code.into(), Alert { level, since });
            }
        }
        self.heard = self.heard.max(number(fields, "ts"));
        Some(())
    }

    fn take_status(&mut self, fields: &Map<String, Value>) -> Option<()> {
        let word = match word(fields, "state")?.as_ref() {
            "online" => Word::Online,
            "sleeping" => Word::Sleeping,
            "offline" => Word::Offline,
            "lost" => Word::Lost,
            _ => return None,
        };
        let of = connection(fields);
        let stale = word == Word::Lost && self.status.is_some_and(|status| status.of > of);
        if !stale {
            // A will promises nothing; what the connection promised before it broke still runs.
            let before = self.status.filter(|_| word == Word::Lost);
            let next_by = number(fields, "next_by").or(before.and_then(|status| status.next_by));
            self.status = Some(Status { word, of, next_by });
        }
        Some(())
    }

    /// A topic was cleared.
    pub(super) fn forget(&mut self, channel: &str) {
        match channel {
            "status" => self.status = None,
            "health" => self.health = None,
            "info" => self.info.clear(),
            "sync-primero" => self.peers[0] = None,
            "sync-oscar" => self.peers[1] = None,
            _ => drop(
                channel
                    .strip_prefix("alert-")
                    .and_then(|code| self.alerts.remove(code)),
            ),
        }
    }
}

fn connection(fields: &Map<String, Value>) -> Connection {
    let link = number(fields, "link").and_then(|link| u32::try_from(link).ok());
    Connection {
        session: fields.get("session").and_then(Value::as_u64).unwrap_or(0),
        link: link.unwrap_or(0),
    }
}

pub(super) fn number(fields: &Map<String, Value>, key: &str) -> Option<i64> {
    fields.get(key)?.as_i64()
}

/// A word as a terminal may show it.
fn word(fields: &Map<String, Value>, key: &str) -> Option<Box<str>> {
    let text = fields.get(key)?.as_str()?;
    let shown = |char: char| matches!(char, ' '..='~') && char != '"' && char != '\\';
    let kept: String = text
        .chars()
        .take(WORD_MAX)
        .map(|char| if shown(char) { char } else { '?' })
        .collect();
    Some(kept.into())
}

/// What a name in a topic may consist of.
pub(super) fn plain(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= 32 && name.bytes().all(fits)
}
