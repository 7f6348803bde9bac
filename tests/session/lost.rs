//! Answers that never come: read back where the peer can be asked, in doubt where it cannot, never resent blindly.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, but, referral};
use crate::stage::Stage;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{OneShot, State};
use serde_json::json;
use simulators::wire::Reply;

fn html(status: u16) -> Reply {
    Reply::html(status, "<h1>Trouble</h1>")
}

const PUSH: &str = "POST /api/v1/organizations/clients/upsert";

#[test]
fn a_primero_referral_whose_answer_was_lost_is_read_back_not_doubled() {
    for fault in [
        Fault::AnswerLost,
        Fault::CutOff,
        Fault::ActsThen(html(504)),
        Fault::ActsThen(html(500)),
    ] {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage
            .primero
            .fault(Rule::once("POST", "/referrals", fault.clone()));
        stage.run();
        assert_eq!(
            stage.state(&key),
            (State::InDoubt, Some(Reason::ReferralAnswerLost)),
            "{fault:?}"
        );
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None), "{fault:?}");
        assert_eq!(stage.primero_referrals().len(), 1);
        let work = &stage.head(&key).work.services[0];
        assert_eq!(
            work.referral_id.as_deref(),
            stage.primero_referrals()[0]["id"].as_str()
        );
    }
}

#[test]
fn a_primero_referral_that_never_arrived_is_sent_again_once_that_is_certain() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .primero
        .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Sent)));
    stage.run();
    assert_eq!(stage.head(&key).state, State::InDoubt);
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(stage.primero_referrals().len(), 1);
}

/// The lost request may still be on its way to a commit: an absence seen too soon proves nothing, and so after a
/// restart too.
#[test]
fn an_absence_counts_only_when_the_doubt_has_aged() {
    for restart in [false, true] {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage
            .primero
            .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Sent)));
        stage.run();
        if restart {
            stage.restart();
            stage.run();
        }
        // Lost again when sent again: the second doubt has its own age.
        stage
            .primero
            .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Sent)));
        stage.run();
        assert_eq!(stage.head(&key).state, State::InDoubt);
        let sent = stage.primero.count("POST /api/v2/cases/");
        assert_eq!(sent, 2);
        stage.run_at_once();
        stage.run_at_once();
        assert_eq!(
            stage.primero.count("POST /api/v2/cases/"),
            2,
            "nothing is sent before the doubt has aged"
        );
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None));
        assert_eq!(stage.primero_referrals().len(), 1);
    }
}

#[test]
fn a_restart_is_no_proof_that_a_lost_request_has_died() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .primero
        .fault(Rule::once("POST", "/referrals", Fault::Never(Phase::Sent)));
    stage.run();
    stage.restart();
    stage.run_at_once();
    assert_eq!(stage.primero.count("POST /api/v2/cases/"), 1);
    assert_eq!(stage.head(&key).state, State::InDoubt);
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
}

/// A recipient Primero does not know is 500 for ever (primero-measured.md "Referrals").
#[test]
fn a_referral_that_always_fails_is_set_aside_in_the_end() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    let other = stage.accept(&but(referral(2), "/organization", json!("gpc")));
    let fail = Rule::always("POST", "/referrals", Fault::Instead(html(500)));
    stage.primero.fault(fail);
    for _ in 0..30 {
        stage.run();
    }
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::TooManyFailures)));
    assert_eq!(stage.head(&other).state, State::Parked);
    assert!(stage.primero.count("POST /api/v2/cases/") <= 2 * 9);
    assert!(stage.primero_referrals().is_empty() && stage.oscar_referrals().is_empty());
}

