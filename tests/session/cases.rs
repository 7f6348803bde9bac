//! Finding the right case in Primero: one row that equals what was asked for, or a person looks.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, but, case, referral};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::wire::Reply;
use simulators::{oscar, primero};

fn parked(reason: Reason) -> (State, Option<Reason>) {
    (State::Parked, Some(reason))
}

/// Nothing was added to a case, and nobody was told of the child.
fn nothing_shared(stage: &Stage) {
    assert!(stage.primero_referrals().is_empty());
    assert!(stage.oscar_referrals().is_empty());
    for case in stage.primero.peer(|sim| sim.cases()) {
        assert!(case["services_section"].as_array().is_none_or(Vec::is_empty));
    }
}

#[test]
fn an_existing_case_is_found_by_either_of_its_numbers() {
    for number in ["case_id", "short_id"] {
        let mut stage = Stage::default();
        let id = stage.enter_case(case(1));
        stage.enter_case(case(2));
        let before = stage.primero_case(&id);
        let key = stage.accept(&but(
            referral(1),
            "/child/primero_case_id",
            before[number].clone(),
        ));
        stage.run();
        let head = stage.head(&key);
        assert_eq!(head.state, State::Delivered, "{:?}", head.history);
        assert_eq!(head.work.case.expect("found").id, id);
        let after = stage.primero_case(&id);
        assert_eq!(after["owned_by"], "worker", "the case stays with its worker");
        assert_eq!(
            after["name_first"], before["name_first"],
            "no field of it is overwritten"
        );
        assert_eq!(after["services_section"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            stage.oscar_referrals()[0].external_id.as_deref(),
            before["case_id"].as_str()
        );
    }
}

#[test]
fn a_case_of_another_child_is_left_alone() {
    for (field, value) in [("sex", json!("male")), ("date_of_birth", json!("2009-01-01"))] {
        let mut stage = Stage::default();
        let id = stage.enter_case(but(case(1), &format!("/{field}"), value));
        let short = stage.primero_case(&id)["short_id"].clone();
        let key = stage.accept(&but(referral(1), "/child/primero_case_id", short));
        stage.run();
        assert_eq!(stage.state(&key), parked(Reason::IdentityMismatch));
        nothing_shared(&stage);
    }
}

#[test]
fn a_case_number_nobody_has_makes_no_case() {
    let mut stage = Stage::default();
    let key = stage.accept(&but(referral(1), "/child/primero_case_id", json!("5a04e68")));
    stage.run();
    assert_eq!(stage.state(&key), parked(Reason::CaseNotFound));
    assert!(stage.primero.peer(|sim| sim.cases()).is_empty());
}

#[test]
fn an_event_that_names_two_children_is_not_sent_for_either() {
    let mut stage = Stage::default();
    let first = stage.accept(&but(referral(1), "/child/mosvy_number", json!("M-1001")));
    stage.run();
    let known = stage.head(&first).work.case.expect("created");
    let other = stage.enter_case(case(2));
    let other_short = stage.primero_case(&other)["short_id"].clone();
    // The ministry's number is of the first child, the case number of the second.
    let event = but(referral(3), "/child/mosvy_number", json!("M-1001"));
    let key = stage.accept(&but(event, "/child/primero_case_id", other_short));
    stage.run();
    assert_eq!(stage.state(&key), parked(Reason::IdentityMismatch));
    let services = |id: &str| {
        stage.primero_case(id)["services_section"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!((services(&known.id), services(&other)), (1, 0));
}

/// Primero ignores a filter on a field the role may not see, and answers the whole list.
#[test]
fn a_lookup_that_primero_ignores_parks_instead_of_taking_the_first_case() {
    for others in [1, 3] {
        let mut config = primero::Config::cambodia(USER, PASSWORD);
        let forms = ["basic_identity", "consent", "services"].map(str::to_owned);
        config.roles[0].forms = Some(forms.into());
        let mut stage = Stage::with(config, oscar::Config::default_for(EMAIL, PASSWORD));
        for n in 0..others {
            stage.enter_case(case(n));
        }
        let key = stage.accept(&but(referral(1), "/child/mosvy_number", json!("M-1001")));
        stage.run();
        assert_eq!(stage.state(&key), parked(Reason::AmbiguousCase));
        nothing_shared(&stage);
    }
}

#[test]
fn two_cases_with_one_ministry_number_park() {
    let mut stage = Stage::default();
    for n in 1..3 {
        stage.enter_case(but(case(n), "/mosvy_number", json!("M-1001")));
    }
    let key = stage.accept(&but(referral(1), "/child/mosvy_number", json!("M-1001")));
    stage.run();
    assert_eq!(stage.state(&key), parked(Reason::AmbiguousCase));
    nothing_shared(&stage);
}

#[test]
fn without_consent_in_the_case_nothing_leaves_until_a_person_has_seen_to_it() {
    for missing in ["consent_for_services", "disclosure_other_orgs"] {
        let mut stage = Stage::default();
        let id = stage.enter_case(but(case(1), &format!("/{missing}"), json!(false)));
        let short = stage.primero_case(&id)["short_id"].clone();
        let key = stage.accept(&but(referral(1), "/child/primero_case_id", short));
        stage.run();
        assert_eq!(stage.state(&key), parked(Reason::ConsentMissing));
        nothing_shared(&stage);
        let given = json!({ missing: true });
        stage
            .primero
            .peer(|sim| sim.edit_case_as("worker", &id, &given))
            .expect("an edit");
        stage.change(&key, |head, at| {
            referral_gateway::core::outbox::requeue(head, at, "somebody").expect("parked");
        });
        stage.run();
        assert_eq!(stage.head(&key).state, State::Delivered);
    }
}

#[test]
fn consent_withdrawn_between_two_services_stops_the_second() {
    let mut stage = Stage::default();
    let services = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", services));
    stage
        .primero
        .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Connect)).after(1));
    stage.run();
    let id = stage.only_case()["id"].as_str().expect("an id").to_owned();
    stage
        .primero
        .peer(|sim| sim.withdraw_consent(&id))
        .expect("an edit");
    stage.run();
    assert_eq!(stage.state(&key), parked(Reason::ConsentMissing));
    assert_eq!(stage.primero_referrals().len(), 1);
    assert!(stage.oscar_referrals().is_empty());
}

