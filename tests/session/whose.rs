//! Two children never become one, whatever a worker has typed into the field for the ministry's number.

use crate::ngo::child;
use crate::office::{SCHOOL, but, case, referral};
use crate::stage::Stage;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::State;
use serde_json::{Value, json};

const MISTAKEN: (State, Option<Reason>) = (State::Parked, Some(Reason::IdentityMismatch));

/// A referral of a girl of wholly other names, a year older than that of [`referral`].
fn other_girl(n: u64) -> Value {
    let mut event = but(referral(n), "/services", json!([{"subtype": SCHOOL}]));
    event["child"]["given_name"] = json!("Fenchurch");
    event["child"]["family_name"] = json!("Dent");
    event["child"]["local_given_name"] = json!("\u{1798}\u{17bb}\u{1793}\u{17b8}");
    event["child"]["local_family_name"] = json!("\u{1781}\u{17c0}\u{179c}");
    event["child"]["date_of_birth"] = json!("2014-01-01");
    event
}

fn numbered(event: Value, number: &str) -> Value {
    but(event, "/child/mosvy_number", json!(number))
}

fn services(case: &Value) -> usize {
    case["services_section"].as_array().map_or(0, Vec::len)
}

#[test]
fn what_is_no_number_makes_no_two_children_one() {
    for word in ["N/A", "0", "none", "0000", "-"] {
        let mut stage = Stage::default();
        let first = stage.accept(&numbered(referral(1), word));
        stage.run();
        let second = stage.accept(&numbered(other_girl(2), word));
        stage.settle();
        assert_eq!(stage.state(&first), (State::Delivered, None));
        assert_eq!(stage.state(&second), (State::Delivered, None));
        assert_ne!(stage.head(&first).subject, stage.head(&second).subject);
        let cases = stage.primero.peer(|sim| sim.cases());
        assert_eq!(cases.len(), 2, "{word}");
        for case in cases {
            assert_eq!(services(&case), 1);
            assert_eq!(case["mosvy_number"], word, "kept as it was typed");
        }
        let rows = stage.oscar_referrals();
        assert_ne!(rows[0].global_id, rows[1].global_id);
        assert_ne!(rows[0].external_id, rows[1].external_id);
    }
}

#[test]
fn one_number_under_wholly_other_names_is_for_a_person() {
    for at_once in [false, true] {
        let mut stage = Stage::default();
        let first = stage.accept(&numbered(referral(1), "M-9808827"));
        if !at_once {
            stage.run();
        }
        let second = stage.accept(&numbered(other_girl(2), "M-9808827"));
        assert_ne!(stage.head(&first).subject, stage.head(&second).subject);
        stage.settle();
        assert_eq!(stage.state(&first), (State::Delivered, None));
        assert_eq!(stage.state(&second), MISTAKEN);
        assert_eq!(services(&stage.only_case()), 1);
        assert_eq!(stage.oscar_referrals().len(), 1);
    }
}

#[test]
fn one_number_and_one_name_in_either_script_are_one_child() {
    // Primero takes a filter of digits for a number and finds no text by it (primero.md, section 2.1): the box knows the child.
    for number in ["9808827", "M-9808827"] {
        one_name_will_do(number);
    }
}

fn one_name_will_do(number: &str) {
    let same = [
        ("given_name", "ZAPHODINA1"),
        ("family_name", "Beeblebrox"),
        // Entered the wrong way round.
        ("given_name", "Beeblebrox"),
        ("local_family_name", "\u{179f}\u{17bb}\u{1781}"),
    ];
    for (name, value) in same {
        let mut stage = Stage::default();
        let first = stage.accept(&numbered(referral(1), number));
        stage.run();
        let event = numbered(other_girl(2), number);
        let second = stage.accept(&but(event, &format!("/child/{name}"), json!(value)));
        stage.settle();
        assert_eq!(stage.state(&second), (State::Delivered, None), "{name}");
        assert_eq!(stage.head(&first).subject, stage.head(&second).subject);
        assert_eq!(services(&stage.only_case()), 2);
    }
}

#[test]
fn a_name_known_in_another_script_only_speaks_against_nobody() {
    let mut stage = Stage::default();
    stage.enter_case(but(case(1), "/mosvy_number", json!("M-9808827")));
    let mut event = numbered(other_girl(2), "M-9808827");
    event["child"]["given_name"] = json!(null);
    event["child"]["family_name"] = json!(null);
    let key = stage.accept(&event);
    stage.settle();
    assert_eq!(stage.state(&key), (State::Delivered, None));
    assert_eq!(services(&stage.only_case()), 1);
}

/// A case that carries another OSCaR number is another child's, whatever its names.
#[test]
fn a_case_of_another_oscar_number_is_not_taken() {
    let mut stage = Stage::default();
    let mut data = but(case(1), "/mosvy_number", json!("M-9808827"));
    data["oscar_number"] = json!("01EC45C3SZ6V0Q5H3KV2D34Q80");
    let id = stage.enter_case(data);
    let event = numbered(referral(1), "M-9808827");
    let key = stage.accept(&but(
        event,
        "/child/oscar_global_id",
        json!("01EC45C3SZ6V0Q5H3KV2D34Q81"),
    ));
    stage.settle();
    assert_eq!(stage.state(&key), MISTAKEN);
    assert_eq!(services(&stage.primero_case(&id)), 0);
    assert!(stage.oscar_referrals().is_empty());
}

#[test]
fn what_an_ngo_typed_makes_no_two_children_one() {
    for (number, second, cases) in [("N/A", (State::Delivered, None), 2), ("M-9808827", MISTAKEN, 1)] {
        let mut stage = Stage::default();
        let mut keys = Vec::new();
        for n in 1..=2 {
            let client = stage.ngo_child("cif", &child(n));
            stage.ngo_edits("cif", client, |child| {
                child.mosvy_number = Some(number.to_owned())
            });
            keys.push(format!("o-cif-{}", stage.ngo_refers("cif", client)));
            stage.settle();
        }
        assert_eq!(stage.state(&keys[0]), (State::Delivered, None));
        assert_eq!(stage.state(&keys[1]), second);
        let stored = stage.primero.peer(|sim| sim.cases());
        assert_eq!(stored.len(), cases);
        assert!(stored.iter().all(|case| services(case) == 1));
    }
}

#[test]
fn a_child_an_ngo_shares_is_not_taken_for_another_of_its_number() {
    let mut stage = Stage::default();
    stage.flows.shared_cases = true;
    stage.flows.oscar_consent = referral_gateway::core::flows::OscarConsent::Agreement;
    stage.restart();
    stage.settle();
    let mut data = but(case(1), "/mosvy_number", json!("M-9808827"));
    data["date_of_birth"] = json!("2015-01-01");
    let id = stage.enter_case(data);
    let client = stage.ngo_child("cif", &child(1));
    stage.ngo_edits("cif", client, |child| {
        child.mosvy_number = Some("M-9808827".to_owned())
    });
    let global_id = stage.ngo_client("cif", client).global_id;
    stage.settle();
    assert_eq!(stage.state(&format!("s-{global_id}")), MISTAKEN);
    let case_id = stage.primero_case(&id)["case_id"].clone();
    assert_ne!(
        stage.ngo_client("cif", client).external_id.as_deref(),
        case_id.as_str()
    );
}
