//! What goes back to the NGOs: decisions made in Primero, and the number of the case. Each is said once, seen, and said
//! nowhere else.

use crate::line::{Fault, Rule};
use crate::ngo::child;
use crate::office::KINSHIP_AT_NGO;
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Peer, State};
use serde_json::json;
use simulators::wire::Reply;
use std::time::Duration;

const DECIDE: &str = "PUT /api/v1/organizations/referrals/update_statuses";
const LINK: &str = "PUT /api/v1/organizations/clients/update_links";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A referral by the NGO, in Primero, not decided.
fn referred(stage: &mut Stage) -> (i64, i64, String) {
    let (client, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let key = format!("o-cif-{number}");
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    stage.oscar.taken();
    (client, number, key)
}

/// What the pull from Primero does when a worker decides on the service.
pub fn decided_in_primero(stage: &mut Stage, key: &str, decision: Decision) {
    stage.change(key, move |head, _| {
        for service in &mut head.work.services {
            (service.decision, service.decided_at) = (Some(decision), Some(Peer::Primero));
            service.decision_written = true;
        }
    });
}

#[test]
fn a_decision_made_in_primero_stands_at_oscar_and_was_said_once() {
    for (decision, status) in [(Decision::Accepted, "Accepted"), (Decision::Rejected, "Exited")] {
        let mut stage = Stage::default();
        let (_, number, key) = referred(&mut stage);
        decided_in_primero(&mut stage, &key, decision);
        stage.settle();
        assert_eq!(stage.ngo_status("cif", number), status);
        let head = stage.head(&key);
        assert!(
            head.work.services[0].decision_reported && head.closed(),
            "{:?}",
            head.history
        );
        assert_eq!(stage.oscar.count(DECIDE), 1);
    }
}

/// OSCaR's own answer says "saved" whatever it did: until a pull has shown it, the event is not closed.
#[test]
fn a_decision_that_oscar_says_it_saved_and_does_not_show_needs_a_person() {
    let mut stage = Stage::default();
    let (client, _, key) = referred(&mut stage);
    decided_in_primero(&mut stage, &key, Decision::Accepted);
    let saved = Reply::json(200, &json!({"message": "Record saved."}));
    stage.oscar.fault(Rule::once(
        "PUT",
        "/referrals/update_statuses",
        Fault::Instead(saved),
    ));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert!(!stage.head(&key).closed(), "said, not seen");
    stage.ngo_edits("cif", client, |_| {});
    stage.run();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::DecisionConflict)));
    stage.resolve(&key, Verdict::Settled);
    stage.settle();
    assert!(stage.head(&key).closed());
    assert_eq!(stage.oscar.count(DECIDE), 1);
}

#[test]
fn a_decision_never_overrules_what_oscar_says_by_now() {
    let mut stage = Stage::default();
    let (_, number, key) = referred(&mut stage);
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", number, "Exited"))
        .expect("linked");
    stage.run();
    decided_in_primero(&mut stage, &key, Decision::Accepted);
    stage.settle();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::DecisionConflict)));
    assert_eq!(
        (
            stage.ngo_status("cif", number).as_str(),
            stage.oscar.count(DECIDE)
        ),
        ("Exited", 0)
    );
}

/// The same decision on both sides is no conflict, and nothing is sent.
#[test]
fn what_oscar_says_already_is_not_said_again() {
    let mut stage = Stage::default();
    let (_, number, key) = referred(&mut stage);
    stage
        .oscar
        .peer(|sim| sim.hand_decide("cif", number, "Accepted"))
        .expect("linked");
    decided_in_primero(&mut stage, &key, Decision::Accepted);
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).history);
    assert_eq!(stage.oscar.count(DECIDE), 0);
}

/// The server picks any organization that has the child, and numbers repeat (oscar-measured.md fact 8).
#[test]
fn a_child_at_several_organizations_is_decided_by_telephone() {
    for other in ["gpc", "tpo"] {
        let mut stage = Stage::default();
        let (client, number, key) = referred(&mut stage);
        let global_id = stage.ngo_client("cif", client).global_id;
        let hers = stage
            .oscar
            .peer(|sim| sim.register_ngo_child_as(other, &child(1), &global_id))
            .expect("known there too");
        let theirs = stage.ngo_refers_for(other, hers, KINSHIP_AT_NGO);
        assert_eq!(theirs, number, "the same number of another child's referral");
        stage.run();
        decided_in_primero(&mut stage, &key, Decision::Rejected);
        stage.settle();
        assert_eq!(
            stage.state(&key),
            (State::Parked, Some(Reason::SeveralOrganizations)),
            "{other}"
        );
        assert_eq!(stage.ngo_status(other, theirs), "Referred");
        assert_eq!(stage.oscar.count(DECIDE), 0);
    }
}

