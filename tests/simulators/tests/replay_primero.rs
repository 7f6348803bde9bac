//! Replay of what a real Primero answered (primero-measured.md) against the simulator: same requests, same
//! order, same clock; status, headers that matter and bodies must agree, ids and times made by the server
//! standing for each other one to one.
//!
//! What differs on purpose is listed in [`ALLOWED`] and, word for word, in `recorded/DIFFERENCES.md`. The
//! test fails on any other difference, and on an allowed one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use simulators::primero::{Config, Sim};
use simulators::wire::{Reply, Request, percent_decode};

/// One accepted difference: file, exchange, JSON pointer (a trailing `*`: every key missing below), reason.
type Allowed = (&'static str, u64, &'static str, &'static str);

const ALLOWED: &[Allowed] = &[
    (
        "auth",
        4,
        "status",
        "the recording machine had no front end; the simulator has no pages at all",
    ),
    (
        "auth",
        74,
        "/data/*",
        "of the system settings only version, lock, locale and alert forms are given",
    ),
    (
        "referrals",
        42,
        "/data/permitted_forms/*",
        "only forms that hold a simulated field are listed",
    ),
    ("referrals", 43, "/data/2", "a case of an earlier, unrecorded run"),
    ("referrals", 43, "/data/3", "a case of an earlier, unrecorded run"),
    ("referrals", 43, "/metadata/total", "the same two cases"),
];

const FILES: [&str; 5] = ["auth", "cases", "services-patch", "services-patch-2", "referrals"];

/// Parallel requests stand in the file in the order of their answers; the server served this one first.
const SERVED_FIRST: (&str, u64, u64) = ("services-patch-2", 43, 39);

/// Two writes closer than this were parallel on the recording machine; one after the other took 200 ms.
const RACE: TimeDelta = TimeDelta::milliseconds(100);

/// Answer headers that are compared.
const COMPARED: [&str; 4] = ["content-type", "retry-after", "www-authenticate", "cache-control"];

#[test]
fn every_recorded_exchange_is_answered_alike() {
    let mut found = BTreeSet::new();
    let mut exchanges = 0;
    let mut unexpected = Vec::new();
    for file in FILES {
        for (n, differences) in replay(file) {
            exchanges += 1;
            for (pointer, what) in differences {
                match ALLOWED
                    .iter()
                    .position(|allowed| covers(allowed, file, n, &pointer, &what))
                {
                    Some(index) => {
                        found.insert(index);
                    }
                    None => unexpected.push(format!("{file}#{n} {pointer}: {what}")),
                }
            }
        }
    }
    let gone: Vec<&Allowed> = ALLOWED
        .iter()
        .enumerate()
        .filter(|(i, _)| !found.contains(i))
        .map(|(_, a)| a)
        .collect();
    assert!(
        unexpected.is_empty(),
        "{} differences:\n{}",
        unexpected.len(),
        unexpected.join("\n")
    );
    assert!(gone.is_empty(), "allowed, but no longer different: {gone:?}");
    assert_eq!(exchanges, 422);
}

#[test]
fn the_table_of_differences_is_the_allow_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/DIFFERENCES.md");
    let table = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| primero/"))
        .collect();
    let expected: Vec<String> = ALLOWED
        .iter()
        .map(|(file, n, pointer, why)| format!("| primero/{file}.jsonl | {n} | `{pointer}` | {why} |"))
        .collect();
    assert_eq!(rows, expected);
}

fn covers((file, n, pointer, _): &Allowed, at_file: &str, at_n: u64, at_pointer: &str, what: &str) -> bool {
    let matches = match pointer.strip_suffix('*') {
        Some(prefix) => at_pointer.starts_with(prefix) && what.ends_with(" is missing"),
        None => *pointer == at_pointer,
    };
    *file == at_file && *n == at_n && matches
}

type Differences = Vec<(String, String)>;

