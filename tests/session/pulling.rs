//! The pull of Primero's changed cases: nothing is missed, nothing is asked twice, nothing strange is believed.

use crate::line::{Fault, Rule};
use crate::office::{Referred, case, referred};
use crate::stage::Stage;
use chrono::TimeDelta;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::flows::{Earlier, Flows};
use referral_gateway::core::outbox::Verdict;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{OneShot, State};
use referral_gateway::shell::session::kept_owed;
use serde_json::json;
use simulators::wire::Reply;
use std::time::Duration;

/// A stage whose box has met Primero.
fn met() -> Stage {
    let mut stage = Stage::default();
    stage.run();
    stage
}

/// The box looks back so far when it meets Primero.
fn start(stage: &mut Stage, back: TimeDelta, earlier: Earlier) {
    let start = Some((stage.clock.utc() - back).timestamp());
    stage.carry(Flows {
        start,
        earlier,
        ..Flows::default()
    });
}

fn lists(stage: &Stage) -> usize {
    let log = stage.primero.taken();
    log.iter()
        .filter(|entry| entry.what.starts_with("GET") && entry.what.ends_with("/referrals"))
        .count()
}

#[test]
fn many_changed_cases_are_all_seen_and_only_those_of_our_ngos_are_asked_about() {
    let mut stage = met();
    let mut referrals = Vec::new();
    for n in 0..450 {
        if n % 150 == 7 {
            referrals.push(stage.worker_refers(n).referral);
        } else {
            stage.enter_case(case(n));
        }
        // From several a second to several seconds each.
        stage.wait(Duration::from_millis(if n % 90 < 60 { 40 } else { 2100 }));
    }
    stage.primero.taken();
    let report = stage.run();
    assert!(
        report.primero.trouble.is_none() && report.primero.pulled >= 450,
        "{report:?}"
    );
    assert_eq!(
        lists(&stage),
        referrals.len(),
        "one list for each case referred to one of ours"
    );
    for referral in &referrals {
        assert_eq!(stage.state(&format!("p-{referral}")), (State::Delivered, None));
    }
    assert_eq!(stage.oscar_referrals().len(), referrals.len());
}

/// What Primero owes an answer about shows in `status`, by the case's own opaque id.
#[test]
fn a_case_that_primero_fails_on_each_time_is_named_until_it_answers() {
    let mut stage = met();
    let Referred { case, referral } = stage.worker_refers(1);
    let other = stage.worker_refers(2).referral;
    let list = format!("/cases/{case}/referrals").leak();
    stage.primero.fault(Rule::always("GET", list, Fault::page(500)));
    for _ in 0..3 {
        stage.run();
        let owed = stage.store().read(kept_owed).expect("the store reads");
        assert_eq!(owed, std::slice::from_ref(&case));
    }
    assert_eq!(stage.state(&format!("p-{other}")), (State::Delivered, None));
    assert!(stage.find(&format!("p-{referral}")).is_none());
    stage.primero.mend();
    stage.run();
    assert_eq!(stage.state(&format!("p-{referral}")), (State::Delivered, None));
    assert!(stage.store().read(kept_owed).expect("the store reads").is_empty());
}

#[test]
fn a_second_with_more_cases_than_a_page_is_read_whole() {
    let mut stage = met();
    let mut referrals = Vec::new();
    for n in 0..1300 {
        if n % 400 == 3 {
            referrals.push(stage.worker_refers(n).referral);
        } else {
            stage.enter_case(case(n));
        }
    }
    let report = stage.run();
    assert!(report.primero.trouble.is_none(), "{report:?}");
    for referral in &referrals {
        assert_eq!(stage.state(&format!("p-{referral}")), (State::Delivered, None));
    }
    // Read once more, since a late save may still come; after that the crowd lies behind the watermark.
    stage.run();
    stage.primero.taken();
    let report = stage.run();
    assert_eq!(
        (report.primero.pulled, stage.primero.count("GET /api/v2/cases")),
        (0, 1)
    );
}

#[test]
fn sessions_without_news_list_and_write_nothing() {
    let mut stage = met();
    stage.worker_refers(1);
    stage.worker_refers(2);
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    stage.worker_refers(3);
    stage.run();
    let (cases, commits) = (
        stage.primero.peer(|sim| sim.cases()),
        stage.store().figures().commits,
    );
    stage.primero.taken();
    for _ in 0..30 {
        stage.run();
    }
    let log = stage.primero.taken();
    assert_eq!(log.len(), 30, "one page each: {log:?}");
    let unchanged = log.iter().filter(|entry| entry.status == Some(304)).count();
    // The first of them begins at a new watermark; a long look back and what it writes fall into these hours once.
    assert!(unchanged >= 25, "{unchanged}: {log:?}");
    assert_eq!(stage.primero.peer(|sim| sim.cases()), cases);
    assert!(stage.store().figures().commits - commits <= 1);
}

