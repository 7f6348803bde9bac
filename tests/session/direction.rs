//! Which of a child's referrals in OSCaR the NGO has made and which the government: OSCaR mixes them and says nothing of
//! the sender (oscar.md §2.7). Taken the wrong way round, a referral comes back to its sender as somebody else's.

use crate::ngo::REASON;
use crate::office::{KINSHIP, KINSHIP_AT_NGO, SCHOOL, but, case, referral};
use crate::stage::Stage;
use referral_gateway::core::flows::OscarConsent;
use referral_gateway::core::outbox::{self, Verdict};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::json;
use simulators::oscar::{Client, NgoReferral};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The one child of `cif`.
fn client(stage: &Stage) -> Client {
    stage.oscar.peer(|sim| sim.clients()).remove(0).client
}

/// A referral of ours that the NGO has registered and not decided.
fn ours(stage: &mut Stage) -> (String, i64) {
    let key = stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    let number = stage.head(&key).work.services[0].oscar_referral.expect("seen");
    (key, number)
}

/// The referral was taken for the NGO's.
fn inbound(stage: &Stage, number: i64) -> bool {
    let key = format!("o-cif-{number}");
    let head = stage.store().read(|view| view.head_by_key(&key)).expect("reads");
    head.is_some_and(|head| !head.work.services.is_empty())
}

/// The child is flagged because the NGO has sent it on to another NGO, and comes with our own reason
/// (oscar-measured.md fact 5).
#[test]
fn our_own_referral_in_the_first_shape_stays_ours() {
    let mut stage = Stage::default();
    let (key, number) = ours(&mut stage);
    let on = NgoReferral::of("School support", "low", "sent on");
    let id = client(&stage).id;
    stage
        .oscar
        .peer(|sim| sim.refer_to_ngo("cif", id, "tpo", &on))
        .expect("valid");
    stage.settle();
    assert!(!inbound(&stage, number));
    assert_eq!(stage.state(&key), (State::Delivered, None));
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed());
}

/// The NGO sends the child back for the very service we referred it for, before our own referral was ever opened.
#[test]
fn an_ngos_referral_of_the_same_service_is_not_taken_for_our_push() {
    let mut stage = Stage::default();
    let (_, first) = ours(&mut stage);
    let event = but(referral(1), "/event_key", json!("again"));
    let second = stage.accept(&but(event, "/services", json!([{"subtype": SCHOOL}])));
    stage.run();
    assert_eq!(stage.state(&second), (State::Delivered, None));
    let id = client(&stage).id;
    let theirs = stage.ngo_refers_for("cif", id, "School support");
    stage.settle();
    assert!(inbound(&stage, theirs) && !inbound(&stage, first));
    assert_eq!(
        stage.head(&second).work.services[0].oscar_referral,
        None,
        "still unopened"
    );
    // Opened at last: its own number.
    stage
        .oscar
        .peer(|sim| sim.view_notifications("cif"))
        .expect("a tenant");
    stage.ngo_edits("cif", id, |_| {});
    stage.settle();
    let number = stage.head(&second).work.services[0].oscar_referral;
    assert!(number.is_some_and(|number| number != theirs), "{number:?}");
    let services = stage.only_case()["services_section"].as_array().map(Vec::len);
    assert_eq!(services, Some(3), "two of ours, and the one the NGO asked for");
}

/// A new box with an empty store meets children that an earlier one had sent: nothing is sent or made twice, and nothing
/// comes back to its sender.
#[test]
fn after_a_lost_store_nothing_changes_direction() {
    for flagged in [false, true] {
        let mut stage = Stage::default();
        let (_, pushed) = ours(&mut stage);
        let (_, referred) = stage.ngo_refers_new_child("cif", 2);
        stage.settle();
        if flagged {
            let id = client(&stage).id;
            let back = stage.ngo_refers_for("cif", id, "School support");
            stage.settle();
            assert!(inbound(&stage, back));
        }
        let (cases, referrals) = (
            stage.primero.peer(|sim| sim.cases()),
            stage.oscar_referrals().len(),
        );
        stage.wait(DAY);
        stage.flows.start = Some(stage.clock.utc().timestamp() - 3 * 24 * 3600);
        stage.lose_the_store();
        stage.settle();
        assert!(!inbound(&stage, pushed), "{flagged}");
        assert!(inbound(&stage, referred));
        let key = format!("o-cif-{referred}");
        assert_eq!(
            stage.state(&key),
            (State::Delivered, None),
            "{:?}",
            stage.head(&key).history
        );
        assert_eq!(stage.oscar_referrals().len(), referrals);
        let after = stage.primero.peer(|sim| sim.cases());
        assert_eq!(after.len(), cases.len());
        for (before, after) in cases.iter().zip(&after) {
            assert_eq!(before["services_section"], after["services_section"]);
            assert_eq!(before["owned_by"], after["owned_by"]);
        }
    }
}

