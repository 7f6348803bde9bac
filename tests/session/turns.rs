//! A long queue over a bad line: the peers take turns, what is urgent overtakes, and a turn that is cut short judges
//! nobody.

use crate::line::{Fault, Rule};
use crate::office::{but, referral};
use crate::stage::Stage;
use referral_gateway::core::record::State;
use simulators::wire::Reply;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const QUEUE: u64 = 100;
/// Milliseconds an exchange takes over the line of issue 4, forced round trip included.
const BAD_LINE_MS: u64 = 700;

/// A referral that can wait.
fn patient(n: u64) -> serde_json::Value {
    but(referral(n), "/risk_level", "low".into())
}

#[test]
fn an_ngo_hears_of_the_first_child_and_of_an_urgent_one_long_before_the_queue_is_through() {
    let mut stage = Stage::default();
    let mut keys: Vec<String> = (0..QUEUE).map(|n| stage.accept(&patient(n))).collect();
    stage.primero.slow(BAD_LINE_MS);
    stage.oscar.slow(BAD_LINE_MS);
    let (door, clock) = (stage.door(), stage.clock.clone());
    // In the middle of the session, in the middle of Primero's first turn.
    stage.primero.meanwhile("POST", "/api/v2/cases", 10, move |_| {
        let accepted = door.accept(&referral(QUEUE), clock.now());
        accepted.expect("the store works");
    });
    keys.push(format!("event-{QUEUE}"));
    let (cases, first) = (stage.primero.clone(), Arc::new(AtomicUsize::new(0)));
    let at_first_push = Arc::clone(&first);
    stage.oscar.meanwhile("POST", "/upsert", 0, move |_| {
        at_first_push.store(cases.peer(|sim| sim.cases().len()), Relaxed);
    });
    let report = stage.run_at_once();
    assert!(report.primero.trouble.is_none() && report.oscar.trouble.is_none());
    for key in &keys {
        assert_eq!(stage.state(key).0, State::Delivered, "{key}");
    }
    assert_eq!(stage.oscar_referrals().len(), keys.len(), "each once");

    let log = stage.oscar.taken();
    let pushes: Vec<_> = log.iter().filter(|sent| sent.what.ends_with("/upsert")).collect();
    let urgent = pushes
        .iter()
        .position(|push| push.body.contains(&format!("Zaphodina{QUEUE}\"")));
    let (first, urgent) = (first.load(Relaxed), urgent.expect("it was pushed"));
    println!(
        "first push after {first} cases, the urgent one is push {urgent} of {}",
        pushes.len()
    );
    assert!((10..50).contains(&first), "{first}");
    assert_eq!(urgent, first, "right after what was on its way");
}

/// An exchange that takes longer than a turn, so that every turn is one event.
#[test]
fn a_record_that_fails_slowly_is_judged_beside_the_others_of_its_round() {
    let mut stage = Stage::default();
    let keys: Vec<String> = (0..4).map(|n| stage.accept(&patient(n))).collect();
    stage.primero.slow(70_000);
    let page = Reply::html(500, "<h1>Trouble</h1>");
    stage
        .primero
        .fault(Rule::once("POST", "/api/v2/cases", Fault::Instead(page)));
    let report = stage.run_at_once();
    println!("{report:?}");
    assert!(report.primero.trouble.is_none(), "{report:?}");
    let delivered = |stage: &Stage| {
        keys.iter()
            .filter(|key| stage.state(key).0 == State::Delivered)
            .count()
    };
    assert!(delivered(&stage) >= 3, "the others are not held up");
    for _ in 0..3 {
        stage.run();
    }
    assert_eq!(delivered(&stage), keys.len());
    assert_eq!(stage.oscar_referrals().len(), keys.len(), "each once");
}
