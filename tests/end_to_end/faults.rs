//! Every fault of the wire at every write, once: afterwards each child has exactly one case, one service and one
//! referral in Primero, and at most one referral in OSCaR.

use crate::office::{Office, referral};
use serde_json::Value;
use simulators::wire::{Fault, FaultRule, Reply};
use std::time::Duration;

/// Name, fault, and whether the request reached the application.
fn faults() -> Vec<(&'static str, Fault, bool)> {
    let page = |status| Reply::html(status, "<html><title>Please sign in</title></html>");
    let json = |status| Reply::json(status, &serde_json::json!({"errors": [{"status": status}]}));
    vec![
        ("drop-before", Fault::DropBefore, false),
        ("drop-after", Fault::DropAfter, true),
        ("truncate-0", Fault::TruncateBody(0), true),
        ("truncate-9", Fault::TruncateBody(9), true),
        ("late", Fault::DelayAfter(Duration::from_secs(2)), true),
        ("html-502", Fault::Answer(page(502)), false),
        ("html-502-after", Fault::AnswerAfter(page(502)), true),
        ("json-500", Fault::Answer(json(500)), false),
        (
            "throttled-429",
            Fault::Answer(json(429).with_header("Retry-After", "60")),
            false,
        ),
        (
            "maintenance-503",
            Fault::Answer(page(503).with_header("Retry-After", "60")),
            false,
        ),
        (
            "portal-302",
            Fault::Answer(page(302).with_header("Location", "http://portal.example/")),
            false,
        ),
        ("portal-200", Fault::Answer(page(200)), false),
        (
            "shape-200",
            Fault::Answer(Reply::json(200, &serde_json::json!({"data": [7]}))),
            false,
        ),
    ]
}

/// An office whose patience with an answer ends before the late one comes.
fn office() -> Office {
    let office = Office::new();
    let text = std::fs::read_to_string(&office.config).unwrap();
    std::fs::write(
        &office.config,
        text.replace("read_timeout = \"3s\"", "read_timeout = \"1s\""),
    )
    .unwrap();
    office
}

/// A referral of a child of this name; Primero is told the name in Khmer letters, if there is one.
fn child(key: &str, name: &str) -> Value {
    let mut event = referral(key, name, "cif");
    event["child"]["local_given_name"] = name.into();
    event
}

/// Counts at both sides for the one child of this name: cases, services, Primero referrals, OSCaR referrals.
fn counts(office: &Office, name: &str) -> [usize; 4] {
    let cases: Vec<_> = office
        .primero
        .cases()
        .into_iter()
        .filter(|case| case["name_first"] == name)
        .collect();
    let services = cases
        .iter()
        .map(|case| case["services_section"].as_array().map_or(0, Vec::len))
        .sum();
    let ids: Vec<&str> = cases.iter().filter_map(|case| case["id"].as_str()).collect();
    let referrals = office
        .primero
        .referrals()
        .iter()
        .filter(|r| ids.iter().any(|id| r["record_id"] == **id))
        .count();
    let numbers: Vec<&str> = cases.iter().filter_map(|case| case["case_id"].as_str()).collect();
    let pushed = office.oscar.with(|sim| {
        numbers
            .iter()
            .map(|number| sim.count_by_external_id("cif", number))
            .sum()
    });
    [cases.len(), services, referrals, pushed]
}

/// One fault at one write, then everything heals. What the events come to, by name of the fault.
fn strike(office: &Office, rule: impl Fn(Fault) -> FaultRule, server: &simulators::wire::Server) {
    for (name, fault, _) in faults() {
        server.faults().add(rule(fault).times(1));
        assert_eq!(office.enqueue(&child(name, name)).0, 0);
        office.run(&["sync"]);
        office.run(&["sync"]);
    }
}

fn all_arrived_once(office: &Office) {
    for (name, _, _) in faults() {
        let event = office.event(name);
        assert_eq!(event["state"], "delivered", "{}", event["text"].as_str().unwrap());
        assert_eq!(
            counts(office, name),
            [1, 1, 1, 1],
            "{}",
            event["text"].as_str().unwrap()
        );
    }
}

#[test]
fn a_case_is_created_once_whatever_happens_to_the_request() {
    let office = office();
    strike(
        &office,
        |fault| FaultRule::on("POST", "/api/v2/cases", fault),
        office.primero.server(),
    );
    all_arrived_once(&office);
}

