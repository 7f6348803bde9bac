//! How OSCaR is looked into: the first load, the weekly look, the two shapes, and what a failing pull holds up.

use crate::line::{Fault, Rule};
use crate::ngo::child;
use crate::office::{but, referral};
use crate::stage::Stage;
use referral_gateway::core::exchange::Phase;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::record::State;
use serde_json::json;
use simulators::oscar::{NgoReferral, Office};
use simulators::wire::Reply;
use std::time::Duration;

const PULL: &str = "GET /api/v1/organizations/clients";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A tenant whose office is only a province makes every pull a 500 that meets one of its referred children
/// (oscar-measured.md 2.5).
#[test]
fn a_poisoned_pull_is_shown_and_stops_nothing_but_pulls() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    let poison =
        |tenant: &mut simulators::oscar::Tenant| tenant.office = Office::ProvinceOnly("01".to_owned());
    stage
        .oscar
        .peer(|sim| sim.alter_tenant("tpo", poison))
        .expect("a tenant");
    stage.ngo_refers_new_child("tpo", 8);
    let second = stage.accept(&referral(2));
    let report = stage.run();
    assert_eq!(
        (report.oscar.trouble, report.oscar.partial),
        (Some(Trouble::Server), true)
    );
    assert!(report.oscar.reached);
    assert_eq!(report.oscar.pull_ok, Some(false));
    assert_eq!(
        stage.state(&second),
        (State::Delivered, None),
        "pushes do not wait for pulls"
    );
    // What happens meanwhile is seen afterwards: the watermark has not moved.
    stage.ngo_decides("cif", "Accepted");
    let (_, number) = stage.ngo_refers_new_child("cif", 3);
    for _ in 0..10 {
        stage.wait(DAY);
        stage.run();
    }
    assert_eq!(stage.head(&key).decision(), None);
    let mend = |tenant: &mut simulators::oscar::Tenant| tenant.office = Office::Commune("010203".to_owned());
    stage
        .oscar
        .peer(|sim| sim.alter_tenant("tpo", mend))
        .expect("a tenant");
    let report = stage.run();
    assert_eq!((report.oscar.trouble, report.oscar.pull_ok), (None, Some(true)));
    stage.settle();
    assert!(stage.head(&key).closed(), "{:?}", stage.head(&key).work);
    assert_eq!(stage.state(&format!("o-cif-{number}")), (State::Delivered, None));
}

/// Forty days back, in windows of a week, and then the plain pull from the same day.
#[test]
fn a_first_load_goes_window_by_window_and_goes_on_after_a_cut() {
    for cut in [false, true] {
        let mut stage = Stage::default();
        let old = stage.ngo_refers_new_child("cif", 1).1;
        stage.wait(DAY * 20);
        let new = stage.ngo_refers_new_child("cif", 2).1;
        stage.wait(DAY * 20);
        stage.flows.start = Some(stage.clock.utc().timestamp() - 41 * 24 * 3600);
        stage.restart();
        if cut {
            // The third window breaks off, and the power goes after it.
            let lost = Rule::once("GET", "/clients", Fault::CutOff).after(2);
            stage.oscar.fault(lost);
            stage.run();
            assert_eq!(stage.oscar.count(PULL), 3);
            stage.cut(7);
            stage.oscar.taken();
            stage.run();
            let windows = stage.oscar.count(PULL);
            assert!(
                (6..=9).contains(&windows),
                "{windows}: not from the beginning, and narrower at first"
            );
        } else {
            stage.run();
            assert_eq!(stage.oscar.count(PULL), 7, "six windows, and the plain pull");
        }
        stage.settle();
        for number in [old, new] {
            assert_eq!(stage.state(&format!("o-cif-{number}")), (State::Delivered, None));
        }
        assert_eq!(stage.primero.peer(|sim| sim.cases()).len(), 2);
    }
}

/// A start of "now" looks at nothing that was there before, not even in the weekly look.
#[test]
fn what_was_there_before_a_start_of_now_is_left_alone() {
    let mut stage = Stage::default();
    stage.ngo_refers_new_child("cif", 1);
    stage.wait(DAY);
    stage.run();
    for _ in 0..20 {
        stage.wait(DAY);
        stage.run_reaching_back();
    }
    assert_eq!(stage.store().queue(|queue| queue.len()), 0);
}

/// An NGO that switches its integration on later: no stamp has moved, and the weekly look finds the referral.
#[test]
fn the_weekly_look_finds_what_moved_no_date() {
    let mut stage = Stage::default();
    stage.run();
    stage
        .oscar
        .peer(|sim| sim.set_integrated("cif", false))
        .expect("a tenant");
    stage.wait(DAY);
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    for _ in 0..3 {
        stage.wait(DAY);
        stage.run();
    }
    stage
        .oscar
        .peer(|sim| sim.set_integrated("cif", true))
        .expect("a tenant");
    stage.run();
    let key = format!("o-cif-{number}");
    assert_eq!(stage.store().queue(|queue| queue.len()), 0, "no stamp has moved");
    stage.oscar.taken();
    let mut deep = 0;
    for _ in 0..14 {
        stage.wait(DAY);
        stage.run();
        deep += usize::from(stage.oscar.count(PULL) == 2);
        stage.oscar.taken();
    }
    assert_eq!(deep, 2, "once a week, by OSCaR's clock");
    assert_eq!(stage.state(&key), (State::Delivered, None));
}

