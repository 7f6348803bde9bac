//! An event's way there and its decision's way back.

use crate::office::{Office, referral};
use serde_json::json;

#[test]
fn a_referral_reaches_both_systems_and_its_decision_comes_back() {
    let mut office = Office::new();
    office.start();
    let (code, answer) = office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!((code, answer["state"].as_str()), (0, Some("pending")), "{answer}");
    assert_eq!(office.sync(), 0, "{}", office.log());
    let event = office.event("k-1");
    assert_eq!(event["state"], "delivered", "{event}");
    assert_eq!(event["decision"], json!(null));

    let referrals = office.oscar.with(|sim| sim.referrals());
    assert_eq!(referrals.len(), 1);
    let pushed = &referrals[0];
    assert!(
        pushed.reason.starts_with("[GW-") && pushed.reason.contains("2026-11-20"),
        "{}",
        pushed.reason
    );
    let case = office.primero.cases().remove(0);
    assert_eq!(pushed.external_id.as_deref(), case["case_id"].as_str());

    let number = pushed.id;
    office.oscar.with(|sim| {
        sim.register_child("cif", number).unwrap();
        sim.hand_decide("cif", number, "Accepted").unwrap();
    });
    assert_eq!(office.sync(), 0);
    let event = office.event("k-1");
    assert_eq!(event["decision"], "accepted", "{event}");
    let case = office.primero.cases().remove(0);
    assert_eq!(
        case["services_section"][0]["referral_status_edf41f2"],
        "accepted_340953"
    );
    assert!(case["oscar_number"].is_string());
    assert_eq!(office.primero.referrals()[0]["status"], "accepted");
    println!("{}", event["text"].as_str().unwrap());
}

#[test]
fn a_rejection_comes_back_too() {
    let office = Office::new();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    let number = office.oscar.with(|sim| sim.referrals()[0].id);
    office.oscar.with(|sim| {
        sim.register_child("cif", number).unwrap();
        sim.hand_decide("cif", number, "Exited").unwrap();
    });
    assert_eq!(office.sync(), 0);
    let event = office.event("k-1");
    assert_eq!(event["decision"], "rejected", "{event}");
    assert_eq!(office.primero.referrals()[0]["status"], "rejected");
}

#[test]
fn a_referral_to_primero_makes_a_case_with_its_service() {
    let office = Office::new();
    let mut event = referral("k-1", "Dara", "cif");
    event["to"] = json!("primero");
    assert_eq!(office.enqueue(&event).0, 0);
    assert_eq!(office.sync(), 0);
    let event = office.event("k-1");
    assert_eq!(
        (&event["state"], &event["flow"]),
        (&json!("delivered"), &json!("local-to-primero")),
        "{event}"
    );
    let cases = office.primero.cases();
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["services_section"].as_array().unwrap().len(), 1);
    assert_ne!(
        cases[0]["owned_by"], "gateway-test",
        "the province's user owns it"
    );
    assert!(office.primero.referrals().is_empty() && office.oscar.with(|sim| sim.referrals().is_empty()));
}

#[test]
fn the_office_records_a_decision_itself() {
    let office = Office::new();
    let decision = json!({"event_key": "d-1", "kind": "decision", "referral": "k-1", "status": "accepted"});
    assert_eq!(office.enqueue(&decision).0, 3, "a decision on nothing known");
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.enqueue(&decision).0, 0);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.sync(), 0);
    let event = office.event("d-1");
    assert_eq!(event["state"], "delivered", "{event}");
    assert_eq!(office.primero.referrals()[0]["status"], "accepted");
    assert_eq!(office.event("k-1")["decision"], "accepted");
}

#[test]
fn a_withdrawal_goes_as_far_as_its_referral_went() {
    let office = Office::new();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    office.enqueue(&json!({"event_key": "w-1", "kind": "withdraw", "referral": "k-1"}));
    assert_eq!(
        (office.state("k-1"), office.state("w-1")),
        ("discarded".to_owned(), "delivered".to_owned())
    );
    office.enqueue(&referral("k-2", "Bopha", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(
        office.primero.cases().len(),
        1,
        "what was withdrawn in time is not sent"
    );
    office.enqueue(&json!({"event_key": "w-2", "kind": "withdraw", "referral": "k-2"}));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.primero.referrals()[0]["status"], "revoked");
    let event = office.event("w-2");
    assert_eq!(
        (&event["state"], &event["reason"]),
        (&json!("parked"), &json!("tell_the_ngo")),
        "{event}"
    );
    let ran = office.run(&["events", "resolve", "w-2", "--settled"]);
    assert_eq!(
        (ran.code, office.state("w-2")),
        (0, "delivered".to_owned()),
        "{ran:?}"
    );
}
