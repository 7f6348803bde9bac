//! The command line of design §4: the same answers with the service running and without it.

use crate::office::{Office, planted, referral};
use serde_json::{Value, json};

/// Runs a test twice: on the store itself, and through a running service.
pub fn with_and_without_service(test: impl Fn(&mut Office)) {
    with_and_without_service_and("", test);
}

pub fn with_and_without_service_and(more: &str, test: impl Fn(&mut Office)) {
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
        assert!(
            ran.out.contains("Dara") && ran.out.contains(planted::KHMER_NAME),
            "{ran:?}"
        );
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
            "/peers/primero/cursor",
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
fn status_says_how_far_each_peer_has_been_seen() {
    let mut office = Office::new();
    office.start();
    assert_eq!(office.run(&["sync"]).code, 0);
    let cursors = |status: &Value| {
        ["primero", "oscar"].map(|peer| {
            let text = status["peers"][peer]["cursor"].as_str();
            let text = text.unwrap_or_else(|| panic!("{peer}: {status}"));
            chrono::DateTime::parse_from_rfc3339(text).expect("a moment")
        })
    };
    let seen = cursors(&office.json(&["status"]));
    let words = office.run(&["status"]).out;
    for seen in seen {
        let said = seen
            .format("seen up to %Y-%m-%dT%H:%M:%SZ by its clock")
            .to_string();
        assert!(words.contains(&said), "{said}: {words}");
    }
    office.stop();
    for (kept, seen) in cursors(&office.json(&["status"])).into_iter().zip(seen) {
        assert!(kept <= seen, "without a service, what is on disk");
    }
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

/// A file that root leaves in the service's folder keeps the service from starting when nobody is there to see it.
#[test]
fn root_does_not_work_on_a_store_that_is_not_roots() {
    use std::os::unix::fs::{MetadataExt, chown};
    let office = Office::new();
    let data = office.data("");
    std::fs::create_dir(&data).unwrap();
    let owner = std::fs::metadata(&data).unwrap().uid();
    assert_eq!(
        owner, 0,
        "only root can act as root: ./tests/run runs this as root"
    );
    chown(&data, Some(4321), Some(4321)).unwrap();
    for words in [&["status"][..], &["events", "list"], &["run"]] {
        let ran = office.run(words);
        assert!(ran.code == 1 && ran.err.contains("sudo -u '#4321'"), "{ran:?}");
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing was made");
}
