//! `support-bundle`: enough to help from afar, and nothing that may not leave the office. `privacy.rs` looks for planted
//! names in one.

use crate::office::{Office, referral};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

fn bundle(office: &Office) -> Value {
    let file = office.folder.path().join("bundle.json");
    let ran = office.run(&["support-bundle", "--output", file.to_str().unwrap()]);
    assert!(ran.code == 0 && ran.out.contains("bundle.json"), "{ran:?}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["-password-1", "k-secret-key"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    serde_json::from_str(&text).unwrap()
}

#[test]
fn it_holds_what_helps_beside_the_service_and_without_it() {
    let mut office = Office::new();
    office.start();
    office.first_session_over();
    office.enqueue(&referral("k-secret-key-1", "Dara", "cif"));
    office.sync();
    office.enqueue(&referral("k-secret-key-2", "Bopha", "gpc"));
    office.oscar.server().set_down(true);
    office.sync();
    let found = bundle(&office);
    assert_eq!(found["config"]["primero.password_file"], "(read, hidden)");
    assert_eq!(found["config"]["gateway.id"], "kpt-03");
    assert_eq!(found["status"]["queue"]["delivered"], 1);
    assert_eq!(found["status"]["peers"]["oscar"]["state"], "route");
    let diagnosis = &found["diagnosis"];
    assert_eq!(
        (&diagnosis["handoff"]["whole"], &diagnosis["handoff"]["entries"]),
        (&true.into(), &1.into())
    );
    let events = diagnosis["events"].as_array().unwrap();
    let states: Vec<_> = events
        .iter()
        .map(|event| event["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["delivered", "pending"]);
    assert!(
        events
            .iter()
            .all(|event| event["event_key"].is_null() && event["seq"].is_u64())
    );
    let log = diagnosis["log"].to_string();
    assert!(
        log.contains("s: ready, boot 1") && log.contains("oscar: route"),
        "{log}"
    );
    for key in ["version", "board", "made_at", "disk", "kernel", "memory"] {
        assert!(!found[key].is_null(), "{key}: {found}");
    }
    assert!(
        diagnosis["store"]["file_bytes"].as_u64().unwrap() > 10_000,
        "{diagnosis}"
    );

    office.stop();
    let found = bundle(&office);
    assert_eq!(found["status"]["queue"]["pending"], 1);
    assert_eq!(found["diagnosis"]["events"].as_array().unwrap().len(), 2);
    let printed: Value = serde_json::from_str(&office.run(&["support-bundle", "--json"]).out).unwrap();
    assert_eq!(printed["bundle"], 1);
}

#[test]
fn a_store_that_does_not_open_is_part_of_the_answer() {
    let office = Office::new();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    let key = office.data("seal.key");
    std::fs::write(&key, "5a".repeat(32)).unwrap();
    let found = bundle(&office);
    let why = found["status"]["not_opened"].as_str().unwrap();
    assert!(why.contains("another device key"), "{found}");
    let ran = office.run(&["support-bundle", "--output", "/nowhere/bundle.json"]);
    assert!(
        ran.code == 1 && ran.err.contains("/nowhere/bundle.json"),
        "{ran:?}"
    );
}

#[test]
fn a_broken_chain_of_handoffs_shows() {
    let office = Office::new();
    for number in 0..3 {
        office.enqueue(&referral(
            &format!("k-{number}"),
            &format!("Child {number}"),
            "cif",
        ));
    }
    assert_eq!(office.sync(), 0);
    assert_eq!(bundle(&office)["diagnosis"]["handoff"]["entries"], 3);
    let database = redb::Database::open(office.data("gateway.redb")).unwrap();
    let writing = database.begin_write().unwrap();
    {
        let table: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("handoff");
        let mut table = writing.open_table(table).unwrap();
        table
            .remove(&2_u64.to_be_bytes()[..])
            .unwrap()
            .expect("the second entry");
    }
    writing.commit().unwrap();
    drop(database);
    assert_eq!(bundle(&office)["diagnosis"]["handoff"]["whole"], false);
}
