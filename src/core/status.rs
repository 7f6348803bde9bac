//! What the gateway says of itself: the status document of design §4 and the MQTT payloads of design §6.
//!
//! Flat, bounded, opaque: counts, codes and times. No case ids, names, notes, URLs or server texts, ever.

use super::figures::{BootReason, Figures};
use super::flat::{Flat, Payload};
use super::line::Line;
use super::meter::Meter;
use super::queue::Counts;
use super::record::Peer;
use super::schedule::{Means, PeerState, Schedule};
use super::time::{Mono, Now};
use chrono::DateTime;
use serde_json::{Value, json};
use std::time::Duration;

/// How often `status` and `health` are said again while nothing happens.
pub const HEARTBEAT: Duration = Duration::from_secs(15 * 60);
/// How often what a session found is said again while sessions find nothing new: the promise of `status` and `health`
/// tell of life, and alerts of trouble.
pub const SYNC_AGAIN: Duration = Duration::from_secs(3600);
/// Added to a promise, so that a slow line is not taken for silence. Seconds.
const PROMISE_GRACE_S: i64 = 300;

/// What the documents are made of, read at one moment.
#[derive(Debug)]
pub struct Picture<'a> {
    pub gateway: &'a str,
    pub version: &'a str,
    pub now: Now,
    pub counts: Counts,
    /// Age of the oldest open event, seconds.
    pub oldest_s: Option<i64>,
    pub schedule: &'a Schedule,
    pub way: Way<'a>,
    pub mqtt: &'a str,
    /// Unix seconds of the last session in which both peers did all that was asked.
    pub last_round_trip: Option<i64>,
    /// Events parked or in doubt need a person.
    pub store_failed: bool,
}

/// The way out, as the box sees it.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The month's bytes.
    pub month: &'a Meter,
    /// The kernel knows a route; nothing if it was not asked.
    pub route: Option<bool>,
    /// The only interface to use, if one is prescribed.
    pub interface: Option<&'a str>,
    /// How far the box's clock is ahead of the peers', seconds, if that is worth a word.
    pub clock_wrong_by_s: Option<i64>,
}

/// The document of `GET /v1/status` and `status --json`.
pub fn document(picture: &Picture) -> Value {
    let peer = |peer: Peer| peer_json(picture.schedule.peer(peer), picture.now);
    let counts = picture.counts;
    json!({
        "gateway": picture.gateway,
        "version": picture.version,
        "session_running": picture.schedule.running(),
        "queue": {
            "pending": counts.pending, "in_doubt": counts.in_doubt, "parked": counts.parked,
            "delivered": counts.delivered, "discarded": counts.discarded,
            "bytes": counts.open_bytes, "oldest_s": picture.oldest_s,
        },
        "peers": { "primero": peer(Peer::Primero), "oscar": peer(Peer::Oscar) },
        "uplink": uplink_json(picture),
        "mqtt": { "state": picture.mqtt },
        "store": if picture.store_failed { "failed" } else { "ok" },
        "clock": picture.now.wall.trust.word(),
        "last_round_trip": picture.last_round_trip.and_then(stamp),
        "next_by": promise(picture).and_then(stamp),
    })
}

/// The line `systemctl status` shows.
pub fn line(picture: &Picture) -> String {
    let counts = picture.counts;
    format!(
        "STATUS={} pending, {} in doubt, {} parked; primero {}, oscar {}, mqtt {}",
        counts.pending,
        counts.in_doubt,
        counts.parked,
        picture.schedule.peer(Peer::Primero).word(),
        picture.schedule.peer(Peer::Oscar).word(),
        picture.mqtt
    )
}

/// The state of the line with its advice (design §7), and what the schedule intends.
fn uplink_json(picture: &Picture) -> Value {
    let (schedule, now) = (picture.schedule, picture.now);
    let peers = Peer::BOTH.map(|peer| schedule.peer(peer));
    let line = Line::of(picture.way.route, peers);
    let means = Means {
        spent: picture.way.month.spent(),
        urgent: false,
    };
    let next = schedule.deadline(now, means);
    json!({
        "state": line.word(),
        "advice": line.advice(),
        "route": picture.way.route,
        "interface": picture.way.interface.unwrap_or("any"),
        "timing": schedule.timing(now),
        "next_session_s": next.map(|at| at.since(now.mono).as_secs()),
        "quiet_until": schedule.quiet_until(now).and_then(stamp),
        "clock_wrong_by_s": picture.way.clock_wrong_by_s,
        "month": picture.way.month.json(),
    })
}

