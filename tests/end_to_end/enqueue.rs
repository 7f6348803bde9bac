//! `enqueue`: the same answers with the service running and without it.

use crate::cli::{with_and_without_service, with_and_without_service_and};
use crate::office::referral;
use serde_json::{Value, json};

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
        let mut other = event.clone();
        other["reason"] = "something else".into();
        assert_eq!(office.enqueue(&json!([other, event])).0, 0);
        assert_eq!(
            office.states().len(),
            2,
            "and so is the same event in another file"
        );
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
