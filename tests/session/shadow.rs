//! Shadow mode: the whole chain of every event is planned, nobody is told, and nothing is left behind.

use crate::line::Logged;
use crate::office::{SCHOOL, but, case, referral};
use crate::stage::Stage;
use referral_gateway::core::outbox;
use referral_gateway::core::record::State;
use referral_gateway::core::schedule::Orders;
use referral_gateway::shell::session::shadowed::{Shades, Shadowed};
use referral_gateway::shell::shadow::told;
use referral_gateway::store::{DeviceKey, Store};
use serde_json::{Value, json};

/// Plays a session in the shadow and says what `sync --shadow` would.
fn shadow(stage: &Stage, reveal: bool) -> Value {
    let folder = tempfile::tempdir().expect("room for a copy");
    let path = folder.path().join("shadow.redb");
    stage.store().copy_to(&path).expect("the store can be copied");
    let key = DeviceKey::from_bytes([stage.device; 32]);
    let unix = Some(stage.clock.utc().timestamp());
    let (copy, opened) = Store::open(&path, key, unix, &outbox::recover).expect("the copy opens");
    let shades = Shades::default();
    let mut ground = stage.ground(&copy, opened.boot);
    ground.in_hand = shades.in_hand.clone();
    let primero = Shadowed::new(stage.primero.clone(), Some(shades.primero.clone()));
    let oscar = Shadowed::new(stage.oscar.clone(), Some(shades.oscar.clone()));
    let orders = Orders {
        primero: true,
        oscar: true,
        reach_back: true,
        by_hand: true,
        urgent_only: false,
    };
    let report = stage
        .session_on(ground, primero, oscar)
        .run(orders)
        .expect("the copy works");
    told(stage.store(), &copy, &shades, &report, reveal)
        .expect("the copy reads")
        .body
}

/// Writes that left the box, signing in aside.
fn writes(stage: &Stage) -> Vec<Logged> {
    let mut log = stage.primero.taken();
    log.extend(stage.oscar.taken());
    log.retain(|entry| !entry.what.starts_with("GET ") && !entry.what.ends_with("/sign_in"));
    log
}

fn steps(told: &Value) -> Vec<(String, String)> {
    let events = told["events"].as_array().expect("events").iter();
    let steps = events.flat_map(|event| event["steps"].as_array().expect("steps"));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    steps
        .map(|step| (text(&step["to"]), text(&step["what"])))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(to, what)| ((*to).to_owned(), (*what).to_owned()))
        .collect()
}

#[test]
fn the_whole_chain_of_an_event_is_planned_and_nobody_is_told() {
    let mut stage = Stage::default();
    let key = stage.accept(&referral(1));
    let before = stage.disk.contents();
    let told = shadow(&stage, false);
    assert_eq!(
        steps(&told),
        pairs(&[
            ("primero", "create case"),
            ("primero", "create referral"),
            ("oscar", "push referral")
        ])
    );
    assert_eq!(told["events"][0]["event_key"], json!(key));
    assert_eq!(told["events"][0]["would_be"], "delivered");
    assert_eq!(writes(&stage), Vec::new() as Vec<Logged>);
    assert!(stage.primero.peer(|sim| sim.cases()).is_empty() && stage.oscar_referrals().is_empty());
    assert!(
        stage.disk.contents() == before,
        "the store is as it was, to the byte"
    );

    // What is planned is what is then done.
    stage.run();
    let done: Vec<String> = writes(&stage)
        .into_iter()
        .map(|entry| entry.what)
        .filter(|what| !what.contains("tokens"))
        .collect();
    assert_eq!(done.len(), 3, "{done:?}");
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(shadow(&stage, false)["writes"], 0, "and nothing is left to do");
}

