//! `oscar.md` §9.2, rows 13 to 23, 40 and 41: how the cloud jobs push to OSCaR, and what is right.

use crate::line::{Fault, Rule};
use crate::ngo::child;
use crate::office::{KINSHIP, KINSHIP_AT_NGO, but, referral, referred, service};
use crate::primero_jobs::pushes;
use crate::primero_traps::{key, met, sent};
use crate::stage::{PASSWORD, Stage};
use referral_gateway::core::event::Decision;
use referral_gateway::core::flows::OscarConsent;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::wire::Reply;

const DECIDE: &str = "PUT /api/v1/organizations/referrals/update_statuses";

/// Two subtypes that OSCaR calls by one name.
const THERAPY: [&str; 2] = [
    "disability_support_therapeutic_training",
    "mental_health_support_therapeutic_training",
];

/// A case with this value at this pointer, referred to the NGO.
fn refers(stage: &Stage, n: u64, pointer: &str, value: Value) -> crate::office::Referred {
    stage.worker_refers_to("agency-cif-user", but(referred(n), pointer, value))
}

fn therapy(subtypes: Value) -> Value {
    let mut entry = service(KINSHIP);
    entry["service_type"] = json!("disability_support");
    entry["service_subtype"] = subtypes;
    entry
}

#[test]
fn job_defect_13_a_referral_of_another_kind_neither_stops_nor_hides_ours() {
    let mut stage = met();
    let mut data = referred(1);
    let mut other = service(KINSHIP);
    for field in [
        "service_implementing_agency",
        "service_implementing_agency_individual",
    ] {
        other.as_object_mut().expect("an object").remove(field);
    }
    other["service_response_type"] = json!("care_plan");
    data["services_section"] = json!([service(KINSHIP), other]);
    let ours = stage.worker_refers_to("agency-cif-user", data);
    stage.refers(&ours.case, "worker-two", 1);
    // A remote one has no recipient at all.
    let remote = json!({"remote": true, "transitioned_to_agency": "agency-cif", "notes": "elsewhere"});
    let made = stage
        .primero
        .peer(|sim| sim.refer_as("worker", &ours.case, &remote))
        .expect("referred");
    stage.settle();
    sent(&stage, &ours);
    assert_eq!(stage.oscar_referrals().len(), 1);
    // It names no service: somebody has to say what is meant.
    let key = format!("p-{}", made["id"].as_str().expect("an id"));
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::RouteUnclear)));
}

#[test]
fn job_defect_14_a_missing_risk_sets_one_referral_aside_and_no_other() {
    let mut stage = met();
    let first = refers(&stage, 1, "/risk_level", json!(null));
    let second = stage.worker_refers(2);
    stage.run();
    assert_eq!(
        stage.state(&key(&first)),
        (State::Parked, Some(Reason::RiskMissing))
    );
    sent(&stage, &second);
    assert_eq!(stage.oscar_referrals()[0].level_of_risk.as_deref(), Some("high"));
    let none = refers(&stage, 3, "/risk_level", json!("no_action"));
    stage.run();
    sent(&stage, &none);
    assert_eq!(
        stage.oscar_referrals()[1].level_of_risk.as_deref(),
        Some("no action")
    );
}

#[test]
fn job_defect_15_a_blank_place_is_not_sent_and_a_short_one_is_padded() {
    let mut stage = met();
    stage.oscar.taken();
    for (n, (stored, wanted)) in (1..).zip([
        (json!(null), None),
        (json!(""), None),
        (json!("nowhere"), None),
        (json!("2040302"), Some("02040302")),
        (json!("10060805"), Some("10060805")),
    ]) {
        let made = refers(&stage, n, "/location_current", stored);
        stage.run();
        sent(&stage, &made);
        let push = pushes(&stage).remove(0);
        for field in ["location_current_village_code", "address_current_village_code"] {
            assert_eq!(push.get(field).and_then(Value::as_str), wanted, "{field}");
        }
    }
    // The address of a child the NGO knows is not wiped by a case that has none.
    let made = refers(&stage, 20, "/location_current", json!("10060805"));
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    let place = |stage: &Stage| {
        let clients = stage.oscar.peer(|sim| sim.clients());
        let client = clients.into_iter().find(|row| {
            row.client
                .given_name
                .as_deref()
                .is_some_and(|name| name.starts_with("Zaphodina20"))
        });
        client.expect("registered").client.address
    };
    let before = place(&stage);
    stage.worker_edits(
        &made.case,
        &json!({"location_current": "", "services_section": [service(KINSHIP)]}),
    );
    let again = stage.refers(&made.case, "agency-cif-user", 1);
    stage.run();
    assert_eq!(stage.state(&format!("p-{again}")), (State::Delivered, None));
    assert_eq!(place(&stage), before);
}

