//! Proof that the OSCaR simulator behaves as the recorded server did: every recorded exchange is sent to it
//! again.
//!
//! Server-made values (tokens, global ids, slugs, ETags) are paired recorded-to-simulated as they first
//! appear and must stay paired, one to one; all other values must be equal. Numeric ids are not paired: the
//! sequences are part of the behaviour. What differs must stand in `recorded/DIFFERENCES-oscar.md`, and must
//! still differ.

#[path = "replay_oscar/chapters.rs"]
mod chapters;
#[path = "replay_oscar/compare.rs"]
mod compare;
#[path = "replay_oscar/rows.rs"]
mod rows;
#[path = "replay_oscar/story.rs"]
mod story;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use compare::Pairs;
use rows::Rows;
use serde_json::Value;
use simulators::oscar::{Config, Sim};
use simulators::wire::Request;

/// The recordings in the order they were made; two others, made in between, are kept elsewhere and stand here
/// as [`story::between`].
const ORDER: [(&str, u64, u64); 9] = [
    ("auth", 1, 999),
    ("strict", 1, 21),
    ("push", 1, 999),
    ("known-child", 1, 999),
    ("update-links", 1, 999),
    ("update-statuses", 1, 999),
    ("pull", 1, 999),
    ("strict", 22, 28),
    ("strict", 29, 999),
];

fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded")
}

fn lines(file: &str) -> Vec<Value> {
    let path = recorded().join("oscar").join(format!("{file}.jsonl"));
    let text = std::fs::read_to_string(&path).expect("the recording is in the repository");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a recorded line is JSON"))
        .collect()
}

/// `file#n` of every row of the table in DIFFERENCES-oscar.md.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(recorded().join("DIFFERENCES-oscar.md")).expect("the list is there");
    let first = |line: &str| {
        line.strip_prefix("| `")
            .and_then(|rest| rest.split('`').next())
            .map(str::to_owned)
    };
    text.lines()
        .filter_map(first)
        .filter(|id| id.contains('#'))
        .collect()
}

#[test]
fn every_recorded_exchange_comes_out_the_same() {
    let mut sim = Sim::new(Config::recorded());
    let mut pairs = Pairs::default();
    let mut rows = Rows::default();
    let mut differences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut clock: DateTime<Utc> = "2026-11-22T06:13:40Z".parse().unwrap();
    for (file, from, to) in ORDER {
        story::between(&mut sim, file, from);
        for line in lines(file) {
            let n = line["n"].as_u64().unwrap();
            if !(from..=to).contains(&n) {
                continue;
            }
            // Only requests are stamped; what lies between two of them happens a moment after the first.
            clock = match line["at"].as_str() {
                Some(at) => at.parse().unwrap(),
                None => clock + TimeDelta::milliseconds(1),
            };
            sim.set_now(clock);
            story::before(&mut sim, &pairs, file, n);
            let kind = line["kind"].as_str().unwrap();
            let found = match kind {
                "http" => exchange(&mut sim, &mut pairs, &line),
                "worker" => pairs.value(
                    "result",
                    &line["result"]["result"],
                    &story::worker(&mut sim, file, n),
                ),
                "state" => rows.check(&sim, &mut pairs, file, n, &line["rows"]),
                other => panic!("{file}#{n}: unknown kind {other}"),
            };
            *counts.entry(kind.to_owned()).or_default() += 1;
            if !found.is_empty() {
                differences.insert(format!("{file}#{n}"), found);
            }
        }
    }
    let allowed = allowed();
    for id in &allowed {
        assert!(
            differences.contains_key(id),
            "{id} is on the list of differences but no longer differs"
        );
    }
    println!("replayed {counts:?}, {} differ and are allowed", allowed.len());
    differences.retain(|id, _| !allowed.contains(id));
    assert!(
        differences.is_empty(),
        "not on the list of differences: {differences:#?}"
    );
}

fn exchange(sim: &mut Sim, pairs: &mut Pairs, line: &Value) -> Vec<String> {
    let recorded = &line["request"];
    let mut request = Request::new(
        recorded["method"].as_str().unwrap(),
        &pairs.apply(recorded["path"].as_str().unwrap()),
    );
    for (name, value) in recorded["headers"].as_object().unwrap() {
        request = request.with_header(&name.to_lowercase(), &pairs.apply(value.as_str().unwrap()));
    }
    request.body = match &recorded["body"] {
        Value::Null => Vec::new(),
        Value::String(text) => pairs.apply(text).into_bytes(),
        body => pairs.apply(&body.to_string()).into_bytes(),
    };
    let reply = sim.handle(&request);
    pairs.reply(&line["response"], &reply)
}
