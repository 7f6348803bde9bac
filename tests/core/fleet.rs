//! The desk's picture: promises decide, late wills do not, and nothing that is said can do harm.

use referral_gateway::core::fleet::metrics::metrics;
use referral_gateway::core::fleet::report::{Verdict, check, document, table};
use referral_gateway::core::fleet::{ALERTS_MAX, Fleet, GATEWAYS_MAX, State};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn heard(said: &[(&str, Value)]) -> Fleet {
    let mut fleet = Fleet::new("p/v1");
    for (topic, payload) in said {
        hear(&mut fleet, topic, payload);
    }
    fleet
}

fn hear(fleet: &mut Fleet, topic: &str, payload: &Value) {
    fleet.hear(format!("p/v1/{topic}").as_bytes(), payload.to_string().as_bytes());
}

fn status(state: &str, of: (u64, u32), next_by: Option<i64>) -> Value {
    json!({"v": 1, "ts": NOW - 60, "state": state, "session": of.0, "link": of.1, "next_by": next_by})
}

fn health(of: (u64, u32), next_by: i64) -> Value {
    json!({"v": 1, "ts": NOW - 60, "session": of.0, "link": of.1, "next_by": next_by, "queue": 3, "parked": 1,
        "disk_free_b": 900_500_000_u64, "cert_days": 40, "boot_reason": "power"})
}

fn state(fleet: &Fleet, now: i64) -> State {
    let (_, gateway) = fleet.gateways().next().expect("one gateway");
    gateway.state(now)
}

#[test]
fn a_gateway_is_silent_when_its_promise_has_passed_and_not_before() {
    for word in ["online", "sleeping"] {
        let fleet = heard(&[("f/a/status", status(word, (1, 1), Some(NOW)))]);
        assert_ne!(state(&fleet, NOW), State::Silent);
        assert_eq!(state(&fleet, NOW + 1), State::Silent);
    }
    let fleet = heard(&[("f/a/status", status("offline", (1, 1), None))]);
    assert_eq!(
        state(&fleet, NOW + 1_000_000),
        State::Offline,
        "a clean stop promised nothing"
    );
    let fleet = heard(&[("f/a/status", status("online", (1, 1), None))]);
    assert_eq!(state(&fleet, NOW), State::Unclear, "its clock is not set");
}

#[test]
fn a_will_alone_makes_nobody_silent() {
    let mut fleet = heard(&[("f/a/status", status("online", (1, 1), Some(NOW + 900)))]);
    hear(&mut fleet, "f/a/status", &status("lost", (1, 1), None));
    assert_eq!(state(&fleet, NOW), State::Lost);
    assert_eq!(state(&fleet, NOW + 901), State::Silent);
    // A desk that comes later finds the will alone on the topic; health carries the promise.
    let later = heard(&[
        ("f/a/status", status("lost", (1, 1), None)),
        ("f/a/health", health((1, 1), NOW + 900)),
    ]);
    assert_eq!(state(&later, NOW), State::Lost);
    assert_eq!(state(&later, NOW + 901), State::Silent);
    let bare = heard(&[("f/a/status", status("lost", (1, 1), None))]);
    assert_eq!(state(&bare, NOW), State::Unclear);
}

#[test]
fn a_will_that_comes_after_a_newer_birth_is_ignored() {
    let birth = status("online", (7, 3), Some(NOW + 900));
    for late in [(6, 9), (7, 2)] {
        let mut live = heard(&[("f/a/status", birth.clone())]);
        hear(&mut live, "f/a/status", &status("lost", late, None));
        assert_eq!(state(&live, NOW), State::Online, "{late:?}");
        let later = heard(&[
            ("f/a/status", status("lost", late, None)),
            ("f/a/health", health((7, 3), NOW + 900)),
        ]);
        assert_eq!(
            state(&later, NOW),
            State::Online,
            "{late:?}, seen by a desk that came later"
        );
    }
    // A box with a fresh store counts from one again: its birth is believed.
    let mut fresh = heard(&[("f/a/status", birth)]);
    hear(
        &mut fresh,
        "f/a/status",
        &status("sleeping", (1, 1), Some(NOW + 900)),
    );
    assert_eq!(state(&fresh, NOW), State::Sleeping);
}

