//! What workers decide, take back and correct in Primero by hand, and what becomes of it at the NGO.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, Referred, SCHOOL, referral, referred, service};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{OneShot, Peer, State};
use serde_json::{Value, json};

const DECIDE: &str = "PUT /api/v1/organizations/referrals/update_statuses";

fn met() -> Stage {
    let mut stage = Stage::default();
    stage.run();
    stage
}

fn key(made: &Referred) -> String {
    format!("p-{}", made.referral)
}

/// A referral at the NGO, its child registered there and seen.
fn open() -> (Stage, Referred) {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    stage.primero.taken();
    stage.oscar.taken();
    (stage, made)
}

/// Somebody decides the referral in Primero by hand.
pub fn decide(stage: &Stage, made: &Referred, status: &str) {
    let referral = made.referral.clone();
    stage
        .primero
        .peer(|sim| sim.decide_referral_as("worker", &referral, status, "by hand"))
        .expect("decided");
}

fn service_of(stage: &Stage, made: &Referred) -> Value {
    stage.primero_case(&made.case)["services_section"][0].clone()
}

#[test]
fn a_decision_on_the_referral_reaches_the_service_and_oscar_once() {
    for (word, decision, option, at_ngo) in [
        ("accepted", Decision::Accepted, "accepted_340953", "Accepted"),
        ("rejected", Decision::Rejected, "rejected_936484", "Exited"),
    ] {
        let (mut stage, made) = open();
        decide(&stage, &made, word);
        stage.settle();
        let head = stage.head(&key(&made));
        assert_eq!(
            (head.decision(), head.work.services[0].decided_at),
            (Some(decision), Some(Peer::Primero))
        );
        assert!(head.closed(), "{:?} {:?}", head.history, head.work);
        assert_eq!(service_of(&stage, &made)["referral_status_edf41f2"], option);
        assert_eq!(stage.oscar_referrals()[0].row.referral_status, at_ngo);
        assert_eq!(stage.oscar.count(DECIDE), 1);
    }
}

#[test]
fn a_decision_in_the_service_reaches_the_referral_and_oscar() {
    let (mut stage, made) = open();
    let service = service_of(&stage, &made)["unique_id"].clone();
    let data =
        json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "accepted_340953"}]});
    stage.worker_edits(&made.case, &data);
    stage.settle();
    assert_eq!(stage.primero_referrals()[0]["status"], "accepted");
    assert_eq!(stage.oscar_referrals()[0].row.referral_status, "Accepted");
    assert!(stage.head(&key(&made)).closed());
}

#[test]
fn a_local_referral_decided_by_hand_is_told_the_ngo_too() {
    let mut stage = met();
    let key = stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    let id = stage.primero_referrals()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    stage
        .primero
        .peer(|sim| sim.decide_referral(&id, "rejected", "full"))
        .expect("decided");
    stage.settle();
    assert_eq!(stage.head(&key).decision(), Some(Decision::Rejected));
    assert_eq!(stage.oscar_referrals()[0].row.referral_status, "Exited");
    assert_eq!(
        stage.only_case()["services_section"][0]["referral_status_edf41f2"],
        "rejected_936484"
    );
    assert!(stage.head(&key).closed());
}

#[test]
fn two_places_in_primero_that_disagree_need_a_person() {
    let (mut stage, made) = open();
    let service = service_of(&stage, &made)["unique_id"].clone();
    let data =
        json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "accepted_340953"}]});
    stage.worker_edits(&made.case, &data);
    decide(&stage, &made, "rejected");
    stage.run();
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::DecisionConflict))
    );
    assert_eq!(
        stage.oscar.count(DECIDE),
        0,
        "nothing is told before it is settled"
    );
}

#[test]
fn a_field_somebody_has_decided_is_not_written_over() {
    let (mut stage, made) = open();
    stage.ngo_decides("cif", "Accepted");
    // Between the pull and the write-back, a worker decides the other way in the service.
    let (case, service) = (made.case.clone(), service_of(&stage, &made)["unique_id"].clone());
    stage.primero.meanwhile("GET", "/api/v2/cases/", 0, move |sim| {
        let data = json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "rejected_936484"}]});
        sim.edit_case_as("worker", &case, &data).expect("an edit");
    });
    stage.run();
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::DecisionConflict))
    );
    assert_eq!(
        service_of(&stage, &made)["referral_status_edf41f2"],
        "rejected_936484"
    );
    assert_eq!(stage.primero_referrals()[0]["status"], "in_progress");
}

#[test]
fn a_referral_ended_before_it_was_sent_is_not_sent_and_holds_up_nobody() {
    for word in ["revoked", "rejected"] {
        let mut stage = met();
        stage
            .oscar
            .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
        let made = stage.worker_refers(1);
        stage.run();
        assert_eq!(stage.state(&key(&made)), (State::Pending, None));
        decide(&stage, &made, word);
        let again = Referred {
            referral: stage.refers(&made.case, "agency-cif-user", 0),
            case: made.case.clone(),
        };
        stage.oscar.mend();
        stage.run();
        let head = stage.head(&key(&made));
        assert_eq!(
            (head.state, head.reason),
            (State::Parked, Some(Reason::EndedUnsent)),
            "{word}"
        );
        assert_eq!(
            stage.state(&key(&again)),
            (State::Delivered, None),
            "the child's next referral goes"
        );
        assert_eq!(stage.oscar_referrals().len(), 1);
        stage.resolve(&key(&made), Verdict::Settled);
        stage.settle();
        assert!(stage.head(&key(&made)).closed());
        assert_eq!(stage.oscar_referrals().len(), 1);
    }
}

