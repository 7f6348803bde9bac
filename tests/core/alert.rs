//! Each alert is raised, said again, cleared and left alone as its signs say.

use referral_gateway::core::alert::{
    Alerts, CERTIFICATE_DAYS, CRASHES, Code, DISK_FREE_BYTES, DISK_WELL_BYTES, DOWN_S, OVERDUE_S, PULL_FAILS,
    Say, Signs, Turn,
};
use referral_gateway::core::figures::Remaining;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::queue::Counts;
use referral_gateway::core::record::Peer;
use referral_gateway::core::schedule::{Fared, Means, Plan, Schedule};
use referral_gateway::core::time::{BUILD_FLOOR, Mono, Now, Wall};
use serde_json::Value;
use std::time::Duration;

const EPOCH: i64 = BUILD_FLOOR + 1_000_000;

fn at(s: u64) -> Now {
    Now {
        mono: Mono(s * 1000 + 1),
        wall: Wall::judge(EPOCH + s as i64, 0, true),
    }
}

/// A schedule whose peers have just fared like this; `None` leaves them unasked.
fn schedule(troubles: Option<[Option<Trouble>; 2]>) -> Schedule {
    let plan = Plan {
        jitter: Duration::ZERO,
        ..crate::schedule::plan()
    };
    let mut schedule = Schedule::new(plan, Mono(0));
    if let Some([primero, oscar]) = troubles {
        let fared = |trouble: Option<Trouble>| Fared {
            reached: trouble.is_none(),
            trouble,
            partial: false,
            retry_after: None,
            cursor: None,
            pull_ok: None,
        };
        schedule
            .due(at(0), Means::default(), 0)
            .expect("the first session is due at once");
        schedule.ended(fared(primero), fared(oscar), Mono(1), Some(EPOCH), 0);
    }
    schedule
}

fn signs(schedule: &Schedule) -> Signs<'_> {
    Signs {
        counts: Counts::default(),
        events_max: 100,
        bytes_max: 1_000_000,
        oldest_s: None,
        primero: schedule.peer(Peer::Primero),
        oscar: schedule.peer(Peer::Oscar),
        differing: 0,
        last_ok: [None; 2],
        store_failed: false,
        disk_free: None,
        crashes: 0,
        certificate: Remaining::NoCertificate,
        over_budget: false,
        locked: false,
    }
}

fn codes(changes: &[Say], raised: bool) -> Vec<&'static str> {
    changes
        .iter()
        .filter(|say| (say.turn != Turn::Cleared) == raised)
        .map(|say| say.code.word())
        .collect()
}

#[test]
fn a_first_look_clears_what_it_knows_and_leaves_the_rest_to_the_run_before() {
    let unasked = schedule(None);
    let mut alerts = Alerts::default();
    let first = alerts.judge(&signs(&unasked), at(0));
    assert!(codes(&first, true).is_empty());
    let cleared = codes(&first, false);
    assert!(cleared.contains(&"parked") && cleared.contains(&"locked"));
    for unknown in [
        "auth_primero",
        "down_oscar",
        "shape_oscar",
        "pull_oscar",
        "certificate",
        "clock",
    ] {
        assert!(!cleared.contains(&unknown), "{unknown} cannot be known yet");
    }
    assert!(alerts.judge(&signs(&unasked), at(1)).is_empty(), "said once");
    let asked = schedule(Some([None, None]));
    let then = alerts.judge(&signs(&asked), at(2));
    assert_eq!(
        first.len() + then.len(),
        Code::ALL.len(),
        "every alert is known now"
    );
}