#[test]
fn job_defect_16_a_repeat_referral_leaves_the_ngos_own_record_alone() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    let client = stage.oscar.peer(|sim| sim.clients()).remove(0).client;
    stage.ngo_edits("cif", client.id, |client| {
        client.given_name = Some("Called by her name".to_owned());
        client.gender = Some("lgbt".to_owned());
    });
    stage.run();
    stage.worker_edits(&made.case, &json!({"services_section": [service(KINSHIP)]}));
    let again = stage.refers(&made.case, "agency-cif-user", 1);
    stage.run();
    assert_eq!(stage.state(&format!("p-{again}")), (State::Delivered, None));
    let after = stage.ngo_client("cif", client.id);
    let known = (after.given_name.as_deref(), after.gender.as_deref());
    assert_eq!(known, (Some("Called by her name"), Some("lgbt")));
}

#[test]
fn job_defect_17_every_subtype_is_sent_and_none_at_all_is_said_so() {
    let mut stage = met();
    let several = json!([KINSHIP, "family_based_care_emergency_foster"]);
    let several = refers(&stage, 1, "/services_section/0/service_subtype", several);
    let none = refers(&stage, 2, "/services_section/0/service_subtype", json!([]));
    stage.run();
    sent(&stage, &several);
    sent(&stage, &none);
    let mut names: Vec<String> = stage
        .oscar_referrals()
        .iter()
        .flat_map(|row| row.services.clone())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["Emergency foster care", "Kinship care", "Not Specified"]);
    assert_eq!(stage.oscar_referrals().len(), 3, "one service each");
}

#[test]
fn job_defect_18_two_services_of_one_name_are_told_apart_on_the_way_back() {
    let mut stage = met();
    let mut data = referred(1);
    let mut second = therapy(json!([THERAPY[1]]));
    second["service_type"] = json!("mental_health_support");
    data["services_section"] = json!([therapy(json!([THERAPY[0]])), second]);
    let first = stage.worker_refers_to("agency-cif-user", data);
    let other = stage.refers(&first.case, "agency-cif-user", 1);
    stage.run();
    let rows = stage.oscar_referrals();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].services, rows[1].services);
    stage.ngo_registers("cif");
    stage.run();
    for (row, status) in rows.iter().zip(["Accepted", "Exited"]) {
        stage
            .oscar
            .peer(|sim| sim.hand_decide("cif", row.id, status))
            .expect("linked");
    }
    stage.settle();
    let heads = [stage.head(&key(&first)), stage.head(&format!("p-{other}"))];
    for (head, subtype) in heads.iter().zip(THERAPY) {
        assert_eq!(head.work.services[0].subtype, subtype, "kept in our ledger");
    }
    assert_eq!(
        [heads[0].decision(), heads[1].decision()],
        [Some(Decision::Accepted), Some(Decision::Rejected)]
    );
    let case = stage.primero_case(&first.case);
    let options: Vec<&Value> = (0..2)
        .map(|n| &case["services_section"][n]["referral_status_edf41f2"])
        .collect();
    assert_eq!(options, ["accepted_340953", "rejected_936484"]);
}

#[test]
fn job_defect_19_only_what_oscar_keeps_is_sent_and_the_rest_stands_in_the_reason() {
    let mut stage = met();
    stage.oscar.taken();
    let made = stage.worker_refers(1);
    stage.run();
    let push = pushes(&stage).remove(0);
    for dropped in [
        "transaction_id",
        "date_of_referral",
        "resource",
        "referral_status",
        "organization_id",
    ] {
        assert!(push.get(dropped).is_none(), "{dropped}");
    }
    let head = stage.head(&key(&made));
    assert_eq!(
        push["reason_for_referral"],
        format!("[{}] 2026-11-23 needs a home", head.tag)
    );
    assert_eq!(stage.oscar_referrals()[0].reason, push["reason_for_referral"]);
}

#[test]
fn job_defect_20_one_refused_referral_stops_no_other_and_a_rerun_doubles_none() {
    let mut stage = met();
    let made: Vec<_> = (0..6).map(|n| stage.worker_refers(n)).collect();
    let refused = json!({"external_id": "x", "message": {"services": ["can't be blank"]}});
    let rule = Rule::once(
        "POST",
        "/clients/upsert",
        Fault::Instead(Reply::json(422, &refused)),
    );
    stage.oscar.fault(rule.after(2));
    stage.run();
    stage.settle();
    let states: Vec<_> = made.iter().map(|made| stage.state(&key(made))).collect();
    let parked = states
        .iter()
        .filter(|state| **state == (State::Parked, Some(Reason::PushRefused)));
    assert_eq!(parked.count(), 1, "{states:?}");
    assert_eq!(
        states.iter().filter(|state| state.0 == State::Delivered).count(),
        5
    );
    assert_eq!(stage.oscar_referrals().len(), 5);
}