fn peer_json(peer: &PeerState, now: Now) -> Value {
    let wait = peer
        .next_try()
        .filter(|at| *at > now.mono)
        .map(|at| at.since(now.mono).as_secs());
    let next_try = wait
        .and_then(|s| Some(now.wall.known()? + i64::try_from(s).ok()?))
        .and_then(stamp);
    json!({
        "state": peer.word(),
        "last_ok": peer.last_ok.and_then(stamp),
        "cursor": peer.cursor.and_then(stamp),
        "last_error": peer.trouble.map(|trouble| trouble.word()),
        "advice": peer.trouble.map(|trouble| trouble.advice()),
        "next_try": next_try,
        "next_try_s": wait,
    })
}

/// Unix seconds as UTC text.
pub fn stamp(unix: i64) -> Option<String> {
    Some(
        DateTime::from_timestamp(unix, 0)?
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
    )
}

/// The moment by which the centre will have heard again, Unix seconds: after a planned silence, if one is on.
pub fn promise(picture: &Picture) -> Option<i64> {
    let quiet = picture.schedule.quiet_until(picture.now);
    quiet
        .map(|until| until + PROMISE_GRACE_S)
        .or_else(|| next_by(picture.now))
}

/// The same while no silence is planned.
pub fn next_by(now: Now) -> Option<i64> {
    let beat = i64::try_from(HEARTBEAT.as_secs()).unwrap_or(i64::MAX / 2);
    now.wall.known().map(|unix| unix + beat + PROMISE_GRACE_S)
}

/// The states of `status` on MQTT (design §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Online,
    /// A planned silence, with the moment it ends.
    Sleeping,
    /// A clean stop.
    Offline,
    /// Said by the broker in our name when the line broke.
    Lost,
}

impl Presence {
    pub fn word(self) -> &'static str {
        match self {
            Presence::Online => "online",
            Presence::Sleeping => "sleeping",
            Presence::Offline => "offline",
            Presence::Lost => "lost",
        }
    }
}

/// Which connection to the broker speaks: the persisted number of this start, and the connections made since. The pair
/// only grows, so that a will of an earlier connection is known for what it is, whenever it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    pub session: u64,
    pub link: u32,
}

/// Birth, heartbeat, farewell and will, all on one topic. `promise` is when the centre will have heard again, Unix
/// seconds; the will and a clean stop promise nothing.
pub fn presence(state: Presence, of: Connection, now: Now, promise: Option<i64>) -> Payload {
    Flat::new(now.wall.known())
        .word("state", Some(state.word()))
        .count("session", of.session)
        .count("link", of.link.into())
        .maybe("next_by", promise)
        .done()
}

/// What rarely changes.
#[derive(Debug)]
pub struct Info<'a> {
    pub version: &'a str,
    pub board: &'a str,
    pub time_zone: &'a str,
    /// The schedule in words.
    pub schedule: &'a str,
    /// Flows switched on, separated by blanks.
    pub flows: &'a str,
    /// OSCaR organizations this gateway relays for, separated by blanks.
    pub organizations: &'a str,
    pub boot: u64,
}

/// The `info` payload.
pub fn info(info: &Info, now: Now) -> Payload {
    Flat::new(now.wall.known())
        .word("version", Some(info.version))
        .word("board", Some(info.board))
        .word("time_zone", Some(info.time_zone))
        .word("schedule", Some(info.schedule))
        .count("boot", info.boot)
        .word("flows", Some(info.flows))
        .word("organizations", Some(info.organizations))
        .done()
}

/// The `health` payload. It carries the connection and the promise too: whoever finds a will on `status` can tell
/// from here whether it is a late one, and until when nothing has to be feared.
pub fn health(picture: &Picture, figures: &Figures, of: Connection) -> Payload {
    let counts = picture.counts;
    let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    Flat::new(picture.now.wall.known())
        .maybe("next_by", promise(picture))
        .count("session", of.session)
        .count("link", of.link.into())
        .count("uptime_s", figures.uptime_s)
        .word("boot_reason", figures.boot_reason.map(BootReason::word))
        .word("clock", Some(picture.now.wall.trust.word()))
        .maybe("mem_kb", signed(figures.memory_kb))
        .maybe("temp_c", figures.temperature_c)
        .maybe("flash_bytes", signed(figures.flash_bytes))
        .maybe("disk_free_b", signed(figures.disk_free))
        .maybe("cert_days", figures.certificate.days())
        .count("store_bytes", figures.store_bytes)
        .count("commits", figures.commits)
        .count("wire_bytes", figures.wire_bytes)
        .count("month_bytes", picture.way.month.total())
        .maybe("month_budget", signed(picture.way.month.budget()))
        .count("queue", counts.open().into())
        .count("bytes", counts.open_bytes)
        .maybe("oldest_s", picture.oldest_s)
        .count("parked", counts.parked.into())
        .count("in_doubt", counts.in_doubt.into())
        .count("delivered", counts.delivered.into())
        .truth("store_ok", !picture.store_failed)
        .done()
}