#[test]
fn a_referral_revoked_while_primero_was_out_of_reach_is_caught_before_the_push() {
    let mut stage = met();
    stage
        .oscar
        .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
    let made = stage.worker_refers(1);
    stage.run();
    stage.oscar.mend();
    // After this session's pull, before its push.
    let referral = made.referral.clone();
    stage.primero.meanwhile("GET", "/referrals", 0, move |sim| {
        sim.decide_referral_as("worker", &referral, "revoked", "")
            .expect("revoked");
    });
    stage.run();
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::EndedUnsent))
    );
    assert_eq!(stage.oscar_referrals().len(), 0);
}

#[test]
fn a_referral_revoked_afterwards_sends_for_somebody_to_telephone_once() {
    let (mut stage, made) = open();
    decide(&stage, &made, "revoked");
    stage.run();
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::TellTheNgo))
    );
    // The NGO decides all the same: the person who telephones finds it, and nothing is written.
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::TellTheNgo))
    );
    assert_eq!(stage.primero_referrals()[0]["status"], "revoked");
    stage.resolve(&key(&made), Verdict::Settled);
    stage.worker_edits(&made.case, &json!({"address_current": "elsewhere"}));
    stage.settle();
    assert!(stage.head(&key(&made)).closed());
}

#[test]
fn accepted_by_hand_before_anything_went_it_goes_together_with_that_decision() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    decide(&stage, &made, "accepted");
    stage.run();
    let head = stage.head(&key(&made));
    assert_eq!(
        (head.state, head.decision()),
        (State::Delivered, Some(Decision::Accepted))
    );
    stage.ngo_registers("cif");
    stage.settle();
    assert_eq!(stage.oscar_referrals()[0].row.referral_status, "Accepted");
    assert!(stage.head(&key(&made)).closed());
}

#[test]
fn what_held_a_referral_up_is_mended_in_primero_and_it_goes_by_itself() {
    let cases = [
        (
            "/risk_level",
            json!(null),
            json!({"risk_level": "low"}),
            Reason::RiskMissing,
        ),
        (
            "/disclosure_other_orgs",
            json!(true),
            json!({}),
            Reason::ConsentMissing,
        ),
        (
            "/name_last",
            json!(null),
            json!({"name_last": "Prefect"}),
            Reason::CaseIncomplete,
        ),
        (
            "/date_of_birth",
            json!(null),
            json!({"date_of_birth": "2015-05-05"}),
            Reason::CaseIncomplete,
        ),
        (
            "/hidden_name",
            json!(true),
            json!({"hidden_name": false}),
            Reason::CaseIncomplete,
        ),
    ];
    for (pointer, value, mended, reason) in cases {
        let mut stage = met();
        let made = stage.worker_refers_to("agency-cif-user", crate::office::but(referred(1), pointer, value));
        if reason == Reason::ConsentMissing {
            stage.worker_edits(&made.case, &json!({"disclosure_other_orgs": false}));
        }
        stage.run();
        assert_eq!(
            stage.state(&key(&made)),
            (State::Parked, Some(reason)),
            "{pointer}"
        );
        assert_eq!(stage.oscar_referrals().len(), 0);
        stage.run();
        let mended = if reason == Reason::ConsentMissing {
            json!({"disclosure_other_orgs": true})
        } else {
            mended
        };
        stage.worker_edits(&made.case, &mended);
        stage.run();
        assert_eq!(stage.state(&key(&made)), (State::Delivered, None), "{pointer}");
        assert_eq!(stage.oscar_referrals().len(), 1);
    }
}

#[test]
fn a_service_of_several_subtypes_is_several_referrals_of_one_decision() {
    let mut stage = met();
    let mut data = referred(1);
    let mut wanted = service(KINSHIP);
    wanted["service_subtype"] = json!([KINSHIP, "family_based_care_emergency_foster"]);
    data["services_section"] = json!([wanted, service(SCHOOL)]);
    let made = stage.worker_refers_to("agency-cif-user", data);
    stage.run();
    let rows = stage.oscar_referrals();
    assert_eq!(
        rows.len(),
        2,
        "the service referred, not the other one of the case"
    );
    stage.ngo_registers("cif");
    stage.run();
    assert_eq!(
        service_of(&stage, &made)["oscar_referral_id_a4ac8a5"],
        format!("{}, {}", rows[0].id, rows[1].id)
    );
    for (index, (status, in_primero)) in [("Exited", "in_progress"), ("Accepted", "accepted")]
        .into_iter()
        .enumerate()
    {
        stage
            .oscar
            .peer(|sim| sim.hand_decide("cif", rows[index].id, status))
            .expect("linked");
        stage.run();
        assert_eq!(stage.primero_referrals()[0]["status"], in_primero);
    }
    let head = stage.head(&key(&made));
    assert!(
        head.closed() && head.work.services.iter().all(|work| work.push == OneShot::Done),
        "{:?}",
        head.work
    );
    assert_eq!(
        service_of(&stage, &made)["referral_status_edf41f2"],
        "accepted_340953"
    );
}

#[test]
fn a_worker_decides_what_an_ngo_referred_and_the_ngo_hears_of_it() {
    let mut stage = Stage::default();
    stage.flows.oscar_consent = referral_gateway::core::flows::OscarConsent::Agreement;
    stage.restart();
    stage.run();
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let key = format!("o-cif-{number}");
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    let case = stage.only_case();
    let service = &case["services_section"][0]["unique_id"];
    let data =
        json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": "accepted_340953"}]});
    stage.worker_edits(case["id"].as_str().expect("an id"), &data);
    stage.settle();
    assert_eq!(stage.ngo_status("cif", number), "Accepted");
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
}