#[test]
fn a_case_whose_creation_was_not_answered_is_met_again_not_doubled() {
    let lost = [
        Fault::AnswerLost,
        Fault::ActsThen(Reply::html(504, "<h1>504</h1>")),
        Fault::ActsThen(Reply::html(500, "<h1>500</h1>")),
        Fault::Never(Phase::Sent),
    ];
    for fault in lost {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage.primero.fault(Rule::once("POST", "/cases", fault.clone()));
        stage.run();
        stage.run();
        assert_eq!(stage.head(&key).state, State::Delivered, "{fault:?}");
        assert_eq!(
            stage.only_case()["services_section"].as_array().map(Vec::len),
            Some(1)
        );
        assert_eq!(stage.primero_referrals().len(), 1);
        assert_eq!(stage.oscar_referrals().len(), 1);
    }
}

#[test]
fn services_whose_saving_was_not_answered_are_there_once() {
    for fault in [Fault::AnswerLost, Fault::CutOff, Fault::Never(Phase::Sent)] {
        let mut stage = Stage::default();
        let id = stage.enter_case(case(1));
        let short = stage.primero_case(&id)["short_id"].clone();
        let key = stage.accept(&but(referral(1), "/child/primero_case_id", short));
        stage.primero.fault(Rule::once("PATCH", "/cases/", fault.clone()));
        stage.run();
        stage.run();
        assert_eq!(stage.head(&key).state, State::Delivered, "{fault:?}");
        assert_eq!(
            stage.primero_case(&id)["services_section"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        assert_eq!(
            (stage.primero_referrals().len(), stage.oscar_referrals().len()),
            (1, 1)
        );
    }
}

#[test]
fn a_field_the_role_may_not_write_parks_the_event_instead_of_losing_it() {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    let forms = ["basic_identity", "consent"].map(str::to_owned);
    config.roles[0].forms = Some(forms.into());
    let mut stage = Stage::with(config, oscar::Config::default_for(EMAIL, PASSWORD));
    let key = stage.accept(&referral(1));
    for _ in 0..12 {
        stage.run();
    }
    let (state, _) = stage.state(&key);
    assert_eq!(state, State::Parked);
    let writes: usize = stage.primero.count("PATCH") + stage.primero.count("POST");
    assert!(writes <= 9, "{writes} writes for a field that cannot be stored");
    nothing_shared(&stage);
}

/// Two names for one child: the event joins the lane of the child the case belongs to, so that what OSCaR shows of it
/// is not lost.
#[test]
fn a_child_met_under_another_number_is_the_same_child() {
    let mut stage = Stage::default();
    let first = stage.accept(&referral(1));
    stage.run();
    let id = stage.only_case()["id"].as_str().expect("an id").to_owned();
    let number: Value = json!({"mosvy_number": "M-1001"});
    stage
        .primero
        .peer(|sim| sim.edit_case_as(USER, &id, &number))
        .expect("an edit");
    let event = but(referral(2), "/child/mosvy_number", json!("M-1001"));
    let second = stage.accept(&but(event, "/services", json!([{"subtype": SCHOOL}])));
    stage.run();
    assert_eq!(stage.head(&second).state, State::Delivered);
    stage.only_case();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&first).closed(), "{:?}", stage.head(&first).work);
    assert!(stage.head(&second).closed(), "{:?}", stage.head(&second).work);
}
