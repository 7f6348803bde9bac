//! Children the NGO already has: nothing of theirs is overwritten that need not be, and no number is sent where it
//! would silently go nowhere (oscar.md §3.4 to §3.7).

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, but, case, referral};
use crate::stage::Stage;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outbox::{self, Verdict};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::json;
use simulators::oscar::{Child, Client};
use std::time::Duration;

const PUSH: &str = "POST /api/v1/organizations/clients/upsert";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn child(stage: &Stage, tenant: &str) -> Client {
    let rows = stage.oscar.peer(|sim| sim.clients());
    rows.into_iter()
        .find(|row| row.tenant == tenant)
        .expect("registered")
        .client
}

/// A first referral, taken in by the NGO.
fn known_at_cif(stage: &mut Stage) {
    stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
}

#[test]
fn a_second_referral_repeats_what_the_ngo_has_on_record() {
    let mut stage = Stage::default();
    known_at_cif(&mut stage);
    let id = child(&stage, "cif").id;
    stage.oscar.peer(|sim| {
        sim.edit_child("cif", id, |child| {
            child.given_name = Some("Corrected".to_owned());
            child.date_of_birth = Some("2014-01-01".to_owned());
        })
        .expect("an edit");
    });
    let event = but(referral(1), "/event_key", json!("again"));
    let key = stage.accept(&but(event, "/services", json!([{"subtype": SCHOOL}])));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let after = child(&stage, "cif");
    assert_eq!(after.given_name.as_deref(), Some("Corrected"));
    assert_eq!(after.date_of_birth.as_deref(), Some("2014-01-01"));
    assert_eq!(after.gender.as_deref(), Some("female"));
    assert!(after.address.iter().all(Option::is_some), "{:?}", after.address);
    let rows = stage.oscar_referrals();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        rows[1].global_id, after.global_id,
        "sent under the child's own number"
    );
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
}

/// A child the box cannot have seen: the refusal (B3) sends it looking sixty days back, once.
#[test]
fn a_child_oscar_knows_better_is_looked_for_and_then_sent_with_its_number() {
    let mut stage = Stage::default();
    let id = stage.enter_case(case(1));
    let number = stage.primero_case(&id)["case_id"]
        .as_str()
        .expect("a number")
        .to_owned();
    let short = stage.primero_case(&id)["short_id"].clone();
    stage.pushed_by_hand("cif", &number);
    stage.ngo_registers("cif");
    let id = child(&stage, "cif").id;
    let rename = |child: &mut Client| child.given_name = Some("Theirs".to_owned());
    stage
        .oscar
        .peer(|sim| sim.edit_child("cif", id, rename))
        .expect("an edit");
    stage.wait(DAY * 5);
    let key = stage.accept(&but(referral(1), "/child/primero_case_id", short));
    stage.run();
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    assert_eq!(stage.oscar.count(PUSH), 2, "refused once, sent once");
    assert_eq!(stage.oscar.count("GET"), 2, "one pull and one look back");
    let after = child(&stage, "cif");
    assert_eq!(after.given_name.as_deref(), Some("Theirs"));
    let ours = stage
        .oscar_referrals()
        .into_iter()
        .filter(|row| row.reason.starts_with("[GW-"))
        .count();
    assert_eq!(ours, 1);
}

#[test]
fn a_named_child_that_no_pull_shows_there_is_not_pushed() {
    for elsewhere in [false, true] {
        let mut stage = Stage::default();
        let number = if elsewhere {
            stage.oscar.peer(|sim| {
                let id = sim
                    .register_ngo_child("gpc", &Child::named("Theirs", "Name"))
                    .expect("complete");
                sim.client("gpc", id).expect("registered").global_id.clone()
            })
        } else {
            "01EC45C3SZ6V0Q5H3KV2D34Q80".to_owned()
        };
        let key = stage.accept(&but(referral(1), "/child/oscar_global_id", json!(number)));
        for _ in 0..5 {
            stage.run();
        }
        assert_eq!(
            stage.state(&key),
            (State::Parked, Some(Reason::OscarChildNotSeen))
        );
        assert_eq!(stage.oscar.count(PUSH), 0);
        assert!(
            stage.oscar.count("GET") <= 6,
            "one look back, not one per session"
        );
    }
}

#[test]
fn a_named_child_of_that_ngo_is_pushed_under_its_number() {
    let mut stage = Stage::default();
    let number = stage.oscar.peer(|sim| {
        let id = sim
            .register_ngo_child("cif", &Child::named("Theirs", "Name"))
            .expect("complete");
        sim.client("cif", id).expect("registered").global_id.clone()
    });
    let key = stage.accept(&but(referral(1), "/child/oscar_global_id", json!(number)));
    stage.run();
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    assert_eq!(stage.oscar_referrals()[0].global_id, number);
    assert_eq!(child(&stage, "cif").given_name.as_deref(), Some("Theirs"));
}

