//! Peers that fail: each by itself, without being hammered, and one bad record holds up only its own child.

use crate::line::{Fault, Rule};
use crate::office::{SCHOOL, but, case, referral};
use crate::stage::{EMAIL, PASSWORD, Stage, USER};
use chrono::TimeDelta;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use referral_gateway::shell::session::kept_owed;
use serde_json::json;
use simulators::oscar::{Child, NgoReferral, Office};
use simulators::wire::Reply;
use simulators::{oscar, primero};
use std::time::Duration;

const PUSH: &str = "POST /api/v1/organizations/clients/upsert";
const PULL: &str = "GET /api/v1/organizations/clients";

fn html(status: u16) -> Reply {
    Reply::html(status, "<h1>Trouble</h1>")
}

/// OSCaR as published (oscar-measured.md fact 1).
#[test]
fn an_oscar_that_fails_every_push_is_not_hammered_and_the_queue_stays_whole() {
    let mut config = oscar::Config::default_for(EMAIL, PASSWORD);
    config.strict_current_user = true;
    let mut stage = Stage::with(primero::Config::cambodia(USER, PASSWORD), config);
    let keys: Vec<String> = (0..20).map(|n| stage.accept(&referral(n))).collect();
    let report = stage.run();
    assert_eq!(report.oscar.trouble, Some(Trouble::Server));
    let doubted = |stage: &Stage| {
        keys.iter()
            .filter(|key| stage.head(key).state == State::InDoubt)
            .count()
    };
    assert_eq!(doubted(&stage), 1);
    for _ in 1..50 {
        stage.run();
    }
    let (pushes, pulls) = (stage.oscar.count(PUSH), stage.oscar.count(PULL));
    println!(
        "50 sessions: {pushes} pushes, {pulls} pulls, {} in doubt",
        doubted(&stage)
    );
    assert!(pushes <= 4, "{pushes} pushes in four hours");
    assert_eq!((doubted(&stage), pulls), (pushes, 50));
    let pending = keys
        .iter()
        .filter(|key| stage.head(key).state == State::Pending)
        .count();
    assert_eq!(pending, 20 - pushes);

    // A restart is no reason to try at once, and a person is.
    stage.restart();
    stage.run();
    assert_eq!(stage.oscar.count(PUSH), pushes);
    stage.oscar.peer(|sim| sim.config.strict_current_user = false);
    stage.run_as(false, true).expect("the store works");
    assert_eq!(stage.oscar_referrals().len(), 20 - pushes);
}

#[test]
fn one_push_that_fails_holds_up_no_other_child_for_long() {
    let mut stage = Stage::default();
    let keys: Vec<String> = (0..3).map(|n| stage.accept(&referral(n))).collect();
    stage
        .oscar
        .fault(Rule::once("POST", "/upsert", Fault::Instead(html(500))));
    stage.run();
    stage.run();
    let delivered = keys
        .iter()
        .filter(|key| stage.head(key).state == State::Delivered)
        .count();
    assert_eq!(delivered, 2);
    assert_eq!(
        stage.state(&keys[0]),
        (State::InDoubt, Some(Reason::PushServerError))
    );
}

/// One tenant without a complete office makes every pull of everybody a 500 (oscar.md §9.1.11).
#[test]
fn a_poisoned_pull_does_not_stop_pushes() {
    let mut config = oscar::Config::default_for(EMAIL, PASSWORD);
    config.tenants[3].office = Office::NoSettings;
    let tenant = config.tenants[3].short_name.clone();
    let mut stage = Stage::with(primero::Config::cambodia(USER, PASSWORD), config);
    stage.oscar.peer(|sim| {
        let id = sim
            .register_ngo_child(&tenant, &Child::named("Poison", "Child"))
            .expect("complete");
        sim.refer_to_primero(&tenant, id, &NgoReferral::of("Kinship care", "low", "x"))
            .expect("made");
    });
    let keys: Vec<String> = (0..3).map(|n| stage.accept(&referral(n))).collect();
    stage.run();
    for key in &keys {
        assert_eq!(stage.state(key), (State::Delivered, None));
    }
    assert_eq!(
        stage
            .oscar_referrals()
            .iter()
            .filter(|row| row.tenant == "cif")
            .count(),
        3
    );
}

