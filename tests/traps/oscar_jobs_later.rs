//! `oscar.md` §9.2, rows 32 to 39: decisions and updates in the cloud jobs, and what is right.

use crate::line::{Fault, Rule};
use crate::ngo::child;
use crate::office::{SCHOOL, but, referral};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::oscar::{Child, Client};
use simulators::wire::Reply;

/// A referral of ours for invented child `n`, registered by the NGO.
fn registered(stage: &mut Stage, n: u64) -> String {
    let key = stage.accept(&referral(n));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    key
}

fn case_of(stage: &Stage, key: &str) -> Value {
    let case = stage.head(key).work.case.expect("a case");
    stage.primero_case(&case.id)
}

fn rename(name: &'static str) -> impl FnOnce(&mut Client) {
    move |child| child.given_name = Some(name.to_owned())
}

#[test]
fn job_defect_32_a_linked_child_is_updated_and_decides_nothing() {
    let mut stage = Stage::default();
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    assert!(stage.ngo_client("cif", client).external_id.is_some());
    stage.ngo_edits("cif", client, rename("Tricia"));
    stage.settle();
    let case = stage.only_case();
    assert_eq!(case["name_first"], "Tricia");
    assert_eq!(
        case["services_section"][0]["referral_status_edf41f2"],
        "pending_310366"
    );
    assert_eq!(stage.head(&format!("o-cif-{number}")).decision(), None);
}

/// Nothing new in an answer, and nothing is written: fifty times the same child.
#[test]
fn job_defect_33_a_child_without_news_is_dropped() {
    let mut stage = Stage::default();
    let key = registered(&mut stage, 1);
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed());
    let client = stage.oscar.peer(|sim| sim.clients())[0].client.id;
    stage.primero.taken();
    for n in 0..50 {
        // Saved at the NGO each time, with nothing in it for us.
        stage.ngo_edits("cif", client, |_| {});
        stage.run_as(n % 6 == 0, false).expect("the store works");
    }
    let writes: usize = ["POST", "PATCH", "DELETE"]
        .iter()
        .map(|m| stage.primero.count(m))
        .sum();
    assert_eq!(writes, 0);
}

#[test]
fn job_defect_34_a_decision_meets_the_service_with_its_number_and_no_other() {
    let mut stage = Stage::default();
    let first = registered(&mut stage, 1);
    // The same service once more, and another one.
    let event = but(referral(1), "/event_key", json!("again"));
    let again = stage.accept(&event);
    let event = but(referral(1), "/event_key", json!("school"));
    let school = stage.accept(&but(event, "/services", json!([{"subtype": SCHOOL}])));
    stage.run();
    let client = stage.oscar.peer(|sim| sim.clients())[0].client.id;
    stage
        .oscar
        .peer(|sim| sim.open_child_page("cif", client))
        .expect("there");
    stage.ngo_edits("cif", client, |_| {});
    stage.settle();
    let number = stage.head(&again).work.services[0].oscar_referral.expect("seen");
    let others: Vec<Option<Decision>> = [&first, &school].map(|key| stage.head(key).decision()).into();
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", number, "Exited"))
        .expect("linked");
    stage.settle();
    assert_eq!(stage.head(&again).decision(), Some(Decision::Rejected));
    let after: Vec<Option<Decision>> = [&first, &school].map(|key| stage.head(key).decision()).into();
    assert_eq!(after, others);
    let case = case_of(&stage, &again);
    let rejected: Vec<&Value> = case["services_section"]
        .as_array()
        .expect("services")
        .iter()
        .filter(|service| service["referral_status_edf41f2"] == "rejected_936484")
        .map(|service| &service["oscar_referral_id_a4ac8a5"])
        .collect();
    assert_eq!(rejected, [&json!(number.to_string())]);
}

