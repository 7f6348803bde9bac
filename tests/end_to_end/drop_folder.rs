//! Events handed in as files.

use crate::office::{Office, referral, wait_until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A running office and its drop folder.
fn office() -> (Office, PathBuf) {
    let mut office = Office::new();
    office.primero.server().set_down(true);
    office.start();
    let folder = office.data("intake");
    (office, folder)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn drop_in(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn gone(path: &Path) {
    wait_until("the file is taken", || !path.exists());
}

fn only(folder: &Path, ending: &str) -> PathBuf {
    let found: Vec<String> = names(folder)
        .into_iter()
        .filter(|name| name.ends_with(ending))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    folder.join(&found[0])
}

#[test]
fn a_file_becomes_events_and_a_receipt_without_content() {
    let (office, folder) = office();
    gone(&drop_in(
        &folder,
        "Dara Sok.json",
        referral("k-1", "Dara", "cif").to_string(),
    ));
    let receipt = only(&folder.join("accepted"), ".json");
    assert!(!receipt.display().to_string().contains("Dara"));
    let receipt: Value = serde_json::from_slice(&std::fs::read(receipt).unwrap()).unwrap();
    assert_eq!(receipt, json!([{"event_key": "k-1", "seq": 1}]));

    let lines = format!(
        "{}\n{}\n",
        referral("k-2", "Bopha", "cif"),
        referral("k-3", "Vanna", "gpc")
    );
    gone(&drop_in(&folder, "lines.jsonl", lines));
    gone(&drop_in(
        &folder,
        "array",
        json!([referral("k-4", "Rith", "cif")]).to_string(),
    ));
    assert_eq!(
        office.states().into_keys().collect::<Vec<_>>(),
        ["k-1", "k-2", "k-3", "k-4"]
    );
    assert!(names(&folder.join("rejected")).is_empty());
}

#[test]
fn the_same_file_twice_is_the_same_events() {
    let (office, folder) = office();
    let mut event = referral("", "Dara", "cif");
    event.as_object_mut().unwrap().remove("event_key");
    for name in ["first.json", "second.json"] {
        gone(&drop_in(&folder, name, event.to_string()));
    }
    assert_eq!(office.states().len(), 1);
    assert_eq!(names(&folder.join("accepted")).len(), 1);
}

/// A writer that adds a line, thinks, and adds another.
#[test]
fn a_file_that_grows_after_a_pause_loses_nothing_and_doubles_nothing() {
    use std::io::Write;
    let (office, folder) = office();
    let line = |name: &str| {
        let mut event = referral("", name, "cif");
        event.as_object_mut().unwrap().remove("event_key");
        format!("{event}\n")
    };
    let growing = folder.join("growing.jsonl");
    let mut file = std::fs::File::create(&growing).unwrap();
    file.write_all(line("Dara").as_bytes()).unwrap();
    // Others are not held up by it: the folder has been looked at since.
    gone(&drop_in(&folder, "other.json", line("Vanna")));
    file.write_all(line("Bopha").as_bytes()).unwrap();
    drop(file);
    gone(&growing);
    assert_eq!(office.states().len(), 3);
    // As if the first line had been taken by itself, and the file met again.
    gone(&drop_in(&folder, "first.json", line("Dara")));
    assert_eq!(office.states().len(), 3);
}

#[test]
fn half_a_file_is_waited_for_and_not_rejected() {
    let (office, folder) = office();
    let text = referral("k-1", "Dara", "cif").to_string();
    let half = drop_in(&folder, "slow.json", &text[..text.len() / 2]);
    gone(&drop_in(
        &folder,
        "other.json",
        referral("k-2", "Bopha", "cif").to_string(),
    ));
    std::fs::write(&half, &text).unwrap();
    gone(&half);
    assert_eq!(office.states().into_keys().collect::<Vec<_>>(), ["k-1", "k-2"]);
    assert!(names(&folder.join("rejected")).is_empty());
}

#[test]
fn a_rejected_file_is_sealed_with_its_reasons_beside_it() {
    let (office, folder) = office();
    let mut wrong = referral("k-2", "Bopha", "cif");
    wrong["child"]["sex"] = json!("girl");
    let text = json!([referral("k-1", "Dara", "cif"), wrong]).to_string();
    gone(&drop_in(&folder, "Bopha.json", &text));
    assert_eq!(
        office.states().len(),
        0,
        "a file is taken as a whole or not at all"
    );
    let rejected = folder.join("rejected");
    let reasons = std::fs::read_to_string(only(&rejected, ".reason.json")).unwrap();
    assert!(
        reasons.contains("/child/sex") && reasons.contains("\"event\":1"),
        "{reasons}"
    );
    assert!(
        !reasons.contains("girl") && !reasons.contains("Bopha"),
        "{reasons}"
    );
    let sealed = only(&rejected, ".sealed");
    let bytes = std::fs::read(&sealed).unwrap();
    assert!(!bytes.windows(5).any(|window| window == b"Bopha"));

    let ran = office.run(&["events", "rejected", sealed.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out), (0, text.clone()));
    let opened = office.json(&["events", "rejected", sealed.to_str().unwrap()]);
    assert_eq!(opened["content"], text);
    let ran = office.run(&["events", "rejected", office.config.to_str().unwrap()]);
    assert!(
        ran.code == 1 && ran.err.contains("not a file this box has sealed"),
        "{ran:?}"
    );
    assert!(office.log().contains("rejected") && !office.log().contains("Bopha"));
}

#[test]
fn what_is_no_event_is_rejected_with_a_reason() {
    let (office, folder) = office();
    let dropped = [("empty", ""), ("list", "[]"), ("half", "{\"kind\":")];
    for path in dropped.map(|(name, text)| drop_in(&folder, name, text)) {
        gone(&path);
    }
    let reasons: Vec<String> = names(&folder.join("rejected"))
        .iter()
        .filter(|name| name.ends_with(".reason.json"))
        .map(|name| std::fs::read_to_string(folder.join("rejected").join(name)).unwrap())
        .collect();
    for (wanted, times) in [("empty", 2), ("not_json", 1)] {
        let found = reasons.iter().filter(|reason| reason.contains(wanted)).count();
        assert_eq!(found, times, "{wanted}: {reasons:?}");
    }
    assert_eq!(office.states().len(), 0);
}

#[test]
fn a_file_that_is_too_large_stays_whole_and_holds_up_nobody() {
    let (office, folder) = office();
    let text = format!("[{}]", " ".repeat(5 * 1024 * 1024));
    let file = drop_in(&folder, "large.json", &text);
    wait_until("it is said", || office.log().contains("too large and stays"));
    gone(&drop_in(
        &folder,
        "other.json",
        referral("k-1", "Dara", "cif").to_string(),
    ));
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
    assert_eq!(office.log().matches("too large").count(), 1, "{}", office.log());
    assert!(names(&folder.join("rejected")).is_empty());
}

#[test]
fn a_key_that_is_taken_is_named_with_what_went_in_before_it() {
    let (office, folder) = office();
    office.enqueue(&referral("taken", "Dara", "cif"));
    let text = json!([referral("new", "Vanna", "cif"), referral("taken", "Bopha", "cif")]).to_string();
    gone(&drop_in(&folder, "two.json", text));
    let reasons: Value =
        serde_json::from_slice(&std::fs::read(only(&folder.join("rejected"), ".reason.json")).unwrap())
            .unwrap();
    assert_eq!(reasons[0]["event"], 1, "{reasons}");
    assert_eq!(reasons[0]["refusal"]["error"], "key_taken");
    assert_eq!(reasons[0]["accepted_before"][0]["event_key"], "new");
    assert_eq!(office.states().len(), 2);
}

#[test]
fn a_file_still_being_written_is_left_alone() {
    let (office, folder) = office();
    let text = referral("k-1", "Dara", "cif").to_string();
    let unfinished = [".k-1.json.swp", "k-1.json.tmp", "k-1.json.part"];
    for name in unfinished {
        drop_in(&folder, name, &text);
    }
    std::fs::create_dir(folder.join("a folder")).unwrap();
    gone(&drop_in(
        &folder,
        "other.json",
        referral("k-2", "Bopha", "cif").to_string(),
    ));
    assert_eq!(office.states().into_keys().collect::<Vec<_>>(), ["k-2"]);
    assert!(unfinished.iter().all(|name| folder.join(name).exists()));
    std::fs::rename(folder.join("k-1.json.tmp"), folder.join("k-1.json")).unwrap();
    gone(&folder.join("k-1.json"));
    assert_eq!(office.states().len(), 2);
}

#[test]
fn a_file_waits_while_the_queue_is_full() {
    let mut office = Office::with("[limits]\nqueue_events = 10");
    office.primero.server().set_down(true);
    office.start();
    let folder = office.data("intake");
    let events: Vec<Value> = (0..12)
        .map(|number| referral(&format!("k-{number}"), &format!("Child {number}"), "cif"))
        .collect();
    let file = drop_in(&folder, "twelve.json", json!(events).to_string());
    wait_until("ten are in", || office.states().len() == 10);
    wait_until("it is said", || office.log().contains("waits: queue_full"));
    assert!(file.exists());
    office.primero.server().set_down(false);
    assert_eq!(office.sync(), 0);
    gone(&file);
    assert_eq!(office.states().len(), 12);
    assert_eq!(
        office.log().matches("waits: queue_full").count(),
        1,
        "said once: {}",
        office.log()
    );
}

#[test]
fn a_file_of_thousands_holds_nobody_up_and_loses_and_doubles_nothing() {
    let event = |number: usize| {
        let mut event = referral("", &format!("Child {number}"), "cif");
        // Its place in the file names it.
        event.as_object_mut().unwrap().remove("event_key");
        event.to_string() + "\n"
    };
    let mut text = String::new();
    let mut events = 0;
    while text.len() + event(events).len() <= 4 << 20 {
        text.push_str(&event(events));
        events += 1;
    }
    let mut office = Office::with(&format!("[limits]\nqueue_events = {}", events + 1));
    office.primero.server().set_down(true);
    office.start();
    let folder = office.data("intake");
    let pending = |office: &Office| office.json(&["status"])["queue"]["pending"].as_u64().unwrap();
    let all = u64::try_from(events).unwrap();

    let file = drop_in(&folder, "thousands.jsonl", &text);
    wait_until("some of it is in", || pending(&office) > 0);
    let (code, between) = office.enqueue(&referral("between", "Dara", "cif"));
    assert_eq!(code, 0, "{between}");
    assert!(
        between["seq"].as_u64().unwrap() <= all,
        "it waited for the whole file: {between}"
    );
    assert!(pending(&office) <= all, "status waited for the whole file");
    assert!(file.exists() && names(&folder.join("accepted")).is_empty());

    // The power goes in the middle of the file.
    office.kill();
    office.start();
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", office.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap()
    };
    let before = peak();
    let mut highest = before;
    while file.exists() {
        highest = highest.max(peak());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    println!("peak memory: {before} kB before, {highest} kB after {events} events");

    let receipt = only(&folder.join("accepted"), ".json");
    let receipt: Vec<Value> = serde_json::from_slice(&std::fs::read(receipt).unwrap()).unwrap();
    assert_eq!(receipt.len(), events);
    let mut numbers: Vec<u64> = receipt.iter().map(|one| one["seq"].as_u64().unwrap()).collect();
    numbers.push(between["seq"].as_u64().unwrap());
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=all + 1).collect::<Vec<u64>>());
    // The queue is full, and shown whole.
    assert_eq!(office.states().len(), events + 1);
    assert_eq!(office.enqueue(&referral("more", "Vanna", "cif")).0, 75);
    assert!(names(&folder.join("rejected")).is_empty());
}

#[test]
fn what_was_left_behind_long_ago_goes() {
    let mut office = Office::new();
    office.primero.server().set_down(true);
    let accepted = office.data("intake/accepted");
    std::fs::create_dir_all(&accepted).unwrap();
    let old = drop_in(&accepted, "0123456789.json", "[]");
    let days = |days: u64| std::time::Duration::from_secs(days * 24 * 3600);
    let long_ago = std::time::SystemTime::now() - days(4);
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(long_ago).unwrap();
    let young = drop_in(&accepted, "9876543210.json", "[]");
    let file = std::fs::File::options().write(true).open(&young).unwrap();
    file.set_modified(long_ago + days(2)).unwrap();
    office.start();
    gone(&old);
    assert!(young.exists());
    wait_until("it is said", || {
        office.log().contains("1 old files removed from accepted/")
    });
}

#[test]
fn of_a_file_full_of_mistakes_only_the_first_hundred_are_named() {
    let (office, folder) = office();
    let wrong = "{\"kind\":\"withdraw\"}\n".repeat(1000);
    gone(&drop_in(&folder, "wrong.jsonl", wrong));
    let reasons = std::fs::read(only(&folder.join("rejected"), ".reason.json")).unwrap();
    let reasons: Vec<Value> = serde_json::from_slice(&reasons).unwrap();
    assert_eq!(reasons.len(), 101);
    assert_eq!(reasons[99]["event"], 99);
    assert_eq!(reasons[100], json!({"further_events_refused": 900}));
    assert_eq!(office.states().len(), 0);
}
