//! `primero.md` §9, traps 1 to 12.

use crate::line::{Fault, Rule};
use crate::office::{KINSHIP, Referred, SCHOOL, but, case, referral, referred};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use chrono::TimeDelta;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use simulators::wire::Reply;
use simulators::{oscar, primero};
use std::collections::BTreeSet;
use std::time::Duration;

const PAGE: &str = "GET /api/v2/cases";

/// A stage whose box has met both peers.
pub fn met() -> Stage {
    let mut stage = Stage::default();
    stage.run();
    stage.primero.taken();
    stage
}

pub fn key(made: &Referred) -> String {
    format!("p-{}", made.referral)
}

pub fn sent(stage: &Stage, made: &Referred) {
    let head = stage.head(&key(made));
    assert_eq!(
        (head.state, head.reason),
        (State::Delivered, None),
        "{:?}",
        head.history
    );
}

/// An office's Primero, whose gateway sees and writes all forms but these.
fn without_forms(forms: &[&str]) -> Stage {
    let mut config = primero::Config::cambodia(USER, PASSWORD);
    let all: BTreeSet<String> = config.fields.iter().map(|field| field.form.to_owned()).collect();
    let seen = all
        .into_iter()
        .filter(|form| !forms.contains(&form.as_str()))
        .collect();
    for role in config.roles.iter_mut().filter(|role| role.name == "role-gateway") {
        role.forms = Some(BTreeSet::clone(&seen));
    }
    Stage::with(config, oscar::Config::default_for(EMAIL, PASSWORD))
}

fn page_queries(stage: &Stage) -> Vec<String> {
    let log = stage.primero.taken();
    let pages = log.into_iter().filter(|entry| entry.what == PAGE);
    pages.map(|entry| entry.query).collect()
}

#[test]
fn primero_trap_01_a_page_is_cut_in_silence_and_nothing_is_lost() {
    let mut stage = met();
    // The oldest are what page one of the newest-first list leaves out.
    let oldest = stage.worker_refers(0);
    for n in 1..1100 {
        stage.enter_case(case(n));
        stage.wait(Duration::from_millis(300));
    }
    let report = stage.run();
    assert!(report.primero.pulled >= 1100, "{report:?}");
    sent(&stage, &oldest);
    for query in page_queries(&stage) {
        let per = query.split('&').find_map(|pair| pair.strip_prefix("per="));
        let per: u32 = per.and_then(|per| per.parse().ok()).expect("a page size");
        assert!(per <= 1000, "{query}");
    }
}

#[test]
fn primero_trap_02_the_walk_goes_from_old_to_new() {
    let mut stage = met();
    for n in 0..450 {
        stage.enter_case(case(n));
        stage.wait(Duration::from_secs(1));
    }
    // A new case comes while the pages are read: newest first, it would push one over the edge of each page.
    stage.primero.meanwhile("GET", "/api/v2/cases", 1, |sim| {
        let id = sim.create_case_as("worker", referred(900)).expect("a case");
        let service = sim.case(&id).expect("there")["services_section"][0]["unique_id"].clone();
        let data =
            json!({"transitioned_to": "agency-cif-user", "service_record_id": service, "notes": "now"});
        sim.refer_as("worker", &id, &data).expect("referred");
    });
    stage.run();
    assert_eq!(stage.oscar_referrals().len(), 1, "met on the last page");
    for query in page_queries(&stage) {
        assert!(query.contains("order_by=last_updated_at&order=asc"), "{query}");
    }
}

#[test]
fn primero_trap_03_a_case_saved_again_while_pages_are_read_hides_nobody() {
    let mut stage = met();
    let mut made = Vec::new();
    let mut first = Vec::new();
    for n in 0..405 {
        let new = stage.worker_refers(n);
        if n < 60 {
            first.push(new.case.clone());
        }
        made.push(new);
        stage.wait(Duration::from_secs(1));
    }
    // By offset, sixty rows of the second page would have moved onto the first, already read.
    stage.primero.meanwhile("GET", "/api/v2/cases", 1, move |sim| {
        for id in &first {
            sim.edit_case_as("worker", id, &json!({"address_current": "moved"}))
                .expect("an edit");
        }
    });
    stage.limits.events = 2000;
    stage.restart();
    stage.run();
    made.iter().for_each(|made| sent(&stage, made));
    assert_eq!(stage.oscar_referrals().len(), made.len());
    assert!(
        page_queries(&stage).iter().all(|query| !query.contains("&page=")),
        "never by offset over a moving list"
    );
}