#[test]
fn a_refused_decision_waits_for_a_person() {
    let mut stage = Stage::default();
    let (_, number, key) = referred(&mut stage);
    // Old data that does not pass the checks of today.
    let spoil = |row: &mut simulators::oscar::Referral| row.level_of_risk = None;
    stage
        .oscar
        .peer(|sim| sim.alter_referral("cif", number, spoil))
        .expect("an edit");
    decided_in_primero(&mut stage, &key, Decision::Accepted);
    stage.settle();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::DecisionRefused)));
    assert_eq!(stage.oscar.count(DECIDE), 1);
}

/// As published, every decision is a 500 (oscar-measured.md fact 1): shown, not hammered, nothing lost or set aside.
#[test]
fn a_server_that_fails_every_decision_is_asked_ever_more_rarely() {
    let mut stage = Stage::default();
    let (_, number, key) = referred(&mut stage);
    stage.oscar.peer(|sim| sim.config.strict_current_user = true);
    decided_in_primero(&mut stage, &key, Decision::Accepted);
    let report = stage.run();
    assert_eq!(report.oscar.trouble, Some(Trouble::Server));
    assert!(report.oscar.partial, "pulls and pushes need not wait for it");
    for _ in 0..40 {
        stage.wait(Duration::from_secs(3600));
        stage.run();
    }
    let asked = stage.oscar.count(DECIDE);
    assert!((3..=10).contains(&asked), "{asked} times in 40 hours");
    assert_eq!(stage.state(&key), (State::Delivered, None));
    stage.oscar.peer(|sim| sim.config.strict_current_user = false);
    stage.wait(DAY);
    stage.settle();
    assert_eq!(stage.ngo_status("cif", number), "Accepted");
    assert!(stage.head(&key).closed());
}

/// One record the server fails on does not hold up the others, and is set aside in the end.
#[test]
fn one_decision_the_server_fails_on_holds_up_no_other() {
    let mut stage = Stage::default();
    let (_, _, bad) = referred(&mut stage);
    stage.oscar.fault(Rule::once(
        "PUT",
        "/referrals/update_statuses",
        Fault::Instead(Reply::text(500, "500 Internal Server Error")),
    ));
    let (_, second) = stage.ngo_refers_new_child("cif", 2);
    stage.settle();
    let good = format!("o-cif-{second}");
    decided_in_primero(&mut stage, &bad, Decision::Accepted);
    decided_in_primero(&mut stage, &good, Decision::Accepted);
    stage.run();
    assert_eq!(stage.ngo_status("cif", second), "Referred");
    stage.wait(Duration::from_secs(3600));
    stage.settle();
    assert_eq!(stage.ngo_status("cif", second), "Accepted");
}

#[test]
fn the_case_number_is_sent_again_until_it_is_seen_and_never_over_another() {
    for fault in [Fault::AnswerLost, Fault::Never(Phase::Sent), Fault::CutOff] {
        let mut stage = Stage::default();
        stage
            .oscar
            .fault(Rule::once("PUT", "/clients/update_links", fault));
        let (client, _, key) = referred(&mut stage);
        assert!(stage.head(&key).work.link_seen, "{:?}", stage.head(&key).history);
        assert_eq!(stage.ngo_client("cif", client).external_id, case_id(&stage));
    }
    // "Saved", and it was not.
    let mut stage = Stage::default();
    let saved = Reply::json(200, &json!({"message": "Record saved."}));
    stage
        .oscar
        .fault(Rule::once("PUT", "/clients/update_links", Fault::Instead(saved)));
    let (client, _, key) = referred(&mut stage);
    stage.settle();
    assert!(stage.head(&key).work.link_seen, "{:?}", stage.head(&key).history);
    assert_eq!(stage.ngo_client("cif", client).external_id, case_id(&stage));
}

fn case_id(stage: &Stage) -> Option<String> {
    stage.only_case()["case_id"].as_str().map(str::to_owned)
}

/// Somebody else has linked the child to another case meanwhile.
#[test]
fn another_case_number_is_never_overwritten() {
    for elsewhere in [false, true] {
        let mut stage = Stage::default();
        let (client, number) = stage.ngo_refers_new_child("cif", 1);
        stage.oscar.fault(Rule::always(
            "PUT",
            "/clients/update_links",
            Fault::Never(Phase::Connect),
        ));
        stage.run();
        let other = "aac935f2-5e01-450b-8575-423915a04e68";
        let relink = move |child: &mut simulators::oscar::Client| child.external_id = Some(other.to_owned());
        let global_id = stage.ngo_client("cif", client).global_id;
        if elsewhere {
            let hers = stage
                .oscar
                .peer(|sim| sim.register_ngo_child_as("tpo", &child(1), &global_id))
                .expect("known there too");
            stage.ngo_edits("tpo", hers, relink);
        } else {
            stage.ngo_edits("cif", client, relink);
        }
        stage.oscar.mend();
        stage.oscar.taken();
        stage.settle();
        let key = format!("o-cif-{number}");
        assert_eq!(
            stage.state(&key),
            (State::Parked, Some(Reason::LinkConflict)),
            "{:?}",
            stage.head(&key).history
        );
        assert_eq!(stage.oscar.count(LINK), 0);
    }
}
