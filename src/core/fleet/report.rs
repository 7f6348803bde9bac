//! The fleet as a table for people, as JSON, and as a check for Nagios-like tools.

use super::{FIGURES, Fleet, Gateway, Name, Peer, State};
use crate::core::alert::Level;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Places in [`FIGURES`] that the table shows.
const QUEUE: usize = 0;
const PARKED: usize = 3;
const IN_DOUBT: usize = 4;
const DISK_FREE: usize = 13;
const CERTIFICATE: usize = 14;
/// Problems a check names one by one; monitoring systems cut long outputs anyway.
const PROBLEMS_MAX: usize = 20;

/// Exit codes of a check, as Nagios and those after it read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Warning => "WARNING",
            Verdict::Critical => "CRITICAL",
            Verdict::Unknown => "UNKNOWN",
        }
    }
}

/// One line per gateway, the worst first.
pub fn table(fleet: &Fleet, now: i64) -> String {
    let mut rows: Vec<(&Name, &Gateway)> = fleet.gateways().collect();
    rows.sort_by_key(|(name, gateway)| {
        (
            std::cmp::Reverse((gateway.level(now), gateway.state(now))),
            (*name).clone(),
        )
    });
    let mut out = String::new();
    line(
        &mut out,
        [
            "GATEWAY", "STATE", "HEARD", "NEXT", "QUEUE", "PARKED", "DOUBT", "MB FREE", "CERT", "PRIMERO",
            "OSCAR",
        ],
        "ALERTS",
    );
    for (name, gateway) in rows {
        let figure = |at| {
            gateway
                .figure(at)
                .map_or("-".to_owned(), |figure| figure.to_string())
        };
        let [primero, oscar] = gateway.peers.each_ref().map(|peer| peer_word(peer.as_ref()));
        let alerts: Vec<&str> = gateway.alerts.keys().map(|code| &**code).collect();
        line(
            &mut out,
            [
                &format!("{}/{}", name.fleet, name.id),
                gateway.state(now).word(),
                &gateway.heard.map_or("-".to_owned(), |at| span(now - at)),
                &gateway.promise().map_or("-".to_owned(), |at| span(at - now)),
                &figure(QUEUE),
                &figure(PARKED),
                &figure(IN_DOUBT),
                &gateway
                    .figure(DISK_FREE)
                    .map_or("-".to_owned(), |free| (free / 1_000_000).to_string()),
                &gateway
                    .figure(CERTIFICATE)
                    .map_or("-".to_owned(), |days| format!("{days}d")),
                primero,
                oscar,
            ],
            &alerts.join(" "),
        );
    }
    out
}

fn line(out: &mut String, cells: [&str; 11], last: &str) {
    const WIDTHS: [usize; 11] = [24, 9, 7, 7, 6, 6, 6, 7, 6, 9, 9];
    for (cell, width) in cells.into_iter().zip(WIDTHS) {
        let _ = write!(out, "{cell:<width$} ");
    }
    out.push_str(last);
    out.truncate(out.trim_end().len());
    out.push('\n');
}

fn peer_word(peer: Option<&Peer>) -> &str {
    match peer {
        Some(Peer {
            error: Some(error), ..
        }) => error,
        Some(_) => "up",
        None => "-",
    }
}

/// A span of seconds in its largest unit; one that has passed its end begins with a minus.
fn span(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let s = seconds.unsigned_abs();
    let (number, unit) = match s {
        0..=119 => (s, "s"),
        120..=7_199 => (s / 60, "m"),
        7_200..=172_799 => (s / 3600, "h"),
        _ => (s / 86_400, "d"),
    };
    format!("{sign}{number}{unit}")
}

/// Everything as one object.
pub fn document(fleet: &Fleet, now: i64) -> Value {
    let gateways: Vec<Value> = fleet
        .gateways()
        .map(|(name, gateway)| one(name, gateway, now))
        .collect();
    json!({ "ts": now, "gateways": gateways, "ignored": fleet.ignored() })
}

