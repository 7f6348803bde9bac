//! The service itself: starting, stopping, dying, and not starting twice.

use crate::office::{Office, Wishes, referral, wait_until};
use simulators::wire::{Fault, FaultRule};
use std::process::Stdio;
use std::time::Duration;

const ON_EVENT: Wishes = Wishes {
    schedule: Some("every = \"24h\"\non_event = true"),
    more: String::new(),
    oscar: None,
    primero: None,
};

#[test]
fn a_fresh_start_makes_what_it_needs_and_is_ready_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let mut office = Office::new();
    office.start();
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(office.folder.path().join("data")), 0o710);
    assert_eq!(mode(office.data("seal.key")) & 0o077, 0, "the key is its owner's");
    assert_eq!(mode(office.data("control.sock")), 0o660);
    // The group puts files in, unseen by others of it, and reads what became of them.
    let folders = ["intake", "intake/accepted", "intake/rejected"].map(|name| mode(office.data(name)));
    assert_eq!(folders, [0o730, 0o750, 0o750]);
    let private = ["gateway.redb", "seal.key"].map(|name| mode(office.data(name)));
    assert_eq!(private, [0o600, 0o600]);
    let status = office.json(&["status"]);
    assert_eq!(
        (&status["mqtt"]["state"], &status["queue"]["pending"]),
        (&"off".into(), &0.into()),
        "{status}"
    );
    assert_eq!(office.stop(), Some(0), "{}", office.log());
    assert!(!office.data("control.sock").exists());
    assert!(
        office.log().contains("ready") && office.log().contains("stopping"),
        "{}",
        office.log()
    );
}

#[test]
fn a_fresh_event_starts_a_session_by_itself() {
    let mut office = Office::wished(ON_EVENT);
    office.start();
    office.first_session_over();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    office.enqueue(&referral("k-2", "Bopha", "gpc"));
    wait_until("both are delivered", || {
        office.states().values().all(|state| state == "delivered")
    });
    assert_eq!(
        office.log().matches("session: ").count(),
        2,
        "a burst makes one session: {}",
        office.log()
    );
}

#[test]
fn the_schedule_comes_round_by_itself() {
    let mut office = Office::wished(Wishes {
        schedule: Some("every = \"5s\"\non_event = false"),
        ..Wishes::default()
    });
    office.start();
    office.first_session_over();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    wait_until("it is delivered", || office.state("k-1") == "delivered");
}

#[test]
fn a_second_service_on_the_same_store_is_refused() {
    let mut office = Office::new();
    office.start();
    let ran = office.run(&["run"]);
    assert!(
        ran.code == 75 && ran.err.contains("another process has"),
        "{ran:?}"
    );
    assert_eq!(office.json(&["status"])["gateway"], "kpt-03", "the first goes on");
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered", "and works");
    assert_eq!(office.stop(), Some(0), "{}", office.log());
}

#[test]
fn a_store_of_a_later_version_is_refused_and_left_alone() {
    let office = Office::new();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    let path = office.data("gateway.redb");
    set_schema(&path, 99);
    let before = rows(&path);
    let bytes = std::fs::read(&path).unwrap();
    for command in [&["run"][..], &["status"], &["sync"], &["events", "list"]] {
        let ran = office.run(command);
        assert!(
            ran.code == 1 && ran.err.contains("install the newer version"),
            "{ran:?}"
        );
    }
    assert!(
        std::fs::read(&path).unwrap() == bytes,
        "not a byte of it has changed"
    );
    assert!(
        !before.is_empty() && rows(&path) == before,
        "not a row of it has changed"
    );
    set_schema(&path, 1);
    assert_eq!(office.state("k-1"), "pending");
}

/// Everything in a store, as it lies there.
fn rows(path: &std::path::Path) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    use redb::{ReadableDatabase, ReadableTable, TableHandle};
    let database = redb::Database::open(path).unwrap();
    let reading = database.begin_read().unwrap();
    let mut found = Vec::new();
    for handle in reading.list_tables().unwrap() {
        let table: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new(handle.name());
        for row in reading.open_table(table).unwrap().iter().unwrap() {
            let (key, value) = row.unwrap();
            found.push((
                handle.name().to_owned(),
                key.value().to_vec(),
                value.value().to_vec(),
            ));
        }
    }
    found
}

