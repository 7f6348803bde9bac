//! Consent is looked at again before each send: a push may have waited for days (primero.md §9.20).

use crate::line::{Fault, Rule};
use crate::office::{SCHOOL, but, referral, withdrawal};
use crate::stage::Stage;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Head, State};
use serde_json::json;

/// An event that has reached Primero while OSCaR could not be connected to.
fn half_way() -> (Stage, String) {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .oscar
        .fault(Rule::always("GET", "/", Fault::Never(Phase::Connect)));
    stage
        .oscar
        .fault(Rule::always("POST", "/", Fault::Never(Phase::Connect)));
    stage.run();
    let head = stage.head(&key);
    assert!(head.state == State::Pending && head.work.primero_done && !head.work.oscar_done);
    (stage, key)
}

#[test]
fn consent_withdrawn_while_a_push_waited_stops_the_push() {
    let (mut stage, key) = half_way();
    let case = stage.head(&key).work.case.expect("in Primero").id;
    stage
        .primero
        .peer(|sim| sim.withdraw_consent(&case))
        .expect("the case is there");
    stage.oscar.mend();
    stage.run();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::ConsentMissing)));
    assert_eq!(stage.oscar_referrals().len(), 0);
}

#[test]
fn a_waiting_push_costs_one_look_at_its_case_and_then_goes() {
    let (mut stage, key) = half_way();
    stage.oscar.mend();
    let before = stage.primero.count("GET /api/v2/cases");
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(
        stage.primero.count("GET /api/v2/cases") - before,
        3,
        "the pull, the case, its referrals"
    );
}

#[test]
fn primero_being_down_does_not_hold_back_a_push_it_had_cleared() {
    let (mut stage, key) = half_way();
    stage.oscar.mend();
    stage
        .primero
        .fault(Rule::always("GET", "/", Fault::Never(Phase::Connect)));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
}

/// The referral is over, nothing of it ever reached the NGO, and what Primero had of it is revoked.
fn taken_back(stage: &mut Stage, key: &str, withdrawal: &str) {
    stage.settle();
    assert!(stage.oscar_referrals().is_empty());
    assert_eq!(stage.head(key).state, State::Discarded);
    assert_eq!(
        stage.state(withdrawal),
        (State::Delivered, None),
        "there is nobody to telephone"
    );
    for referral in stage.primero_referrals() {
        assert_eq!(referral["status"], "revoked");
    }
}

#[test]
fn a_referral_withdrawn_while_its_push_waits_is_never_pushed() {
    let (mut stage, key) = half_way();
    let taken = stage.accept(&withdrawal(&key));
    assert_eq!(stage.head(&key).state, State::Discarded, "with the answer");
    // OSCaR is back before Primero is.
    stage.oscar.mend();
    stage
        .primero
        .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
    stage.run();
    assert_eq!(stage.primero_referrals()[0]["status"], "in_progress");
    stage.primero.mend();
    taken_back(&mut stage, &key, &taken);
    // The child's next referral goes.
    let next = stage.accept(&but(referral(1), "/event_key", json!("next")));
    stage.settle();
    assert_eq!(stage.state(&next), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 1);
}

#[test]
fn a_referral_withdrawn_half_way_through_primero_goes_no_further() {
    let mut stage = Stage::default();
    let services = json!([{"subtype": crate::office::KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", services));
    stage
        .primero
        .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Connect)).after(1));
    stage.run();
    assert_eq!(stage.primero_referrals().len(), 1);
    let taken = stage.accept(&withdrawal(&key));
    taken_back(&mut stage, &key, &taken);
    assert_eq!(stage.primero_referrals().len(), 1);
}

#[test]
fn a_withdrawal_accepted_while_the_session_looks_at_the_referral_stops_its_push() {
    let (mut stage, key) = half_way();
    stage.oscar.mend();
    let (door, now, event) = (stage.door(), stage.clock.now(), withdrawal(&key));
    stage.primero.meanwhile("GET", "/referrals", 0, move |_| {
        door.accept(&event, now).expect("taken");
    });
    stage.run();
    taken_back(&mut stage, &key, &format!("on-{key}-withdrawal"));
}

#[test]
fn a_referral_withdrawn_while_its_push_is_in_doubt_waits_for_the_truth() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .oscar
        .fault(Rule::once("POST", "/upsert", Fault::AnswerLost));
    stage.run();
    let taken = stage.accept(&withdrawal(&key));
    stage.run();
    let head: Head = stage.head(&key);
    assert_eq!(head.state, State::InDoubt);
    assert_eq!(stage.head(&taken).state, State::Pending);
    stage.telephone(&head);
    stage.settle();
    assert_eq!(stage.state(&taken), (State::Parked, Some(Reason::TellTheNgo)));
    assert_eq!(stage.primero_referrals()[0]["status"], "revoked");
}