/// The same by a box whose own clock stands still at the epoch: only the server's counts.
#[test]
fn a_box_with_a_wrong_clock_sees_everything_all_the_same() {
    let mut stage = Stage::default();
    stage.skew(chrono::TimeDelta::days(-3000));
    stage.run();
    stage.wait(DAY);
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let key = format!("o-cif-{number}");
    assert_eq!(
        stage.state(&key),
        (State::Delivered, None),
        "{:?}",
        stage.head(&key).history
    );
    let notes = stage.only_case()["services_section"][0]["referral_notes_from_oscar_2e787b8"].clone();
    let day = stage.clock.utc().format("%Y-%m-%d").to_string();
    assert!(notes.as_str().is_some_and(|text| text.contains(&day)), "{notes}");
}

/// The shape of one child changes with the distance of the cursor (oscar-measured.md fact 4): nothing is cleared, made
/// twice, or written again and again.
#[test]
fn a_child_that_changes_shape_stays_the_same_child() {
    let mut stage = Stage::default();
    let (_, number) = stage.ngo_refers_new_child("cif", 1);
    stage.settle();
    let key = format!("o-cif-{number}");
    assert!(stage.head(&key).work.link_seen);
    let case = stage.only_case();
    let commits = stage.store().figures().commits;
    for n in 0..50 {
        stage.run_as(n % 6 == 0, false).expect("the store works");
    }
    assert_eq!(stage.only_case(), case);
    assert_eq!(stage.store().queue(|queue| queue.len()), 1);
    let more = stage.store().figures().commits - commits;
    assert!(more <= 2, "{more} commits for no news");
}

/// Broken answers, pages of a hotel's network, an empty answer: the watermark stays, and nothing is lost.
#[test]
fn whatever_becomes_of_a_pull_the_referral_is_seen_in_the_next() {
    let page = Reply::html(200, "<h1>Sign in</h1>");
    for fault in [
        Fault::CutOff,
        Fault::AnswerLost,
        Fault::Never(Phase::Connect),
        Fault::Instead(page),
        Fault::Instead(Reply::text(500, "500 Internal Server Error")),
        Fault::Instead(Reply::html(503, "busy")),
    ] {
        let mut stage = Stage::default();
        stage.run();
        stage.wait(DAY);
        let client = stage.ngo_child("cif", &child(1));
        let number = stage.ngo_refers("cif", client);
        stage.oscar.fault(Rule::once("GET", "/clients", fault.clone()));
        stage.run();
        stage.wait(DAY * 3);
        stage.settle();
        assert_eq!(
            stage.state(&format!("o-cif-{number}")),
            (State::Delivered, None),
            "{fault:?}"
        );
        assert_eq!(stage.primero.peer(|sim| sim.cases()).len(), 1);
    }
}

/// Where the queue has no room, the watermark waits with the referral.
#[test]
fn what_finds_no_room_is_taken_in_when_there_is_some() {
    let mut stage = Stage::default();
    stage.limits.events = 1;
    stage.restart();
    stage
        .primero
        .fault(Rule::always("POST", "/cases", Fault::Never(Phase::Connect)));
    let numbers: Vec<i64> = (1..4).map(|n| stage.ngo_refers_new_child("cif", n).1).collect();
    stage.settle();
    assert_eq!(stage.store().queue(|queue| queue.len()), 1);
    stage.primero.mend();
    stage.wait(DAY * 3);
    stage.settle();
    stage.settle();
    for number in numbers {
        assert_eq!(stage.state(&format!("o-cif-{number}")), (State::Delivered, None));
    }
}

/// A look that goes back before what the operator chose sees a referral an NGO has just made, and may not take it in: the
/// next pull does.
#[test]
fn what_a_look_for_somebody_else_has_seen_is_taken_in_by_the_next_pull() {
    let mut stage = Stage::default();
    stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    stage.settle();
    let client = stage.oscar.peer(|sim| sim.clients())[0].client.id;
    stage.accept(&referral(3));
    let stranger = json!("01EC45C3SZ6V0Q5H3KV2D34Q80");
    stage.accept(&but(referral(2), "/child/oscar_global_id", stranger));
    stage
        .oscar
        .meanwhile("POST", "/upsert", 0, move |sim: &mut simulators::oscar::Sim| {
            let new = NgoReferral::of("School support", "medium", "made while the session was at work");
            sim.refer_to_primero("cif", client, &new).expect("valid");
        });
    stage.settle();
    let rows = stage.oscar_referrals();
    let made: Vec<i64> = rows
        .iter()
        .filter(|row| row.reason.starts_with("made while"))
        .map(|row| row.id)
        .collect();
    assert_eq!(made.len(), 1);
    assert!(
        stage.find(&format!("o-cif-{}", made[0])).is_some(),
        "nobody would ever see it"
    );
}