#[test]
fn one_bad_record_holds_up_only_its_own_child() {
    // 422: Primero refuses the value itself, since somebody took it out of the lookup after the gateway's last look.
    let mut stage = Stage::default();
    stage.run();
    stage.primero.peer(|sim| {
        let lookups = &mut sim.config_mut().lookups;
        lookups.insert("lookup-risk-level".to_owned(), vec!["high".to_owned()]);
    });
    let bad = stage.accept(&but(referral(0), "/risk_level", json!("low")));
    let good: Vec<String> = (1..4).map(|n| stage.accept(&referral(n))).collect();
    stage.run();
    assert_eq!(stage.state(&bad), (State::Parked, Some(Reason::PrimeroRefused)));
    for key in &good {
        assert_eq!(stage.state(key), (State::Delivered, None));
    }

    // 500 on one case only.
    let mut stage = Stage::default();
    let id = stage.enter_case(case(0));
    let short = stage.primero_case(&id)["short_id"].clone();
    let bad = stage.accept(&but(referral(0), "/child/primero_case_id", short));
    stage
        .primero
        .fault(Rule::always("PATCH", "/cases/", Fault::Instead(html(500))));
    let good: Vec<String> = (1..4).map(|n| stage.accept(&referral(n))).collect();
    for _ in 0..12 {
        stage.run();
    }
    assert_eq!(stage.state(&bad), (State::Parked, Some(Reason::TooManyFailures)));
    assert_eq!(stage.primero.count("PATCH"), 8);
    for key in &good {
        assert_eq!(stage.state(key), (State::Delivered, None));
    }
}

/// A server that fails on everything fails on no record in particular.
#[test]
fn an_outage_with_server_errors_sets_nothing_aside() {
    for events in [1, 2, 6] {
        let mut stage = Stage::default();
        let keys: Vec<String> = (0..events).map(|n| stage.accept(&referral(n))).collect();
        stage
            .primero
            .fault(Rule::always("", "/api/v2/", Fault::Instead(html(500))));
        for _ in 0..40 {
            let report = stage.run();
            assert_eq!(report.primero.trouble, Some(Trouble::Server));
        }
        assert!(stage.primero.count("POST /api/v2/cases") <= 3 * 40);
        stage.primero.mend();
        stage.run();
        for key in &keys {
            assert_eq!(stage.state(key), (State::Delivered, None), "{events}");
        }
    }
}

/// Records that fail on the first request must not keep the others waiting behind them.
#[test]
fn several_bad_records_in_front_do_not_stop_the_rest() {
    let mut stage = Stage::default();
    let mut bad = Vec::new();
    for n in 0..4 {
        let id = stage.enter_case(case(n));
        let short = stage.primero_case(&id)["short_id"].clone();
        bad.push(stage.accept(&but(referral(n), "/child/primero_case_id", short)));
    }
    stage
        .primero
        .fault(Rule::always("GET", "/api/v2/cases", Fault::Instead(html(500))));
    stage.run();
    stage.primero.mend();
    // Only lookups by number fail now; new children need none.
    stage
        .primero
        .fault(Rule::always("PATCH", "/api/v2/cases/", Fault::Instead(html(500))));
    let good: Vec<String> = (10..13).map(|n| stage.accept(&referral(n))).collect();
    for _ in 0..16 {
        stage.run();
    }
    for key in &good {
        assert_eq!(stage.state(key), (State::Delivered, None));
    }
    for key in &bad {
        assert_eq!(stage.state(key), (State::Parked, Some(Reason::TooManyFailures)));
    }
}

#[test]
fn events_of_one_child_keep_their_order() {
    let mut stage = Stage::default();
    let first = stage.accept(&referral(1));
    let event = but(referral(1), "/event_key", json!("second"));
    let second = stage.accept(&but(event, "/services", json!([{"subtype": SCHOOL}])));
    let other = stage.accept(&referral(2));
    stage
        .oscar
        .fault(Rule::once("POST", "/upsert", Fault::AnswerLost));
    for _ in 0..5 {
        stage.run();
    }
    assert_eq!(stage.head(&first).state, State::InDoubt);
    assert_eq!(stage.state(&other), (State::Delivered, None));
    let waiting = stage.head(&second);
    assert_eq!((waiting.state, waiting.attempts), (State::Pending, 0));
    stage.ngo_registers("cif");
    stage.settle();
    assert_eq!(stage.state(&second), (State::Delivered, None));
}

#[test]
fn a_server_that_asks_to_wait_is_left_alone() {
    for status in [429, 503] {
        let busy = || Fault::Instead(html(status).with_header("Retry-After", "120"));
        let mut stage = Stage::default();
        let keys: Vec<String> = (0..3).map(|n| stage.accept(&referral(n))).collect();
        stage.primero.fault(Rule::once("POST", "/referrals", busy()));
        let report = stage.run();
        assert_eq!(report.primero.trouble, Some(Trouble::Throttled));
        assert_eq!(report.primero.retry_after, Some(Duration::from_secs(120)));
        stage.oscar.fault(Rule::once("POST", "/upsert", busy()));
        let report = stage.run();
        assert_eq!(report.oscar.trouble, Some(Trouble::Throttled));
        assert_eq!(stage.oscar.count(PUSH), 1);
        stage.run();
        for key in &keys {
            assert_eq!(stage.state(key), (State::Delivered, None), "{status}");
        }
        assert_eq!(
            (stage.primero_referrals().len(), stage.oscar_referrals().len()),
            (3, 3)
        );
    }
}

