//! What the door of design §3 lets in, and what it says of the rest.

use chrono::NaiveDate;
use referral_gateway::core::event::Kind;
use referral_gateway::core::intake::{Rules, check};
use referral_gateway::core::mapping::Mapping;
use serde_json::{Value, json};

fn rules(mapping: &Mapping) -> Rules<'_> {
    static ORGANIZATIONS: std::sync::LazyLock<Vec<String>> =
        std::sync::LazyLock::new(|| vec!["cif".to_owned(), "gpc".to_owned()]);
    Rules {
        mapping,
        organizations: &ORGANIZATIONS,
        today: NaiveDate::from_ymd_opt(2026, 11, 23),
    }
}

fn good() -> Value {
    json!({"kind": "referral", "to": "oscar", "organization": "cif",
        "child": {"given_name": "Dara", "family_name": "\u{179f}\u{17bb}\u{1781}", "sex": "female",
            "date_of_birth": "2015-01-01", "location_code": "10060805"},
        "services": [{"subtype": "family_based_care_kinship"}],
        "reason": "needs a home", "risk_level": "high", "referred_on": "2026-11-20",
        "consent": {"services": true, "disclosure_other_organizations": true},
        "case_worker": {"name": "Officer 1", "phone": "000"}})
}

/// The paths refused when the value at a pointer is replaced (or a new key is added).
fn refused(pointer: &str, value: Value) -> Vec<String> {
    let mapping = Mapping::built_in();
    let mut event = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => unreachable!(),
    }
    match check(&event, &rules(&mapping)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.path).collect(),
    }
}

#[test]
fn a_complete_referral_is_accepted() {
    let mapping = Mapping::built_in();
    let checked = check(&good(), &rules(&mapping)).expect("valid");
    assert_eq!(checked.payload.kind(), Kind::Referral);
    assert_eq!(format!("{:?}", checked.payload).matches("Dara").count(), 0);
}

#[test]
fn each_wrong_field_is_named_once() {
    for (pointer, value) in [
        ("/organization", json!("nobody")),
        ("/child/sex", json!("girl")),
        ("/child/date_of_birth", json!("2015/01/01")),
        ("/child/date_of_birth", json!("22015-01-01")),
        ("/child/date_of_birth", json!("2027-01-01")),
        ("/child/date_of_birth", json!("2015-02-30")),
        ("/child/date_of_birth", Value::Null),
        ("/child/location_code", json!("12a")),
        ("/child/location_code", json!(10060805)),
        ("/child/primero_case_id", json!("AB")),
        ("/child/oscar_global_id", json!("01ec45c3sz6v0q5h3kv2d34q80")),
        ("/services/0/subtype", json!("made_up")),
        ("/reason", json!("")),
        ("/reason", json!("a\u{0}b")),
        ("/risk_level", Value::Null),
        ("/risk_level", json!("severe")),
        ("/referred_on", json!("2026-11-24")),
        ("/consent/services", json!(false)),
        ("/consent/services", json!("yes")),
        ("/consent/disclosure_other_organizations", Value::Null),
        ("/case_worker/phone", Value::Null),
        ("/event_key", json!("Sok Dara")),
        ("/event_key", json!("o-cif-17")),
        ("/event_key", json!("p-3f6ad1d6-7f2a-4d0c-8f2f-1d7f5a04e68b")),
        ("/event_key", json!("s-01EC45C3SZ6V0Q5H3KV2D34Q80")),
        ("/event_key", json!("c-cif-5")),
        ("/surprise", json!(1)),
        ("/child/nickname", json!("x")),
    ] {
        assert_eq!(refused(pointer, value), vec![pointer.to_owned()]);
    }
}

#[test]
fn several_errors_come_together() {
    let mapping = Mapping::built_in();
    let errors = check(&json!({"kind": "referral"}), &rules(&mapping)).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    for path in [
        "/to",
        "/organization",
        "/child",
        "/services",
        "/reason",
        "/referred_on",
        "/consent",
    ] {
        assert!(paths.contains(&path), "{path} missing in {paths:?}");
    }
    assert!(check(&json!([1]), &rules(&mapping)).is_err());
}

#[test]
fn a_name_in_either_script_will_do_but_none_will_not() {
    assert!(refused("/child/local_given_name", json!("\u{178a}\u{17b6}")).is_empty());
    assert_eq!(
        refused("/child/given_name", json!(" ")),
        vec!["/child/given_name"]
    );
}

#[test]
fn a_referral_to_primero_needs_a_place_with_an_owner() {
    let mapping = Mapping::built_in();
    let mut event = good();
    event["to"] = json!("primero");
    assert!(check(&event, &rules(&mapping)).is_ok());
    event["child"]["location_code"] = json!("1902");
    let errors = check(&event, &rules(&mapping)).unwrap_err();
    assert_eq!(errors[0].path, "/child/location_code");
    event["child"]["primero_case_id"] = json!("5a04e68");
    assert!(check(&event, &rules(&mapping)).is_ok());
}

#[test]
fn decisions_and_withdrawals_name_their_referral() {
    let mapping = Mapping::built_in();
    let event = json!({"kind": "decision", "referral": "k-1", "status": "accepted"});
    let checked = check(&event, &rules(&mapping)).unwrap();
    assert_eq!(checked.payload.target(), Some("k-1"));
    let event = json!({"kind": "decision", "referral": "k-1", "status": "maybe"});
    assert_eq!(check(&event, &rules(&mapping)).unwrap_err()[0].path, "/status");
    // What came from an NGO is named by the key it has here.
    for kind in ["withdraw", "decision"] {
        let mut event = json!({"kind": kind, "referral": "o-cif-17"});
        if kind == "decision" {
            event["status"] = json!("rejected");
        }
        assert_eq!(
            check(&event, &rules(&mapping)).unwrap().payload.target(),
            Some("o-cif-17")
        );
    }
    let event = json!({"kind": "withdraw"});
    assert_eq!(check(&event, &rules(&mapping)).unwrap_err()[0].path, "/referral");
}