fn replay(file: &str) -> Vec<(u64, Differences)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("recorded/primero/{file}.jsonl"));
    let lines = std::fs::read_to_string(path).unwrap();
    let mut exchanges: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (order_file, first, before) = SERVED_FIRST;
    if file == order_file {
        let exchange = exchanges.remove(first as usize - 1);
        exchanges.insert(before as usize - 1, exchange);
    }
    let mut sim = Sim::new(Config::recorded());
    sim.switches().race_window = RACE;
    let mut names = Names::default();
    let mut times = BTreeSet::new();
    exchanges
        .iter()
        .map(|exchange| {
            // One instant per request, so that a stamp names the write that made it.
            let mut at: DateTime<Utc> = exchange["at"].as_str().unwrap().parse().unwrap();
            while !times.insert(at.timestamp_millis()) {
                at += TimeDelta::milliseconds(1);
            }
            sim.set_now(at);
            let reply = sim.handle(&names.request(&exchange["request"]));
            let differences = names.compare(&exchange["response"], &reply);
            (exchange["n"].as_u64().unwrap(), differences)
        })
        .collect()
}

/// What the recording calls something, and what the simulator calls it.
#[derive(Default)]
struct Names {
    /// Long enough to be replaced wherever they occur: UUIDs, cookies, tokens, ETags.
    long: BTreeMap<String, String>,
    /// Whole values only, per kind of key: short ids, times.
    whole: BTreeMap<(&'static str, String), String>,
    /// Both of the above backwards, to see two things become one.
    taken: BTreeMap<(&'static str, String), String>,
}

impl Names {
    fn request(&self, recorded: &Value) -> Request {
        let body = match &recorded["body"] {
            Value::Null => String::new(),
            Value::String(raw) => raw.clone(),
            json => json.to_string(),
        };
        let mut request = Request::new(
            recorded["method"].as_str().unwrap(),
            &self.translate(recorded["path"].as_str().unwrap()),
        );
        let mut https = false;
        for header in recorded["headers"].as_array().unwrap() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            https |= name == "x-forwarded-proto";
            request = request.with_header(name, &self.translate(value));
        }
        if !https {
            request = request.with_header("x-forwarded-proto", "http");
        }
        request.body = self.translate(&body).into_bytes();
        request
    }

    fn translate(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (recorded, simulated) in &self.long {
            if text.contains(recorded.as_str()) {
                text = text.replace(recorded.as_str(), simulated);
            }
        }
        text
    }

    fn compare(&mut self, recorded: &Value, reply: &Reply) -> Differences {
        let mut out = Vec::new();
        if recorded["status"] != u64::from(reply.status) {
            let body = String::from_utf8_lossy(&reply.body);
            out.push((
                "status".to_string(),
                format!("{} became {} {body}", recorded["status"], reply.status),
            ));
            return out;
        }
        self.compare_headers(&recorded["headers"], reply, &mut out);
        match (recorded.get("body_json"), recorded["body_text"].as_str()) {
            (Some(body), _) => {
                let simulated = reply.json_body().unwrap_or(Value::Null);
                self.compare_json("", "", body, &simulated, &mut out);
            }
            (None, text) => {
                let simulated = String::from_utf8_lossy(&reply.body);
                if text.unwrap_or("") != simulated {
                    out.push(("text".to_string(), format!("{text:?} became {simulated:?}")));
                }
            }
        }
        out
    }

    fn compare_headers(&mut self, recorded: &Value, reply: &Reply, out: &mut Differences) {
        let recorded: Vec<(&str, &str)> = recorded
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header[0].as_str().unwrap(), header[1].as_str().unwrap()))
            .collect();
        let first = |name: &str| recorded.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        for name in COMPARED {
            if first(name) != reply.header(name) {
                out.push((
                    format!("header {name}"),
                    format!("{:?} became {:?}", first(name), reply.header(name)),
                ));
            }
        }
        match (first("etag"), reply.header("etag")) {
            (Some(recorded), Some(simulated)) => {
                self.long.insert(recorded.to_string(), simulated.to_string());
            }
            (None, None) => {}
            (recorded, simulated) => {
                out.push((
                    "header etag".to_string(),
                    format!("{recorded:?} became {simulated:?}"),
                ));
            }
        }
        let cookies = |headers: Vec<(&str, &str)>| -> Vec<(String, String)> {
            let cookies = headers
                .into_iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
            cookies
                .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        let ours = cookies(
            reply
                .headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect(),
        );
        let theirs = cookies(recorded);
        if ours.iter().map(|c| &c.0).ne(theirs.iter().map(|c| &c.0)) {
            out.push((
                "header set-cookie".to_string(),
                format!("{theirs:?} became {ours:?}"),
            ));
        }
        for ((_, recorded), (_, simulated)) in theirs.into_iter().zip(ours) {
            self.long
                .insert(percent_decode(&recorded, false), simulated.clone());
            self.long.insert(recorded, simulated);
        }
    }

