//! How long a queue takes to leave after an outage, over 256 kbit/s and 600 ms.
//!
//! What it is compared with is the least a client could do that asks one thing at a time, as docs/decisions/0003 has it:
//! one session asks the two peers in turn, each on one connection of HTTP/1.1, and an answer must have come before the
//! next question can be put. So every byte waits for the line by itself, both ways, and every request costs one round
//! trip. Forced are, for each event, the questions the contracts leave no way around ([`FORCED_EACH`]); for the rest of
//! the session, one look at each peer, and for each a connection: name lookup, TCP, TLS. Whatever the gateway asks beyond
//! that, and every moment it leaves the line idle, counts against it.
//!
//! By default the line is ten times as fast in both, and so is the drain: what remains of its own speed (processor, disk,
//! timers of TCP) counts ten times as much against the gateway.

use crate::listed;
use crate::net::Quality;
use crate::service::Line;
use crate::site::Site;
use crate::table::{Table, grouped};
use serde_json::Value;
use simulators::wire::Counters;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

pub const EVENTS: i64 = 2_000;
pub const FASTER: u32 = 10;
const ROUND_TRIP: Duration = Duration::from_millis(600);
const BITS_EACH_SECOND: u64 = 256_000;
const RATIO_MAX: f64 = 1.25;
/// A new child's referral of one service: create the case with it, which also says whether it is there already; read
/// back what the server made of it (its numbers, and what it dropped without a word: primero.md §2.7); refer; push.
const FORCED_EACH: u64 = 4;
/// Name lookup, TCP and TLS, at each peer; and one question each whether there is news.
const FORCED_ONCE: u64 = 2 * 3 + 2;
/// How often the line and the queue are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Longest time in which nothing leaves the queue before the drain is given up.
const PATIENCE: Duration = Duration::from_secs(600);

pub fn measure(table: &mut Table, events: i64, faster: u32) {
    let events = usize::try_from(events).expect("not below zero");
    let mut site = Site::new("every = \"5m\"", "");
    site.start();
    let socket = site.folder.path().join("data/control.sock");
    crate::office::wait_until("the line is up", || site.line() == "up");
    // The connections of the first session lie too long to be used again, as after hours.
    std::thread::sleep(Duration::from_secs(6));
    let dead = Quality {
        dead: true,
        ..Quality::default()
    };
    site.net.set(dead);
    site.enqueue("outage", events);
    crate::office::wait_until("the outage is noticed", || site.line() != "up");
    let round_trip = ROUND_TRIP / faster;
    let rate = BITS_EACH_SECOND * u64::from(faster);
    let back = Instant::now();
    let before = traffic(&site);
    let passed = site.net.passed.bytes();
    site.net.set(Quality {
        delay: round_trip / 2,
        rate,
        ..Quality::default()
    });
    let drained = watch(&site, &socket, passed);
    let bytes = site.net.passed.bytes() - passed;
    let after = traffic(&site);
    let requests = asked(&after) - asked(&before);
    assert_eq!(site.primero.cases().len(), events);
    assert_eq!(site.oscar.with(|sim| sim.referrals().len()), events);
    let forced = FORCED_EACH * events as u64 + FORCED_ONCE;
    let on_the_line = Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
    let least = on_the_line + round_trip.mul_f64(forced as f64);
    let took = drained.last.duration_since(drained.first);
    let kbit = rate / 1000;
    let what = format!(
        "{} events over {kbit} kbit/s and {} ms",
        grouped(events as u64),
        round_trip.as_millis()
    );
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    table.tell(
        &format!("{what}: from the line's return to the first packet"),
        seconds(drained.first.duration_since(back)),
        "",
    );
    table.tell(
        &format!("{what}: from the first packet to the last delivery"),
        seconds(took),
        "",
    );
    let parts = format!(
        "{} for {} B and {} forced round trips",
        seconds(least),
        grouped(bytes),
        grouped(forced)
    );
    table.tell(
        &format!("{what}: the least, asking one thing at a time"),
        parts,
        "",
    );
    let ratio = took.as_secs_f64() / least.as_secs_f64();
    table.hold_fraction(&format!("{what}: ratio to that"), ratio, RATIO_MAX, "");
    table.tell(&format!("{what}: requests, forced or not"), grouped(requests), "");
    table.tell(
        &format!("{what}: longest silence of the line meanwhile"),
        format!("{} ms", drained.silence.as_millis()),
        "",
    );
    listed(table, "drain", &before, &after);
}

struct Drained {
    first: Instant,
    last: Instant,
    silence: Duration,
}

/// Looks on until nothing waits any more.
fn watch(site: &Site, socket: &Path, passed: u64) -> Drained {
    while site.net.passed.bytes() == passed {
        std::thread::sleep(Duration::from_millis(2));
    }
    let first = Instant::now();
    let (mut seen, mut heard, mut silence) = (passed, first, Duration::ZERO);
    let (mut left, mut moved, mut looks) = (u64::MAX, first, 0u32);
    loop {
        std::thread::sleep(LOOK);
        let now = site.net.passed.bytes();
        if now != seen {
            silence = silence.max(heard.elapsed());
            (seen, heard) = (now, Instant::now());
        }
        looks += 1;
        // The queue is asked once a second: it takes the box's processor, not the line.
        if !looks.is_multiple_of(50) {
            continue;
        }
        let (_, text) = Line::to(socket).ask("GET", "/v1/status", "");
        let status: Value = serde_json::from_str(&text).expect("JSON");
        let queue = &status["queue"];
        let waiting = queue["pending"].as_u64().unwrap_or(u64::MAX) + queue["in_doubt"].as_u64().unwrap_or(0);
        let progress = site.net.passed.packets[0].load(Relaxed);
        if waiting == 0 {
            return Drained {
                first,
                last: Instant::now(),
                silence,
            };
        }
        if looks.is_multiple_of(1500) {
            eprintln!(
                "{} left after {} s, {progress} packets out",
                waiting,
                first.elapsed().as_secs()
            );
        }
        if waiting != left || now != passed && heard.elapsed() < Duration::from_secs(60) {
            (left, moved) = (waiting, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "nothing moves: {status}");
    }
}

fn traffic(site: &Site) -> [Counters; 2] {
    [site.primero.server().counters(), site.oscar.server().counters()]
}

fn asked(counters: &[Counters; 2]) -> u64 {
    counters
        .iter()
        .flat_map(|counters| counters.requests.values())
        .sum()
}
