//! `reconcile`: the real program compares what both systems show with what it holds, and tells neither of them.

use crate::office::{Office, Wishes, referral, wait_until};
use referral_gateway::core::{daily, outbox};
use referral_gateway::store::{DeviceKey, Store, StoreError};
use serde_json::Value;
use simulators::wire::{Fault, FaultRule};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn reconcile_shows_what_each_side_shows_and_keeps_the_report() {
    let mut office = Office::new();
    assert_eq!(
        office.run(&["reconcile", "--last"]).code,
        1,
        "nothing to show yet"
    );
    for service in [false, true] {
        if service {
            office.start();
            office.first_session_over();
        }
        let key = format!("office-{}", u8::from(service));
        office.enqueue(&referral(&key, &format!("Zaphodina{key}"), "cif"));
        assert_eq!(office.sync(), 0);
        assert_eq!(office.state(&key), "delivered");
        let before = (
            office.primero.cases(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        let ran = office.run(&["reconcile"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.out.contains(&format!("event {key} (local-to-oscar, cif)"))
                && ran.out.contains("primero   referral in_progress, service ")
                && ran.out.contains("0 services differ"),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains("Zaphodina"), "{}", ran.out);
        let after = (
            office.primero.cases(),
            office.oscar.with(|sim| sim.referrals().len()),
        );
        assert_eq!(after, before, "nobody was told");

        let last = office.json(&["reconcile", "--last"]);
        assert_eq!(last["looked_at"], 1 + u64::from(service), "{last}");
        assert_eq!(last["rows"][0]["primero"]["case"], "seen");
        let report: Value = office.json(&["reconcile"]);
        assert_eq!(
            report["rows"].as_array().map(Vec::len),
            last["rows"].as_array().map(Vec::len)
        );
    }
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
    let ran = office.run(&["reconcile"]);
    assert!(
        ran.code == 75 && ran.out.contains("primero could not be asked to the end"),
        "{ran:?}"
    );
    assert_eq!(
        office.json(&["reconcile", "--last"])["rows"][0]["primero"]["case"],
        "unread"
    );
}

/// What the store knows of the day's beginning is moved back by a day.
fn a_day_passes(office: &Office) {
    let key = DeviceKey::load_or_make(&office.data("seal.key")).unwrap();
    let (store, _) = Store::open(&office.data("gateway.redb"), key, None, &outbox::recover).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let began = i64::try_from(now).unwrap() - daily::EVERY_S;
    let moved: Result<(), StoreError> = store.write(move |tx| {
        tx.meta_put(daily::DOCUMENT, &began);
        Ok(())
    });
    moved.unwrap();
}

/// How often the open case has been asked for its referrals.
fn looks(office: &Office) -> u64 {
    let counters = office.primero.server().counters();
    let lists = counters
        .requests
        .iter()
        .filter(|((method, path), _)| method == "GET" && path.ends_with("/referrals"));
    lists.map(|(_, times)| times).sum()
}

#[test]
fn the_daily_look_comes_by_itself_once_and_shows_in_status() {
    let mut office = Office::new();
    office.start();
    office.enqueue(&referral("office-1", "Zaphodina", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("office-1"), "delivered");
    office.stop();
    assert!(
        office.json(&["status"])["reconciliation"].is_null(),
        "a first day has to pass"
    );

    a_day_passes(&office);
    office.start();
    wait_until("the daily look is made", || {
        office.json(&["status"])["reconciliation"]["looked_at"] == 1
    });
    let status = office.json(&["status"]);
    assert_eq!(status["reconciliation"]["for_people"], 0, "{status}");
    let (made, before) = (looks(&office), office.log().matches("the daily look").count());
    assert_eq!(before, 1);
    office.stop();
    office.start();
    assert_eq!(office.sync(), 0);
    assert_eq!(
        office.log().matches("the daily look").count(),
        before,
        "a restart repeats nothing"
    );
    assert_eq!(looks(&office), made);

    // Somebody takes the referral back in Primero: the NGO has to be told, by people.
    let made = office.primero.referrals().remove(0);
    let revoked = office
        .primero
        .revoke_referral("gateway-test", made["id"].as_str().unwrap());
    revoked.unwrap();
    let ran = office.run(&["reconcile"]);
    assert!(
        ran.code == 4 && ran.out.contains("1 of them need a person"),
        "{ran:?}"
    );
    assert_eq!(office.run(&["reconcile", "--last"]).code, 4);
    let ran = office.run(&["status"]);
    assert!(
        ran.out.contains("1 of them need a person: `reconcile --last`"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("Zaphodina"));
}

#[test]
fn quiet_hours_and_a_lost_peer_put_the_daily_look_off() {
    let quiet = "[uplink]\nquiet_hours = [\"00:00-12:00\", \"12:00-24:00\"]\n";
    for (more, oscar_down) in [(quiet, false), ("", true)] {
        let mut office = Office::with(more);
        office.enqueue(&referral("office-1", "Zaphodina", "cif"));
        assert_eq!(office.sync(), 0);
        a_day_passes(&office);
        office.oscar.server().set_down(oscar_down);
        office.start();
        assert_eq!(office.sync(), 0);
        // Whatever was due after the session has begun before this is answered.
        assert!(office.json(&["status"])["reconciliation"].is_null());
        assert!(!office.log().contains("the daily look"), "{}", office.log());
    }
}

#[test]
fn what_is_urgent_ends_the_daily_look_and_what_is_not_waits_for_it() {
    for risk in ["low", "high"] {
        let mut office = Office::wished(Wishes {
            schedule: Some("every = \"24h\"\non_event = true"),
            ..Wishes::default()
        });
        for child in 0..6 {
            let key = format!("open-{child}");
            office.enqueue(&referral(&key, &format!("Zaphodina{child}"), "cif"));
        }
        assert_eq!(office.sync(), 0);
        a_day_passes(&office);
        let slow = FaultRule::on("GET", "/referrals", Fault::DelayBefore(Duration::from_secs(1)));
        office.primero.server().faults().add(slow);
        office.start();
        wait_until("the daily look begins", || {
            office.log().contains("the daily look")
        });
        let mut event = referral("late", "Tricia", "cif");
        event["risk_level"] = risk.into();
        office.enqueue(&event);
        wait_until("the late one arrives", || office.state("late") == "delivered");
        let log = office.log();
        let urgent = risk == "high";
        assert_eq!(log.contains("reconciled: 6 of 6"), !urgent, "{risk}: {log}");
        assert_eq!(
            log.contains("the daily look has made way"),
            urgent,
            "{risk}: {log}"
        );
    }
}