fn set_schema(path: &std::path::Path, schema: u32) {
    let database = redb::Database::open(path).unwrap();
    let writing = database.begin_write().unwrap();
    {
        let table: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("meta");
        let mut table = writing.open_table(table).unwrap();
        table.insert(&b"schema"[..], &schema.to_be_bytes()[..]).unwrap();
    }
    writing.commit().unwrap();
}

#[test]
fn a_stop_in_the_middle_of_a_session_ends_cleanly_and_loses_nothing() {
    let mut office = Office::new();
    let slow = Fault::DelayBefore(Duration::from_millis(300));
    office.primero.server().faults().add(FaultRule::always(slow));
    for number in 0..6 {
        office.enqueue(&referral(
            &format!("k-{number}"),
            &format!("Child {number}"),
            "cif",
        ));
    }
    office.start();
    wait_until("the session works", || !office.primero.cases().is_empty());
    assert_eq!(office.stop(), Some(0), "{}", office.log());
    let made = office.primero.cases().len();
    assert!(made < 6, "stopped in the middle: {made}");
    let states = office.states();
    assert_eq!(states.len(), 6);
    assert!(
        states.values().all(|state| state != "in_doubt"),
        "the event in hand was finished: {states:?}"
    );
    office.primero.server().faults().clear();
    office.run(&["sync"]);
    office.run(&["sync"]);
    assert!(
        office.states().values().all(|state| state == "delivered"),
        "{:?}",
        office.states()
    );
    let counts = (office.primero.cases().len(), office.primero.referrals().len());
    assert_eq!(
        (counts, office.oscar.with(|sim| sim.referrals().len())),
        ((6, 6), 6)
    );
}

/// Ten times the program is killed at some moment while a producer hands events in and sessions run. This shows
/// that a restart finds every acknowledged event again; it does not show what a power cut does to a disk, which is
/// the store's own crash tests' business.
#[test]
fn killed_at_any_moment_it_finds_everything_again() {
    let mut office = Office::wished(Wishes {
        schedule: Some("every = \"5s\"\non_event = true"),
        ..Wishes::default()
    });
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..10_u64 {
        office.start();
        let mut producer = producer(&office, round);
        let reader = std::io::BufReader::new(producer.stdout.take().unwrap());
        // Uneven moments, from just ready to well into a session.
        std::thread::sleep(Duration::from_millis(40 + (round * 263) % 700));
        office.kill();
        acknowledged.extend(keys(reader));
        producer.wait().unwrap();
    }
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    office.start();
    wait_until("what can be sent is sent", || {
        office.run(&["sync"]);
        office
            .states()
            .values()
            .all(|state| state == "delivered" || state == "in_doubt")
    });
    let states = office.states();
    for key in &acknowledged {
        assert!(states.contains_key(key), "{key} was acknowledged and is gone");
    }
    let primero = office.primero.ledger();
    let (cases, referrals) = (office.primero.cases().len(), office.primero.referrals().len());
    assert_eq!(
        (cases, referrals),
        (states.len(), states.len()),
        "each event once: {primero}"
    );
    let tags = states
        .keys()
        .map(|key| format!("[{}]", office.event(key)["tag"].as_str().unwrap()));
    for tag in tags {
        assert!(
            office.oscar.with(|sim| sim.count_by_tag("cif", &tag)) <= 1,
            "{tag}"
        );
    }
}

/// Hands in events of its own, one command each, and prints the keys of those that were acknowledged.
fn producer(office: &Office, round: u64) -> std::process::Child {
    let template = referral("KEY", "NAME", "cif").to_string();
    let script = r#"i=0; while [ $i -lt 10 ]; do i=$((i+1)); key="r$2-$i"
        printf '%s' "$3" | sed "s/KEY/$key/; s/NAME/Child $key/" |
        "$0" --config "$1" enqueue - --json 2>/dev/null || exit 0; [ -S "$4" ] || exit 0; done"#;
    std::process::Command::new("sh")
        .args([
            "-c",
            script,
            crate::office::gateway().to_str().unwrap(),
            office.config.to_str().unwrap(),
        ])
        .args([
            &round.to_string(),
            &template,
            office.data("control.sock").to_str().unwrap(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn keys(reader: impl std::io::BufRead) -> Vec<String> {
    let line = |line: String| serde_json::from_str::<serde_json::Value>(&line).ok();
    let lines = reader.lines().map(Result::unwrap).filter_map(line);
    lines
        .filter(|line| line["seq"].is_u64())
        .map(|line| line["event_key"].as_str().unwrap().to_owned())
        .collect()
}