#[test]
fn an_alert_is_raised_once_said_again_daily_and_cleared() {
    let schedule = schedule(Some([None, None]));
    let mut alerts = Alerts::default();
    alerts.judge(&signs(&schedule), at(0));
    let mut parked = signs(&schedule);
    parked.counts.parked = 2;
    let raised = alerts.judge(&parked, at(60));
    assert_eq!(
        (raised.len(), raised[0].code, raised[0].turn),
        (1, Code::Parked, Turn::Raised)
    );
    let said: Value = serde_json::from_slice(&raised[0].payload).unwrap();
    let wanted = ("parked".into(), "warning".into(), 2.into());
    assert_eq!(
        (&said["code"], &said["level"], &said["value"]),
        (&wanted.0, &wanted.1, &wanted.2)
    );
    assert_eq!(said["since"], EPOCH + 60);
    parked.counts.parked = 3;
    assert!(alerts.judge(&parked, at(61)).is_empty());
    assert!(alerts.judge(&parked, at(60 + 24 * 3600 - 1)).is_empty());
    let again = alerts.judge(&parked, at(60 + 24 * 3600));
    assert_eq!(
        (again.len(), again[0].code, again[0].turn),
        (1, Code::Parked, Turn::Again)
    );
    let said: Value = serde_json::from_slice(&again[0].payload).unwrap();
    assert_eq!(said["value"], 3);
    assert_eq!(said["since"], EPOCH + 60);
    let cleared = alerts.judge(&signs(&schedule), at(100_000));
    assert_eq!(
        (cleared.len(), cleared[0].code, cleared[0].turn),
        (1, Code::Parked, Turn::Cleared)
    );
    assert!(cleared[0].payload.is_empty() && alerts.raised_now().is_empty());
}

#[test]
fn each_sign_raises_its_own_alert_and_no_other() {
    let good = schedule(Some([None, None]));
    type Change = fn(&mut Signs);
    let cases: [(&str, Change); 11] = [
        ("in_doubt", |s| s.counts.in_doubt = 1),
        ("differs", |s| s.differing = 1),
        ("overdue", |s| s.oldest_s = Some(OVERDUE_S + 1)),
        ("queue_full", |s| s.counts.pending = 90),
        ("queue_full", |s| s.counts.open_bytes = 900_000),
        ("disk", |s| s.store_failed = true),
        ("disk", |s| s.disk_free = Some(DISK_FREE_BYTES - 1)),
        ("certificate", |s| {
            s.certificate = Remaining::Days(CERTIFICATE_DAYS - 1)
        }),
        ("crash_loop", |s| s.crashes = CRASHES),
        ("budget", |s| s.over_budget = true),
        ("locked", |s| s.locked = true),
    ];
    for (code, change) in cases {
        let mut alerts = Alerts::default();
        let mut signs = signs(&good);
        change(&mut signs);
        assert_eq!(codes(&alerts.judge(&signs, at(0)), true), [code]);
    }
    for (trouble, codes_wanted) in [
        (Trouble::Auth, &["auth_primero"][..]),
        (Trouble::Shape, &["shape_primero"]),
        (Trouble::Tls, &["certificate"]),
        (Trouble::Clock, &["clock"]),
        (Trouble::Dns, &[]),
        (Trouble::Timeout, &[]),
    ] {
        let bad = schedule(Some([Some(trouble), None]));
        assert_eq!(
            codes(&Alerts::default().judge(&signs(&bad), at(0)), true),
            codes_wanted
        );
    }
    let mut unset = at(0);
    unset.wall = Wall::judge(0, 0, false);
    assert_eq!(
        codes(&Alerts::default().judge(&signs(&good), unset), true),
        ["clock"]
    );
}

#[test]
fn the_queue_alert_does_not_flap_around_its_bound() {
    let schedule = schedule(Some([None, None]));
    let mut alerts = Alerts::default();
    for (pending, raised) in [
        (89, false),
        (90, true),
        (85, true),
        (81, true),
        (80, false),
        (89, false),
    ] {
        let mut signs = signs(&schedule);
        signs.counts.pending = pending;
        alerts.judge(&signs, at(u64::from(pending)));
        assert_eq!(alerts.raised(Code::QueueFull), raised, "{pending} of 100");
    }
}

