//! A referral's whole way, and what it costs.

use crate::office::{KINSHIP, SCHOOL, but, referral};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::record::{OneShot, State};
use serde_json::json;

#[test]
fn a_new_child_goes_all_the_way_and_the_decision_comes_back() {
    for (status, decision, in_primero, option) in [
        ("Accepted", Decision::Accepted, "accepted", "accepted_340953"),
        ("Exited", Decision::Rejected, "rejected", "rejected_936484"),
    ] {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage.run();
        let head = stage.head(&key);
        assert_eq!(head.state, State::Delivered, "{:?}", head.history);
        let work = &head.work.services[0];
        let case = stage.only_case();
        assert_eq!(case["id"], head.work.case.as_ref().expect("found").id.as_str());
        assert_eq!(case["services_section"][0]["unique_id"], work.unique_id.as_str());
        assert_eq!(
            case["services_section"][0]["service_response_type"],
            "referral_to_oscar"
        );
        let referrals = stage.primero_referrals();
        assert_eq!(referrals.len(), 1);
        assert_eq!(referrals[0]["transitioned_to"], "agency-cif-user");
        assert_eq!(referrals[0]["service_record_id"], work.unique_id.as_str());
        let rows = stage.oscar_referrals();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].reason, format!("[{}] 2026-11-20 needs a home", head.tag));
        assert_eq!(rows[0].external_id.as_deref(), case["case_id"].as_str());
        assert_eq!(rows[0].services, ["Kinship care"]);

        stage.ngo_registers("cif");
        stage.ngo_decides("cif", status);
        stage.run();
        let head = stage.head(&key);
        assert_eq!((head.state, head.decision()), (State::Delivered, Some(decision)));
        assert!(head.closed(), "{:?}", head.work);
        let case = stage.only_case();
        let child = stage.oscar.peer(|sim| sim.clients()).remove(0).client;
        assert_eq!(case["oscar_number"], child.global_id.as_str());
        assert_eq!(case["oscar_short_id"], child.slug.as_str());
        assert_eq!(case["services_section"][0]["referral_status_edf41f2"], option);
        assert_eq!(
            case["services_section"][0]["oscar_referral_id_a4ac8a5"],
            rows[0].id.to_string()
        );
        assert_eq!(stage.primero_referrals()[0]["status"], in_primero);
    }
}

#[test]
fn two_services_become_two_referrals_on_each_side_of_one_case() {
    let mut stage = Stage::default();
    let services = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", services));
    stage.run();
    assert_eq!(stage.head(&key).state, State::Delivered);
    assert_eq!(stage.primero_referrals().len(), 2);
    assert_eq!(stage.oscar_referrals().len(), 2);
    assert_eq!(
        stage.only_case()["services_section"].as_array().map(Vec::len),
        Some(2)
    );
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    for service in stage.only_case()["services_section"].as_array().expect("a list") {
        assert_eq!(service["referral_status_edf41f2"], "accepted_340953");
    }
}

#[test]
fn a_referral_to_primero_makes_a_case_owned_by_the_province() {
    let mut stage = Stage::default();
    let key = stage.accept(&but(referral(1), "/to", json!("primero")));
    stage.run();
    let head = stage.head(&key);
    assert_eq!(head.state, State::Delivered, "{:?}", head.history);
    let case = stage.only_case();
    assert_eq!(case["owned_by"], "mgrkrt");
    assert_eq!(
        case["services_section"][0]["service_response_type"],
        "referral_from_oscar"
    );
    assert_eq!(stage.primero_referrals().len(), 0);
    assert_eq!(stage.oscar_referrals().len(), 0);
    assert!(head.closed());
    assert!(head.work.services.iter().all(|work| work.push == OneShot::Todo));
}

#[test]
fn a_referral_and_an_empty_session_cost_few_requests() {
    let mut stage = Stage::default();
    stage.run();
    let bytes = |log: &[crate::line::Logged]| log.iter().map(|l| l.sent + l.received).sum::<usize>();
    let (primero, oscar) = (stage.primero.taken(), stage.oscar.taken());
    println!(
        "first session: {} + {} requests, {} + {} body bytes",
        primero.len(),
        oscar.len(),
        bytes(&primero),
        bytes(&oscar)
    );
    assert_eq!(
        (primero.len(), oscar.len()),
        (7, 2),
        "health, lookups, own number, own rights, forms, newest case, pull; sign-in and pull"
    );

    stage.accept(&referral(1));
    stage.run();
    let (primero, oscar) = (stage.primero.taken(), stage.oscar.taken());
    println!(
        "a new child: {} + {} requests, {} + {} body bytes",
        primero.len(),
        oscar.len(),
        bytes(&primero),
        bytes(&oscar)
    );
    assert_eq!(primero.len(), 4, "pull, create, read back, refer: {primero:?}");
    assert_eq!(oscar.len(), 2, "pull and push: {oscar:?}");

    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    let (primero, oscar) = (stage.primero.taken(), stage.oscar.taken());
    println!(
        "a decision: {} + {} requests, {} + {} body bytes",
        primero.len(),
        oscar.len(),
        bytes(&primero),
        bytes(&oscar)
    );
    assert_eq!(
        primero.len(),
        5,
        "pull, read, decide, write, read back: {primero:?}"
    );
    assert_eq!(oscar.len(), 1, "pull: {oscar:?}");

    stage.run();
    let (primero, oscar) = (stage.primero.taken(), stage.oscar.taken());
    println!(
        "an empty session: {} + {} requests, {} + {} body bytes",
        primero.len(),
        oscar.len(),
        bytes(&primero),
        bytes(&oscar)
    );
    assert_eq!((primero.len(), oscar.len()), (1, 1));
    stage.run_reaching_back();
    assert!(stage.primero.taken().len() <= 3 && stage.oscar.taken().len() <= 3);
}