#[test]
fn a_clock_far_off_makes_a_promise_worthless() {
    let far = heard(&[("f/a/status", status("online", (1, 1), Some(NOW + 30 * 86_400)))]);
    assert_eq!(state(&far, NOW), State::Unclear);
    let mut ahead = status("online", (1, 1), Some(NOW + 900));
    ahead["ts"] = (NOW + 3600).into();
    assert_eq!(state(&heard(&[("f/a/status", ahead)]), NOW), State::Unclear);
    let forever = heard(&[("f/a/status", status("online", (1, 1), Some(i64::MAX)))]);
    assert_eq!(state(&forever, NOW), State::Unclear);
}

#[test]
fn nobody_is_invented_and_what_is_cleared_is_gone() {
    let mut fleet = heard(&[
        ("f/a/event", json!({"v": 1, "event": "boot"})),
        ("f/a/cmd-result", json!({"v": 1})),
        ("f/a/unheard-of", json!({"v": 1})),
        ("f/a/status", json!({"v": 2, "state": "online"})),
        ("f/a/status", json!({"v": 1, "state": "dancing"})),
    ]);
    assert_eq!(fleet.gateways().count(), 0);
    hear(
        &mut fleet,
        "f/a/alert-parked",
        &json!({"v": 1, "level": "warning"}),
    );
    hear(&mut fleet, "f/a/status", &status("online", (1, 1), Some(NOW)));
    assert_eq!(fleet.gateways().count(), 1);
    fleet.hear(b"p/v1/f/a/alert-parked", b"");
    assert!(fleet.gateways().next().unwrap().1.alerts.is_empty());
    fleet.hear(b"p/v1/f/a/status", b"");
    assert_eq!(fleet.gateways().count(), 0, "taken out of service");
}

