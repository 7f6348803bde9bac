//! The box without a clock battery: the real binary under a clock of its own (Debian's faketime), which is put right
//! while it runs.

use crate::office::{Office, PATIENCE, Wishes, referral, wait_until};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An office whose service reads the time from a file; everything else goes by the real clock.
struct Wrong {
    office: Office,
    clock: PathBuf,
}

fn library() -> String {
    let places = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let found = places
        .map(|place| place.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    found
        .expect("libfaketime is not installed; `apt-get install faketime`, or run tests/run")
        .display()
        .to_string()
}

/// Has the service read the time from a file; returns the file.
pub fn by_a_clock_of_its_own(office: &mut Office, at: &str) -> PathBuf {
    let clock = office.folder.path().join("clock");
    std::fs::write(&clock, at).unwrap();
    for (name, value) in [
        ("LD_PRELOAD", library().as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        // Deadlines and file times are the kernel's own.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ] {
        office.environment.push((name, value.into()));
    }
    clock
}

impl Wrong {
    fn started(at: &str) -> Wrong {
        let mut office = Office::wished(Wishes {
            schedule: Some("every = \"5s\"\non_event = true"),
            ..Wishes::default()
        });
        let clock = by_a_clock_of_its_own(&mut office, at);
        office.start();
        Wrong { office, clock }
    }

    fn set(&self, clock: &str) {
        std::fs::write(&self.clock, clock).unwrap();
    }

    fn status(&self) -> Value {
        self.office.json(&["status"])
    }

    fn line(&self) -> Value {
        self.status()["uplink"]["state"].clone()
    }

    fn asked(&self) -> usize {
        self.office.primero.server().log().len() + self.office.oscar.server().log().len()
    }

    /// With the clock put right, what was taken in meanwhile goes.
    fn recovers(&self, key: &str) {
        self.set("+0");
        wait_until("the event is delivered", || self.office.state(key) == "delivered");
        // The next peer to tell the time confirms it.
        wait_until("the clock is believed", || self.status()["clock"] == "synced");
        assert_eq!(self.line(), "up");
        assert_eq!(self.office.primero.cases().len(), 1);
    }
}

#[test]
fn at_1970_events_are_taken_in_and_nobody_is_asked_until_the_clock_is_set() {
    let box_ = Wrong::started("@1970-01-02 03:04:05");
    assert_eq!(box_.office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    wait_until("the clock is named", || box_.line() == "clock");
    let status = box_.status();
    assert_eq!(status["clock"], "unset");
    assert!(
        status["uplink"]["advice"]
            .as_str()
            .unwrap()
            .contains("set the clock"),
        "{status}"
    );
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(box_.asked(), 0, "no certificate can be judged");
    assert_eq!(box_.office.state("k-1"), "pending");
    box_.recovers("k-1");
}

#[test]
fn at_2099_it_is_the_same_and_nothing_of_that_year_stays() {
    let mut box_ = Wrong::started("@2099-06-01 12:00:00");
    assert_eq!(box_.office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    wait_until("the clock is named", || box_.line() == "clock");
    assert_eq!(
        (box_.status()["clock"].as_str(), box_.asked()),
        (Some("unset"), 0)
    );
    box_.recovers("k-1");
    box_.office.stop();
    box_.office.start();
    wait_until("the line is up again", || box_.line() == "up");
    let month = box_.status()["uplink"]["month"]["month"].clone();
    assert!(month.as_str().is_some_and(|month| month < "2090"), "{month}");
}

#[test]
fn a_clock_that_is_plausible_and_wrong_is_named_by_the_certificates() {
    let box_ = Wrong::started("@2030-06-01 12:00:00");
    assert_eq!(box_.office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    // Test authorities sign for very long; what a peer tells of the time shows it all the same.
    wait_until("the clock is doubted", || {
        let status = box_.status();
        status["uplink"]["state"] == "clock" || status["uplink"]["clock_wrong_by_s"].is_number()
    });
    assert_eq!(box_.status()["clock"], "unconfirmed");
    box_.recovers("k-1");
}

#[test]
fn a_clock_that_was_far_ahead_for_a_while_stops_nothing_once_it_is_right_again() {
    let mut office = Office::new();
    let clock = by_a_clock_of_its_own(&mut office, "+0");
    office.start();
    assert_eq!(office.sync(), 0);
    assert_eq!(office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    let given_up = office.run(&["events", "discard", "k-1", "--note", "entered twice"]);
    assert_eq!(given_up.code, 0, "{given_up:?}");
    let mut box_ = Wrong { office, clock };
    assert_eq!(box_.status()["clock"], "synced");
    box_.set("+400d");
    assert_eq!(box_.status()["clock"], "unconfirmed", "nobody has told that");
    // The first purge comes a minute after the start; by this clock the event is long over.
    let purged = || box_.office.states().is_empty();
    let start = Instant::now();
    while !purged() {
        assert!(start.elapsed() < PATIENCE * 4, "the event stays");
        std::thread::sleep(Duration::from_millis(500));
    }
    box_.set("+0");
    assert_eq!(box_.status()["clock"], "synced", "as the peers told");
    box_.office.stop();
    box_.office.start();
    assert_eq!(box_.office.enqueue(&referral("k-2", "Bopha", "cif")).0, 0);
    assert_eq!(box_.office.sync(), 0);
    assert_eq!(box_.office.state("k-2"), "delivered");
}