#[test]
fn a_peer_is_down_long_by_this_run_or_by_the_ones_before() {
    let bad = schedule(Some([Some(Trouble::Route), None]));
    let day = u64::try_from(DOWN_S).unwrap();
    let mut alerts = Alerts::default();
    assert!(codes(&alerts.judge(&signs(&bad), at(0)), true).is_empty());
    assert!(codes(&alerts.judge(&signs(&bad), at(day - 1)), true).is_empty());
    assert_eq!(
        codes(&alerts.judge(&signs(&bad), at(day)), true),
        ["down_primero"]
    );
    // A box that is unplugged every night has no run of a day.
    let mut before = signs(&bad);
    before.last_ok = [Some(EPOCH - DOWN_S), None];
    let mut fresh = Alerts::default();
    assert_eq!(codes(&fresh.judge(&before, at(0)), true), ["down_primero"]);
    let good = schedule(Some([None, None]));
    assert_eq!(
        codes(&fresh.judge(&signs(&good), at(5)), false)
            .iter()
            .filter(|code| **code == "down_primero")
            .count(),
        1
    );
}

#[test]
fn the_disk_alert_does_not_flap_around_its_bound() {
    let schedule = schedule(Some([None, None]));
    let mut alerts = Alerts::default();
    for (free, raised) in [
        (Some(DISK_FREE_BYTES), false),
        (Some(DISK_FREE_BYTES - 1), true),
        (Some(DISK_WELL_BYTES - 1), true),
        (Some(DISK_WELL_BYTES), false),
        (Some(DISK_FREE_BYTES), false),
        (Some(0), true),
    ] {
        let mut signs = signs(&schedule);
        signs.disk_free = free;
        alerts.judge(&signs, at(1));
        assert_eq!(alerts.raised(Code::Disk), raised, "{free:?} free");
    }
}

#[test]
fn our_own_certificate_is_told_in_days_and_never_by_a_clock_nobody_confirmed() {
    let good = schedule(Some([None, None]));
    let mut alerts = Alerts::default();
    let mut near = signs(&good);
    near.certificate = Remaining::Days(CERTIFICATE_DAYS - 1);
    let raised = alerts.judge(&near, at(0));
    let raised: Vec<&Say> = raised.iter().filter(|say| say.turn == Turn::Raised).collect();
    let said: Value = serde_json::from_slice(&raised[0].payload).unwrap();
    assert_eq!(
        (&said["code"], &said["value"]),
        (&"certificate".into(), &20.into())
    );
    let mut renewed = signs(&good);
    renewed.certificate = Remaining::Days(CERTIFICATE_DAYS);
    assert_eq!(codes(&alerts.judge(&renewed, at(1)), false), ["certificate"]);
    // After a restart with a clock that nobody has confirmed yet, the alert of the run before stands.
    let mut unsure = signs(&good);
    unsure.certificate = Remaining::Unknown;
    let first = Alerts::default().judge(&unsure, at(0));
    assert!(!first.iter().any(|say| say.code == Code::Certificate));
    let bad = schedule(Some([Some(Trouble::Tls), None]));
    let mut signs = signs(&bad);
    signs.certificate = Remaining::Unknown;
    assert_eq!(
        codes(&Alerts::default().judge(&signs, at(0)), true),
        ["certificate"]
    );
}

#[test]
fn a_pull_oscar_keeps_failing_on_is_told_after_an_hour_and_ended_by_one_that_works() {
    let pull = |schedule: &mut Schedule, s: u64, pull_ok: Option<bool>| {
        schedule.asked_by_hand();
        schedule
            .due(at(s), Means::default(), 0)
            .expect("asked for by hand");
        let oscar = Fared {
            reached: true,
            trouble: (pull_ok == Some(false)).then_some(Trouble::Server),
            partial: pull_ok == Some(false),
            pull_ok,
            ..crate::schedule::GOOD
        };
        schedule.ended(crate::schedule::GOOD, oscar, at(s).mono, Some(EPOCH), 0);
    };
    let hour = PULL_FAILS.as_secs();
    let mut schedule = schedule(None);
    let mut alerts = Alerts::default();
    let mut steps = Vec::new();
    // A session that asked for no pull says nothing about it.
    for (s, ok) in [
        (10, Some(false)),
        (hour, None),
        (hour + 9, Some(false)),
        (hour + 10, None),
        (hour + 20, Some(true)),
        (hour + 30, Some(false)),
    ] {
        pull(&mut schedule, s, ok);
        alerts.judge(&signs(&schedule), at(s));
        steps.push(alerts.raised(Code::PullOscar));
    }
    assert_eq!(steps, [false, false, false, true, false, false]);
}
