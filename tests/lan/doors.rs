//! Who may do what: stations and their tokens, and what the listener shows to whom.

use crate::client::LanOffice;
use crate::office::{Office, referral};
use serde_json::json;

#[test]
fn a_station_sends_an_event_and_sees_what_becomes_of_it() {
    let lan = LanOffice::start();
    let (desk, phone) = (lan.station("front-desk"), lan.station("phone-2"));
    let (status, answer) = lan.post(&desk, &referral("k-1", "Dara", "cif"));
    assert_eq!(
        (status, &answer),
        (201, &json!({"event_key": "k-1", "seq": 1, "state": "pending"}))
    );
    assert_eq!(
        lan.post(&desk, &referral("k-1", "Dara", "cif")),
        (200, answer.clone())
    );
    assert_eq!(lan.post(&desk, &referral("k-1", "Bopha", "cif")).0, 409);
    let (status, event) = lan.get(&desk, "/v1/events/k-1");
    assert_eq!(
        (status, &event["state"], &event["station"]),
        (200, &json!("pending"), &json!(1))
    );
    let (status, list) = lan.get(&desk, "/v1/events");
    assert_eq!((status, &list["events"][0]["event_key"]), (200, &json!("k-1")));
    assert!(!format!("{event}{list}").contains("Dara"));

    assert_eq!(lan.get(&phone, "/v1/events"), (200, json!({"events": []})));
    assert_eq!(
        lan.get(&phone, "/v1/events/k-1").0,
        404,
        "another station's event is not there"
    );
    assert_eq!(lan.get(&phone, "/v1/status").1["queue"]["pending"], 1);
    let form = lan.get(&phone, "/v1/form").1;
    assert_eq!(form["organizations"], json!(["cif", "gpc"]));
    assert!(form["services"].as_array().unwrap().len() > 50, "{form}");

    assert_eq!(lan.office.sync(), 0);
    assert_eq!(lan.get(&desk, "/v1/events").1["events"][0]["state"], "delivered");
}

#[test]
fn a_station_speaks_of_its_own_referrals_alone() {
    let lan = LanOffice::start();
    let (desk, phone) = (lan.station("front-desk"), lan.station("phone-2"));
    assert_eq!(lan.post(&desk, &referral("k-1", "Dara", "cif")).0, 201);
    assert_eq!(lan.office.enqueue(&referral("k-2", "Bopha", "cif")).0, 0);
    let about = |kind: &str, of: &str| {
        let mut event = json!({"event_key": format!("{of}-{kind}"), "kind": kind, "referral": of});
        if kind == "decision" {
            event["status"] = json!("rejected");
        }
        event
    };
    for kind in ["withdraw", "decision"] {
        let nobodys = lan.post(&phone, &about(kind, "k-3"));
        assert_eq!(nobodys.0, 422);
        for others in ["k-1", "k-2"] {
            assert_eq!(
                lan.post(&phone, &about(kind, others)),
                nobodys,
                "as if it were not there"
            );
        }
    }
    assert_eq!(lan.get(&desk, "/v1/events/k-1").1["state"], "pending");
    assert_eq!(lan.post(&desk, &about("decision", "k-1")).0, 201);
    assert_eq!(lan.post(&desk, &about("withdraw", "k-1")).0, 201);
    assert_eq!(lan.get(&desk, "/v1/events/k-1").1["state"], "discarded");
}

#[test]
fn without_a_good_token_nothing_is_said() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    for (token, status) in [
        (None, 401),
        (Some("7F3K2-7F3K2-7F3K2-7F3K2-7F3K2"), 401),
        (Some("x"), 401),
        (Some(desk.to_lowercase().replace('-', "")).as_deref(), 200),
    ] {
        let answer = lan.ask(token, "GET", "/v1/status", b"");
        assert_eq!(answer.status, status, "{token:?}");
        assert_eq!(
            answer.status == 401,
            answer.headers.contains_key("www-authenticate")
        );
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    for target in ["/v1/orders", "/v1/sync", "/v1/stations"] {
        let answer = lan.ask(Some(&desk), "POST", target, b"{\"order\":\"list\"}");
        assert_eq!(answer.status, 404, "{target} is for those with rights on the box");
    }
}

