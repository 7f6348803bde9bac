//! What a session costs: the lines, the processor, the memory it leaves behind.

use crate::office::{Office, referral};
use crate::service::Service;
use crate::table::{Table, grouped};
use crate::wait_for_birth;
use serde_json::json;
use simulators::broker::Broker;
use simulators::wire::{Counters, Server};
use std::collections::BTreeMap;
use std::time::Duration;

const REQUESTS_MAX: u64 = 3;
const WIRE_BYTES_MAX: u64 = 10_000;
const CPU_MS_MAX: f64 = 20.0;
const SESSIONS: u32 = 20;
const IDLE_BYTES_MAX: u64 = 8_000_000;
const IDLE_CPU_MAX: f64 = 0.5;
const IDLE_FOR: Duration = Duration::from_secs(10);

pub fn measure(table: &mut Table, office: &Office, broker: &Broker, service: &Service) {
    // The first session runs by itself at the start, with full handshakes and logins.
    service.wait_for_line("session:");
    wait_for_birth(broker);
    let nothing = [Counters::default(), Counters::default()];
    first(table, &nothing, office);
    let resumed = whole_session(office, service);
    empty(table, "later session, nothing to do", &resumed, office);
    cpu(table, office, service);
    idle(table, service);
    referrals(table, office, service);
}

fn servers(office: &Office) -> [(&'static str, &Server); 2] {
    [
        ("Primero", office.primero.server()),
        ("OSCaR", office.oscar.server()),
    ]
}

fn counters(office: &Office) -> [Counters; 2] {
    servers(office).map(|(_, server)| server.counters())
}

/// One session on new connections; the counters before it.
fn whole_session(office: &Office, service: &Service) -> [Counters; 2] {
    // An end of an earlier connection may still be on its way; it belongs to the session before.
    for (_, server) in servers(office) {
        server.close_connections();
    }
    std::thread::sleep(Duration::from_millis(100));
    let before = counters(office);
    assert_eq!(service.sync(), 200);
    before
}

/// What went between two readings: requests, bytes, and how the connections began.
struct Spent {
    requests: BTreeMap<(String, String), u64>,
    bytes: u64,
    handshakes: (u64, u64),
}

impl Spent {
    fn between(before: &Counters, after: &Counters) -> Spent {
        let count = |key| before.requests.get(key).copied().unwrap_or(0);
        let requests = after.requests.iter();
        let requests = requests.map(|(key, number)| (key.clone(), number - count(key)));
        Spent {
            requests: requests.filter(|(_, number)| *number > 0).collect(),
            bytes: after.bytes_in + after.bytes_out - before.bytes_in - before.bytes_out,
            handshakes: (
                after.handshakes_full - before.handshakes_full,
                after.handshakes_resumed - before.handshakes_resumed,
            ),
        }
    }

    fn count(&self) -> u64 {
        self.requests.values().sum()
    }

    fn hands(&self) -> &'static str {
        match self.handshakes {
            (0, 0) => "no handshake",
            (0, _) => "resumed handshake",
            _ => "full handshake",
        }
    }

    fn listed(&self) -> String {
        let line =
            |((method, path), number): (&(String, String), &u64)| format!("{number} × {method} {path}");
        self.requests.iter().map(line).collect::<Vec<_>>().join(", ")
    }
}

fn spent(before: &[Counters; 2], office: &Office) -> [(&'static str, Spent); 2] {
    let [primero, oscar] = servers(office);
    [
        (primero.0, Spent::between(&before[0], &primero.1.counters())),
        (oscar.0, Spent::between(&before[1], &oscar.1.counters())),
    ]
}

/// The first session also learns where Primero stands and looks at its forms and lookups, which is done once a day.
fn first(table: &mut Table, before: &[Counters; 2], office: &Office) {
    for (peer, spent) in spent(before, office) {
        let what = format!("first session after a start, with the day's look at the forms, at {peer}");
        table.tell(
            &what,
            format!("{} requests, {} B", spent.count(), grouped(spent.bytes)),
            "",
        );
        table.note(format!("{what}: {}", spent.listed()));
    }
}

fn empty(table: &mut Table, what: &str, before: &[Counters; 2], office: &Office) {
    let mut bytes = 0;
    for (peer, spent) in spent(before, office) {
        table.hold(
            &format!("{what}: requests to {peer}"),
            spent.count(),
            REQUESTS_MAX,
            "",
        );
        table.note(format!(
            "{what}, {peer}: {}; {} B, {}",
            spent.listed(),
            grouped(spent.bytes),
            spent.hands()
        ));
        bytes += spent.bytes;
    }
    table.hold(
        &format!("{what}: bytes on both wires, TLS included"),
        bytes,
        WIRE_BYTES_MAX,
        " B",
    );
}

fn cpu(table: &mut Table, office: &Office, service: &Service) {
    let before = service.process().busy();
    for _ in 0..SESSIONS {
        whole_session(office, service);
    }
    let busy = service.process().busy() - before;
    let each = busy.as_secs_f64() * 1000.0 / f64::from(SESSIONS);
    let what = format!("processor time per empty session, mean of {SESSIONS} on new connections");
    table.hold_fraction(&what, each, CPU_MS_MAX, " ms");
}

fn idle(table: &mut Table, service: &Service) {
    let process = service.process();
    let before = process.busy();
    std::thread::sleep(IDLE_FOR);
    let share = (process.busy() - before).as_secs_f64() / IDLE_FOR.as_secs_f64() * 100.0;
    table.hold_fraction("idle processor use over 10 s", share, IDLE_CPU_MAX, " %");
    let what = format!(
        "resident memory, idle with live MQTT over TLS after {} sessions",
        SESSIONS + 3
    );
    table.hold(&what, process.resident(), IDLE_BYTES_MAX, " B");
    table.tell(
        "of it the program's own, the rest being its file",
        grouped(process.anonymous()) + " B",
        "",
    );
    table.tell("the most until then", grouped(process.resident_peak()) + " B", "");
}

fn referrals(table: &mut Table, office: &Office, service: &Service) {
    let one = referral("budget-one", "Dara", "cif");
    let mut two = referral("budget-two", "Bopha", "cif");
    two["services"] = json!([{ "subtype": "family_based_care_kinship" }, { "subtype": "family_based_care_emergency_foster" }]);
    for (event, words) in [(one, "one service"), (two, "two services")] {
        service.enqueue(&event);
        let before = whole_session(office, service);
        let key = event["event_key"].as_str().expect("named above");
        assert_eq!(office.event(key)["state"], "delivered");
        carried(
            table,
            &format!("a new child's referral, {words}"),
            &before,
            office,
        );
    }
    let number = office.oscar.with(|sim| sim.referrals()[0].id);
    office.oscar.with(|sim| {
        sim.register_child("cif", number).expect("the child was referred");
        sim.hand_decide("cif", number, "Accepted")
            .expect("the referral is open");
    });
    let before = whole_session(office, service);
    assert_eq!(office.event("budget-one")["decision"], "accepted");
    carried(table, "its decision's way back", &before, office);
}

/// Whole sessions, the empty one's requests among them.
fn carried(table: &mut Table, what: &str, before: &[Counters; 2], office: &Office) {
    for (peer, spent) in spent(before, office) {
        let measured = format!("{} requests, {} B", spent.count(), grouped(spent.bytes));
        table.tell(&format!("session with {what}, at {peer}"), measured, "");
        table.note(format!("{what}, {peer}: {}", spent.listed()));
    }
}