/// What one session did at one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    pub last_attempt: Option<i64>,
    pub pulled: u32,
    pub pushed: u32,
    pub confirmed: u32,
    pub parked: u32,
    pub in_doubt: u32,
    pub ms: u64,
    pub bytes: u64,
}

/// The `sync-primero` and `sync-oscar` payloads.
pub fn sync(peer: &PeerState, sync: &Sync, picture: &Picture) -> Payload {
    Flat::new(picture.now.wall.known())
        .maybe("last_attempt", sync.last_attempt)
        .maybe("last_ok", peer.last_ok)
        .maybe("last_round_trip", picture.last_round_trip)
        .count("pulled", sync.pulled.into())
        .count("pushed", sync.pushed.into())
        .count("confirmed", sync.confirmed.into())
        .count("parked", sync.parked.into())
        .count("in_doubt", sync.in_doubt.into())
        .word("error", peer.trouble.map(|trouble| trouble.word()))
        .count("ms", sync.ms)
        .count("bytes", sync.bytes)
        .done()
}

/// Age of an event taken in at `created`, while both moments are known.
pub fn age_s(created: Option<i64>, now: Now) -> Option<i64> {
    Some((now.wall.known()? - created?).max(0))
}

/// When to say `status` and `health` again.
pub fn next_heartbeat(now: Mono) -> Mono {
    now.plus(HEARTBEAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::figures::Remaining;
    use crate::core::schedule::Plan;
    use crate::core::time::{BUILD_FLOOR, Wall};

    #[test]
    fn payloads_are_whole_at_the_largest_numbers() {
        let plan = Plan {
            every: Duration::from_secs(1),
            jitter: Duration::ZERO,
            on_event: true,
            cron: None,
            quiet: crate::core::office_time::QuietHours::default(),
            zone: chrono_tz::Tz::UTC,
        };
        let now = Now {
            mono: Mono(u64::MAX),
            wall: Wall::judge(BUILD_FLOOR + 1, 0, true),
        };
        let schedule = Schedule::new(plan, Mono(0));
        let max = u32::MAX / 4;
        let counts = Counts {
            pending: max,
            in_doubt: max,
            parked: max,
            delivered: u32::MAX,
            discarded: u32::MAX,
            open_bytes: u64::MAX,
        };
        let picture = Picture {
            gateway: "x",
            version: "0",
            now,
            counts,
            oldest_s: Some(i64::MAX),
            schedule: &schedule,
            way: Way {
                month: &Meter::default(),
                route: None,
                interface: None,
                clock_wrong_by_s: None,
            },
            mqtt: "online",
            last_round_trip: Some(i64::MAX),
            store_failed: false,
        };
        let figures = Figures {
            uptime_s: u64::MAX,
            memory_kb: Some(u64::MAX),
            temperature_c: Some(i64::MIN),
            flash_bytes: Some(u64::MAX),
            boot_reason: Some(BootReason::Rollback),
            disk_free: Some(u64::MAX),
            certificate: Remaining::Days(i64::MIN),
            store_bytes: u64::MAX,
            commits: u64::MAX,
            wire_bytes: u64::MAX,
        };
        let of = Connection {
            session: u64::MAX,
            link: u32::MAX,
        };
        let whole: Value = serde_json::from_slice(&health(&picture, &figures, of)).unwrap();
        assert_eq!(whole["store_ok"], true, "the last field is there: {whole}");
        assert!(presence(Presence::Online, of, now, next_by(now)).len() < 200);
        let will = Connection { session: 7, link: 2 };
        let value: Value = serde_json::from_slice(&presence(Presence::Lost, will, now, None)).unwrap();
        assert_eq!(value["state"], "lost");
        assert_eq!(
            (value["session"].as_u64(), value["link"].as_u64()),
            (Some(7), Some(2))
        );
        assert!(value["next_by"].is_null());
    }
}