#[test]
fn primero_trap_04_the_cursor_is_primeros_own_and_overlaps() {
    for skew in [-400, 400] {
        let mut stage = met();
        stage.skew(TimeDelta::days(skew));
        let made = stage.worker_refers(1);
        stage.run();
        sent(&stage, &made);
    }
    // Stamped a minute and a half before it can be seen, while another save has moved the newest stamp on.
    let mut stage = met();
    stage
        .primero
        .peer(|sim| sim.switches().commit_delay = TimeDelta::seconds(90));
    let late = stage.worker_refers(1);
    stage
        .primero
        .peer(|sim| sim.switches().commit_delay = TimeDelta::zero());
    stage.wait(Duration::from_secs(60));
    let visible = stage.worker_refers(2);
    stage.run_at_once();
    assert!(stage.find(&key(&late)).is_none());
    sent(&stage, &visible);
    stage.wait(Duration::from_secs(60));
    stage.primero.taken();
    stage.run_at_once();
    sent(&stage, &late);
    // What the overlap shows again costs no further request.
    assert_eq!(
        stage.primero.count("GET /api/v2/cases/"),
        1,
        "one list, for the late one"
    );
}

#[test]
fn primero_trap_05_ranges_are_spelt_so_that_they_are_not_dropped() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    // The same second as the watermark, some milliseconds later: both ends are included.
    stage.run_at_once();
    let later = stage.worker_refers(2);
    stage.run_at_once();
    sent(&stage, &made);
    sent(&stage, &later);
    for query in page_queries(&stage) {
        let range = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("last_updated_at="));
        let (from, to) = range.and_then(|range| range.split_once("..")).expect("two dots");
        let whole =
            |at: &str| at.len() == "2026-11-23T02:00:00Z".len() && at.ends_with('Z') && !at.contains('.');
        assert!(whole(from) && (to.is_empty() || whole(to)), "{query}");
        assert!(!query.contains('+') && !query.contains(' '), "{query}");
    }
}

#[test]
fn primero_trap_06_a_filter_that_was_ignored_overwrites_no_stranger() {
    // The form with the number is hidden from the gateway: asking by it gives the whole list.
    let mut stage = without_forms(&["oscar_form"]);
    let stranger = stage.enter_case(case(77));
    let before = stage.primero_case(&stranger);
    let number = json!("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let event = stage.accept(&but(referral(1), "/child/oscar_global_id", number));
    stage.settle();
    let (state, reason) = stage.state(&event);
    assert_eq!(state, State::Parked);
    assert!(
        matches!(reason, Some(Reason::AmbiguousCase | Reason::SiteGap)),
        "{reason:?}"
    );
    assert_eq!(stage.primero_case(&stranger), before);
}

#[test]
fn primero_trap_07_an_empty_answer_moves_no_cursor() {
    let mut stage = met();
    stage.worker_refers(1);
    stage.run();
    let made = stage.worker_refers(2);
    let empty = json!({"data": [], "metadata": {"total": 0, "per": 200, "page": 1}});
    stage.primero.fault(Rule::once(
        "GET",
        "/api/v2/cases",
        Fault::Instead(Reply::json(200, &empty)),
    ));
    let report = stage.run();
    assert_eq!(
        (report.primero.trouble, report.primero.partial),
        (Some(Trouble::Shape), true)
    );
    let newest = |query: &String| query.starts_with("per=1&order_by=last_updated_at&order=desc");
    let held = page_queries(&stage).iter().filter(|query| newest(query)).count();
    assert_eq!(held, 1, "held against the newest case of the whole server");
    stage.run();
    sent(&stage, &made);
}

#[test]
fn primero_trap_08_what_primero_did_not_store_is_noticed() {
    let mut stage = without_forms(&["protection_concern", "cp_case_plan"]);
    stage.accept(&but(referral(1), "/to", json!("primero")));
    stage.run();
    let log = stage.primero.taken();
    let create = log
        .iter()
        .find(|entry| entry.what == "POST /api/v2/cases")
        .expect("a case was made");
    let body: Value = serde_json::from_str(&create.body).expect("JSON");
    assert_eq!(body["data"]["module_id"], primero::MODULE);
    // A case stored without its fields is not taken for a success.
    let mut stage = met();
    let event = stage.accept(&referral(2));
    let partial = |reply: &Value| Fault::ActsThen(Reply::json(200, reply));
    let fields = json!({"id": "x", "case_id": "x"});
    stage.primero.fault(Rule::once(
        "GET",
        "/api/v2/cases/",
        partial(&json!({ "data": fields })),
    ));
    stage.run();
    assert_ne!(stage.state(&event), (State::Delivered, None));
    let mut stage = without_forms(&["basic_identity"]);
    let event = stage.accept(&referral(3));
    stage.settle();
    assert_eq!(stage.state(&event).0, State::Parked);
    assert_eq!(
        stage.oscar_referrals().len(),
        0,
        "nothing goes on from a case that is not as it should be"
    );
}

#[test]
fn primero_trap_09_a_change_that_was_answered_and_not_made_is_noticed() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    let id = made.referral.clone();
    stage.primero.meanwhile("PATCH", "/referrals/", 0, move |sim| {
        sim.decide_referral_as("worker", &id, "rejected", "")
            .expect("decided");
    });
    stage.run();
    let log = stage.primero.taken();
    let answered = log
        .iter()
        .find(|entry| entry.what.starts_with("PATCH") && entry.what.contains("/referrals/"));
    assert_eq!(answered.and_then(|entry| entry.status), Some(200));
    assert_eq!(
        stage.state(&key(&made)),
        (State::Parked, Some(Reason::DecisionConflict))
    );
}

