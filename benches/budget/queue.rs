//! A full queue: memory during a session, and the time to start.

use crate::office::referral;
use crate::service::Service;
use crate::table::{Table, grouped};
use crate::{office, wait_for_birth};
use referral_gateway::config::Config;
use referral_gateway::shell::parts;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const EVENTS: usize = 10_000;
const EVENT_BYTES: usize = 2_000;
const RESIDENT_BYTES_MAX: u64 = 12_000_000;
/// The session is watched this long; it would go on for minutes.
const WATCHED_FOR: Duration = Duration::from_secs(20);
/// More than the store takes in one commit, so that every commit is full.
const SENDERS: usize = 100;
const STARTS: usize = 3;

pub fn measure(table: &mut Table) {
    let (empty, _broker) = office();
    let empty_ready = ready(&empty);
    let (full, broker) = office();
    fill(&full.config);
    let full_ready = ready(&full);
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    table.tell("start to ready, empty store", ms(empty_ready), "");
    let ratio = full_ready.as_secs_f64() / empty_ready.as_secs_f64();
    let measured = format!("{} ({ratio:.1} times the empty store's)", ms(full_ready));
    table.tell(
        "start to ready, 10,000 queued events of 2 KB",
        measured,
        "< 100 ms",
    );
    let service = Service::start(&full);
    wait_for_birth(&broker);
    let process = service.process();
    let started = Instant::now();
    let mut highest = 0;
    while started.elapsed() < WATCHED_FOR {
        highest = highest.max(process.resident());
        std::thread::sleep(Duration::from_millis(20));
    }
    let arrived = full.primero.cases().len();
    assert!(arrived > 0, "no session ran while the memory was watched");
    let during = "resident memory, 10,000 queued events of 2 KB, during a session";
    table.hold(during, highest, RESIDENT_BYTES_MAX, " B");
    table.hold(
        "the most since its start",
        process.resident_peak(),
        RESIDENT_BYTES_MAX,
        " B",
    );
    table.tell("of it the program's own", grouped(process.anonymous()) + " B", "");
    table.note(format!(
        "{arrived} of the 10,000 events arrived at Primero in the {} s watched",
        WATCHED_FOR.as_secs()
    ));
}

/// The middle one of some starts, the store's first not among them.
fn ready(office: &crate::office::Office) -> Duration {
    Service::start(office).stop();
    let mut times: Vec<_> = (0..STARTS)
        .map(|_| {
            let service = Service::start(office);
            let time = service.ready_after;
            service.stop();
            time
        })
        .collect();
    times.sort_unstable();
    times[STARTS / 2]
}

/// Fills the store with the library's own intake, as the service would.
fn fill(config: &Path) {
    let config = Config::load(config).expect("the office's configuration");
    let parts = parts::open(&config).expect("nobody else has the store");
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let parts = &parts;
            scope.spawn(move || {
                for n in (sender..EVENTS).step_by(SENDERS) {
                    let accepted = parts.doorkeeper.accept(&event(n), parts.clock.now());
                    accepted.unwrap_or_else(|refusal| panic!("event {n}: {refusal:?}"));
                }
            });
        }
    });
}

/// A referral of a child of its own whose text takes two kilobytes.
fn event(n: usize) -> Value {
    let mut event = referral(&format!("queued-{n}"), &format!("Child {n}"), "cif");
    let room = EVENT_BYTES - event.to_string().len();
    let reason = event["reason"].as_str().expect("a text").to_owned();
    event["reason"] = json!(reason + &" needs a home".repeat(room / 13));
    event
}