#[test]
fn a_service_is_added_once_whatever_happens_to_the_request() {
    let office = office();
    // The children are known already, so that the service travels in a change of the case.
    for (name, _, _) in faults() {
        assert_eq!(office.enqueue(&child(&format!("{name}-1"), name)).0, 0);
    }
    assert_eq!(office.sync(), 0);
    for (name, fault, _) in faults() {
        office
            .primero
            .server()
            .faults()
            .add(FaultRule::on("PATCH", "/api/v2/cases", fault).times(1));
        assert_eq!(office.enqueue(&child(&format!("{name}-2"), name)).0, 0);
        office.run(&["sync"]);
        office.run(&["sync"]);
        let event = office.event(&format!("{name}-2"));
        assert_eq!(event["state"], "delivered", "{event}");
        assert_eq!(counts(&office, name), [1, 2, 2, 2], "{event}");
    }
}

#[test]
fn a_primero_referral_is_made_once_whatever_happens_to_the_request() {
    let office = office();
    strike(
        &office,
        |fault| FaultRule::on("POST", "/referrals", fault),
        office.primero.server(),
    );
    all_arrived_once(&office);
}

#[test]
fn reading_back_may_fail_too() {
    let office = office();
    strike(
        &office,
        |fault| FaultRule::on("GET", "/api/v2/cases", fault),
        office.primero.server(),
    );
    all_arrived_once(&office);
}

#[test]
fn an_oscar_push_is_never_repeated_in_the_dark() {
    let office = office();
    let server = office.oscar.server();
    for (name, fault, acted) in faults() {
        server
            .faults()
            .add(FaultRule::on("POST", "/upsert", fault).times(1));
        assert_eq!(office.enqueue(&child(name, name)).0, 0);
        office.run(&["sync"]);
        office.run(&["sync"]);
        let event = office.event(name);
        let text = event["text"].as_str().unwrap();
        // Refused before any work was done: the next session sends it.
        if ["throttled-429", "maintenance-503", "portal-302"].contains(&name) {
            assert_eq!(
                (event["state"].as_str(), counts(&office, name)),
                (Some("delivered"), [1; 4]),
                "{text}"
            );
            continue;
        }
        assert_eq!(event["state"], "in_doubt", "{text}");
        assert_eq!(
            counts(&office, name),
            [1, 1, 1, usize::from(acted)],
            "not sent again: {text}"
        );
        assert!(text.contains("events resolve"), "{text}");
        let verdict = if acted { "--arrived" } else { "--not-arrived" };
        let ran = office.run(&["events", "resolve", name, verdict, "--by", "Officer Chan"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        office.run(&["sync"]);
        assert_eq!(office.state(name), "delivered");
        assert_eq!(counts(&office, name), [1; 4], "{text}");
    }
}

#[test]
fn a_lost_oscar_answer_is_settled_by_the_registration() {
    let office = Office::new();
    office
        .oscar
        .server()
        .faults()
        .add(FaultRule::on("POST", "/upsert", Fault::DropAfter).times(1));
    office.enqueue(&referral("k-1", "Dara", "cif"));
    office.run(&["sync"]);
    assert_eq!(office.state("k-1"), "in_doubt");
    office.run(&["sync"]);
    assert_eq!(office.state("k-1"), "in_doubt", "OSCaR shows nothing yet");
    let number = office.oscar.with(|sim| sim.referrals()[0].id);
    office
        .oscar
        .with(|sim| sim.register_child("cif", number).unwrap());
    assert_eq!(office.sync(), 0);
    let event = office.event("k-1");
    assert_eq!(event["state"], "delivered", "{}", event["text"].as_str().unwrap());
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), 1);
}

#[test]
fn signing_in_may_fail_and_is_tried_again() {
    for (name, fault, _) in faults() {
        let office = office();
        office
            .oscar
            .server()
            .faults()
            .add(FaultRule::on("POST", "/sign_in", fault).times(1));
        office.enqueue(&child(name, name));
        office.run(&["sync"]);
        office.run(&["sync"]);
        assert_eq!(office.state(name), "delivered", "{name}");
        assert_eq!(counts(&office, name), [1; 4], "{name}");
    }
}
