//! `oscar.md` §9.2, rows 1 to 12: how the cloud jobs read Primero, and what is right.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, case, referral, referred, service};
use crate::primero_traps::{key, met, sent};
use crate::stage::Stage;
use chrono::TimeDelta;
use referral_gateway::core::event::Decision;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::flows::Flows;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use std::time::Duration;

/// Bodies of the pushes since the last look.
pub fn pushes(stage: &Stage) -> Vec<Value> {
    let log = stage.oscar.taken();
    let pushes = log.iter().filter(|entry| entry.what.ends_with("/clients/upsert"));
    pushes
        .map(|entry| serde_json::from_str::<Value>(&entry.body).expect("JSON")["organization"].take())
        .collect()
}

#[test]
fn job_defect_01_a_case_with_services_is_no_decision() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.enter_case(referred(2));
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    for n in 0..3 {
        stage.primero.peer(|sim| {
            sim.edit_case_as(
                "worker",
                &made.case,
                &json!({"address_current": format!("house {n}")}),
            )
            .expect("an edit");
        });
        stage.run();
    }
    assert_eq!(stage.head(&key(&made)).decision(), None);
    assert_eq!(stage.oscar.count("PUT /api/v1/organizations/referrals"), 0);
    assert_eq!(stage.primero_referrals()[0]["status"], "in_progress");
}

#[test]
fn job_defect_02_what_was_fetched_and_not_delivered_is_not_behind_the_cursor() {
    let mut stage = met();
    stage
        .oscar
        .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
    let made: Vec<_> = (0..3).map(|n| stage.worker_refers(n)).collect();
    stage.run();
    for n in 10..14 {
        stage.enter_case(case(n));
        stage.run();
    }
    stage.restart();
    stage.oscar.mend();
    stage.run();
    made.iter().for_each(|made| sent(&stage, made));
}

#[test]
fn job_defect_03_whatever_stops_the_program_the_work_goes_on_from_the_disk() {
    for sync in 1.. {
        let mut stage = met();
        let made = stage.worker_refers(1);
        stage.disk.cut_at(stage.disk.syncs() + sync);
        stage.run_if_on();
        let cut = stage.disk.dead();
        if cut {
            stage.cut(sync);
        } else {
            stage.disk.cut_at(u64::MAX);
        }
        stage.settle();
        if stage.state(&key(&made)).0 == State::InDoubt {
            // Cut between the push and its answer: never sent again by itself.
            assert_eq!(stage.oscar_referrals().len(), 1);
            stage.ngo_registers("cif");
            stage.settle();
        }
        sent(&stage, &made);
        assert_eq!(stage.oscar_referrals().len(), 1, "{sync}");
        if !cut {
            assert!(sync > 2, "the cut struck nothing");
            break;
        }
    }
}

#[test]
fn job_defect_04_no_clock_of_ours_decides_what_is_new() {
    for hours in [-26, -1, 1, 26] {
        let mut stage = Stage::default();
        stage.skew(TimeDelta::hours(hours));
        stage.run();
        let made: Vec<_> = (0..4)
            .map(|n| {
                let made = stage.worker_refers(n);
                stage.run();
                made
            })
            .collect();
        made.iter().for_each(|made| sent(&stage, made));
        assert_eq!(stage.oscar_referrals().len(), 4);
    }
}