#[test]
fn an_answer_that_is_said_not_to_have_changed_hides_no_change() {
    let mut stage = met();
    for n in 0..3 {
        let made = stage.worker_refers(n);
        stage.run();
        assert_eq!(
            stage.state(&format!("p-{}", made.referral)),
            (State::Delivered, None)
        );
        for _ in 0..3 {
            stage.run();
        }
        let log = stage.primero.taken();
        assert_eq!(log.last().and_then(|entry| entry.status), Some(304), "{log:?}");
    }
    // A server that says so of a question it was never asked is not believed.
    let made = stage.worker_refers(9);
    let lie = Fault::Instead(Reply::empty(304));
    stage.primero.fault(Rule::once("GET", "/api/v2/cases", lie));
    stage.run();
    stage.run();
    stage.run();
    assert_eq!(
        stage.state(&format!("p-{}", made.referral)),
        (State::Delivered, None)
    );
}

#[test]
fn a_server_that_went_wrong_since_the_last_session_is_written_nothing() {
    let mut stage = met();
    stage.run();
    stage.primero.taken();
    let key = stage.accept(&crate::office::referral(1));
    let other = Fault::Instead(Reply::json(200, &json!({"hello": "world"})));
    stage.primero.fault(Rule::always("", "", other));
    let report = stage.run();
    assert_eq!(report.primero.trouble, Some(Trouble::Shape));
    let asked: Vec<String> = stage
        .primero
        .taken()
        .into_iter()
        .map(|entry| entry.what)
        .collect();
    assert_eq!(
        asked,
        ["GET /api/v2/cases", "GET /health/api"],
        "the pull, and health because its answer is strange"
    );
    assert_eq!(stage.state(&key).0, State::Pending);
}

#[test]
fn a_case_that_becomes_visible_long_after_its_stamp_is_found() {
    for minutes in [1, 20, 5 * 60] {
        let mut stage = met();
        stage
            .primero
            .peer(|sim| sim.switches().commit_delay = TimeDelta::minutes(minutes));
        let late = stage.worker_refers(1).referral;
        stage
            .primero
            .peer(|sim| sim.switches().commit_delay = TimeDelta::zero());
        // Others go on and draw the watermark past it.
        for n in 2..200 {
            stage.enter_case(case(n));
            stage.run();
        }
        assert_eq!(
            stage.state(&format!("p-{late}")),
            (State::Delivered, None),
            "{minutes} minutes"
        );
    }
}

#[test]
fn an_empty_answer_is_held_against_the_rest_of_the_server() {
    let mut stage = met();
    stage.worker_refers(1);
    stage.run();
    let second = stage.worker_refers(2);
    let empty = Reply::json(
        200,
        &json!({"data": [], "metadata": {"total": 0, "per": 200, "page": 1}}),
    );
    stage
        .primero
        .fault(Rule::once("GET", "/api/v2/cases", Fault::Instead(empty)));
    let report = stage.run();
    assert_eq!(report.primero.trouble, Some(Trouble::Shape));
    stage.run();
    assert_eq!(
        stage.state(&format!("p-{}", second.referral)),
        (State::Delivered, None)
    );
}

#[test]
fn a_page_that_breaks_off_or_lies_moves_nothing() {
    let lies = [
        json!({"data": [], "metadata": {"total": 3, "per": 200, "page": 1}}),
        json!({"data": [{"id": "7d0f2dc1-0000-4000-8000-000000000000", "last_updated_at": "2001-01-01T00:00:00.000Z"}],
            "metadata": {"total": 1, "per": 200, "page": 1}}),
        json!({"data": []}),
        json!({"error": "?"}),
    ];
    let mut faults: Vec<Fault> = lies
        .iter()
        .map(|lie| Fault::Instead(Reply::json(200, lie)))
        .collect();
    faults.extend([Fault::CutOff, Fault::AnswerLost, Fault::page(200)]);
    for fault in faults {
        let mut stage = met();
        let made = stage.worker_refers(1);
        stage
            .primero
            .fault(Rule::once("GET", "/api/v2/cases", fault.clone()));
        let report = stage.run();
        assert!(report.primero.trouble.is_some(), "{fault:?}");
        stage.run();
        assert_eq!(
            stage.state(&format!("p-{}", made.referral)),
            (State::Delivered, None),
            "{fault:?}"
        );
        assert_eq!(stage.oscar_referrals().len(), 1);
    }
}