#[test]
fn hostile_messages_are_counted_and_cost_nothing() {
    let mut fleet = Fleet::new("p/v1");
    let long = "x".repeat(40);
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let huge = format!("{{\"v\":1,\"state\":\"{}\"}}", "x".repeat(2000));
    let hostile: [(&str, &str); 10] = [
        ("other/f/a/status", "{}"),
        ("p/v1/f/a", "{}"),
        ("p/v1/f/a/b/status", "{}"),
        ("p/v1/f/A B/status", r#"{"v":1,"state":"online"}"#),
        ("p/v1/f/../status", r#"{"v":1,"state":"online"}"#),
        (&format!("p/v1/f/{long}/status"), r#"{"v":1,"state":"online"}"#),
        ("p/v1/f/a/status", &deep),
        ("p/v1/f/a/status", &huge),
        ("p/v1/f/a/status", "\u{1b}[2J"),
        ("p/v1/f/a/alert-\u{1b}[2J", r#"{"v":1}"#),
    ];
    for (topic, payload) in &hostile {
        fleet.hear(topic.as_bytes(), payload.as_bytes());
    }
    fleet.hear(b"p/v1/f/\xff/status", b"{}");
    assert_eq!((fleet.gateways().count(), fleet.ignored()), (0, 11));
    for number in 0..ALERTS_MAX + 5 {
        hear(&mut fleet, &format!("f/a/alert-{number}"), &json!({"v": 1}));
    }
    assert_eq!(fleet.gateways().next().unwrap().1.alerts.len(), ALERTS_MAX);
    let nasty = json!({"v": 1, "version": "1\"} 0\n\u{1b}[2J\\", "board": "សុខ"});
    hear(&mut fleet, "f/a/info", &nasty);
    hear(
        &mut fleet,
        "f/a/sync-oscar",
        &json!({"v": 1, "error": "\u{1b}[31m\n"}),
    );
    let shown = [
        table(&fleet, NOW),
        document(&fleet, NOW).to_string(),
        check(&fleet, None, NOW).1,
        metrics(&fleet, NOW, true, true),
    ];
    for text in shown {
        assert!(
            text.bytes()
                .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)),
            "{text}"
        );
    }
    for number in 0..GATEWAYS_MAX + 5 {
        hear(
            &mut fleet,
            &format!("f/g{number}/status"),
            &status("online", (1, 1), Some(NOW)),
        );
    }
    assert_eq!(fleet.gateways().count(), GATEWAYS_MAX);
}

#[test]
fn a_check_tells_the_worst_and_names_it() {
    let good = ("f/a/status", status("online", (1, 1), Some(NOW + 900)));
    let parked = (
        "f/a/alert-parked",
        json!({"v": 1, "level": "warning", "since": NOW}),
    );
    let full = ("f/b/alert-queue_full", json!({"v": 1, "level": "critical"}));
    let other = ("f/b/status", status("online", (1, 1), Some(NOW + 900)));
    let verdict = |said: &[(&str, Value)], only| check(&heard(said), only, NOW);
    assert_eq!(verdict(&[], None).0, Verdict::Unknown);
    assert_eq!(verdict(std::slice::from_ref(&good), None).0, Verdict::Ok);
    assert_eq!(
        verdict(std::slice::from_ref(&good), Some("z")).0,
        Verdict::Unknown
    );
    assert_eq!(verdict(&[good.clone(), parked.clone()], None).0, Verdict::Warning);
    let all = [good, parked, full, other];
    let (worst, words) = verdict(&all, None);
    assert_eq!(worst, Verdict::Critical);
    let lines: Vec<&str> = words.lines().collect();
    assert!(
        lines[0].starts_with("CRITICAL - 2 gateways, 0 silent, 2 problems | gateways=2 silent=0"),
        "{words}"
    );
    assert_eq!(
        lines[1..],
        ["f/b: queue_full (critical)", "f/a: parked (warning)"]
    );
    assert_eq!(verdict(&all, Some("f/a")).0, Verdict::Warning);
    assert_eq!(verdict(&all, Some("b")).0, Verdict::Critical);
    let gone = [("f/a/status", status("online", (1, 1), Some(NOW - 1)))];
    assert_eq!(verdict(&gone, None).0, Verdict::Critical);
}

#[test]
fn the_table_has_the_worst_first_and_metrics_say_the_same() {
    let fleet = heard(&[
        ("f/a/status", status("online", (1, 1), Some(NOW + 900))),
        ("f/a/health", health((1, 1), NOW + 900)),
        ("f/b/status", status("online", (1, 1), Some(NOW - 7200))),
        (
            "f/a/sync-oscar",
            json!({"v": 1, "last_ok": NOW - 5, "last_attempt": NOW - 2, "error": "dns"}),
        ),
    ]);
    let table = table(&fleet, NOW);
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[1][..4], ["f/b", "silent", "60s", "-2h"]);
    assert_eq!(
        lines[2],
        [
            "f/a", "online", "60s", "15m", "3", "1", "-", "900", "40d", "-", "dns"
        ]
    );
    let metrics = metrics(&fleet, NOW, true, true);
    let attempt =
        "referral_gateway_peer_last_attempt_timestamp_seconds{fleet=\"f\",gateway=\"a\",peer=\"oscar\"}";
    let attempt = format!("{attempt} {}", NOW - 2);
    for sample in [
        "referral_gateway_state{fleet=\"f\",gateway=\"b\",state=\"silent\"} 1",
        "referral_gateway_state{fleet=\"f\",gateway=\"a\",state=\"online\"} 1",
        "referral_gateway_queue_events{fleet=\"f\",gateway=\"a\"} 3",
        "referral_gateway_disk_free_bytes{fleet=\"f\",gateway=\"a\"} 900500000",
        "referral_gateway_certificate_days{fleet=\"f\",gateway=\"a\"} 40",
        "referral_gateway_boot_reason{fleet=\"f\",gateway=\"a\",reason=\"power\"} 1",
        "referral_gateway_peer_trouble{fleet=\"f\",gateway=\"a\",peer=\"oscar\",trouble=\"dns\"} 1",
        &attempt,
    ] {
        assert!(
            metrics.lines().any(|line| line == sample),
            "{sample} is not in\n{metrics}"
        );
    }
    let json = document(&fleet, NOW);
    let one = &json["gateways"][0];
    assert_eq!((&one["queue"], &one["boot_reason"]), (&json!(3), &json!("power")));
    assert_eq!(
        (&one["disk_free_b"], &one["cert_days"]),
        (&json!(900_500_000), &json!(40))
    );
    assert_eq!(json["gateways"][1]["state"], "silent");
}
