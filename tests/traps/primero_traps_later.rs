//! `primero.md` §9, traps 13 to 19.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, but, referral, referred, service};
use crate::primero_traps::{key, met, sent};
use crate::stage::{PASSWORD, Stage, USER};
use chrono_tz::Asia::Phnom_Penh;
use referral_gateway::core::event::Decision;
use referral_gateway::core::office_time::QuietHours;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use referral_gateway::core::schedule::{Means, Plan, Schedule};
use referral_gateway::core::time::Mono;
use serde_json::{Map, Value, json};
use simulators::wire::{Reply, Request as WireRequest};
use std::time::Duration;

/// Bodies of the writes to Primero since the last look.
pub fn written(stage: &Stage) -> Vec<(String, Value)> {
    let log = stage.primero.taken();
    let writes = log.into_iter().filter(|entry| !entry.body.is_empty());
    writes
        .map(|entry| (entry.what, serde_json::from_str(&entry.body).expect("JSON")))
        .collect()
}

#[test]
fn primero_trap_13_a_refused_password_is_tried_once_and_then_hours_later() {
    let mut stage = met();
    stage
        .primero
        .peer(|sim| sim.set_password(USER, "changed by somebody"));
    let plan = Plan {
        every: Duration::from_secs(300),
        jitter: Duration::ZERO,
        on_event: true,
        cron: None,
        quiet: QuietHours::default(),
        zone: Phnom_Penh,
    };
    let mut schedule = Schedule::new(plan, stage.clock.now().mono);
    let mut refused = 0;
    // A whole day of sessions as the schedule has them.
    for _ in 0..24 * 12 {
        stage.wait(Duration::from_secs(300));
        schedule.event_accepted(stage.clock.now().mono);
        let Some(orders) = schedule.due(stage.clock.now(), Means::default(), 7) else {
            continue;
        };
        let report = stage.run_ordered(orders);
        let now: Mono = stage.clock.now().mono;
        schedule.ended(report.primero.fared(), report.oscar.fared(), now, None, 7);
        let log = stage.primero.taken();
        let here = log.iter().filter(|entry| entry.status == Some(401)).count();
        assert!(here <= 1, "one session, one try: {log:?}");
        refused += here;
    }
    assert!(
        (1..=4).contains(&refused),
        "{refused} in a day, six in a row lock the account"
    );
    stage.primero.peer(|sim| sim.set_password(USER, PASSWORD));
    let made = stage.worker_refers(1);
    stage.run();
    sent(&stage, &made);
}

#[test]
fn primero_trap_14_a_person_with_the_same_account_is_not_thrown_out() {
    let mut stage = met();
    let cookies = |reply: &Reply| {
        let set = reply
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let pairs: Vec<&str> = set.filter_map(|(_, value)| value.split(';').next()).collect();
        pairs.join("; ")
    };
    let secure = |request: WireRequest| request.with_header("x-forwarded-proto", "https");
    let session = stage.primero.peer(|sim| {
        let first = cookies(&sim.handle(&secure(WireRequest::new("GET", "/api/v2/primero"))));
        let token = first
            .split("; ")
            .find_map(|pair| pair.strip_prefix("CSRF-TOKEN="));
        let token = percent_encoding::percent_decode_str(token.expect("a token"))
            .decode_utf8_lossy()
            .into_owned();
        let login = WireRequest::new("POST", "/api/v2/tokens")
            .with_json(&json!({"user": {"user_name": USER, "password": PASSWORD}}))
            .with_header("cookie", &first)
            .with_header("x-csrf-token", &token);
        let reply = sim.handle(&secure(login));
        assert_eq!(reply.status, 200);
        cookies(&reply)
    });
    let made = stage.worker_refers(1);
    stage.run();
    sent(&stage, &made);
    let mut api = 0;
    for entry in stage
        .primero
        .taken()
        .iter()
        .filter(|entry| entry.what.contains("/api/"))
    {
        let header = |name: &str| {
            entry
                .headers
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        assert!(
            header("authorization").is_some_and(|(_, value)| value.starts_with("Basic ")),
            "{}",
            entry.what
        );
        assert!(header("cookie").is_none());
        assert!(!entry.what.contains("/tokens"));
        api += 1;
    }
    assert_eq!(api, 2, "a page and a list");
    let look = secure(WireRequest::new("GET", "/api/v2/cases").with_header("cookie", &session));
    assert_eq!(
        stage.primero.peer(|sim| sim.handle(&look).status),
        200,
        "still logged in"
    );
}

#[test]
fn primero_trap_15_a_masked_name_goes_nowhere_and_only_our_own_fields_are_written() {
    let mut stage = met();
    let hidden = stage.worker_refers_to("agency-cif-user", but(referred(1), "/hidden_name", json!(true)));
    let plain = stage.worker_refers(2);
    stage.run();
    assert_eq!(
        stage.state(&key(&hidden)),
        (State::Parked, Some(Reason::CaseIncomplete))
    );
    sent(&stage, &plain);
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    let ours = [
        "unique_id",
        "oscar_number",
        "oscar_short_id",
        "services_section",
        "referral_status_edf41f2",
        "oscar_referral_id_a4ac8a5",
        "status",
    ];
    let mut patches = 0;
    for (what, body) in written(&stage)
        .iter()
        .filter(|(what, _)| what.starts_with("PATCH"))
    {
        patches += 1;
        let fields = body["data"].as_object().expect("an object").clone();
        let services = fields
            .get("services_section")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let inner: Vec<Map<String, Value>> = services.iter().filter_map(|s| s.as_object().cloned()).collect();
        for name in fields.keys().chain(inner.iter().flat_map(Map::keys)) {
            assert!(ours.contains(&name.as_str()), "{what} writes {name}");
        }
        assert!(!body.to_string().contains("*****"));
    }
    assert!(patches >= 2);
    assert!(
        stage
            .oscar_referrals()
            .iter()
            .all(|row| !row.client_name.contains('*'))
    );
}

#[test]
fn primero_trap_16_values_primero_cannot_take_are_refused_or_set_aside_and_never_replaced() {
    // Text that is a date becomes one, and is refused: the field is named, not its content.
    let mut stage = met();
    let event = stage.accept(&but(referral(1), "/child/mosvy_number", json!("2015-05-05")));
    let other = stage.accept(&referral(2));
    stage.run();
    let head = stage.head(&event);
    assert_eq!(
        (head.state, head.reason),
        (State::Parked, Some(Reason::PrimeroRefused))
    );
    assert!(!format!("{:?}", head.history).contains("2015-05-05"));
    assert_eq!(stage.state(&other), (State::Delivered, None));
    // A service without counterpart is never "Other".
    let mut config = simulators::primero::Config::cambodia(USER, PASSWORD);
    let lookup = config
        .lookups
        .get_mut("lookup-service-subtype")
        .expect("the subtypes");
    lookup.push("made_up_here".to_owned());
    let oscar = simulators::oscar::Config::default_for(crate::stage::EMAIL, PASSWORD);
    let mut stage = Stage::with(config, oscar);
    stage.run();
    let mut data = referred(3);
    data["services_section"] = json!([service(KINSHIP)]);
    data["services_section"][0]["service_subtype"] = json!(["made_up_here"]);
    let made = stage.worker_refers_to("agency-cif-user", data);
    stage.run();
    sent(&stage, &made);
    assert!(
        stage.oscar_referrals()[0]
            .services
            .iter()
            .all(|name| name == "Not Specified")
    );
    let told = stage
        .head(&key(&made))
        .history
        .iter()
        .any(|step| step.detail.contains("made_up_here"));
    assert!(told, "a person can see what was meant");
}

#[test]
fn primero_trap_17_a_decision_is_seen_from_the_senders_side() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    let id = made.referral.clone();
    // The recipient loses the case in the same moment.
    stage
        .primero
        .peer(|sim| sim.decide_referral(&id, "rejected", "no room"))
        .expect("decided");
    stage.settle();
    assert_eq!(stage.head(&key(&made)).decision(), Some(Decision::Rejected));
    // A case that has left our own scope says nothing, and nothing is made of it.
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    let id = made.referral.clone();
    stage.primero.peer(|sim| {
        sim.move_owner(&made.case, "outsider").expect("moved");
        sim.decide_referral(&id, "rejected", "").expect("decided");
    });
    stage.settle();
    assert_eq!(
        (stage.state(&key(&made)), stage.head(&key(&made)).decision()),
        ((State::Delivered, None), None)
    );
}