    fn compare_json(
        &mut self,
        pointer: &str,
        key: &str,
        recorded: &Value,
        ours: &Value,
        out: &mut Differences,
    ) {
        match (recorded, ours) {
            (Value::Object(recorded), Value::Object(ours)) => {
                let none = Map::new();
                for key in recorded.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                    let pointer = format!("{pointer}/{key}");
                    match (recorded.get(key), ours.get(key)) {
                        (Some(recorded), Some(ours)) => self.compare_json(&pointer, key, recorded, ours, out),
                        (Some(value), None) => out.push((pointer, format!("{value} is missing"))),
                        (_, value) => out.push((
                            pointer,
                            format!("{} is new", value.unwrap_or(&none.clone().into())),
                        )),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                for index in 0..recorded.len().max(ours.len()) {
                    let pointer = format!("{pointer}/{index}");
                    match (recorded.get(index), ours.get(index)) {
                        (Some(recorded), Some(ours)) => self.compare_json(&pointer, key, recorded, ours, out),
                        (Some(value), None) => out.push((pointer, format!("{value} is missing"))),
                        (_, value) => out.push((pointer, format!("{value:?} is new"))),
                    }
                }
            }
            (Value::String(recorded), Value::String(ours)) if self.agree(key, recorded, ours) => {}
            (recorded, ours) if recorded == ours => {}
            _ => out.push((pointer.to_string(), format!("{recorded} became {ours}"))),
        }
    }

    /// Whether two texts are the same, server-made names aside; new names are learnt on the way.
    fn agree(&mut self, key: &str, recorded: &str, ours: &str) -> bool {
        let group = match key {
            "short_id" | "case_id_display" => "short id",
            "created_at" => "created",
            "last_updated_at" => "updated",
            "logo_full" | "logo_icon" => "logo",
            _ if is_time(recorded) => "time",
            _ if is_uuid(recorded) => "uuid",
            _ => return self.translate(recorded) == ours,
        };
        let shaped = match group {
            "short id" => ours.len() == recorded.len(),
            "uuid" => is_uuid(ours),
            "logo" => ours.starts_with("/rails/active_storage/"),
            _ => is_time(ours),
        };
        let known = match group {
            "uuid" => self.long.get(recorded).cloned(),
            _ => self.whole.get(&(group, recorded.to_string())).cloned(),
        };
        let back = self.taken.get(&(group, ours.to_string())).cloned();
        match (known, back) {
            (Some(known), _) => known == ours,
            (None, Some(other)) => other == recorded,
            (None, None) if shaped => {
                self.taken.insert((group, ours.to_string()), recorded.to_string());
                if group == "uuid" {
                    self.long.insert(recorded.to_string(), ours.to_string());
                } else {
                    self.whole.insert((group, recorded.to_string()), ours.to_string());
                }
                true
            }
            _ => false,
        }
    }
}

fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && DateTime::parse_from_rfc3339(text).is_ok()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| {
            if [8, 13, 18, 23].contains(&i) {
                b == b'-'
            } else {
                b.is_ascii_hexdigit() && !b.is_ascii_uppercase()
            }
        })
}
