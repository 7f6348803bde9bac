//! Referrals that workers make in Primero, on their way to the NGO's OSCaR and back.

use crate::office::Referred;
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::record::{Flow, State};

#[test]
fn a_referral_made_in_primero_reaches_the_ngo_and_its_decision_comes_back() {
    for (status, decision, in_primero, option) in [
        ("Accepted", Decision::Accepted, "accepted", "accepted_340953"),
        ("Exited", Decision::Rejected, "rejected", "rejected_936484"),
    ] {
        let mut stage = Stage::default();
        stage.run();
        let Referred { case, referral } = stage.worker_refers(1);
        let key = format!("p-{referral}");
        stage.run();
        let head = stage.head(&key);
        assert_eq!(
            (head.state, head.flow),
            (State::Delivered, Flow::PrimeroToOscar),
            "{:?}",
            head.history
        );
        let rows = stage.oscar_referrals();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].reason, format!("[{}] 2026-11-23 needs a home", head.tag));
        assert_eq!(
            rows[0].external_id.as_deref(),
            stage.primero_case(&case)["case_id"].as_str()
        );
        assert_eq!(rows[0].services, ["Kinship care"]);

        stage.ngo_registers("cif");
        stage.ngo_decides("cif", status);
        stage.run();
        let head = stage.head(&key);
        assert_eq!((head.state, head.decision()), (State::Delivered, Some(decision)));
        assert!(head.closed(), "{:?}", head.work);
        let case = stage.primero_case(&case);
        assert_eq!(case["services_section"][0]["referral_status_edf41f2"], option);
        assert_eq!(
            case["services_section"][0]["oscar_referral_id_a4ac8a5"],
            rows[0].id.to_string()
        );
        assert_eq!(stage.primero_referrals()[0]["status"], in_primero);
        assert_eq!(stage.primero_referrals().len(), 1, "nothing was referred anew");
    }
}
