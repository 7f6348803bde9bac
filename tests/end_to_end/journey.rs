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
