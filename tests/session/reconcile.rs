//! Reconciliation: what each side shows of an open referral, what differs, what was done, and nothing written.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, SCHOOL, but, referral};
use crate::stage::{Stage, USER};
use referral_gateway::core::event::Decision;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::reconcile::{AtOscar, AtPrimero, Difference, Done, EVENTS_MAX};
use referral_gateway::core::record::State;
use referral_gateway::shell::session::last_report;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;

/// Writes that left the box, signing in aside.
fn writes(stage: &Stage) -> usize {
    let mut log = stage.primero.taken();
    log.extend(stage.oscar.taken());
    log.retain(|entry| !entry.what.starts_with("GET ") && !entry.what.ends_with("/sign_in"));
    log.len()
}

/// A delivered referral that the NGO has registered and not decided.
fn open_referral(stage: &mut Stage) -> String {
    let key = stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    writes(stage);
    key
}

#[test]
fn what_both_sides_show_is_compared_and_what_differs_is_acted_on() {
    let mut stage = Stage::default();
    let key = open_referral(&mut stage);
    let report = stage.reconcile();
    assert_eq!((report.open, report.looked_at, report.rows.len()), (1, 1, 1));
    let row = &report.rows[0];
    assert_eq!((&row.event_key, row.decision), (&key, None));
    let AtPrimero::Seen {
        referral, service, ..
    } = &row.primero
    else {
        panic!("{row:?}")
    };
    assert_eq!((referral.as_deref(), *service), (Some("in_progress"), true));
    let AtOscar::Seen {
        referral: Some((_, status)),
        external_id: Some(_),
        ..
    } = &row.oscar
    else {
        panic!("{row:?}")
    };
    assert_eq!(status, "Referred");
    assert_eq!((&row.differs, row.done), (&Vec::new(), Done::Nothing));

    stage.ngo_decides("cif", "Accepted");
    assert_eq!(stage.head(&key).work.services[0].decision, None);
    let report = stage.reconcile();
    let row = &report.rows[0];
    assert_eq!(row.differs, [Difference::OscarDecided]);
    assert_eq!(row.done, Done::Queued);
    assert_eq!(
        stage.head(&key).work.services[0].decision,
        Some(Decision::Accepted)
    );
    assert_eq!(writes(&stage), 0, "a look writes nothing");

    stage.settle();
    assert!(writes(&stage) > 0, "the session after it does");
    let report = stage.reconcile();
    assert_eq!(
        (report.open, report.rows.len()),
        (0, 0),
        "and nothing is left open"
    );
}

#[test]
fn a_decision_made_in_primero_is_found_there() {
    let mut stage = Stage::default();
    let key = open_referral(&mut stage);
    let id = stage.primero_referrals()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    stage
        .primero
        .peer(|sim| sim.decide_referral(&id, "rejected", "no room"))
        .expect("the agency's user may");
    let row = stage.reconcile().rows.remove(0);
    assert_eq!(row.event_key, key);
    assert_eq!(row.differs, [Difference::PrimeroDecided]);
    assert_eq!(row.done, Done::Queued);
    assert_eq!(
        stage.head(&key).work.services[0].decision,
        Some(Decision::Rejected)
    );
}

#[test]
fn a_doubt_is_settled_by_what_oscar_shows() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    let lost = Rule::once("POST", "/organizations", Fault::AnswerLost);
    stage.oscar.fault(lost);
    stage.run();
    assert_eq!(stage.state(&key).0, State::InDoubt);
    stage.ngo_registers("cif");
    writes(&stage);
    let row = stage.reconcile().rows.remove(0);
    assert_eq!(
        (row.done, row.state.as_str()),
        (Done::DoubtSettled, "delivered"),
        "{row:?}"
    );
    assert_eq!(writes(&stage), 0);
    stage.settle();
    assert_eq!(stage.oscar_referrals().len(), 1, "and it was sent once");
}

#[test]
fn one_system_down_leaves_what_the_other_shows() {
    let mut stage = Stage::default();
    open_referral(&mut stage);
    stage
        .primero
        .fault(Rule::always("", "", Fault::Never(Phase::Connect)));
    let report = stage.reconcile();
    assert!(report.primero.is_some() && report.oscar.is_none(), "{report:?}");
    let row = &report.rows[0];
    assert_eq!((&row.primero, &row.differs), (&AtPrimero::Unread, &Vec::new()));
    assert!(matches!(row.oscar, AtOscar::Seen { .. }), "{row:?}");
}

/// The service's status field as Primero shows it.
fn option_of(stage: &Stage, service: &str) -> Value {
    let case = stage.only_case();
    let services = case["services_section"].as_array().expect("services");
    let entry = services.iter().find(|entry| entry["unique_id"] == service);
    entry.expect("the service")["referral_status_edf41f2"].clone()
}