fn one(name: &Name, gateway: &Gateway, now: i64) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("fleet", Value::from(&*name.fleet));
    put("gateway", Value::from(&*name.id));
    put("state", gateway.state(now).word().into());
    put("level", gateway.level(now).map_or("ok", Level::word).into());
    put("heard", gateway.heard.into());
    put("next_by", gateway.promise().into());
    for (at, (key, _, _)) in FIGURES.iter().enumerate() {
        put(key, gateway.figure(at).into());
    }
    put("boot_reason", gateway.boot_reason().into());
    for (at, key) in ["primero", "oscar"].into_iter().enumerate() {
        let peer = gateway.peers[at].as_ref();
        put(
            &format!("{key}_last_ok"),
            peer.and_then(|peer| peer.last_ok).into(),
        );
        put(
            &format!("{key}_error"),
            peer.and_then(|peer| peer.error.as_deref()).into(),
        );
    }
    for (key, value) in &gateway.info {
        put(key, Value::from(&**value));
    }
    let alerts = gateway.alerts.iter();
    let alerts: Map<String, Value> = alerts
        .map(|(code, alert)| {
            (
                code.to_string(),
                json!({ "level": alert.level.word(), "since": alert.since }),
            )
        })
        .collect();
    put("alerts", Value::Object(alerts));
    Value::Object(out)
}

/// A verdict and what to print: one line with performance data, then the problems. With `only`, that one gateway is
/// judged; one that nobody has heard of is unknown, not fine.
pub fn check(fleet: &Fleet, only: Option<&str>, now: i64) -> (Verdict, String) {
    let chosen = |name: &Name| {
        only.is_none_or(|only| only == &*name.id || only == format!("{}/{}", name.fleet, name.id))
    };
    let rows: Vec<_> = fleet.gateways().filter(|(name, _)| chosen(name)).collect();
    let mut problems: Vec<(Level, String)> = Vec::new();
    for (name, gateway) in &rows {
        let mut say =
            |level, what: &str| problems.push((level, format!("{}/{}: {what}", name.fleet, name.id)));
        let state = gateway.state(now);
        if let Some(level) = state.level() {
            say(level, state.word());
        }
        for (code, alert) in &gateway.alerts {
            say(alert.level, code);
        }
    }
    problems.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let verdict = match problems.first() {
        _ if rows.is_empty() => Verdict::Unknown,
        Some((Level::Critical, _)) => Verdict::Critical,
        Some((Level::Warning, _)) => Verdict::Warning,
        None => Verdict::Ok,
    };
    let silent = rows
        .iter()
        .filter(|(_, gateway)| gateway.state(now) == State::Silent)
        .count();
    let sum = |at: usize| {
        rows.iter()
            .filter_map(|(_, gateway)| gateway.figure(at))
            .sum::<i64>()
    };
    let mut out = match (verdict, only) {
        (Verdict::Unknown, Some(only)) => format!("UNKNOWN - nothing has been heard of {only}"),
        (Verdict::Unknown, None) => "UNKNOWN - no gateway has been heard of".to_owned(),
        _ => format!(
            "{} - {} gateways, {silent} silent, {} problems",
            verdict.word(),
            rows.len(),
            problems.len()
        ),
    };
    let (queue, parked, in_doubt) = (sum(QUEUE), sum(PARKED), sum(IN_DOUBT));
    let _ = writeln!(
        out,
        " | gateways={} silent={silent} queue={queue} parked={parked} in_doubt={in_doubt}",
        rows.len()
    );
    for (level, problem) in problems.iter().take(PROBLEMS_MAX) {
        let _ = writeln!(out, "{problem} ({})", level.word());
    }
    if problems.len() > PROBLEMS_MAX {
        let _ = writeln!(out, "and {} more", problems.len() - PROBLEMS_MAX);
    }
    (verdict, out)
}