/// Sent by hand or by the cloud, without a tag: the case itself says that the service went to the NGO.
#[test]
fn what_the_case_shows_as_sent_to_the_ngo_waits_for_a_person() {
    for theirs in [true, false] {
        let mut stage = Stage::default();
        stage.flows.oscar_consent = OscarConsent::Agreement;
        stage.restart();
        let mut data = case(1);
        data["services_section"] = json!([{"unique_id": "9f3c1d52-7a34-4b4e-9d0e-5f1f3a2b6c7d", "service_type": "family_based_care",
            "service_subtype": [KINSHIP], "service_response_type": "referral_to_oscar",
            "service_implementing_agency": "agency-cif"}]);
        let id = stage.enter_case(data);
        let number = stage.primero_case(&id)["case_id"]
            .as_str()
            .expect("a number")
            .to_owned();
        stage.run();
        stage.pushed_by_hand("cif", &number);
        stage.ngo_registers("cif");
        let child = client(&stage).id;
        let on = NgoReferral::of(KINSHIP_AT_NGO, "medium", REASON);
        // Flagged by a referral to somebody else: now the hand-made one comes in the first shape.
        stage
            .oscar
            .peer(|sim| sim.refer_to_ngo("cif", child, "tpo", &on))
            .expect("valid");
        stage.settle();
        let pushed = stage
            .oscar_referrals()
            .iter()
            .find(|row| row.reason == "by hand")
            .expect("there")
            .id;
        let key = format!("o-cif-{pushed}");
        assert_eq!(
            stage.state(&key),
            (State::Parked, Some(Reason::DirectionUnclear)),
            "{:?}",
            stage.head(&key).history
        );
        assert_eq!(
            stage.primero_case(&id)["services_section"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        // A person finds out.
        if theirs {
            stage.change(&key, |head, at| {
                outbox::requeue(head, at, "somebody").expect("parked")
            });
        } else {
            stage.change(&key, |head, at| {
                outbox::discard(head, at, "somebody", "ours").expect("parked")
            });
        }
        stage.settle();
        let services = stage.primero_case(&id)["services_section"]
            .as_array()
            .map(Vec::len);
        assert_eq!(services, Some(if theirs { 2 } else { 1 }));
        assert!(!stage.head(&key).state.open());
    }
}

/// A person has closed a push of ours without its number: whatever shows up for that service may be it.
#[test]
fn a_number_for_a_push_that_was_closed_by_hand_waits_for_a_person() {
    let mut stage = Stage::default();
    let (key, first) = ours(&mut stage);
    // Two of a kind at once cannot be told apart.
    let event = but(referral(1), "/event_key", json!("again"));
    let again = stage.accept(&event);
    stage.run();
    let case_id = stage.only_case()["case_id"]
        .as_str()
        .expect("a number")
        .to_owned();
    stage.pushed_again_by_hand("cif", &case_id, &client(&stage).global_id);
    stage
        .oscar
        .peer(|sim| sim.view_notifications("cif"))
        .expect("a tenant");
    stage.ngo_edits("cif", client(&stage).id, |_| {});
    stage.settle();
    assert_eq!(stage.state(&again), (State::Parked, Some(Reason::AmbiguousMatch)));
    stage.resolve(&again, Verdict::Settled);
    let on = NgoReferral::of("School support", "low", "sent on");
    let id = client(&stage).id;
    stage
        .oscar
        .peer(|sim| sim.refer_to_ngo("cif", id, "tpo", &on))
        .expect("valid");
    stage.settle();
    let rows = stage.oscar_referrals();
    let mut unclear = 0;
    for row in rows
        .iter()
        .filter(|row| row.tenant == "cif" && row.id != first && row.referred_to == "cif")
    {
        let key = format!("o-cif-{}", row.id);
        let head = stage.store().read(|view| view.head_by_key(&key)).expect("reads");
        let head = head.expect("nothing the NGO may have made is dropped");
        assert!(head.state.open(), "{key} {:?}", head.history);
        unclear += usize::from(head.reason == Some(Reason::DirectionUnclear));
    }
    assert_eq!(unclear, 1, "and the other waits behind it");
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(
        stage.only_case()["services_section"].as_array().map(Vec::len),
        Some(2),
        "none came back"
    );
}