#[test]
fn an_existing_case_is_shown_from_what_to_what() {
    let mut stage = Stage::default();
    let id = stage.enter_case(case(1));
    let short = stage.primero_case(&id)["short_id"].clone();
    stage.accept(&but(referral(1), "/child/primero_case_id", short));
    let told = shadow(&stage, false);
    assert_eq!(
        steps(&told),
        pairs(&[
            ("primero", "change case"),
            ("primero", "create referral"),
            ("oscar", "push referral")
        ])
    );
    assert_eq!(told["events"][0]["steps"][0]["target"], json!(id));
    assert!(
        stage.primero_case(&id)["services_section"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );

    // The way back: the decision in the referral and in the service, from pending to accepted.
    stage.settle();
    stage.ngo_registers("cif");
    stage.ngo_decides("cif", "Accepted");
    writes(&stage);
    let told = shadow(&stage, true);
    assert_eq!(
        steps(&told),
        pairs(&[("primero", "decide referral"), ("primero", "change case")])
    );
    let fields = told["events"][0]["steps"][1]["fields"]
        .as_array()
        .expect("fields")
        .clone();
    let decision = fields
        .iter()
        .find(|field| field["to"] == "accepted_340953")
        .expect("the decision");
    assert_eq!(decision["from"], "pending_310366");
    assert!(decision["field"].as_str().expect("text").starts_with("service "));
    assert_eq!(writes(&stage).len(), 0);
}

#[test]
fn what_speaks_of_a_child_is_shown_only_to_whoever_asks_for_it() {
    let mut stage = Stage::default();
    stage.accept(&referral(1));
    let hidden = shadow(&stage, false).to_string();
    for word in [
        "Zaphodina",
        "Beeblebrox",
        "2015-05-05",
        "10060805",
        "needs a home",
        "012000001",
        "high",
    ] {
        assert!(!hidden.contains(word), "{word}: {hidden}");
    }
    assert!(hidden.contains("family_based_care_kinship") && hidden.contains("agency-cif-user"));
    let shown = shadow(&stage, true).to_string();
    assert!(shown.contains("Zaphodina1") && shown.contains("needs a home"));
}

#[test]
fn events_that_would_stop_say_why_and_the_others_go_on() {
    let mut stage = Stage::default();
    let lost = stage.accept(&but(referral(1), "/child/primero_case_id", json!("5a04e68")));
    let good = stage.accept(&referral(2));
    let told = shadow(&stage, false);
    let events = told["events"].as_array().expect("events");
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[0]["event_key"], &events[0]["would_be"]),
        (&json!(lost), &json!("parked"))
    );
    assert_eq!(
        (&events[0]["reason"], &events[0]["steps"]),
        (&json!("case_not_found"), &json!([]))
    );
    assert_eq!(
        (&events[1]["event_key"], &events[1]["would_be"]),
        (&json!(good), &json!("delivered"))
    );
    assert_eq!(
        stage.state(&lost),
        (State::Pending, None),
        "a shadow parks nothing"
    );
}

#[test]
fn what_a_push_would_write_over_at_the_ngo_is_shown() {
    let mut stage = Stage::default();
    stage.accept(&referral(1));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    let more = but(referral(1), "/event_key", json!("more"));
    stage.accept(&but(more, "/services", json!([{"subtype": SCHOOL}])));
    writes(&stage);
    let told = shadow(&stage, true);
    let steps = told["events"][0]["steps"].as_array().expect("steps");
    let push = steps
        .iter()
        .find(|step| step["what"] == "push referral")
        .expect("a push");
    let fields = push["fields"].as_array().expect("fields");
    let name = fields
        .iter()
        .find(|field| field["field"] == "given_name")
        .expect("written over");
    assert_eq!(
        (&name["from"], &name["to"]),
        (&json!("Zaphodina1"), &json!("Zaphodina1"))
    );
    let shown = shadow(&stage, false).to_string();
    assert!(!shown.contains("Zaphodina1"), "{shown}");
}

#[test]
fn a_decision_for_the_ngo_stands_with_its_own_event() {
    let mut stage = Stage::default();
    let first = stage.accept(&referral(1));
    let second = stage.accept(&referral(2));
    stage.run();
    stage.ngo_registers("cif");
    stage.settle();
    for made in stage.primero_referrals() {
        let id = made["id"].as_str().expect("an id").to_owned();
        let decided = stage
            .primero
            .peer(|sim| sim.decide_referral(&id, "rejected", "no room"));
        decided.expect("the agency's user may");
    }
    writes(&stage);
    let told = shadow(&stage, false);
    for key in [&first, &second] {
        let events = told["events"].as_array().expect("events");
        let event = events
            .iter()
            .find(|event| event["event_key"] == json!(key))
            .expect("planned for");
        let steps = event["steps"].as_array().expect("steps").iter();
        let decisions = steps.filter(|step| step["what"] == "write decision").count();
        assert_eq!(decisions, 1, "{told}");
    }
}