#[test]
fn a_configuration_update_at_primero_costs_one_request() {
    let mut stage = Stage::default();
    stage.accept(&referral(1));
    stage.primero.peer(|sim| sim.switches().config_lock = true);
    let report = stage.run();
    assert_eq!(report.primero.trouble, Some(Trouble::Throttled));
    assert_eq!(stage.primero.taken().len(), 1);
}

#[test]
fn nothing_is_lost_or_doubled_behind_a_portal_or_without_a_line() {
    let faults = [
        Fault::page(200),
        Fault::page(302),
        Fault::page(511),
        Fault::page(404),
        Fault::page(403),
        Fault::page(502),
        Fault::Never(Phase::Resolve),
        Fault::Never(Phase::Connect),
        Fault::Never(Phase::Certificate),
        Fault::Never(Phase::CertificateDates),
        Fault::Never(Phase::Tls),
    ];
    for fault in faults {
        let mut stage = Stage::default();
        let key = stage.accept(&referral(1));
        stage.primero.fault(Rule::always("", "", fault.clone()));
        stage.oscar.fault(Rule::always("", "", fault.clone()));
        for _ in 0..20 {
            let report = stage.run();
            assert!(
                report.primero.trouble.is_some() && report.oscar.trouble.is_some(),
                "{fault:?}"
            );
            assert!(!report.primero.reached && !report.oscar.reached, "{fault:?}");
        }
        assert_eq!(stage.state(&key), (State::Pending, None), "{fault:?}");
        assert!(stage.primero.taken().len() <= 20 && stage.oscar.taken().len() <= 20);
        stage.primero.mend();
        stage.oscar.mend();
        stage.run();
        assert_eq!(stage.state(&key), (State::Delivered, None), "{fault:?}");
    }
}

/// Something on the way that answers a push with a page of its own has not been OSCaR.
#[test]
fn a_foreign_refusal_of_a_push_does_not_park_the_queue() {
    for status in [403, 404, 405] {
        let mut stage = Stage::default();
        let keys: Vec<String> = (0..5).map(|n| stage.accept(&referral(n))).collect();
        stage
            .oscar
            .fault(Rule::always("POST", "/upsert", Fault::page(status)));
        for _ in 0..3 {
            stage.run();
        }
        stage.oscar.mend();
        stage.run();
        for key in &keys {
            assert_eq!(stage.state(key), (State::Delivered, None), "{status}");
        }
    }
}

/// The watermark moves by OSCaR's clock alone.
#[test]
fn a_box_whose_clock_is_wrong_misses_nothing() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage.run();
    stage.skew(TimeDelta::days(40));
    stage.restart();
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.run();
    assert!(stage.head(&key).closed());
}

/// Primero fails on the referrals of some cases whenever it is asked (primero.md §7.2): they are owed, and nothing else
/// waits for them.
#[test]
fn cases_in_a_row_that_primero_fails_on_hold_nobody_else_up() {
    let mut stage = Stage::default();
    stage.run();
    let mut broken = Vec::new();
    for n in 1..=5 {
        let made = stage.worker_refers(n);
        stage.wait(Duration::from_secs(2));
        let list = format!("/cases/{}/referrals", made.case).leak();
        stage.primero.fault(Rule::always("GET", list, Fault::page(500)));
        broken.push(made);
    }
    let other = stage.worker_refers(6);
    let local = stage.accept(&referral(20));
    for _ in 0..4 {
        stage.run();
    }
    assert_eq!(stage.state(&local), (State::Delivered, None));
    assert_eq!(
        stage.state(&format!("p-{}", other.referral)),
        (State::Delivered, None)
    );
    let report = stage.run();
    assert!(
        report.primero.trouble.is_none() || report.primero.partial,
        "only those cases: {report:?}"
    );
    let owed = stage.store().read(kept_owed).expect("the store reads");
    assert_eq!(owed.len(), 5);
    stage.primero.mend();
    stage.run();
    stage.run();
    for made in broken {
        assert_eq!(
            stage.state(&format!("p-{}", made.referral)),
            (State::Delivered, None)
        );
    }
}