#[test]
fn primero_trap_18_errors_of_every_shape_are_read_by_their_status() {
    let shapes = [
        Reply::json(
            422,
            &json!({"errors": [{"status": 422, "resource": "/x", "detail": "date_of_birth", "message": ["a", "b"]}]}),
        ),
        Reply::json(
            422,
            &json!({"errors": [{"status": 422, "resource": 7, "detail": ["/sex", "/sex"], "message": "m"}]}),
        ),
        Reply::json(422, &json!({"errors": "?"})),
        Reply::json(401, &json!({"error": "You need to sign in"})),
        Reply::html(500, "<h1>500</h1>"),
        Reply::html(502, "<h1>502</h1>"),
        Reply::text(429, "Retry later\n"),
        Reply::json(
            500,
            &json!({"errors": [{"status": 500, "message": "undefined method for nil"}]}),
        ),
        Reply::json(
            403,
            &json!({"errors": [{"status": 403, "resource": "/x", "message": "Forbidden"}]}),
        ),
        Reply::empty(404),
    ];
    for shape in shapes {
        for (method, path) in [
            ("GET", "/api/v2/cases"),
            ("GET", "/referrals"),
            ("PATCH", "/api/v2/cases/"),
        ] {
            let mut stage = met();
            let made = stage.worker_refers(1);
            stage
                .primero
                .fault(Rule::once(method, path, Fault::Instead(shape.clone())));
            stage.settle();
            stage.ngo_registers("cif");
            stage.ngo_decides("cif", "Accepted");
            stage.settle();
            if let (State::Parked, _) = stage.state(&key(&made)) {
                stage.change(&key(&made), |head, at| {
                    referral_gateway::core::outbox::requeue(head, at, "somebody").expect("parked");
                });
                stage.settle();
            }
            assert!(
                stage.head(&key(&made)).closed(),
                "{} {method} {path}",
                shape.status
            );
            assert_eq!(stage.oscar_referrals().len(), 1);
            assert_eq!(
                stage.primero_case(&made.case)["services_section"][0]["referral_status_edf41f2"],
                "accepted_340953"
            );
        }
    }
}

#[test]
fn primero_trap_19_a_service_marked_as_referred_is_no_referral() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    let id = made.referral.clone();
    stage
        .primero
        .peer(|sim| sim.decide_referral_as("worker", &id, "revoked", ""))
        .expect("revoked");
    assert_eq!(
        stage.primero_case(&made.case)["services_section"][0]["service_status_referred"],
        true
    );
    let mut data = referred(2);
    data["services_section"][0]["service_status_referred"] = json!(true);
    stage.enter_case(data);
    stage.settle();
    assert_eq!(stage.oscar_referrals().len(), 0);
}
