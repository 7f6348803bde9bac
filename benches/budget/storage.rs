//! What taking in events costs the card.

use crate::office::{Office, referral};
use crate::service::{Line, Service};
use crate::table::{Table, grouped};
use referral_gateway::store::COMPANY_WAIT_MAX;
use serde_json::Value;

const ALONE_BYTES_MAX: u64 = 32 * 1024;
const SHARED_BYTES_MAX: u64 = 4 * 1024;
const COMPANY_MS_MAX: u64 = 50;
const SENDERS: u64 = 16;
const EACH: u64 = 40;
/// Of some single events the middle one counts: now and then one of them lets the file grow.
const ALONE: usize = 5;

pub fn measure(table: &mut Table, office: &Office, service: &Service) {
    // With both peers away nothing but the intake writes.
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
    alone(table, service);
    together(table, service);
    let wait = u64::try_from(COMPANY_WAIT_MAX.as_millis()).expect("a few milliseconds");
    table.hold(
        "longest wait of an acknowledgement for company (constant)",
        wait,
        COMPANY_MS_MAX,
        " ms",
    );
    office.primero.server().set_down(false);
    office.oscar.server().set_down(false);
}

fn alone(table: &mut Table, service: &Service) {
    let quiet = commits(service);
    let idle = commits(service) - quiet;
    let mut bytes = Vec::new();
    let mut syncs = Vec::new();
    for n in 0..ALONE {
        let before = service.process().written();
        service.enqueue(&referral(&format!("alone-{n}"), &format!("Alone {n}"), "cif"));
        bytes.push(service.process().written() - before);
    }
    let after = commits(service) - quiet - 2 * idle;
    table.hold(
        "commits per event, one alone (its own figure)",
        after / ALONE as u64,
        1,
        "",
    );
    for n in 0..ALONE {
        let event = referral(&format!("traced-{n}"), &format!("Traced {n}"), "cif");
        syncs.extend(service.process().syncs_during(|| service.enqueue(&event)));
    }
    match middle(syncs) {
        Some(syncs) => table.hold("syncs per event, one alone (strace)", syncs, 1, ""),
        None => table.tell("syncs per event, one alone", "not counted: no strace", "1"),
    }
    written(
        table,
        "written per event, one alone",
        middle(bytes).unwrap_or(0),
        ALONE_BYTES_MAX,
    );
}

/// Commits since the start, as `status` tells them after a session in which nobody is reached.
fn commits(service: &Service) -> u64 {
    assert_eq!(service.sync(), 503);
    let (_, status) = Line::to(service.socket()).ask("GET", "/v1/status", "");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    status["figures"]["commits"].as_u64().expect("a number")
}

fn together(table: &mut Table, service: &Service) {
    let before = service.process().written();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mut line = Line::to(service.socket());
            scope.spawn(move || {
                for n in 0..EACH {
                    let key = format!("shared-{sender}-{n}");
                    line.enqueue(&referral(&key, &format!("Child {sender} {n}"), "cif"));
                }
            });
        }
    });
    let each = (service.process().written() - before) / (SENDERS * EACH);
    written(
        table,
        &format!("written per event, {SENDERS} senders at once"),
        each,
        SHARED_BYTES_MAX,
    );
}

/// A folder in memory is never written out: then there is nothing to judge.
fn written(table: &mut Table, what: &str, bytes: u64, budget: u64) {
    if bytes == 0 {
        table.tell(
            what,
            "not measured: the folder is not on a disk",
            &format!("≤ {} B", grouped(budget)),
        );
    } else {
        table.hold(what, bytes, budget, " B");
    }
}

fn middle(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}