#[test]
fn job_defect_05_a_lost_state_restarts_from_no_day_of_its_own_choice() {
    let mut stage = met();
    let before = stage.worker_refers(1);
    stage.run();
    stage.wait(Duration::from_secs(3600));
    stage.lose_the_store();
    stage.run();
    let after = stage.worker_refers(2);
    stage.run();
    // "now" is now: what is older is left alone, what comes is carried.
    assert!(stage.find(&key(&before)).is_none());
    sent(&stage, &after);
    assert_eq!(stage.oscar_referrals().len(), 2);
    // A day somebody chose: nothing is sent twice, and nothing older is lost from sight.
    let start = Some((stage.clock.utc() - TimeDelta::days(1)).timestamp());
    stage.flows = Flows {
        start,
        ..Flows::default()
    };
    stage.lose_the_store();
    stage.settle();
    assert_eq!(stage.oscar_referrals().len(), 2);
    for made in [&before, &after] {
        assert_eq!(
            stage.state(&key(made)),
            (State::InDoubt, Some(Reason::MaybeSentBefore))
        );
    }
    // The NGO registers the children: OSCaR proves that they were sent.
    stage.ngo_registers("cif");
    stage.settle();
    for made in [&before, &after] {
        sent(&stage, made);
    }
    assert_eq!(stage.oscar_referrals().len(), 2);
}

#[test]
fn job_defect_06_each_page_is_asked_for_once() {
    let mut stage = met();
    for n in 0..450 {
        stage.enter_case(case(n));
        stage.wait(Duration::from_secs(1));
    }
    stage.run();
    let log = stage.primero.taken();
    let mut pages: Vec<&String> = log
        .iter()
        .filter(|e| e.what == "GET /api/v2/cases")
        .map(|e| &e.query)
        .collect();
    let asked = pages.len();
    pages.sort_unstable();
    pages.dedup();
    assert_eq!((pages.len(), asked), (3, 3), "three pages for 450 cases");
}

#[test]
fn job_defect_07_late_and_changed_meanwhile_are_carried_all_the_same() {
    let mut stage = met();
    // Made before the last look and visible only after it.
    stage
        .primero
        .peer(|sim| sim.switches().commit_delay = TimeDelta::minutes(6));
    let late = stage.worker_refers(1);
    stage
        .primero
        .peer(|sim| sim.switches().commit_delay = TimeDelta::zero());
    stage.run();
    assert!(stage.find(&key(&late)).is_none());
    // Made, and accepted by hand, between two looks.
    let flipped = stage.worker_refers(2);
    let id = flipped.referral.clone();
    stage
        .primero
        .peer(|sim| sim.decide_referral(&id, "accepted", ""))
        .expect("accepted");
    stage.run();
    sent(&stage, &late);
    sent(&stage, &flipped);
    assert_eq!(stage.head(&key(&flipped)).decision(), Some(Decision::Accepted));
    stage.settle();
    assert_eq!(stage.oscar_referrals().len(), 2);
}

#[test]
fn job_defect_08_only_referrals_to_an_ngo_of_our_scope_are_sent_and_to_that_ngo() {
    let mut stage = met();
    let colleague = stage.worker_refers_to("worker-two", referred(1));
    let foreign = stage.worker_refers_to("agency-tpo-user", {
        let mut data = referred(2);
        data["services_section"][0]["service_implementing_agency"] = json!("agency-tpo");
        data["services_section"][0]["service_implementing_agency_individual"] = json!("agency-tpo-user");
        data
    });
    let ours = stage.worker_refers(3);
    let mut unlike = referred(4);
    unlike["services_section"][0]["service_response_type"] = json!("care_plan");
    let unlike = stage.worker_refers_to("agency-cif-user", unlike);
    stage.settle();
    assert!(stage.find(&key(&colleague)).is_none() && stage.find(&key(&foreign)).is_none());
    sent(&stage, &ours);
    assert_eq!(
        stage.state(&key(&unlike)),
        (State::Parked, Some(Reason::RouteUnclear))
    );
    let rows = stage.oscar_referrals();
    assert_eq!((rows.len(), rows[0].tenant.as_str()), (1, "cif"));
}

