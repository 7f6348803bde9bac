//! What the office takes back: it goes with its referral, and ends it.

use crate::line::{Fault, Rule};
use crate::office::{but, case, decision, referral, withdrawal};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Head, State, Subject};
use referral_gateway::shell::office::{Order, Settlement};
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

/// Somebody has telephoned the NGO, and says so.
fn telephoned(stage: &Stage, withdrawal: &str) {
    let order = Order::Resolve {
        key: withdrawal.to_owned(),
        who: "somebody".to_owned(),
        verdict: Settlement::Settled,
    };
    let unix = stage.clock.now().wall.known();
    assert_eq!(order.carry_out(stage.store(), unix).status, 200);
}

/// A referral that the NGO has, taken back; the withdrawal beside it.
fn taken_back(stage: &mut Stage) -> (String, String) {
    let key = stage.accept(&referral(1));
    stage.run();
    let withdrawal = stage.accept(&withdrawal(&key));
    stage.run();
    assert_eq!(
        stage.state(&withdrawal),
        (State::Parked, Some(Reason::TellTheNgo))
    );
    (key, withdrawal)
}

#[test]
fn a_referral_whose_withdrawal_the_ngo_knows_of_is_over_and_forgotten() {
    let mut stage = Stage::default();
    let (key, withdrawal) = taken_back(&mut stage);
    assert!(
        !stage.head(&key).closed(),
        "who telephones has to know about which child"
    );
    telephoned(&stage, &withdrawal);
    let head = stage.head(&key);
    assert!(head.closed() && !head.undecided(), "{:?}", head.history);
    let keep_s = 3 * 24 * 3600;
    let later = stage.clock.now().wall.unix + keep_s + 1;
    stage.store().purge(Some(later), keep_s).expect("purges");
    let content = stage.store().read(|view| view.payload(head.seq)).expect("reads");
    assert_eq!(content, None);
}

#[test]
fn an_ngo_that_closes_what_was_withdrawn_contradicts_nobody() {
    for telephoned_first in [true, false] {
        let mut stage = Stage::default();
        let (key, withdrawal) = taken_back(&mut stage);
        if telephoned_first {
            telephoned(&stage, &withdrawal);
        }
        stage.ngo_registers("cif");
        stage.settle();
        stage.ngo_decides("cif", "Exited");
        stage.settle();
        let head = stage.head(&key);
        assert!(
            head.state == State::Delivered && head.closed(),
            "{:?}",
            head.history
        );
        // Nobody looks back for what is over.
        let seen = (!telephoned_first).then_some(Decision::Rejected);
        assert_eq!(head.decision(), seen);
    }
}
