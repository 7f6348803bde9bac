//! The month's bytes: counted per line, kept across restarts and power cuts, and what happens when they are spent.

use crate::office::{Office, Wishes, referral, wait_until};
use serde_json::Value;
use simulators::wire::Server;

fn month(office: &Office) -> Value {
    office.json(&["status"])["uplink"]["month"].clone()
}

/// Bytes both ways, as the line counts them.
fn counted(month: &Value, line: &str) -> u64 {
    ["sent", "received"]
        .iter()
        .map(|way| month[line][way].as_u64().unwrap())
        .sum()
}

fn seen(server: &Server) -> u64 {
    let counters = server.counters();
    counters.bytes_in + counters.bytes_out
}

/// A referral that can wait.
fn patient(key: &str) -> Value {
    let mut event = referral(key, key, "cif");
    event["risk_level"] = "low".into();
    event
}

fn office(schedule: &'static str) -> Office {
    Office::wished(Wishes {
        schedule: Some(schedule),
        more: "[uplink]\nmonthly_budget = \"1 MB\"\n".to_owned(),
        ..Wishes::default()
    })
}

#[test]
fn the_count_is_the_peers_own_and_survives_stops_and_cuts() {
    let mut office = office("every = \"24h\"\non_event = false");
    office.start();
    office.first_session_over();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    // What the peers have counted, ends of connections still on their way aside.
    wait_until("both ends agree", || {
        let month = month(&office);
        let close = |line: &str, server| counted(&month, line).abs_diff(seen(server)) < 200;
        close("primero", office.primero.server()) && close("oscar", office.oscar.server())
    });
    assert!(
        month(&office)["month"]
            .as_str()
            .is_some_and(|month| month.len() == 7)
    );
    let before = month(&office)["bytes"].as_u64().unwrap();
    assert!(before > 5_000, "{before}");

    office.stop();
    office.start();
    let resumed = month(&office);
    assert_eq!(resumed["unaccounted"], 0, "{resumed}");
    assert!(resumed["bytes"].as_u64().unwrap() >= before);

    // A session without the service counts too.
    office.stop();
    assert_eq!(office.sync(), 0);
    office.start();
    office.first_session_over();
    assert_eq!(office.sync(), 0);
    let whole = month(&office)["bytes"].as_u64().unwrap();
    assert!(whole > before + 3_000, "{whole} after {before}");

    // The power goes: up to one reserve may be missing, so one reserve is taken for spent.
    office.kill();
    office.start();
    let cut = month(&office);
    assert_eq!(cut["unaccounted"], 64_000, "{cut}");
    assert!(
        cut["bytes"].as_u64().unwrap() >= whole,
        "never too low: {cut} after {whole}"
    );
}

#[test]
fn over_the_budget_only_what_is_urgent_goes_until_a_person_asks() {
    let mut office = office("every = \"24h\"\non_event = true");
    office.start();
    office.first_session_over();
    let many: Vec<String> = (0..300)
        .map(|number| patient(&format!("k-{number}")).to_string())
        .collect();
    assert_eq!(office.run_with(&["enqueue", "-"], &many.join("\n")).code, 0);
    wait_until("the month's bytes are spent", || month(&office)["spent"] == true);
    wait_until("the session has ended", || {
        office.json(&["status"])["session_running"] == false
    });
    let pending = |office: &Office| {
        let states = office.states();
        states.values().filter(|state| *state == "pending").count()
    };
    let left = pending(&office);
    let cases = office.primero.cases().len();
    assert!(
        (100..300).contains(&cases),
        "the session ends where the budget does: {cases} cases"
    );
    let said = office.run(&["status"]).out;
    assert!(said.contains("only urgent events go"), "{said}");

    office.enqueue(&referral("urgent", "Bopha", "cif"));
    wait_until("the urgent one arrives", || office.state("urgent") == "delivered");
    assert_eq!(pending(&office), left, "and nothing else");
    let pulls = || {
        let log = office.oscar.server().log();
        log.iter().filter(|request| request.method == "GET").count()
    };
    let before = pulls();
    office.enqueue(&referral("urgent-2", "Sophea", "cif"));
    wait_until("another urgent one arrives", || {
        office.state("urgent-2") == "delivered"
    });
    assert_eq!(pulls(), before, "nothing is fetched");

    assert_eq!(office.sync(), 0);
    assert_eq!(pending(&office), 0, "a person may spend more");
}
