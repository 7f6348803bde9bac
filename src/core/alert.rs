//! What somebody has to see to: a closed list of alerts, each raised once, said again daily, and cleared.
//!
//! The signs are looked at again whenever something may have changed; out come only the changes. What cannot be known
//! yet (nobody has been asked since the start) is neither raised nor cleared: an alert of the run before stands until
//! this run knows better.

mod code;

pub use code::{Code, Level};

use super::figures::Remaining;
use super::flat::{Flat, Payload};
use super::outcome::Trouble;
use super::queue::Counts;
use super::record::Peer;
use super::schedule::PeerState;
use super::time::{Mono, Now, Trust};
use std::time::Duration;

/// An alert nobody has seen to is said again this often.
pub const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// A peer that has not done its part for so long, in seconds, is more than a bad morning.
pub const DOWN_S: i64 = 24 * 3600;
/// The oldest open event may be so old, in seconds, before the centre hears of it.
pub const OVERDUE_S: i64 = 24 * 3600;
/// A certificate of ours with fewer days left than this needs to be seen to.
pub const CERTIFICATE_DAYS: i64 = 21;
/// Starts in a row without a clean stop, each within [`STEADY`] of the last, that make a crash loop.
pub const CRASHES: u32 = 3;
/// A run that has lasted this long is not part of a crash loop.
pub const STEADY: Duration = Duration::from_secs(3600);
/// Less room on the disk than this, in bytes, and the queue may soon be refused.
pub const DISK_FREE_BYTES: u64 = 64_000_000;
/// Only with so much room, in bytes, it is well again: what is freed and filled by a log in turn raises nothing twice.
pub const DISK_WELL_BYTES: u64 = 128_000_000;
/// OSCaR fails on its pull now and then; for so long, and what the NGOs refer and decide is waiting there.
pub const PULL_FAILS: Duration = Duration::from_secs(3600);

/// What the alerts are judged by, read at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Signs<'a> {
    pub counts: Counts,
    pub events_max: u32,
    pub bytes_max: u64,
    /// Age of the oldest open event, seconds.
    pub oldest_s: Option<i64>,
    pub primero: &'a PeerState,
    pub oscar: &'a PeerState,
    /// Services that differ for a person to put right, by the last look at the open referrals.
    pub differing: usize,
    /// Last good session with Primero and OSCaR in any run, Unix seconds.
    pub last_ok: [Option<i64>; 2],
    /// The store has no room or does not work.
    pub store_failed: bool,
    /// Free bytes where the store is, where the system tells.
    pub disk_free: Option<u64>,
    /// Starts in a row that followed no clean stop.
    pub crashes: u32,
    /// How long our own certificates are good.
    pub certificate: Remaining,
    pub over_budget: bool,
    pub locked: bool,
}

/// What is true of an alert now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unknown,
    Clear,
    /// With a figure: how many, how old, how full in per cent.
    Raised(Option<i64>),
}

/// How an alert turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Raised,
    /// Still raised, and said again for those who have not seen to it.
    Again,
    /// Not raised any more, or known not to be raised for the first time since the start.
    Cleared,
}

/// What to say on an alert's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    pub code: Code,
    pub turn: Turn,
    /// Empty to clear the topic.
    pub payload: Payload,
}

/// The alerts as the broker should have them.
#[derive(Debug, Default)]
pub struct Alerts {
    list: [Slot; Code::ALL.len()],
    failing: [Option<Mono>; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Said or cleared since the start.
    known: bool,
    raised: Option<Raised>,
}

#[derive(Clone, Copy, Debug)]
struct Raised {
    since: Option<i64>,
    said: Mono,
}

impl Alerts {
    /// Whether this alert is raised.
    pub fn raised(&self, code: Code) -> bool {
        self.list[code as usize].raised.is_some()
    }

    /// All that are raised.
    pub fn raised_now(&self) -> Vec<Code> {
        Code::ALL.into_iter().filter(|code| self.raised(*code)).collect()
    }

    /// Looks at the signs; what has to be said because of them.
    pub fn judge(&mut self, signs: &Signs, now: Now) -> Vec<Say> {
        for (at, peer) in [signs.primero, signs.oscar].into_iter().enumerate() {
            match peer.trouble {
                Some(_) => self.failing[at] = self.failing[at].or(Some(now.mono)),
                None => self.failing[at] = None,
            }
        }
        let mut changes = Vec::new();
        for code in Code::ALL {
            let standing = self.standing(code, signs, now);
            changes.extend(self.list[code as usize].turn(code, standing, now));
        }
        changes
    }