#[test]
fn primero_trap_10_a_lost_answer_doubles_neither_referral_nor_case_nor_service() {
    for (method, path) in [
        ("POST", "/referrals"),
        ("POST", "/api/v2/cases"),
        ("PATCH", "/api/v2/cases/"),
    ] {
        let mut stage = met();
        let mut event = but(
            referral(1),
            "/services",
            json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]),
        );
        if method == "PATCH" {
            let id = stage.enter_case(case(1));
            event = but(
                event,
                "/child/primero_case_id",
                stage.primero_case(&id)["short_id"].clone(),
            );
        }
        let event = stage.accept(&event);
        stage.primero.fault(Rule::once(method, path, Fault::AnswerLost));
        stage.settle();
        assert_eq!(stage.state(&event), (State::Delivered, None), "{method} {path}");
        assert_eq!(
            stage.only_case()["services_section"].as_array().map(Vec::len),
            Some(2)
        );
        assert_eq!(
            (stage.primero_referrals().len(), stage.oscar_referrals().len()),
            (2, 2)
        );
    }
}

#[test]
fn primero_trap_11_each_number_of_a_case_goes_where_it_belongs() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    let case = stage.primero_case(&made.case);
    let (id, case_id) = (
        case["id"].as_str().expect("id"),
        case["case_id"].as_str().expect("case_id"),
    );
    assert_ne!(id, case_id);
    let row = &stage.oscar_referrals()[0].row;
    assert_eq!(
        (row.external_id.as_deref(), row.external_id_display.as_deref()),
        (Some(case_id), case["short_id"].as_str())
    );
    let log = stage.primero.taken();
    let mut asked = log
        .iter()
        .filter(|entry| entry.what.contains("/cases/"))
        .peekable();
    assert!(asked.peek().is_some());
    assert!(asked.all(|entry| entry.what.contains(id) && !entry.what.contains(case_id)));
}

#[test]
fn primero_trap_12_our_own_writes_start_no_ping_pong() {
    let mut stage = met();
    let made = stage.worker_refers(1);
    let local = stage.accept(&referral(2));
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    stage.run();
    assert!(stage.head(&key(&made)).closed() && stage.head(&local).closed());
    let cases = stage.primero.peer(|sim| sim.cases());
    stage.primero.taken();
    for _ in 0..50 {
        stage.run_reaching_back();
    }
    assert_eq!(
        stage.primero.peer(|sim| sim.cases()),
        cases,
        "not even a date has moved"
    );
    let log = stage.primero.taken();
    assert!(
        log.iter()
            .all(|entry| entry.what.starts_with("GET") && !entry.what.ends_with("/referrals")),
        "{log:?}"
    );
    // A nightly job saves everything, and nothing differs.
    stage.primero.peer(|sim| sim.bump_cases_of("worker"));
    stage.run();
    let log = stage.primero.taken();
    assert!(log.iter().all(|entry| entry.what.starts_with("GET")), "{log:?}");
}
