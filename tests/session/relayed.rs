//! Referrals that workers make in Primero, on their way to the NGO's OSCaR and back.

use crate::office::{Referred, referred};
use crate::stage::Stage;
use chrono::TimeDelta;
use referral_gateway::core::event::Decision;
use referral_gateway::core::flows::{Earlier, Flows};
use referral_gateway::core::outbox::{self, Verdict};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Flow, State};
use serde_json::json;
use std::time::Duration;

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

/// Refers the first service of a worker's case to somebody outside Primero.
fn refers_remotely(stage: &Stage, agency: Option<&str>) -> String {
    let mut data = referred(1);
    let service = data["services_section"][0].as_object_mut().expect("a service");
    service.remove("service_implementing_agency_individual");
    let case = stage.enter_case(data);
    let service = stage.primero_case(&case)["services_section"][0].clone();
    let mut data = json!({"remote": true, "transitioned_to_remote": "the team at CIF",
        "service": service["service_type"], "service_record_id": service["unique_id"], "notes": "needs a home"});
    if let Some(agency) = agency {
        data["transitioned_to_agency"] = json!(agency);
    }
    let made = stage.primero.peer(|sim| sim.refer_as("worker", &case, &data));
    made.expect("consent is given")["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

#[test]
fn a_remote_referral_to_our_ngo_is_carried_like_any_other() {
    let mut stage = Stage::default();
    stage.run();
    let key = format!("p-{}", refers_remotely(&stage, Some("agency-cif")));
    stage.run();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 1);
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    assert_eq!(stage.primero_referrals()[0]["status"], "accepted");
    assert_eq!(stage.oscar_referrals().len(), 1, "once");
}

#[test]
fn a_remote_referral_that_names_no_agency_waits_for_a_person_and_one_to_others_is_left_alone() {
    let mut stage = Stage::default();
    stage.run();
    let key = format!("p-{}", refers_remotely(&stage, None));
    stage.run();
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::RouteUnclear)));
    let others = format!("p-{}", refers_remotely(&stage, Some("agency-elsewhere")));
    stage.settle();
    assert!(stage.find(&others).is_none(), "none of this gateway's business");
    assert!(stage.oscar_referrals().is_empty());
}

/// What `--not-arrived` sends goes at once: the route has to be clear by then.
#[test]
fn an_old_referral_to_another_ngo_than_its_service_names_is_not_sent_for_being_in_doubt() {
    let mut stage = Stage::default();
    let mut data = referred(1);
    data["services_section"][0]["service_implementing_agency"] = json!("agency-gpc");
    data["services_section"][0]["service_implementing_agency_individual"] = json!("agency-gpc-user");
    let made = stage.worker_refers_to("agency-cif-user", data);
    stage.wait(Duration::from_secs(24 * 3600));
    let start = Some((stage.clock.utc() - TimeDelta::days(10)).timestamp());
    stage.carry(Flows {
        start,
        earlier: Earlier::Doubt,
        ..Flows::default()
    });
    stage.settle();
    let key = format!("p-{}", made.referral);
    assert_eq!(stage.state(&key), (State::Parked, Some(Reason::RouteUnclear)));
    // Somebody has looked at the route; whether it was sent before is still unknown.
    stage.change(&key, |head, at| {
        outbox::requeue(head, at, "somebody").expect("parked")
    });
    stage.settle();
    assert_eq!(stage.state(&key), (State::InDoubt, Some(Reason::MaybeSentBefore)));
    assert!(stage.oscar_referrals().is_empty());
    stage.resolve(&key, Verdict::NotArrived);
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 1);
}
