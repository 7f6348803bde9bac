//! Behaviour the recordings do not cover: paging, filters, scope, clocks, switches, hooks, the wire.

use base64::Engine as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::*;
use crate::wire::client::Client;
use crate::wire::{Fault, FaultRule, Reply, Request};

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
        "services_section": [{"service_type": "family_support", "service_response_type": "referral_to_oscar"}],
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