#[test]
fn a_revoked_station_is_refused_at_once_and_on_open_lines() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let mut line = lan.connect();
    let mut ask = |token: &str| {
        crate::client::send(&mut line, Some(token), "GET", "/v1/events", b"");
        crate::client::read(&mut line).expect("the line stays open")
    };
    assert_eq!(ask(&desk).status, 200);
    lan.post(&desk, &referral("k-1", "Dara", "cif"));
    assert_eq!(lan.office.run(&["station", "revoke", "front-desk"]).code, 0);
    let answer = ask(&desk);
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("revoked")));
    assert_eq!(lan.post(&desk, &referral("k-2", "Bopha", "cif")).0, 403);
    assert_eq!(lan.office.states().len(), 1);

    let again = lan.station("front-desk");
    assert_ne!(again, desk);
    assert_eq!(ask(&desk).status, 401, "the old token is nobody's now");
    let list = ask(&again).json();
    assert_eq!(
        list["events"][0]["event_key"], "k-1",
        "its events are still its own"
    );
}

#[test]
fn the_roster_is_kept_with_and_without_the_service_and_no_token_is() {
    let mut office = Office::with("[lan]\nlisten = \"127.0.0.1:0\"\n");
    let added = office.json(&["station", "add", "front-desk"]);
    let first = added["token"].as_str().unwrap().to_owned();
    office.start();
    let ran = office.run(&["station", "add", "phone-2"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let second = ran
        .out
        .split_whitespace()
        .find(|word| word.len() == 29)
        .unwrap()
        .to_owned();
    for (words, code) in [
        (["station", "add", "front-desk"], 3),
        (["station", "add", "Front Desk"], 3),
        (["station", "revoke", "nobody"], 1),
        (["station", "revoke", "phone-2"], 0),
        (["station", "frob", "x"], 2),
    ] {
        let ran = office.run(&words);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let list = office.json(&["station", "list"]);
    assert_eq!(list["stations"][0]["station"], "front-desk");
    assert_eq!(list["stations"][1]["revoked"], true);
    office.stop();
    assert_eq!(office.json(&["station", "list"]), list);
    let store = std::fs::read(office.data("gateway.redb")).unwrap();
    for secret in [&first, &second, &first.replace('-', "")] {
        let holds = |text: &[u8]| text.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!holds(&store) && !holds(office.log().as_bytes()));
        assert!(!list.to_string().contains(secret.as_str()));
    }
    assert!(
        !store.windows(10).any(|part| part == b"front-desk"),
        "the roster is sealed"
    );
}

#[test]
fn wrong_tokens_are_slowed_down_and_right_ones_are_not_kept_out() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let wrong = || lan.ask(Some("7F3K2-7F3K2-7F3K2-7F3K2-7F3K2"), "GET", "/v1/status", b"");
    let statuses: Vec<u16> = (0..12).map(|_| wrong().status).collect();
    assert_eq!(statuses[..10], [401; 10]);
    let answer = wrong();
    assert_eq!(answer.status, 429);
    assert!(answer.headers["retry-after"].parse::<u32>().unwrap() > 0);
    assert_eq!(lan.get(&desk, "/v1/status").0, 200);
}

#[test]
fn a_station_that_asks_too_often_is_told_when_to_come_back() {
    let lan = LanOffice::start();
    let desk = lan.station("front-desk");
    let mut line = lan.connect();
    let mut refused = None;
    for _ in 0..400 {
        crate::client::send(&mut line, Some(&desk), "GET", "/v1/events/none", b"");
        let answer = crate::client::read(&mut line).unwrap();
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 404);
    }
    let refused = refused.expect("within 400 requests");
    assert_eq!(refused.json()["error"], "too_many");
    assert!(refused.headers.contains_key("retry-after"));
    let phone = lan.station("phone-2");
    assert_eq!(
        lan.get(&phone, "/v1/status").0,
        200,
        "another station is not held back"
    );
}