#[test]
fn job_defect_09_the_childs_number_reaches_primero_and_the_next_referral_uses_it() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.run();
    let child = stage.oscar.peer(|sim| sim.clients()).remove(0).client;
    let in_primero = stage.primero_case(&made.case);
    assert_eq!(
        (&in_primero["oscar_number"], &in_primero["oscar_short_id"]),
        (&json!(child.global_id), &json!(child.slug))
    );
    stage.primero.peer(|sim| {
        sim.edit_case_as(
            "worker",
            &made.case,
            &json!({"services_section": [service(SCHOOL)]}),
        )
        .expect("an edit");
    });
    let again = stage.refers(&made.case, "agency-cif-user", 1);
    stage.oscar.taken();
    stage.run();
    assert_eq!(stage.state(&format!("p-{again}")), (State::Delivered, None));
    assert_eq!(
        pushes(&stage)[0]["global_id"],
        child.global_id.as_str(),
        "seen at this very organization"
    );
}

#[test]
fn job_defect_10_the_cursor_is_kept_and_used_at_the_next_start() {
    let mut stage = met();
    for n in 0..30 {
        stage.enter_case(case(n));
        stage.wait(Duration::from_secs(900));
    }
    stage.run();
    for _ in 0..3 {
        stage.restart();
        stage.primero.taken();
        let report = stage.run();
        assert!(report.primero.pulled <= 2, "{report:?}");
        let made = stage.worker_refers(u64::from(report.primero.pulled) + 50);
        stage.run();
        sent(&stage, &made);
    }
}

#[test]
fn job_defect_11_each_ngo_gets_the_service_that_was_meant_for_it() {
    let mut stage = met();
    let mut data = referred(1);
    let mut other = service(SCHOOL);
    other["service_implementing_agency"] = json!("agency-gpc");
    other["service_implementing_agency_individual"] = json!("agency-gpc-user");
    data["services_section"] = json!([service(KINSHIP), other]);
    let first = stage.worker_refers_to("agency-cif-user", data);
    let second = stage.refers(&first.case, "agency-gpc-user", 1);
    // And one that says two things: to one NGO's user, for another's service.
    let crossed = stage.refers(&first.case, "agency-gpc-user", 0);
    stage.settle();
    sent(&stage, &first);
    assert_eq!(stage.state(&format!("p-{second}")), (State::Delivered, None));
    assert_eq!(
        stage.state(&format!("p-{crossed}")),
        (State::Parked, Some(Reason::RouteUnclear))
    );
    let rows = stage.oscar_referrals();
    let got: Vec<_> = rows
        .iter()
        .map(|row| (row.tenant.as_str(), row.services[0].as_str()))
        .collect();
    assert_eq!(got, [("cif", "Kinship care"), ("gpc", "School support")]);
}

#[test]
fn job_defect_12_the_reason_is_the_one_written_with_this_referral() {
    let mut stage = met();
    let mut data = referred(1);
    data["services_section"] = json!([service(KINSHIP), service(SCHOOL)]);
    let id = stage.enter_case(data);
    let case = stage.primero_case(&id);
    for (index, notes) in [(0, Some("needs kin")), (1, None)] {
        let service = &case["services_section"][index];
        let mut data =
            json!({"transitioned_to": "agency-cif-user", "service_record_id": service["unique_id"]});
        if let Some(notes) = notes {
            data["notes"] = json!(notes);
        } else {
            let note = json!({"services_section": [{"unique_id": service["unique_id"], "service_referral_notes": "needs school"}]});
            stage
                .primero
                .peer(|sim| sim.edit_case_as("worker", &id, &note))
                .expect("an edit");
        }
        stage
            .primero
            .peer(|sim| sim.refer_as("worker", &id, &data))
            .expect("referred");
    }
    let local = stage.accept(&referral(9));
    stage.run();
    assert_eq!(stage.state(&local), (State::Delivered, None));
    for (service, reason) in [("Kinship care", "needs kin"), ("School support", "needs school")] {
        let rows = stage.oscar_referrals();
        let row = rows
            .iter()
            .find(|row| row.services[0] == service && row.reason.ends_with(reason));
        assert!(row.is_some(), "{service}");
    }
}
