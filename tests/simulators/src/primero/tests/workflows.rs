//! Referrals, side effects, switches and hooks.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::super::*;
use super::{GATEWAY, PASSWORD, at, basic, consented, get, office, send, to_ngo, total};
use crate::wire::client::Client;
use crate::wire::{Fault, FaultRule, Request};

#[test]
fn consent_and_recipient_are_checked_again_at_each_step() {
    let mut sim = office();
    let (case, service) = consented(&mut sim);
    let refer = |sim: &mut Sim| {
        sim.refer_as("worker", &case, &to_ngo(&service)).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_string()
    };
    let first = refer(&mut sim);
    sim.set_disabled("agency-cif-user", true);
    assert_eq!(
        sim.decide_referral_as("worker", &first, "accepted", "")
            .unwrap_err()
            .status,
        422
    );
    assert_eq!(
        sim.decide_referral_as("worker", &first, "revoked", "").unwrap()["status"],
        "revoked"
    );
    sim.set_disabled("agency-cif-user", false);
    let second = refer(&mut sim);
    sim.withdraw_consent(&case).unwrap();
    let refusal = sim
        .decide_referral(&second, "accepted", "")
        .unwrap_err()
        .json_body()
        .unwrap();
    assert_eq!(refusal["errors"][0]["detail"], "consent");
    assert_eq!(sim.referrals().len(), 2);
    assert_eq!(sim.ledger()["referrals_per_service"][&service], 2);
}

#[test]
fn a_service_record_without_services_breaks() {
    let mut sim = office();
    let data = json!({"consent_for_services": true, "disclosure_other_orgs": true});
    let case = sim.create_case_as("worker", data).unwrap();
    assert_eq!(
        sim.refer_as("worker", &case, &to_ngo("x")).unwrap_err().status,
        500
    );
}

#[test]
fn one_id_twice_in_a_body_is_two_services() {
    let mut sim = office();
    let id = "5c8e73bc-c6e2-4222-93f4-31312044bd97";
    let twice = json!({"services_section": [{"unique_id": id}, {"unique_id": id}]});
    let services = |sim: &Sim, case: &str| {
        sim.case(case).unwrap()["services_section"]
            .as_array()
            .unwrap()
            .len()
    };
    let created = sim.create_case_as("worker", twice.clone()).unwrap();
    assert_eq!(services(&sim, &created), 2);
    let patched = sim.create_case_as("worker", json!({})).unwrap();
    sim.edit_case_as("worker", &patched, &twice).unwrap();
    assert_eq!(services(&sim, &patched), 2);
    sim.edit_case_as(
        "worker",
        &patched,
        &json!({"services_section": [{"unique_id": id}]}),
    )
    .unwrap();
    assert_eq!(services(&sim, &patched), 2, "a later repeat meets what is stored");
}