#[test]
fn what_was_referred_before_the_box_came_is_left_alone_or_doubted() {
    let before = |stage: &Stage| (stage.worker_refers(1).referral, stage.worker_refers(2).referral);
    // From now on.
    let mut stage = Stage::default();
    let (first, _) = before(&stage);
    stage.wait(Duration::from_secs(5));
    stage.run();
    let after = stage.worker_refers(3).referral;
    stage.run();
    assert!(stage.find(&format!("p-{first}")).is_none());
    assert_eq!(stage.state(&format!("p-{after}")), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 1);

    // From a day on: nobody knows whether they were sent.
    let mut stage = Stage::default();
    let (first, second) = before(&stage);
    start(&mut stage, TimeDelta::days(2), Earlier::Doubt);
    stage.run();
    assert_eq!(
        stage.state(&format!("p-{first}")),
        (State::InDoubt, Some(Reason::MaybeSentBefore))
    );
    assert_eq!(stage.oscar_referrals().len(), 0);
    stage.resolve(&format!("p-{second}"), Verdict::NotArrived);
    stage.run();
    assert_eq!(stage.state(&format!("p-{second}")), (State::Delivered, None));
    assert_eq!(stage.oscar_referrals().len(), 1);

    // Somebody knows that nothing ever carried them.
    let mut stage = Stage::default();
    before(&stage);
    start(&mut stage, TimeDelta::days(2), Earlier::Send);
    stage.run();
    assert_eq!(stage.oscar_referrals().len(), 2);
}

#[test]
fn a_number_of_oscar_in_the_service_proves_that_it_was_sent() {
    let mut stage = Stage::default();
    let mut data = referred(1);
    data["services_section"][0]["oscar_referral_id_a4ac8a5"] = json!("41");
    let made = stage.worker_refers_to("agency-cif-user", data);
    start(&mut stage, TimeDelta::days(2), Earlier::Doubt);
    stage.run();
    let head = stage.head(&format!("p-{}", made.referral));
    assert_eq!(
        (head.state, head.work.services[0].oscar_referral),
        (State::Delivered, Some(41))
    );
    assert_eq!(head.work.services[0].push, OneShot::Done);
    assert_eq!(stage.oscar_referrals().len(), 0);
    assert!(head.undecided(), "its decision is still awaited");
}

#[test]
fn a_full_queue_stops_the_pull_and_loses_nothing() {
    let mut stage = met();
    stage.limits.events = 5;
    stage.restart();
    stage
        .oscar
        .fault(Rule::always("", "/", Fault::Never(Phase::Connect)));
    let made: Vec<String> = (0..12).map(|n| stage.worker_refers(n).referral).collect();
    stage.run();
    assert_eq!(stage.store().queue(|queue| queue.counts().open()), 5);
    stage.oscar.mend();
    for _ in 0..6 {
        stage.run();
    }
    for referral in made {
        assert_eq!(stage.state(&format!("p-{referral}")), (State::Delivered, None));
    }
    assert_eq!(stage.oscar_referrals().len(), 12);
}

/// nginx refuses a longer line (primero.md §7.4); a `+` or a missing `Z` would turn the filter off (§2.2).
#[test]
fn every_request_of_the_pull_is_short_and_spelt_as_primero_reads_it() {
    let mut stage = met();
    for n in 0..250 {
        stage.worker_refers(n);
    }
    stage.primero.taken();
    stage.run();
    let log = stage.primero.taken();
    let pages = log.iter().filter(|entry| entry.what == "GET /api/v2/cases");
    let mut crowds = 0;
    for entry in pages {
        assert!(
            entry.what.len() + entry.query.len() < 1000,
            "{}",
            entry.query.len()
        );
        assert!(
            entry.body.is_empty() && !entry.query.contains('+'),
            "{}",
            entry.query
        );
        let range = entry
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("last_updated_at="));
        let (from, to) = range.and_then(|range| range.split_once("..")).expect("a range");
        assert!(
            from.len() == 20 && from.ends_with('Z') && (to.is_empty() || to == from),
            "{range:?}"
        );
        crowds += u32::from(to == from);
        assert!(
            entry
                .headers
                .iter()
                .all(|(name, value)| name != "cookie" && name.len() + value.len() < 1000)
        );
    }
    assert!(crowds > 0, "one second was too full for a page");
}