#[test]
fn a_push_whose_answer_was_lost_is_never_resent_and_settled_by_what_the_ngo_does() {
    for fault in [
        Fault::AnswerLost,
        Fault::CutOff,
        Fault::ActsThen(html(502)),
        Fault::ActsThen(html(200)),
    ] {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage.oscar.fault(Rule::once("POST", "/upsert", fault.clone()));
        for _ in 0..40 {
            stage.run();
        }
        assert_eq!(stage.head(&key).state, State::InDoubt, "{fault:?}");
        assert_eq!(stage.oscar.count(PUSH), 1);
        stage.ngo_registers("cif");
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None), "{fault:?}");
        stage.ngo_decides("cif", "Accepted");
        stage.run();
        assert!(stage.head(&key).closed());
        assert_eq!((stage.oscar.count(PUSH), stage.oscar_referrals().len()), (1, 1));
    }
}

#[test]
fn a_person_settles_a_push_in_doubt_either_way() {
    for (arrived, fault) in [(true, Fault::AnswerLost), (false, Fault::Never(Phase::Sent))] {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage.oscar.fault(Rule::once("POST", "/upsert", fault));
        stage.run();
        assert_eq!(stage.state(&key), (State::InDoubt, Some(Reason::PushAnswerLost)));
        stage.resolve(
            &key,
            if arrived {
                Verdict::Arrived
            } else {
                Verdict::NotArrived
            },
        );
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None));
        assert_eq!(stage.oscar_referrals().len(), 1);
        assert_eq!(stage.oscar.count(PUSH), if arrived { 1 } else { 2 });
        stage.ngo_registers("cif");
        stage.ngo_decides("cif", "Accepted");
        stage.run();
        assert!(stage.head(&key).closed());
    }
}

#[test]
fn after_a_doubt_about_the_first_service_the_second_goes_once_it_is_settled() {
    let mut stage = Stage::default();
    let services = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", services));
    stage
        .oscar
        .fault(Rule::once("POST", "/upsert", Fault::AnswerLost));
    stage.run();
    assert_eq!(stage.oscar_referrals().len(), 1);
    stage.ngo_registers("cif");
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 2);
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
}

/// A line on which requests get out and answers do not come back would put the whole queue in doubt, and each doubt
/// costs somebody a telephone call.
#[test]
fn one_lost_answer_ends_the_pushing_of_that_session() {
    let mut stage = Stage::default();
    let keys: Vec<String> = (0..5).map(|n| stage.accept(&referral(n))).collect();
    stage
        .oscar
        .fault(Rule::always("POST", "/upsert", Fault::AnswerLost));
    let report = stage.run();
    assert_eq!(stage.oscar.count(PUSH), 1);
    assert_eq!(report.oscar.in_doubt, 1);
    assert!(report.oscar.trouble.is_some(), "the schedule must know to wait");
    stage.oscar.mend();
    stage.run();
    let doubted = keys
        .iter()
        .filter(|key| stage.head(key).state == State::InDoubt)
        .count();
    assert_eq!(doubted, 1);
    assert_eq!(stage.oscar_referrals().len(), 5);
}

/// The store may refuse the commit after a request (a full disk) and the program go on: the next session finds the
/// event as it was before the answer.
#[test]
fn a_request_found_on_its_way_at_the_start_of_a_session_is_in_doubt() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .oscar
        .fault(Rule::always("", "", Fault::Never(Phase::Connect)));
    stage.run();
    stage.change(&key, |head, at| {
        head.lease = Some(at.boot);
        head.work.services[0].push = OneShot::Sending;
    });
    stage.oscar.mend();
    stage.run();
    assert_eq!(stage.state(&key), (State::InDoubt, Some(Reason::PushAnswerLost)));
    assert_eq!(stage.oscar.count(PUSH), 0);

    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage
        .primero
        .fault(Rule::once("POST", "/referrals", Fault::AnswerLost));
    stage.run();
    stage.change(&key, |head, at| {
        head.lease = Some(at.boot);
        head.state = State::Pending;
        head.work.services[0].referral = OneShot::Sending;
    });
    stage.run();
    stage.run();
    assert_eq!(stage.head(&key).state, State::Delivered);
    assert_eq!(stage.primero_referrals().len(), 1);
}
