//! Behaviour the recordings do not cover: paging, filters, scope, clocks, switches, hooks, the wire.

use base64::Engine as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::*;
use crate::wire::{Reply, Request};

mod workflows;

const GATEWAY: &str = "gateway-test";
const PASSWORD: &str = "secret-password";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn office() -> Sim {
    let mut sim = Sim::new(Config::cambodia(GATEWAY, PASSWORD));
    sim.set_now(at("2026-11-23T08:00:00.500Z"));
    sim
}

fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
    )
}

fn send(sim: &mut Sim, method: &str, target: &str, body: Option<Value>) -> Reply {
    let mut request = Request::new(method, target).with_header("Authorization", &basic(GATEWAY, PASSWORD));
    if let Some(body) = body {
        request = request.with_json(&body);
    }
    sim.handle(&request)
}

fn get(sim: &mut Sim, target: &str) -> Value {
    let reply = send(sim, "GET", target, None);
    assert_eq!(reply.status, 200, "{target}");
    reply.json_body().unwrap()
}

fn total(sim: &mut Sim, query: &str) -> u64 {
    get(sim, &format!("/api/v2/cases?{query}"))["metadata"]["total"]
        .as_u64()
        .unwrap()
}

/// A case of the office with consent and one service; returns both ids.
fn consented(sim: &mut Sim) -> (String, String) {
    let data = json!({
        "name_first": "Dara", "consent_for_services": true, "disclosure_other_orgs": true,
        "services_section": [
            {"service_type": "family_support", "service_response_type": "referral_to_oscar"},
        ],
    });
    let id = sim.create_case_as("worker", data).unwrap();
    let service = sim.case(&id).unwrap()["services_section"][0]["unique_id"]
        .as_str()
        .unwrap()
        .to_string();
    (id, service)
}

fn to_ngo(service: &str) -> Value {
    json!({"transitioned_to": "agency-cif-user", "service_record_id": service})
}