/// Somebody sets it, who may edit the case.
fn set_option(stage: &Stage, service: &str, option: &str) {
    let id = stage.only_case()["id"].as_str().expect("an id").to_owned();
    let data = json!({"services_section": [{"unique_id": service, "referral_status_edf41f2": option}]});
    let done = stage.primero.peer(|sim| sim.edit_case_as(USER, &id, &data));
    done.expect("the worker may");
}

#[test]
fn a_status_field_that_lost_its_decision_is_written_once_more_and_then_left_to_people() {
    let mut stage = Stage::default();
    let both = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", both));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    let id = stage.head(&key).work.services[0]
        .referral_id
        .clone()
        .expect("made");
    let decided = stage.primero.peer(|sim| sim.decide_referral(&id, "accepted", ""));
    decided.expect("the agency's user may");
    stage.settle();
    let work = stage.head(&key).work.services.remove(0);
    assert!(work.decision_written, "one service is decided, the other is open");
    let accepted = option_of(&stage, &work.unique_id);
    writes(&stage);

    // A form that was open since before the decision is saved.
    set_option(&stage, &work.unique_id, "pending_310366");
    let row = stage.reconcile().rows.remove(0);
    assert_eq!(row.differs, [Difference::FieldUndecided]);
    assert_eq!((row.done, row.for_a_person()), (Done::Queued, false));
    assert_eq!(writes(&stage), 0, "a look writes nothing");
    stage.settle();
    assert_eq!(option_of(&stage, &work.unique_id), accepted);
    assert_eq!(stage.state(&key), (State::Delivered, None));

    // Emptied again, it is meant.
    set_option(&stage, &work.unique_id, "pending_310366");
    writes(&stage);
    let report = stage.reconcile();
    assert_eq!(report.rows[0].done, Done::Nothing);
    assert_eq!((report.differing(), report.for_people()), (1, 1));
    stage.settle();
    assert_eq!(option_of(&stage, &work.unique_id), "pending_310366");
    assert_eq!(writes(&stage), 0, "a person's word is not written over");
}

#[test]
fn a_decision_undone_for_another_is_a_persons_word() {
    let mut stage = Stage::default();
    let both = json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]);
    let key = stage.accept(&but(referral(1), "/services", both));
    stage.run();
    let work = stage.head(&key).work.services.remove(0);
    let id = work.referral_id.clone().expect("made");
    let decided = stage.primero.peer(|sim| sim.decide_referral(&id, "accepted", ""));
    decided.expect("the agency's user may");
    stage.settle();
    set_option(&stage, &work.unique_id, "rejected_936484");
    writes(&stage);
    let report = stage.reconcile();
    assert_eq!(report.rows[0].differs, [Difference::FieldUndecided]);
    assert!(report.rows[0].for_a_person(), "{report:?}");
    stage.settle();
    assert_eq!(writes(&stage), 0);
}

#[test]
fn with_nothing_open_nobody_is_asked() {
    let mut stage = Stage::default();
    stage.run();
    stage.primero.taken();
    stage.oscar.taken();
    let report = stage.reconcile();
    assert!(report.whole() && report.rows.is_empty());
    assert!(stage.primero.taken().is_empty() && stage.oscar.taken().is_empty());
}

#[test]
fn a_look_that_must_make_way_leaves_no_report_and_begins_anew() {
    let mut stage = Stage::default();
    open_referral(&mut stage);
    let ground = stage.ground(
        stage.store(),
        stage.store().read(|view| Ok(view.boot())).expect("reads"),
    );
    ground.stop.store(true, Relaxed);
    let mut session = stage.session_on(ground.clone(), stage.primero.clone(), stage.oscar.clone());
    assert_eq!(session.reconcile().expect("the store works"), None);
    assert_eq!(stage.store().read(last_report).expect("reads"), None);
    assert!(
        stage.oscar.taken().is_empty(),
        "what it makes way for comes at once"
    );
    ground.stop.store(false, Relaxed);
    let report = session.reconcile().expect("the store works").expect("to its end");
    assert_eq!((report.looked_at, report.rows.len()), (1, 1));
}

#[test]
fn a_look_is_bounded_and_the_next_goes_on_where_it_ended() {
    let mut stage = Stage::default();
    let most = EVENTS_MAX as u64;
    let keys: Vec<String> = (1..=most + 1).map(|n| stage.accept(&referral(n))).collect();
    let first = stage.reconcile();
    assert_eq!((first.open, first.looked_at), (EVENTS_MAX + 1, EVENTS_MAX));
    assert_eq!(first.rows[0].event_key, keys[0], "the oldest first");
    assert_eq!(first.rows[0].primero, AtPrimero::None);
    let kept = stage.store().read(last_report).expect("the store reads");
    assert_eq!(kept.as_ref(), Some(&first), "the last report is kept");
    stage.restart();
    let second = stage.reconcile();
    assert_eq!((second.looked_at, second.next), (1, None));
    assert_eq!(Some(&second.rows[0].event_key), keys.last());
    assert_eq!(stage.reconcile().rows[0].event_key, keys[0], "round again");
    assert!(
        !json!(first).to_string().contains("Zaphod"),
        "ids, codes and states only"
    );
}
