//! The command line of design §4: the same answers with the service running and without it.

use crate::office::{Office, referral};
use serde_json::{Value, json};

/// Runs a test twice: on the store itself, and through a running service.
fn with_and_without_service(test: impl Fn(&mut Office)) {
    with_and_without_service_and("", test);
}

fn with_and_without_service_and(more: &str, test: impl Fn(&mut Office)) {
    for running in [false, true] {
        let mut office = Office::with(more);
        if running {
            office.start();
        }
        test(&mut office);
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn events_are_taken_as_an_object_an_array_or_lines() {
    with_and_without_service(|office| {
        let one = referral("one", "Dara", "cif").to_string();
        let ran = office.run_with(&["enqueue", "-", "--json"], &one);
        assert_eq!(
            (ran.code, ran.out.trim()),
            (0, r#"{"event_key":"one","seq":1,"state":"pending"}"#)
        );

        let array = json!([
            referral("two", "Bopha", "cif"),
            referral("three", "Sophea", "gpc")
        ])
        .to_string();
        let file = office.folder.path().join("events.json");
        std::fs::write(&file, array).unwrap();
        let ran = office.run(&["enqueue", file.to_str().unwrap(), "--json"]);
        let seqs: Vec<Value> = ran.lines().iter().map(|line| line["seq"].clone()).collect();
        assert_eq!((ran.code, seqs), (0, vec![json!(2), json!(3)]));

        let lines = format!(
            "{}\r\n\n{}\n",
            referral("four", "Vanna", "cif"),
            referral("five", "Rith", "cif")
        );
        let ran = office.run_with(&["enqueue", "-"], &lines);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.out.contains("event 2: accepted as five (number 5)"),
            "{ran:?}"
        );
        assert_eq!(office.states().len(), 5);
    });
}

#[test]
fn an_event_without_a_key_gets_one_that_its_content_decides() {
    with_and_without_service(|office| {
        let mut event = referral("", "Dara", "cif");
        event.as_object_mut().unwrap().remove("event_key");
        let (code, first) = office.enqueue(&event);
        let (again_code, again) = office.enqueue(&event);
        assert_eq!((code, again_code), (0, 0));
        assert_eq!(first, again, "the same file handed in twice is the same event");
        assert_eq!(office.states().len(), 1);
    });
}

#[test]
fn a_key_stands_for_one_body() {
    with_and_without_service(|office| {
        let first = office.enqueue(&referral("k", "Dara", "cif"));
        assert_eq!(first.0, 0);
        assert_eq!(
            office.enqueue(&referral("k", "Dara", "cif")),
            first,
            "the first answer again"
        );
        let (code, error) = office.enqueue(&referral("k", "Somebody Else", "cif"));
        assert_eq!((code, error["error"].as_str()), (3, Some("key_taken")));
        let ran = office.run_with(
            &["enqueue", "-"],
            &referral("k", "Somebody Else", "cif").to_string(),
        );
        assert!(ran.code == 3 && ran.err.contains("use a new key"), "{ran:?}");
    });
}

#[test]
fn what_is_refused_is_refused_field_by_field_and_not_stored() {
    with_and_without_service(|office| {
        let mut event = referral("bad", "Dara", "cif");
        event["child"]["sex"] = json!("girl");
        event["child"]["nickname"] = json!("x");
        event["services"] = json!([{"subtype": "no_such_service"}]);
        event["referred_on"] = json!("2089-01-01");
        event["consent"]["services"] = json!(false);
        let (code, error) = office.enqueue(&event);
        assert_eq!((code, error["error"].as_str()), (3, Some("validation")));
        let paths: Vec<&str> = error["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["path"].as_str().unwrap())
            .collect();
        for path in [
            "/child/sex",
            "/child/nickname",
            "/services/0/subtype",
            "/referred_on",
            "/consent/services",
        ] {
            assert!(paths.contains(&path), "{path} in {error}");
        }
        let ran = office.run_with(&["enqueue", "-"], &event.to_string());
        assert!(ran.code == 3 && ran.err.contains("/child/sex: "), "{ran:?}");
        assert!(
            !ran.err.contains("girl"),
            "what was typed is not repeated: {ran:?}"
        );

        for (input, code, error) in [
            ("", 3, "empty"),
            ("[]", 3, "empty"),
            ("{\"kind\":\"referral\"", 3, "not_json"),
            ("{\"kind\":\"referral\",\"kind\":\"referral\"}", 3, "not_json"),
            ("\u{feff}{\"kind\":\"odd\"}", 3, "validation"),
        ] {
            let ran = office.run_with(&["enqueue", "-", "--json"], input);
            assert_eq!(
                (ran.code, ran.lines()[0]["error"].as_str()),
                (code, Some(error)),
                "{input}: {ran:?}"
            );
        }
        let lines = format!("{}\n\n{{\"kind\": oops}}\n", referral("fine", "Dara", "cif"));
        let ran = office.run_with(&["enqueue", "-"], &lines);
        assert!(ran.code == 3 && ran.err.contains("line 3"), "{ran:?}");
        assert_eq!(office.states().len(), 0, "nothing of a broken file is stored");
    });
}

#[test]
fn too_much_at_once_is_refused() {
    with_and_without_service(|office| {
        let mut event = referral("large", "Dara", "cif");
        event["reason"] = json!("x".repeat(300_000));
        let (code, error) = office.enqueue(&event);
        assert_eq!((code, error["error"].as_str()), (3, Some("too_large")), "{error}");
        let ran = office.run_with(&["enqueue", "-", "--json"], &"x".repeat(5 * 1024 * 1024));
        assert_eq!(
            (ran.code, ran.lines()[0]["error"].as_str()),
            (3, Some("too_large")),
            "{ran:?}"
        );
        assert_eq!(office.run(&["enqueue", "/nowhere/at/all"]).code, 1);
    });
}

#[test]
fn a_dry_run_stores_nothing() {
    with_and_without_service(|office| {
        let events = json!([referral("a", "Dara", "cif"), {"kind": "referral"}]).to_string();
        let ran = office.run_with(&["enqueue", "-", "--dry-run"], &events);
        assert!(
            ran.code == 3 && ran.out.contains("event 1: valid") && ran.err.contains("event 2: refused"),
            "{ran:?}"
        );
        let ran = office.run_with(
            &["enqueue", "--dry-run", "-", "--json"],
            &referral("a", "D", "cif").to_string(),
        );
        assert_eq!((ran.code, ran.lines()[0]["state"].as_str()), (0, Some("valid")));
        assert_eq!(office.states().len(), 0);
    });
}

#[test]
fn a_full_queue_says_so() {
    with_and_without_service_and("[limits]\nqueue_events = 10", |office| {
        office.primero.server().set_down(true);
        for number in 0..10 {
            assert_eq!(
                office
                    .enqueue(&referral(
                        &format!("k-{number}"),
                        &format!("Child {number}"),
                        "cif"
                    ))
                    .0,
                0
            );
        }
        let (code, error) = office.enqueue(&referral("k-10", "Late", "cif"));
        assert_eq!((code, error["error"].as_str()), (75, Some("queue_full")));
        let ran = office.run_with(&["enqueue", "-"], &referral("k-10", "Late", "cif").to_string());
        assert!(
            ran.code == 75 && ran.err.contains("too many events wait"),
            "{ran:?}"
        );
        assert_eq!(
            office.enqueue(&referral("k-3", "Child 3", "cif")).0,
            0,
            "what is in answers as before"
        );
        assert_eq!(office.states().len(), 10);
    });
}

#[test]
fn lists_and_stories_have_the_fields_of_the_design_and_no_names() {
    with_and_without_service(|office| {
        office.primero.server().set_down(true);
        office.enqueue(&referral("k-1", "Dara", "cif"));
        let list = office.json(&["events", "list"]);
        let event = &list["events"][0];
        let wanted = [
            "attempts",
            "changed_at",
            "created_at",
            "decision",
            "event_key",
            "flow",
            "kind",
            "organization",
            "reason",
            "seq",
            "state",
        ];
        assert_eq!(keys(event), wanted);
        assert_eq!(
            (&event["kind"], &event["flow"]),
            (&json!("referral"), &json!("local-to-oscar"))
        );
        let filtered = |state| {
            office.json(&["events", "list", "--state", state])["events"]
                .as_array()
                .unwrap()
                .len()
        };
        let counts = ["pending", "in_doubt", "parked", "delivered", "discarded"].map(filtered);
        assert_eq!(counts, [1, 0, 0, 0, 0]);
        let ran = office.run(&["events", "list"]);
        assert!(
            ran.code == 0 && ran.out.contains("k-1") && ran.out.contains("1 event"),
            "{ran:?}"
        );

        let ran = office.run(&["events", "show", "k-1"]);
        assert!(ran.out.contains("taken in and stored on this box"), "{ran:?}");
        assert!(!ran.out.contains("Dara") && !ran.out.contains("home"), "{ran:?}");
        let ran = office.run(&["events", "show", "k-1", "--reveal"]);
        assert!(ran.out.contains("Dara") && ran.out.contains("ដារ៉ា"), "{ran:?}");
        let shown = office.json(&["events", "show", "k-1", "--reveal"]);
        assert_eq!(shown["content"]["child"]["given_name"], "Dara", "{shown}");
        let ran = office.run(&["events", "show", "k-9", "--json"]);
        assert_eq!(
            (ran.code, ran.lines()[0]["error"].as_str()),
            (1, Some("not_found"))
        );
    });
}

#[test]
fn a_person_decides_and_is_named() {
    with_and_without_service(|office| {
        office.enqueue(&referral("k-1", "Dara", "cif"));
        assert_eq!(
            office.run(&["events", "discard", "k-1"]).code,
            2,
            "a note is required"
        );
        assert_eq!(office.run(&["events", "discard", "k-1", "--note", "  "]).code, 2);
        let ran = office.run(&["events", "requeue", "k-1", "--json"]);
        let word = ran.lines()[0]["error"].clone();
        assert!(ran.code == 1 && word == "not_now", "{ran:?}");
        let ran = office.run(&["events", "resolve", "k-1", "--arrived"]);
        assert!(
            ran.code == 1 && ran.err.contains("only events in doubt or parked"),
            "{ran:?}"
        );
        office.primero.server().set_down(true);
        let words = [
            "events",
            "discard",
            "k-1",
            "--note",
            "the family moved",
            "--by",
            "Officer Chan",
        ];
        let ran = loop {
            // The first session of a service may have the event in hand.
            let ran = office.run(&words);
            if !ran.err.contains("right now") {
                break ran;
            }
        };
        let delivered = ran.err.contains("delivered");
        assert!(
            delivered || (ran.code == 0 && ran.out.contains("discarded")),
            "{ran:?}"
        );
        if delivered {
            return;
        }
        let shown = office.json(&["events", "show", "k-1"]);
        let last = shown["history"].as_array().unwrap().last().unwrap();
        assert_eq!(last["detail"], "by Officer Chan", "{shown}");
        assert!(
            last["note"].is_null(),
            "a note may hold anything: only --reveal shows it"
        );
        let shown = office.json(&["events", "show", "k-1", "--reveal"]);
        assert_eq!(
            shown["history"].as_array().unwrap().last().unwrap()["note"],
            "the family moved"
        );
        let ran = office.run(&["events", "requeue", "nobody"]);
        assert!(
            ran.code == 1 && ran.err.contains("no event with this key"),
            "{ran:?}"
        );
    });
}

#[test]
fn status_has_the_fields_of_the_design() {
    with_and_without_service(|office| {
        office.enqueue(&referral("k-1", "Dara", "cif"));
        let status = office.json(&["status"]);
        for pointer in [
            "/gateway",
            "/version",
            "/session_running",
            "/queue/pending",
            "/queue/in_doubt",
            "/queue/parked",
            "/queue/delivered",
            "/queue/bytes",
            "/queue/oldest_s",
            "/peers/primero/state",
            "/peers/primero/last_ok",
            "/peers/primero/last_error",
            "/peers/primero/next_try",
            "/peers/oscar/state",
            "/mqtt/state",
            "/clock",
            "/last_round_trip",
            "/next_by",
        ] {
            assert!(status.pointer(pointer).is_some(), "{pointer} in {status}");
        }
        assert_eq!(status["gateway"], "kpt-03");
        let ran = office.run(&["status"]);
        assert!(ran.code == 0 && ran.out.contains("queue  "), "{ran:?}");
    });
}

#[test]
fn a_sync_by_hand_says_what_it_did() {
    with_and_without_service(|office| {
        office.enqueue(&referral("k-1", "Dara", "cif"));
        let done = office.json(&["sync"]);
        assert_eq!(
            (&done["primero"]["reached"], &done["oscar"]["error"]),
            (&json!(true), &json!(null)),
            "{done}"
        );
        assert_eq!(office.state("k-1"), "delivered");
        assert!(
            office.run(&["sync"]).out.contains("primero   0 sent"),
            "{:?}",
            office.run(&["sync"])
        );

        office.primero.server().set_down(true);
        assert_eq!(
            office.run(&["sync"]).code,
            0,
            "one peer is enough to have been of use"
        );
        office.oscar.server().set_down(true);
        let ran = office.run(&["sync"]);
        assert!(ran.code == 75 && ran.out.contains("check the uplink"), "{ran:?}");
        let ran = office.run(&["sync", "--json"]);
        assert_eq!(
            (ran.code, &ran.lines()[0]["oscar"]["reached"]),
            (75, &json!(false))
        );
    });
}

#[test]
fn a_wrong_line_is_a_usage_error() {
    let office = Office::new();
    for words in [
        &["frobnicate"][..],
        &["events"],
        &["events", "list", "--state", "odd"],
        &["status", "--note", "x"],
    ] {
        let ran = office.run(words);
        assert!(ran.code == 2 && !ran.err.is_empty(), "{words:?}: {ran:?}");
    }
    assert_eq!(office.run(&["help"]).code, 0);
    assert!(office.run(&["--version"]).out.starts_with("referral-gateway "));
}