#[test]
fn pages_are_capped_and_bad_pages_break() {
    let mut sim = office();
    for n in 0..25 {
        sim.advance(TimeDelta::seconds(1));
        sim.create_case_as("worker", json!({ "age": n })).unwrap();
    }
    let first = get(&mut sim, "/api/v2/cases");
    assert_eq!(first["data"].as_array().unwrap().len(), 20);
    assert_eq!(first["data"][0]["age"], 24, "newest first");
    assert_eq!(
        get(&mut sim, "/api/v2/cases?page=2")["data"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    assert_eq!(get(&mut sim, "/api/v2/cases?per=10000")["metadata"]["per"], 1000);
    assert_eq!(get(&mut sim, "/api/v2/cases?per=abc")["data"], json!([]));
    assert_eq!(get(&mut sim, "/api/v2/cases?page=9")["metadata"]["total"], 25);
    for query in ["page=0", "page=-1", "per=-1"] {
        assert_eq!(
            send(&mut sim, "GET", &format!("/api/v2/cases?{query}"), None).status,
            500
        );
    }
    let oldest = get(
        &mut sim,
        "/api/v2/cases?order_by=last_updated_at&order=sideways&per=1",
    );
    assert_eq!(oldest["data"][0]["age"], 0, "an unknown direction sorts upwards");
}

#[test]
fn ties_come_in_any_order() {
    let mut sim = office();
    for n in 0..30 {
        sim.create_case_as("worker", json!({ "age": n })).unwrap();
    }
    let ids = |sim: &mut Sim| get(sim, "/api/v2/cases?per=30")["data"].clone();
    assert_ne!(ids(&mut sim), ids(&mut sim));
}

#[test]
fn filters_on_times_are_dropped_or_break_as_measured() {
    let mut sim = office();
    sim.create_case_as("worker", json!({"oscar_number": "123"}))
        .unwrap();
    let cases = [
        ("last_updated_at=2026-11-23T08:00:00.999Z..", 1),
        ("last_updated_at=2026-11-23T08:00:01Z..", 0),
        ("last_updated_at=2026-11-23T07:00:00Z..2026-11-23T08:00:00Z", 1),
        ("last_updated_at=2026-11-23..2026-11-23", 1),
        ("last_updated_at=2026-11-23T07:00:00Z..2026-11-24", 0),
        ("last_updated_at=..2020-01-01T00:00:00Z", 1),
        ("last_updated_at=garbage..", 1),
        ("last_updated_at=2026-11-23T09:00:00+00:00..", 1),
        ("last_updated_at=2026-11-23T09:00:00%2B00:00..", 0),
        ("last_updated_at=2026-02-31T00:00:00Z..", 1),
        ("last_updated_at=", 0),
        ("last_updated_at=1790000000", 0),
        ("last_updated_at=2026-11-23T07:00:00Z", 0),
        ("created_at=2026-11-23T08:00:00.600Z..", 0),
        ("created_at=2026-11-23T08:00:00.400Z..", 1),
        ("oscar_number=123", 1),
        ("oscar_number=1234", 0),
        ("no_such_field=7&remote=true&scope[case_id]=9", 1),
        ("record_state=true", 1),
        ("record_state=maybe", 0),
        ("status=closed,open", 1),
        ("not[status]=open", 0),
        ("or[status]=closed&or[owned_by]=worker", 1),
        ("query=12", 1),
    ];
    for (query, expected) in cases {
        assert_eq!(total(&mut sim, query), expected, "{query}");
    }
}

#[test]
fn a_filter_on_a_form_one_does_not_see_returns_everything() {
    let mut sim = Sim::new(Config::recorded());
    for number in ["a", "b"] {
        sim.create_case_as("interop", json!({ "oscar_number": number }))
            .unwrap();
    }
    let mut found = |user: &str| {
        let request = Request::new("GET", "/api/v2/cases?oscar_number=a")
            .with_header("Authorization", &basic(user, "S3cret-pass!"));
        sim.handle(&request).json_body().unwrap()["metadata"]["total"].clone()
    };
    assert_eq!((found("interop"), found("limited")), (json!(1), json!(2)));
}

#[test]
fn scope_hides_lists_and_forbids_the_rest() {
    let mut sim = office();
    let (mine, service) = consented(&mut sim);
    let foreign = sim.create_case_as("outsider", json!({"age": 5})).unwrap();
    assert_eq!(total(&mut sim, ""), 1);
    assert_eq!(
        send(&mut sim, "GET", &format!("/api/v2/cases/{foreign}"), None).status,
        403
    );
    assert_eq!(send(&mut sim, "GET", "/api/v2/cases/0", None).status, 404);
    // The same id or case_id, invisible or not, is one conflict text.
    let body = json!({"data": {"module_id": MODULE, "id": foreign}});
    assert_eq!(send(&mut sim, "POST", "/api/v2/cases", Some(body)).status, 409);
    let case_id = sim.case(&foreign).unwrap()["case_id"].clone();
    let body = json!({"data": {"module_id": MODULE, "case_id": case_id}});
    assert_eq!(send(&mut sim, "POST", "/api/v2/cases", Some(body)).status, 409);
    // A recipient sees the case while its referral lives.
    let referral = sim.refer_as("worker", &mine, &to_ngo(&service)).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_string();
    let seen = |sim: &mut Sim| {
        sim.act_as("agency-cif-user", "GET", &format!("/api/v2/cases/{mine}"), None)
            .is_ok()
    };
    assert!(seen(&mut sim));
    sim.decide_referral(&referral, "rejected", "full").unwrap();
    assert!(!seen(&mut sim));
    // And the gateway loses a case that moves away.
    sim.move_owner(&mine, "outsider").unwrap();
    assert_eq!(total(&mut sim, ""), 0);
    assert_eq!(
        send(
            &mut sim,
            "PATCH",
            &format!("/api/v2/cases/{mine}"),
            Some(json!({"data": {}}))
        )
        .status,
        403
    );
}

#[test]
fn six_failures_lock_for_half_an_hour_and_nobody_is_told() {
    let mut sim = office();
    let ask = |sim: &mut Sim, password: &str| {
        let request =
            Request::new("GET", "/api/v2/cases").with_header("Authorization", &basic(GATEWAY, password));
        sim.handle(&request)
    };
    let wrong = ask(&mut sim, "wrong").body;
    for _ in 0..5 {
        ask(&mut sim, "wrong");
    }
    let locked = ask(&mut sim, PASSWORD);
    assert_eq!((locked.status, locked.body), (401, wrong));
    assert!(sim.locked_until(GATEWAY).is_some());
    sim.advance(TimeDelta::minutes(29));
    assert_eq!(ask(&mut sim, PASSWORD).status, 401);
    sim.advance(TimeDelta::minutes(1));
    assert_eq!(ask(&mut sim, PASSWORD).status, 200);
}

#[test]
fn sessions_end_after_an_hour_and_a_restart_forgets_the_throttle() {
    let mut sim = office();
    let start = sim.handle(&Request::new("GET", "/api/v2/primero"));
    let log_in = |sim: &mut Sim, from: &Reply| {
        let (cookies, token) = cookies_of(from);
        let body = json!({"user": {"user_name": GATEWAY, "password": PASSWORD}});
        let request = Request::new("POST", "/api/v2/tokens").with_json(&body);
        sim.handle(
            &request
                .with_header("Cookie", &cookies)
                .with_header("X-CSRF-Token", &token),
        )
    };
    let reply = log_in(&mut sim, &start);
    assert_eq!(reply.status, 200);
    let (cookies, _) = cookies_of(&reply);
    let list = Request::new("GET", "/api/v2/cases").with_header("Cookie", &cookies);
    sim.advance(TimeDelta::minutes(59));
    assert_eq!(sim.handle(&list).status, 200);
    sim.advance(TimeDelta::minutes(60));
    assert_eq!(sim.handle(&list).status, 401);
    let statuses: Vec<u16> = (0..7).map(|_| log_in(&mut sim, &start).status).collect();
    assert_eq!(statuses[6], 429);
    sim.restart();
    assert_ne!(log_in(&mut sim, &start).status, 429);
}

fn cookies_of(reply: &Reply) -> (String, String) {
    let pairs: Vec<&str> = reply
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie")
        .map(|(_, value)| value.split(';').next().unwrap())
        .collect();
    let token = pairs
        .iter()
        .find_map(|pair| pair.strip_prefix("CSRF-TOKEN="))
        .unwrap();
    (pairs.join("; "), token.to_string())
}