#[test]
fn job_defect_35_two_cases_of_one_number_stop_nobody_else() {
    let mut stage = Stage::default();
    let (client, twice) = stage.ngo_refers_new_child("cif", 1);
    let global_id = stage.ngo_client("cif", client).global_id;
    for name in ["One", "Two"] {
        stage.enter_case(
            json!({"name_first": name, "sex": "female", "date_of_birth": "2015-05-05",
            "oscar_number": global_id}),
        );
    }
    let (_, fine) = stage.ngo_refers_new_child("gpc", 2);
    stage.settle();
    assert_eq!(
        stage.state(&format!("o-cif-{twice}")),
        (State::Parked, Some(Reason::AmbiguousCase))
    );
    assert_eq!(stage.state(&format!("o-gpc-{fine}")), (State::Delivered, None));
    let untouched = stage.primero.peer(|sim| sim.cases());
    let services = |case: &&Value| {
        case["services_section"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    };
    assert_eq!(untouched.iter().filter(services).count(), 1);
}

#[test]
fn job_defect_36_each_decision_is_written_to_its_own_case_whatever_becomes_of_the_others() {
    let mut stage = Stage::default();
    let keys: Vec<String> = (1..4).map(|n| registered(&mut stage, n)).collect();
    // Primero cannot write the first child's case any more.
    let broken = case_of(&stage, &keys[0])["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let broken: &'static str = Box::leak(broken.into_boxed_str());
    let error = Reply::json(500, &json!({"errors": [{"status": 500}]}));
    stage
        .primero
        .fault(Rule::always("PATCH", broken, Fault::Instead(error)));
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&keys[0]).write_back_due(), "still to be written");
    for key in &keys[1..] {
        let case = case_of(&stage, key);
        assert_eq!(
            case["services_section"][0]["referral_status_edf41f2"],
            "accepted_340953"
        );
        assert!(stage.head(key).closed());
    }
}

#[test]
fn job_defect_37_a_decision_is_written_to_a_referral_of_a_case() {
    let mut stage = Stage::default();
    registered(&mut stage, 1);
    stage.primero.taken();
    stage.ngo_decides("cif", "Exited");
    stage.settle();
    let log = stage.primero.taken();
    let decided = log
        .iter()
        .find(|entry| entry.what.starts_with("PATCH") && entry.what.contains("/referrals/"));
    let what = &decided.expect("written").what;
    assert!(what.starts_with("PATCH /api/v2/cases/"), "{what}");
    assert_eq!(stage.primero_referrals()[0]["status"], "rejected");
}

/// Cut between the two writes, and at every other request of the session, and by power: both end up saying the same.
#[test]
fn job_defect_38_referral_and_service_never_stay_apart() {
    for skip in 0..5 {
        for fault in [Fault::Never(Phase::Connect), Fault::AnswerLost, Fault::CutOff] {
            let mut stage = Stage::default();
            let key = registered(&mut stage, 1);
            stage.ngo_decides("cif", "Accepted");
            stage.primero.fault(Rule::once("", "/api/v2/", fault).after(skip));
            stage.run();
            stage.cut(u64::from(skip));
            stage.settle();
            assert!(
                stage.head(&key).closed(),
                "{skip}: {:?}",
                stage.head(&key).history
            );
            assert_eq!(stage.primero_referrals()[0]["status"], "accepted");
            let service = case_of(&stage, &key)["services_section"][0].clone();
            assert_eq!(service["referral_status_edf41f2"], "accepted_340953");
        }
    }
}

#[test]
fn job_defect_39_the_age_is_primeros_affair() {
    let mut stage = Stage::default();
    for (n, born) in (1..).zip(["1990-05-05", "2026-11-01"]) {
        let client = stage.ngo_child(
            "cif",
            &Child {
                date_of_birth: Some(born.to_owned()),
                ..child(n)
            },
        );
        stage.ngo_refers("cif", client);
    }
    stage.settle();
    let cases = stage.primero.peer(|sim| sim.cases());
    assert_eq!(cases.len(), 2);
    for case in cases {
        assert!(case["age"].is_null(), "nobody wrote a 0 there");
        assert!(case["date_of_birth"].is_string());
    }
}