/// The silent loss of oscar.md §3.4, A0: a number known at another NGO only.
#[test]
fn a_child_known_at_one_ngo_goes_to_another_without_its_number() {
    let mut stage = Stage::default();
    known_at_cif(&mut stage);
    let first = child(&stage, "cif");
    let event = but(
        but(referral(1), "/event_key", json!("other")),
        "/organization",
        json!("gpc"),
    );
    let key = stage.accept(&event);
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let at_gpc: Vec<_> = stage
        .oscar_referrals()
        .into_iter()
        .filter(|row| row.tenant == "gpc")
        .collect();
    assert_eq!(at_gpc.len(), 1);
    assert_ne!(at_gpc[0].global_id, first.global_id);
    assert_eq!(
        child(&stage, "cif").given_name,
        first.given_name,
        "the other NGO's record is untouched"
    );

    // The second NGO gives the child a second number; Primero has room for one. A person has to look, and the
    // decision is there all the same.
    stage.ngo_registers("gpc");
    stage.ngo_decides("gpc", "Exited");
    stage.settle();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::LinkConflict)));
    let case = stage.only_case();
    assert_eq!(case["oscar_number"], first.global_id.as_str());
    let second = case["services_section"]
        .as_array()
        .expect("services")
        .last()
        .cloned()
        .expect("two");
    assert_eq!(second["referral_status_edf41f2"], "rejected_936484");
    assert_eq!(stage.primero_referrals()[1]["status"], "rejected");
    stage.resolve(&key, Verdict::Settled);
    assert!(stage.head(&key).closed());
}

/// The number is settled before the second NGO has decided: its decision comes all the same.
#[test]
fn a_decision_after_the_numbers_were_settled_is_written() {
    for settled in [false, true] {
        let mut stage = Stage::default();
        known_at_cif(&mut stage);
        let number = stage.only_case()["case_id"].clone();
        let event = but(referral(1), "/child/primero_case_id", number);
        let event = but(
            but(event, "/event_key", json!("other")),
            "/organization",
            json!("gpc"),
        );
        let key = stage.accept(&event);
        stage.settle();
        stage.ngo_registers("gpc");
        stage.settle();
        if settled {
            // As a version parked it that did not wait for the decision.
            stage.change(&key, |head, at| {
                outbox::park(head, at, Reason::LinkConflict, "oscar_number");
                outbox::resolve(head, at, Verdict::Settled, "somebody").expect("parked");
            });
            stage.settle();
        }
        assert_eq!(stage.state(&key), (State::Delivered, None));
        assert!(!stage.head(&key).closed());
        stage.ngo_decides("gpc", "Accepted");
        stage.settle();
        let made = stage.primero_referrals();
        assert_eq!(made[1]["transitioned_to"], "agency-gpc-user");
        assert_eq!(made[1]["status"], "accepted", "{:?}", stage.head(&key).history);
        if !settled {
            assert_eq!(stage.state(&key), (State::Parked, Some(Reason::LinkConflict)));
            stage.resolve(&key, Verdict::Settled);
        }
        assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    }
}

#[test]
fn more_referrals_than_ours_park_until_a_person_has_compared_them() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage.run();
    // Somebody at the ministry sends the same service for the same case by hand.
    let number = stage.head(&key).work.case.expect("created").case_id;
    stage.pushed_by_hand("cif", &number);
    stage.ngo_registers("cif");
    stage.run();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::AmbiguousMatch)));
    stage.resolve(&key, Verdict::Settled);
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None), "settled for good");
    assert!(stage.head(&key).closed());
}

/// Two services that OSCaR calls by one name come back as two numbers, in the order they were sent.
#[test]
fn two_services_of_one_name_are_told_apart_by_order() {
    let mut stage = Stage::default();
    let subtypes = [
        "disability_support_therapeutic_training",
        "mental_health_support_therapeutic_training",
    ];
    let services = json!([{"subtype": subtypes[0]}, {"subtype": subtypes[1]}]);
    let key = stage.accept(&but(referral(1), "/services", services));
    stage.run();
    stage.ngo_registers("cif");
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", 1, "Accepted"))
        .expect("the first");
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", 2, "Exited"))
        .expect("the second");
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    let case = stage.only_case();
    let options: Vec<_> = case["services_section"]
        .as_array()
        .expect("two")
        .iter()
        .map(|service| {
            (
                service["service_subtype"][0].clone(),
                service["referral_status_edf41f2"].clone(),
            )
        })
        .collect();
    assert_eq!(
        options,
        [
            (json!(subtypes[0]), json!("accepted_340953")),
            (json!(subtypes[1]), json!("rejected_936484")),
        ]
    );
}

#[test]
fn a_lost_answer_of_a_push_under_a_number_is_settled_too() {
    let mut stage = Stage::default();
    known_at_cif(&mut stage);
    for (n, fault) in [Fault::AnswerLost, Fault::Never(Phase::Sent)]
        .into_iter()
        .enumerate()
    {
        let event = but(referral(1), "/event_key", json!(format!("again-{n}")));
        let subtype = if n == 0 { SCHOOL } else { KINSHIP };
        let key = stage.accept(&but(event, "/services", json!([{"subtype": subtype}])));
        stage.oscar.fault(Rule::once("POST", "/upsert", fault));
        stage.settle();
        assert_eq!(stage.head(&key).state, State::InDoubt);
        stage.ngo_registers("cif");
        stage.settle();
        let arrived = n == 0;
        assert_eq!(
            stage.head(&key).state,
            if arrived { State::Delivered } else { State::InDoubt }
        );
    }
}
