//! A Primero service of two subtypes is two referrals in OSCaR, and one decision made in Primero is about both.

use crate::by_hand::decide;
use crate::office::{KINSHIP, Referred, but, case, referred, service};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};

const FOSTER: &str = "family_based_care_emergency_foster";

/// A referral, not yet carried, of such a service of child 1.
fn referred_for_both(data: impl FnOnce(Value) -> Value) -> (Stage, Referred, String) {
    let mut stage = Stage::default();
    stage.enter_case(case(90));
    stage.settle();
    let both = but(service(KINSHIP), "/service_subtype", json!([KINSHIP, FOSTER]));
    let made = stage.worker_refers_to(
        "agency-cif-user",
        data(but(referred(1), "/services_section", json!([both]))),
    );
    let key = format!("p-{}", made.referral);
    (stage, made, key)
}

#[test]
fn a_decision_made_by_hand_reaches_both_referrals() {
    // The NGO may have turned down one of them before.
    for (word, at_ngo, ngo_first) in [
        ("accepted", "Accepted", false),
        ("rejected", "Exited", false),
        ("rejected", "Exited", true),
    ] {
        let (mut stage, made, key) = referred_for_both(|data| data);
        stage.run();
        stage.ngo_registers("cif");
        stage.settle();
        if ngo_first {
            let first = stage.oscar_referrals()[0].id;
            stage
                .oscar
                .peer(|sim| sim.hand_decide("cif", first, at_ngo))
                .expect("linked");
            stage.settle();
        }
        decide(&stage, &made, word);
        stage.settle();
        let rows = stage.oscar_referrals();
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!(row.row.referral_status, at_ngo, "{word} {ngo_first}");
        }
        let head = stage.head(&key);
        assert!(
            head.closed(),
            "{word} {ngo_first}: {:?} {:?}",
            head.state,
            head.work
        );
    }
}

/// A decision made while the referral waits stands when it goes, whatever else of its service has changed meanwhile.
#[test]
fn a_decision_is_kept_when_a_waiting_referral_is_drawn_anew() {
    for subtypes in [json!([KINSHIP, FOSTER]), json!([KINSHIP]), json!([FOSTER])] {
        let (mut stage, made, key) = referred_for_both(|data| but(data, "/risk_level", json!(null)));
        stage.run();
        assert_eq!(stage.state(&key), (State::Parked, Some(Reason::RiskMissing)));
        decide(&stage, &made, "accepted");
        let service = stage.primero_case(&made.case)["services_section"][0]["unique_id"].clone();
        let edit = json!({"risk_level": "low",
            "services_section": [{"unique_id": service, "service_subtype": subtypes}]});
        stage.worker_edits(&made.case, &edit);
        stage.run();
        assert_eq!(
            (stage.state(&key), stage.head(&key).decision()),
            ((State::Delivered, None), Some(Decision::Accepted))
        );
        stage.ngo_registers("cif");
        stage.settle();
        let rows = stage.oscar_referrals();
        assert_eq!(rows.len(), subtypes.as_array().map_or(0, Vec::len));
        assert!(rows.iter().all(|row| row.row.referral_status == "Accepted"));
        assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    }
}
