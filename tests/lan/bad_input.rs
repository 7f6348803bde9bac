//! Bad input at this door: nothing is stored that was not accepted, and what is wrong is named.

use crate::client::LanOffice;
use crate::office::{Office, referral};
use serde_json::{Value, json};

#[test]
fn what_is_no_event_is_refused_and_nothing_is_stored() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let good = referral("k-1", "Dara", "cif").to_string();
    let twice = good.replacen('{', "{\"kind\":\"referral\",", 1);
    let deep = format!("{{\"child\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(300_000));
    let empty = "\u{feff}".to_owned() + &good;
    for (name, body, status, code) in [
        ("truncated", &good.as_bytes()[..good.len() / 2], 400, "not_json"),
        ("a key named twice", twice.as_bytes(), 400, "not_json"),
        ("deep", deep.as_bytes(), 400, "not_json"),
        ("not UTF-8", b"{\"kind\":\"\xff\xfe\"}", 400, "not_json"),
        ("nothing", b"", 400, "not_json"),
        ("a byte order mark", empty.as_bytes(), 400, "not_json"),
        ("oversized", large.as_bytes(), 413, "too_large"),
        ("a list", b"[]", 422, "validation"),
        ("no object", b"7", 422, "validation"),
    ] {
        let answer = lan.ask(Some(&desk), "POST", "/v1/events", body);
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &json!(code)),
            "{name}"
        );
    }
    for (method, target, status) in [
        ("GET", "/v1/events/nobody", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/../gateway.toml", 404),
        ("POST", "/", 404),
        ("PUT", "/v1/events", 405),
        ("DELETE", "/v1/events/k-1", 405),
        ("POST", "/v1/status", 405),
        ("POST", "/v1/form", 405),
        ("FROB", "/v1/events", 405),
    ] {
        let answer = lan.ask(Some(&desk), method, target, b"");
        assert_eq!(answer.status, status, "{method} {target}");
        assert!(answer.json()["reason"].is_string(), "{method} {target}");
    }
    assert_eq!(lan.office.states().len(), 0);
}

#[test]
fn wrong_types_are_named_field_by_field() {
    let lan = LanOffice::start();
    // Some stations take turns: one alone would be told that it asks too often.
    let stations: Vec<String> = (0..4).map(|n| lan.station(&format!("s-{n}"))).collect();
    let mut turns = stations.iter().cycle();
    let wrong = [
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!("\u{0}"),
        json!("x".repeat(5000)),
    ];
    let good = referral("k-1", "Dara", "cif");
    for pointer in [
        "/kind",
        "/to",
        "/organization",
        "/child",
        "/child/given_name",
        "/child/local_family_name",
        "/child/sex",
        "/child/date_of_birth",
        "/child/location_code",
        "/services",
        "/services/0",
        "/services/0/subtype",
        "/reason",
        "/risk_level",
        "/referred_on",
        "/consent",
        "/consent/services",
        "/case_worker",
        "/case_worker/name",
        "/case_worker/phone",
        "/case_worker/email",
        "/event_key",
    ] {
        for value in &wrong {
            let mut event = good.clone();
            let place = event.pointer_mut(pointer).unwrap();
            if std::mem::discriminant(place) == std::mem::discriminant(value) && !value.is_string() {
                continue;
            }
            *place = value.clone();
            let (status, error) = lan.post(turns.next().unwrap(), &event);
            if pointer == "/reason" && value.as_str().is_some_and(|text| text.len() > 4000) {
                assert_eq!(error["fields"][0]["reason"], "too long");
            }
            assert_eq!(status, 422, "{pointer}: {error}");
            let fields = error["fields"].as_array().unwrap();
            let named = |field: &Value| {
                field["path"]
                    .as_str()
                    .is_some_and(|path| path.starts_with(pointer))
            };
            assert!(fields.iter().any(named), "{pointer}: {error}");
            assert!(!error.to_string().contains("Dara"));
        }
    }
    assert_eq!(lan.office.states().len(), 0);
}

#[test]
fn khmer_in_every_text_field_arrives_as_it_was_written() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let khmer = "សុខ ភារម្យ ក្រចៅឆ្មារ\u{17d2}\u{1798}\u{200b}";
    let mut event = referral("k-1", khmer, "cif");
    for pointer in [
        "/child/family_name",
        "/child/local_given_name",
        "/child/local_family_name",
        "/reason",
        "/case_worker/name",
        "/case_worker/phone",
    ] {
        *event.pointer_mut(pointer).unwrap() = json!(khmer);
    }
    event["child"]["mosvy_number"] = json!(khmer);
    event["case_worker"]["email"] = json!(khmer);
    let (status, answer) = lan.post(&desk, &event);
    assert_eq!(status, 201, "{answer}");
    let shown = lan.office.json(&["events", "show", "k-1", "--reveal"])["content"].clone();
    for pointer in [
        "/child/given_name",
        "/child/mosvy_number",
        "/reason",
        "/case_worker/email",
    ] {
        assert_eq!(shown.pointer(pointer), Some(&json!(khmer)), "{pointer}");
    }
    assert_eq!(lan.office.sync(), 0);
    let case = lan.office.primero.cases()[0].to_string();
    assert!(case.contains(khmer), "{case}");
}

#[test]
fn a_full_queue_says_so_and_keeps_what_it_has() {
    let office = Office::with("[limits]\nqueue_events = 10\n[lan]\nlisten = \"127.0.0.1:0\"\n");
    office.primero.server().set_down(true);
    let lan = LanOffice::of(office);
    let desk = lan.station("front-desk");
    for n in 0..10 {
        assert_eq!(
            lan.post(&desk, &referral(&format!("k-{n}"), &format!("Child {n}"), "cif"))
                .0,
            201
        );
    }
    let (status, error) = lan.post(&desk, &referral("k-10", "Dara", "cif"));
    assert_eq!((status, &error["error"]), (503, &json!("queue_full")));
    assert_eq!(
        lan.post(&desk, &referral("k-3", "Child 3", "cif")).0,
        200,
        "an accepted one is still known"
    );
    assert_eq!(lan.office.states().len(), 10);
}