    fn standing(&self, code: Code, signs: &Signs, now: Now) -> Standing {
        let counts = signs.counts;
        match code {
            Code::Parked => above(counts.parked.into(), 0),
            Code::InDoubt => above(counts.in_doubt.into(), 0),
            Code::Differs => above(i64::try_from(signs.differing).unwrap_or(i64::MAX), 0),
            Code::Overdue => above(signs.oldest_s.unwrap_or(0), OVERDUE_S),
            // Nine tenths raise it, and only eight tenths clear it.
            Code::QueueFull => above(fullness(signs), if self.raised(code) { 80 } else { 89 }),
            Code::Disk => {
                let wanted = if self.raised(code) {
                    DISK_WELL_BYTES
                } else {
                    DISK_FREE_BYTES
                };
                let little = signs.disk_free.is_some_and(|free| free < wanted);
                when(signs.store_failed || little)
            }
            Code::AuthPrimero => troubled(signs.primero, &[Trouble::Auth]),
            Code::AuthOscar => troubled(signs.oscar, &[Trouble::Auth]),
            Code::DownPrimero => self.down(Peer::Primero, signs, now),
            Code::DownOscar => self.down(Peer::Oscar, signs, now),
            Code::ShapePrimero => troubled(signs.primero, &[Trouble::Shape]),
            Code::ShapeOscar => troubled(signs.oscar, &[Trouble::Shape]),
            Code::PullOscar => match signs.oscar.pull_failing {
                Some(since) if now.mono.since(since) >= PULL_FAILS => Standing::Raised(None),
                None if signs.oscar.asked => Standing::Clear,
                Some(_) | None => Standing::Unknown,
            },
            Code::Certificate => match (signs.certificate, either(signs, &[Trouble::Tls])) {
                (Remaining::Days(days), _) if days < CERTIFICATE_DAYS => Standing::Raised(Some(days)),
                // By a clock nobody has confirmed it is not known to be well.
                (Remaining::Unknown, Standing::Clear) => Standing::Unknown,
                (_, peers) => peers,
            },
            Code::Clock if now.wall.trust == Trust::Unset => Standing::Raised(None),
            Code::Clock => either(signs, &[Trouble::Clock]),
            Code::CrashLoop => above(signs.crashes.into(), i64::from(CRASHES) - 1),
            Code::Budget => when(signs.over_budget),
            Code::Locked => when(signs.locked),
        }
    }

    /// Down for long: by the last good session of any run, or by how long this run has failed.
    fn down(&self, peer: Peer, signs: &Signs, now: Now) -> Standing {
        let (state, at) = match peer {
            Peer::Primero => (signs.primero, 0),
            Peer::Oscar => (signs.oscar, 1),
        };
        let Some(failing) = self.failing[at] else {
            return if state.asked {
                Standing::Clear
            } else {
                Standing::Unknown
            };
        };
        let here = i64::try_from(now.mono.since(failing).as_secs()).unwrap_or(i64::MAX);
        let ever = now.wall.known().zip(signs.last_ok[at]).map(|(now, ok)| now - ok);
        let down_s = ever.unwrap_or(0).max(here);
        if down_s >= DOWN_S {
            Standing::Raised(Some(down_s))
        } else if ever.is_some() {
            Standing::Clear
        } else {
            Standing::Unknown
        }
    }
}

impl Slot {
    fn turn(&mut self, code: Code, standing: Standing, now: Now) -> Option<Say> {
        let value = match standing {
            Standing::Unknown => return None,
            Standing::Clear => {
                let said = self.raised.take().is_some() || !self.known;
                self.known = true;
                return said.then(|| Say {
                    code,
                    turn: Turn::Cleared,
                    payload: Payload::new(),
                });
            }
            Standing::Raised(value) => value,
        };
        self.known = true;
        let fresh = self.raised.is_none();
        let raised = self.raised.get_or_insert(Raised {
            since: now.wall.known(),
            said: now.mono,
        });
        if !fresh && now.mono.since(raised.said) < AGAIN {
            return None;
        }
        raised.said = now.mono;
        // A clock that was set meanwhile tells at least since when it has been known.
        raised.since = raised.since.or(now.wall.known());
        let payload = Flat::new(now.wall.known())
            .word("code", Some(code.word()))
            .word("level", Some(code.level().word()))
            .maybe("since", raised.since)
            .maybe("value", value)
            .done();
        let turn = if fresh { Turn::Raised } else { Turn::Again };
        Some(Say { code, turn, payload })
    }
}

fn when(raised: bool) -> Standing {
    if raised {
        Standing::Raised(None)
    } else {
        Standing::Clear
    }
}

fn above(value: i64, bound: i64) -> Standing {
    if value > bound {
        Standing::Raised(Some(value))
    } else {
        Standing::Clear
    }
}

fn troubled(peer: &PeerState, troubles: &[Trouble]) -> Standing {
    match peer.trouble {
        Some(trouble) => when(troubles.contains(&trouble)),
        None if peer.asked => Standing::Clear,
        None => Standing::Unknown,
    }
}

/// Raised if it is so at either peer, clear once it is so at neither.
fn either(signs: &Signs, troubles: &[Trouble]) -> Standing {
    match (troubled(signs.primero, troubles), troubled(signs.oscar, troubles)) {
        (Standing::Raised(value), _) | (_, Standing::Raised(value)) => Standing::Raised(value),
        (Standing::Clear, Standing::Clear) => Standing::Clear,
        _ => Standing::Unknown,
    }
}

/// How full the queue is, in per cent of the nearer of its two bounds.
fn fullness(signs: &Signs) -> i64 {
    let share = |used: u64, most: u64| used.saturating_mul(100) / most.max(1);
    let events = share(signs.counts.open().into(), signs.events_max.into());
    let bytes = share(signs.counts.open_bytes, signs.bytes_max);
    i64::try_from(events.max(bytes)).unwrap_or(i64::MAX)
}
