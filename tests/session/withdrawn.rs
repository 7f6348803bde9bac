//! What the office takes back: it goes with its referral, and ends it.

use crate::line::{Fault, Rule};
use crate::office::{but, case, decision, referral, withdrawal};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Head, State, Subject};
use serde_json::{Value, json};

/// A referral known by the child's ministry number alone, about which the office says this while its first try finds a
/// case that the box knows as another child's. The referral, and what was said.
fn joins_another_child(stage: &mut Stage, says: impl FnOnce(&str) -> Value) -> (Head, Head) {
    stage.settle();
    let mut data = case(1);
    data["mosvy_number"] = json!("M-1001");
    data["risk_level"] = json!("high");
    let id = stage.enter_case(data);
    let number = stage.primero_case(&id)["case_id"].clone();
    let first = stage.accept(&but(referral(1), "/child/primero_case_id", number));
    stage.settle();
    let key = stage.accept(&but(referral(5), "/child/mosvy_number", json!("M-1001")));
    assert_ne!(stage.head(&key).subject, stage.head(&first).subject);
    let (door, now, event) = (stage.door(), stage.clock.now(), says(&key));
    let said = event["event_key"].as_str().expect("a key").to_owned();
    // The pull asks before the search.
    stage.primero.meanwhile("GET", "/api/v2/cases", 1, move |_| {
        door.accept(&event, now).expect("taken");
    });
    stage.run();
    assert_eq!(stage.head(&key).subject, stage.head(&first).subject, "one child");
    (stage.head(&key), stage.head(&said))
}

#[test]
fn a_withdrawal_goes_with_a_referral_that_joins_another_childs_lane() {
    let mut stage = Stage::default();
    let (referral, taken_back) = joins_another_child(&mut stage, withdrawal);
    assert_eq!(taken_back.subject, referral.subject);
    assert_eq!(stage.oscar_referrals().len(), 2, "it had gone by then");
    assert_eq!(
        (taken_back.state, taken_back.reason),
        (State::Parked, Some(Reason::TellTheNgo))
    );
}

#[test]
fn a_decision_goes_with_a_referral_that_joins_another_childs_lane() {
    let mut stage = Stage::default();
    let accepted = |key: &str| decision(key, Decision::Accepted);
    let (referral, decided) = joins_another_child(&mut stage, accepted);
    assert_eq!((decided.state, decided.reason), (State::Delivered, None));
    assert_eq!(referral.decision(), Some(Decision::Accepted));
}

/// An earlier version may have left one behind.
#[test]
fn a_withdrawal_in_another_lane_than_its_open_referral_joins_it_and_waits() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .oscar
        .fault(Rule::once("POST", "/upsert", Fault::AnswerLost));
    stage.run();
    assert_eq!(stage.head(&key).state, State::InDoubt);
    let taken_back = stage.accept(&withdrawal(&key));
    stage.change(&taken_back, |head, _| head.subject = Subject([9; 16]));
    stage.run();
    let head = stage.head(&taken_back);
    assert_eq!(
        (head.state, head.subject),
        (State::Pending, stage.head(&key).subject)
    );
}