#[test]
fn a_new_service_reopens_a_closed_case() {
    let mut sim = office();
    let (case, _) = consented(&mut sim);
    sim.edit_case_as("worker", &case, &json!({"status": "closed"}))
        .unwrap();
    assert_eq!(sim.case(&case).unwrap()["workflow"], "closed");
    let service = json!({"service_type": "family_support", "service_response_type": "referral_from_oscar"});
    sim.edit_case_as("worker", &case, &json!({"services_section": [service]}))
        .unwrap();
    let stored = sim.case(&case).unwrap();
    assert_eq!(
        (&stored["status"], &stored["workflow"]),
        (&json!("open"), &json!("referral_from_oscar"))
    );
    assert_eq!(stored["reopened_logs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_late_commit_hides_a_write_from_lists_only() {
    let mut sim = office();
    sim.switches().commit_delay = TimeDelta::milliseconds(300);
    let id = sim.create_case_as("worker", json!({"age": 1})).unwrap();
    assert_eq!(total(&mut sim, ""), 0);
    assert_eq!(get(&mut sim, &format!("/api/v2/cases/{id}"))["data"]["age"], 1);
    sim.advance(TimeDelta::milliseconds(300));
    sim.edit_case_as("worker", &id, &json!({"age": 2})).unwrap();
    assert_eq!(get(&mut sim, "/api/v2/cases")["data"][0]["age"], 1);
    sim.advance(TimeDelta::milliseconds(300));
    assert_eq!(get(&mut sim, "/api/v2/cases")["data"][0]["age"], 2);
}

#[test]
fn a_write_in_the_race_window_loses_the_one_before() {
    let mut sim = office();
    let (case, service) = consented(&mut sim);
    sim.switches().race_window = TimeDelta::milliseconds(200);
    sim.advance(TimeDelta::seconds(1));
    sim.edit_case_as("worker", &case, &json!({"age": 9})).unwrap();
    sim.advance(TimeDelta::milliseconds(50));
    sim.refer_as(GATEWAY, &case, &to_ngo(&service)).unwrap();
    assert_eq!(sim.case(&case).unwrap()["age"], Value::Null, "the PATCH was lost");
    sim.advance(TimeDelta::seconds(1));
    sim.edit_case_as("worker", &case, &json!({"age": 9})).unwrap();
    assert_eq!(sim.case(&case).unwrap()["age"], 9);
}

#[test]
fn switches_for_the_server_and_its_proxy() {
    let mut sim = office();
    sim.switches().config_lock = true;
    let locked = send(&mut sim, "GET", "/api/v2/cases", None);
    assert_eq!((locked.status, locked.header("retry-after")), (503, Some("60")));
    assert_eq!(sim.handle(&Request::new("GET", "/health")).status, 204);
    assert_eq!(sim.handle(&Request::new("GET", "/health/api")).status, 503);
    *sim.switches() = Switches {
        database_down: true,
        ..Switches::default()
    };
    assert_eq!(send(&mut sim, "GET", "/api/v2/cases", None).status, 500);
    assert_eq!(sim.handle(&Request::new("GET", "/health")).status, 503);
    *sim.switches() = Switches {
        nginx: true,
        ..Switches::default()
    };
    let long = "x".repeat(1100);
    assert_eq!(
        send(&mut sim, "GET", &format!("/api/v2/cases?query={long}"), None).status,
        414
    );
    let request = Request::new("GET", "/health").with_header("X-Long", &long);
    assert_eq!(sim.handle(&request).status, 400);
    assert_eq!(sim.handle(&Request::new("HEAD", "/health")).status, 444);
    *sim.switches() = Switches {
        nginx_busy: true,
        ..Switches::default()
    };
    let busy = send(&mut sim, "GET", "/api/v2/cases", None);
    assert_eq!((busy.status, busy.header("retry-after")), (503, None));
}

#[test]
fn webhooks_collapse_and_bumps_change_nothing_else() {
    let mut sim = office();
    let (case, _) = consented(&mut sim);
    sim.edit_case_as("worker", &case, &json!({"age": 9})).unwrap();
    let due = sim.due_webhooks(GATEWAY, "primero.example.org");
    assert_eq!(due.len(), 1, "a burst is one payload");
    let data = &due[0]["data"];
    assert_eq!((&data["record_id"], &data["age"]), (&json!(case), &json!(9)));
    assert!(data.get("id").is_none() && due[0].get("event").is_none());
    assert!(sim.due_webhooks(GATEWAY, "primero.example.org").is_empty());
    let before = sim.case(&case).unwrap();
    sim.advance(TimeDelta::hours(1));
    sim.bump_cases_of("worker");
    let mut after = sim.case(&case).unwrap();
    assert_eq!(after["last_updated_at"], "2026-11-23T09:00:00.500Z");
    after["last_updated_at"] = before["last_updated_at"].clone();
    assert_eq!(after, before);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let world = |seed| {
        let mut sim = Sim::new(Config::cambodia(GATEWAY, PASSWORD).with_seed(seed));
        sim.set_now(at("2026-11-23T08:00:00Z"));
        consented(&mut sim);
        sim.cases()
    };
    assert_eq!(world(7), world(7));
    assert_ne!(world(7), world(8));
}

#[test]
fn over_the_wire_with_hooks_gzip_and_a_lost_answer() {
    let ca = crate::wire::TestCa::new();
    let primero = Primero::start(&ca, "127.0.0.1:0", Config::cambodia(GATEWAY, PASSWORD));
    let (client, address) = (Client::new(&ca), primero.server().address());
    let authorization = basic(GATEWAY, PASSWORD);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "gzip"),
    ];
    let id = "0f336c8f-a5b7-4f3b-a293-a250d8685663";
    let body = json!({"data": {"id": id, "module_id": MODULE, "age": 8}}).to_string();
    primero
        .server()
        .faults()
        .add(FaultRule::on("POST", "/cases", Fault::DropAfter).times(1));
    assert!(
        client
            .send(address, "POST", "/api/v2/cases", &headers, body.as_bytes())
            .is_err()
    );
    let retry = client
        .send(address, "POST", "/api/v2/cases", &headers, body.as_bytes())
        .unwrap();
    assert_eq!(retry.status, 409);
    let shown = client
        .send(address, "GET", &format!("/api/v2/cases/{id}"), &headers, b"")
        .unwrap();
    assert_eq!(shown.header("content-encoding"), Some("gzip"));
    let etag = shown.header("etag").unwrap().to_string();
    assert!(shown.text().unwrap().contains("\"age\":8"));
    let again = [headers[0], ("If-None-Match", etag.as_str())];
    assert_eq!(
        client
            .send(address, "GET", &format!("/api/v2/cases/{id}"), &again, b"")
            .unwrap()
            .status,
        304
    );
    let edit = json!({"user": GATEWAY, "data": {"age": 9}}).to_string();
    let hook = client.send(
        address,
        "POST",
        &format!("/sim/cases/{id}"),
        &headers[1..2],
        edit.as_bytes(),
    );
    assert_eq!(hook.unwrap().status, 200);
    assert_eq!(primero.case(id).unwrap()["age"], 9);
    assert_eq!(primero.ledger()["cases"], 1);
    assert_eq!(primero.server().log().len(), 4);
}