#[test]
fn job_defect_21_an_answer_is_judged_by_what_it_says() {
    let known = json!({"external_id": "x", "message": "Record was found.",
        "errors": {"global_id": "global_id must exist.", "referral_status": "referral_status must be present."}});
    let shapes = [
        (Reply::json(422, &known), State::Parked),
        (
            Reply::json(
                422,
                &json!({"message": "Record error. Please check OSCaR logs for details."}),
            ),
            State::Parked,
        ),
        (Reply::json(200, &json!({"data": []})), State::InDoubt),
        (Reply::html(200, "<h1>Sign in</h1>"), State::InDoubt),
        (Reply::json(500, &json!({"status": 500})), State::InDoubt),
    ];
    for (reply, state) in shapes {
        let mut stage = met();
        let made = stage.worker_refers(1);
        let status = reply.status;
        stage
            .oscar
            .fault(Rule::once("POST", "/clients/upsert", Fault::Instead(reply)));
        stage.run();
        let head = stage.head(&key(&made));
        assert_eq!(head.state, state, "{status}: {:?}", head.history);
        assert_eq!(stage.oscar_referrals().len(), 0);
    }
}

#[test]
fn job_defect_22_a_decision_is_told_once_and_by_itself() {
    let mut stage = Stage::default();
    stage.flows.oscar_consent = OscarConsent::Agreement;
    stage.restart();
    stage.run();
    let numbers: Vec<i64> = (1..4).map(|n| stage.ngo_refers_new_child("cif", n).1).collect();
    stage.settle();
    stage.oscar.taken();
    for number in &numbers {
        let case = stage
            .head(&format!("o-cif-{number}"))
            .work
            .case
            .expect("a case")
            .id;
        let service = stage.primero_case(&case)["services_section"][0]["unique_id"].clone();
        let decided = json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "accepted_340953"}]});
        stage.worker_edits(&case, &decided);
    }
    stage.settle();
    for n in 0..5 {
        for case in stage.primero.peer(|sim| sim.cases()) {
            let id = case["id"].as_str().expect("an id");
            stage.worker_edits(id, &json!({"address_current": format!("house {n}")}));
        }
        stage.run();
    }
    let log = stage.oscar.taken();
    let told: Vec<Value> = log
        .iter()
        .filter(|entry| entry.what == DECIDE)
        .map(|entry| serde_json::from_str(&entry.body).expect("JSON"))
        .collect();
    assert_eq!(told.len(), numbers.len(), "each once");
    for body in told {
        let items = body["data"].as_array().expect("a list");
        assert!(items.len() == 1 && items[0]["referral_id"].is_i64(), "{body}");
    }
}

#[test]
fn job_defect_23_nothing_is_said_of_a_child_without_a_number() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    // Decided in Primero before the NGO has registered the child: OSCaR has no number for anybody yet.
    let id = made.referral.clone();
    stage
        .primero
        .peer(|sim| sim.decide_referral(&id, "accepted", ""))
        .expect("decided");
    stage.settle();
    assert_eq!(stage.oscar.count(DECIDE), 0);
    assert!(!stage.head(&key(&made)).closed(), "still to be told");
    stage.ngo_registers("cif");
    stage.settle();
    let log = stage.oscar.taken();
    let told: Vec<_> = log.iter().filter(|entry| entry.what == DECIDE).collect();
    assert_eq!(told.len(), 1);
    assert!(!told[0].body.contains("\"client_global_id\":\"\""));
    assert!(stage.head(&key(&made)).closed());
}

#[test]
fn job_defect_40_every_service_from_oscar_is_pending_from_the_start() {
    let mut stage = Stage::default();
    stage.flows.oscar_consent = OscarConsent::Agreement;
    stage.restart();
    // More than the one page the job looked at.
    for n in 0..25 {
        let client = stage.ngo_child("cif", &child(n));
        stage.ngo_refers_for("cif", client, KINSHIP_AT_NGO);
    }
    stage.enter_case(json!({"name_first": "No", "name_last": "Services"}));
    stage.settle();
    let cases = stage.primero.peer(|sim| sim.cases());
    let services = cases
        .iter()
        .filter_map(|case| case["services_section"].as_array())
        .flatten();
    let pending = services.filter(|service| service["referral_status_edf41f2"] == "pending_310366");
    assert_eq!(pending.count(), 25);
}

#[test]
fn job_defect_41_one_sign_in_and_no_secret_left_lying_about() {
    let mut stage = Stage::default();
    let made = stage.worker_refers(1);
    let local = stage.accept(&referral(2));
    for _ in 0..12 {
        stage.run();
    }
    stage.restart();
    stage.run();
    assert_eq!(stage.state(&local), (State::Delivered, None));
    assert_eq!(stage.oscar.count("POST /api/v1/admin_auth/sign_in"), 1);
    // Basic needs none; the box logs in once in its life, to learn its own number for the check of the site.
    assert!(stage.primero.count("POST /api/v2/tokens") <= 1);
    let disk = stage.disk.contents();
    let id = stage.primero_case(&made.case)["case_id"]
        .as_str()
        .expect("a number")
        .to_owned();
    for secret in [PASSWORD, "Zaphodina", "Beeblebrox", id.as_str(), "access-token"] {
        let found = disk
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} lies open on the disk");
    }
}
