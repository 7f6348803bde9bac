//! Consent is looked at again before each send: a push may have waited for days (primero.md §9.20).

use crate::line::{Fault, Rule};
use crate::office::referral;
use crate::stage::Stage;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;

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
