//! Two numbers of issue 4, measured on the real release binary behind a real line of packets (`tests/uplink/net.rs`):
//! what a month of normal work costs on the uplink and on the card ([`month`]), and how long 2,000 queued events take to
//! leave over a bad line ([`drain`]).
//!
//! By hand, as root: `cargo bench --bench uplink` measures both in half an hour. `-- --month` and `-- --drain` measure
//! one; `--days N` plays less than a month, `--every N` has a session every N minutes; `--drain --true` drains over the
//! line of issue 4 itself, which takes hours, instead of one ten times as fast; `--events N` drains another number of
//! events.

mod calendar;
mod card;
mod drain;
mod month;

#[path = "../budget/process.rs"]
#[expect(dead_code, reason = "the budget bench uses more of it")]
mod process;
#[path = "../budget/service.rs"]
#[expect(dead_code, reason = "the budget bench uses more of it")]
mod service;
#[path = "../budget/table.rs"]
#[allow(dead_code, reason = "the budget bench uses more of it")]
mod table;

#[path = "../../tests/uplink/names.rs"]
#[allow(dead_code, reason = "the tests of bad lines use more of it")]
mod names;
#[path = "../../tests/uplink/net.rs"]
#[allow(dead_code, reason = "the tests of bad lines use more of it")]
mod net;
#[path = "../../tests/end_to_end/office.rs"]
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
mod office;
#[path = "../../tests/uplink/site.rs"]
#[allow(dead_code, reason = "the tests of bad lines use more of it")]
mod site;

use net::{Dweller, STRANGER};
use simulators::broker::{Broker, Options};
use simulators::wire::Counters;
use site::Site;
use std::process::ExitCode;
use std::time::Duration;
use table::Table;

const DESK: &str = "[mqtt]\nurl = \"mqtts://broker.test:8883\"\nca_file = \"ca.pem\"\n";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let said = |word: &str| words.iter().any(|given| given == word);
    // `cargo test --benches` and the like ask for a trial: nothing here is a test.
    if said("--test") {
        return ExitCode::SUCCESS;
    }
    let number = |word: &str| -> Option<i64> {
        let given = words.iter().skip_while(|given| *given != word).nth(1);
        given.map(|given| given.parse().expect("a number"))
    };
    let both = !said("--month") && !said("--drain");
    let mut table = Table::default();
    if both || said("--month") {
        let (days, every) = (number("--days"), number("--every"));
        month::measure(
            &mut table,
            days.unwrap_or(month::DAYS),
            every.unwrap_or(month::EVERY),
        );
    }
    if both || said("--drain") {
        let speed = if said("--true") { 1 } else { drain::FASTER };
        drain::measure(&mut table, number("--events").unwrap_or(drain::EVENTS), speed);
    }
    if table.print() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The desk's broker at the far end of an office's line.
fn broker(site: &Site) -> Dweller<Broker> {
    let identity = site.ca.issue(&["broker.test"]);
    Dweller::new(&site.net.far, || {
        Broker::start_with(&identity, &format!("{STRANGER}:8883"), Options::default())
    })
}

/// Waits until the gateway is with the broker.
fn wait_for_birth(broker: &Broker) {
    let online = |message: &simulators::broker::Message| {
        String::from_utf8_lossy(&message.payload).contains("\"state\":\"online\"")
    };
    let birth = broker.wait_for("/status", online, Duration::from_secs(60));
    assert!(birth.is_some(), "the gateway does not come online");
}

/// What was asked of both systems between two readings, below the table.
fn listed(table: &mut Table, what: &str, before: &[Counters; 2], after: &[Counters; 2]) {
    for (peer, (before, after)) in ["Primero", "OSCaR"].iter().zip(before.iter().zip(after)) {
        let asked = after.requests.iter().map(|((method, path), number)| {
            let known = before.requests.get(&(method.clone(), path.clone())).unwrap_or(&0);
            format!("{} × {method} {path}", number - known)
        });
        let hands = (
            after.handshakes_full - before.handshakes_full,
            after.handshakes_resumed - before.handshakes_resumed,
        );
        let asked = asked.collect::<Vec<_>>().join(", ");
        table.note(format!(
            "{what}, {peer}: {asked}; handshakes in full and resumed {hands:?}"
        ));
    }
}
