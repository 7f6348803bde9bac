//! Commands of the desk, from `fleet send` through a real broker to a running gateway and back.

use crate::mosquitto::{Door, Mosquitto, program};
use crate::office::{Office, Ran, private, referral, wait_until};
use crate::telemetry::{Desk, office_that, retained};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// The desk's signing key and what a gateway's configuration says of it.
struct Signer {
    key: PathBuf,
    setting: String,
}

impl Signer {
    fn new(broker: &Mosquitto, name: &str) -> Signer {
        let key = broker.authority.folder.0.join(name);
        let ran = gateway(&["fleet", "key", key.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let again = gateway(&["fleet", "key", key.to_str().unwrap()]);
        assert_eq!(again.code, 1, "a key is never written over: {again:?}");
        Signer {
            key,
            setting: ran.out,
        }
    }

    /// `fleet send` with this key.
    fn send(&self, broker: &Mosquitto, words: &[&str]) -> Ran {
        let password = broker.authority.folder.0.join("desk.password");
        private(&password, "right");
        let url = format!("mqtts://localhost:{}", broker.port);
        let ca = broker.authority.ca_file();
        let line = [
            "fleet",
            "send",
            "--json",
            "--broker",
            &url,
            "--ca-file",
            ca.to_str().unwrap(),
        ];
        let account = [
            "--user-name",
            "gateway",
            "--password-file",
            password.to_str().unwrap(),
        ];
        let key = ["--key", self.key.to_str().unwrap()];
        gateway(&[&line[..], &account, &key, words].concat())
    }
}

fn gateway(words: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_referral-gateway"))
        .args(words)
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Publishes a payload as it is on the gateway's `cmd`.
fn publish(broker: &Mosquitto, payload: &str) {
    let mut command = Command::new(program("mosquitto_pub"));
    command.arg("--cafile").arg(broker.authority.ca_file());
    command.args([
        "-h",
        "localhost",
        "-p",
        &broker.port.to_string(),
        "-u",
        "gateway",
        "-P",
        "right",
        "-q",
        "1",
    ]);
    command.args([
        "-t",
        "referral-gateway/v1/kh-pilot/kpt-03/cmd",
        "-m",
        payload.trim(),
    ]);
    assert!(command.status().unwrap().success());
}

/// Everything said on `cmd-result`.
fn results(desk: &Desk) -> Vec<Value> {
    let said = desk
        .all()
        .into_iter()
        .filter(|(topic, _)| topic.ends_with("/cmd-result"));
    said.map(|(_, payload)| serde_json::from_str(&payload).unwrap())
        .collect()
}

/// A broker, an office that obeys the signer, connected and with a clock that a peer has confirmed.
fn stage() -> (Mosquitto, Signer, Office, Desk) {
    let broker = Mosquitto::running(Door::Password);
    let signer = Signer::new(&broker, "desk.key");
    let mut office = office_that(&broker, &signer.setting);
    let desk = Desk::listen(&broker);
    office.start();
    office.first_session_over();
    desk.becomes("online");
    wait_until("a peer confirms the clock", || {
        office.json(&["status"])["clock"] == "synced"
    });
    (broker, signer, office, desk)
}

#[test]
fn the_desk_asks_for_a_session_and_hears_what_it_did() {
    let (broker, signer, office, desk) = stage();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    let ran = signer.send(&broker, &["kh-pilot/kpt-03", "sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let answer = &ran.lines()[0];
    assert_eq!(
        (&answer["cmd"], &answer["outcome"]),
        (&json!("sync"), &json!("done"))
    );
    assert_eq!(office.state("k-1"), "delivered");
    let nobody = signer.send(&broker, &["kh-pilot/kpt-04", "sync", "--wait", "2"]);
    assert_eq!(nobody.code, 75, "{nobody:?}");
    let before = desk.all().len();
    assert_eq!(
        signer
            .send(&broker, &["--fleet", "kh-pilot", "kpt-03", "reannounce"])
            .code,
        0
    );
    wait_until("everything is said again", || {
        let again = desk.all().split_off(before);
        ["status", "health", "info", "sync-oscar"].iter().all(|channel| {
            again
                .iter()
                .any(|(topic, _)| topic.ends_with(&format!("/{channel}")))
        })
    });
    for (topic, payload) in desk.all() {
        assert!(
            !payload.contains("Dara") && !payload.contains("k-1"),
            "{topic}: {payload}"
        );
    }
}

#[test]
fn a_command_is_obeyed_once_and_never_again() {
    let (broker, signer, mut office, desk) = stage();
    let made = signer.send(&broker, &["kh-pilot/kpt-03", "reannounce", "--print"]);
    let payload = made.out;
    publish(&broker, &payload);
    wait_until("it is obeyed", || results(&desk).len() == 1);
    assert_eq!(results(&desk)[0]["outcome"], "done");
    publish(&broker, &payload);
    wait_until("the replay is answered", || results(&desk).len() == 2);
    assert_eq!(results(&desk)[1]["reason"], "replay");
    office.kill();
    office.start();
    wait_until("the clock is confirmed again", || {
        office.json(&["status"])["clock"] == "synced"
    });
    wait_until("the gateway is back", || {
        office.json(&["status"])["mqtt"]["state"] == "online"
    });
    publish(&broker, &payload);
    wait_until("the replay is answered after a power cut", || {
        results(&desk).len() == 3
    });
    assert_eq!(results(&desk)[2]["reason"], "replay");
}

#[test]
fn what_is_not_signed_for_this_gateway_and_this_moment_is_refused() {
    let (broker, signer, _office, desk) = stage();
    let stranger = Signer::new(&broker, "stranger.key");
    let ran = stranger.send(&broker, &["kh-pilot/kpt-03", "lock"]);
    assert_eq!((ran.code, &ran.lines()[0]["reason"]), (3, &json!("signature")));
    let for_another = signer.send(&broker, &["kh-pilot/kpt-04", "lock", "--print"]).out;
    publish(&broker, &for_another);
    wait_until("it is answered", || results(&desk).len() == 2);
    assert_eq!(results(&desk)[1]["reason"], "other_gateway");
    let late = signer
        .send(&broker, &["kh-pilot/kpt-03", "lock", "--print", "--expires", "1"])
        .out;
    std::thread::sleep(std::time::Duration::from_secs(2));
    publish(&broker, &late);
    wait_until("it is answered", || results(&desk).len() == 3);
    assert_eq!(results(&desk)[2]["reason"], "expired");
    // One bit of what was signed.
    publish(&broker, &for_another.replace("kpt-04", "kpt-03"));
    let good = signer
        .send(&broker, &["kh-pilot/kpt-03", "reannounce", "--print"])
        .out;
    publish(&broker, &good);
    wait_until("the good one is answered", || {
        results(&desk)
            .last()
            .is_some_and(|last| last["outcome"] == "done")
    });
    for told in results(&desk) {
        let nameless = told["id"].is_null() && told["cmd"].is_null();
        assert_eq!(
            nameless,
            told["reason"] == "signature",
            "nobody's words are repeated: {told}"
        );
    }
    assert!(retained(&broker, "alert-locked").is_null());
}

#[test]
fn a_locked_gateway_takes_nothing_in_sends_nothing_and_shows_nothing() {
    let (broker, signer, mut office, _desk) = stage();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(signer.send(&broker, &["kh-pilot/kpt-03", "lock"]).code, 0);
    wait_until("the alert is raised", || {
        retained(&broker, "alert-locked")["code"] == "locked"
    });
    for restarted in [false, true] {
        let (code, answer) = office.enqueue(&referral("k-2", "Bopha", "cif"));
        assert_eq!(
            (code, &answer["error"]),
            (75, &json!("locked")),
            "restarted: {restarted}"
        );
        for words in [&["sync"][..], &["reconcile"], &["sync", "--shadow", "--reveal"]] {
            let ran = office.run(words);
            assert!(ran.code != 0 && ran.err.contains("locked"), "{ran:?}");
        }
        assert_eq!(office.json(&["status"])["locked"], true);
        let said = office.run(&["status"]).out;
        assert!(
            said.contains("locked    the central desk has locked this gateway"),
            "{said}"
        );
        let found = office.run(&["self-test"]).out;
        assert!(found.contains("telephone them"), "{found}");
        let ran = office.run(&["events", "show", "k-1", "--reveal"]);
        assert!(ran.code != 0 && !format!("{ran:?}").contains("Dara"), "{ran:?}");
        assert_eq!(office.state("k-1"), "pending", "kept, and not sent");
        let refused = signer.send(&broker, &["kh-pilot/kpt-03", "sync"]);
        let refused = (refused.code, refused.lines()[0]["reason"].clone());
        // After a restart nobody has confirmed the clock: a locked gateway asks no peer.
        assert_eq!(refused, (3, json!(if restarted { "clock" } else { "locked" })));
        if !restarted {
            office.stop();
            office.start();
            wait_until("the gateway is back", || {
                office.json(&["status"])["mqtt"]["state"] == "online"
            });
        }
    }
    assert_eq!(
        signer.send(&broker, &["kh-pilot/kpt-03", "unlock"]).code,
        0,
        "whatever the clock"
    );
    wait_until("the alert is cleared", || {
        retained(&broker, "alert-locked").is_null()
    });
    assert_eq!(office.json(&["status"])["locked"], false);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
    assert_eq!(office.enqueue(&referral("k-2", "Bopha", "cif")).0, 0);
}

#[test]
fn parked_events_are_sent_round_again_by_number() {
    let (broker, signer, office, _desk) = stage();
    let mut lost = referral("k-1", "Dara", "cif");
    lost["child"]["primero_case_id"] = json!("11111111-2222-3333-4444-555555555555");
    office.enqueue(&lost);
    office.sync();
    assert_eq!(office.state("k-1"), "parked");
    let not_there = signer.send(&broker, &["kh-pilot/kpt-03", "requeue", "99"]);
    assert_eq!(
        (not_there.code, &not_there.lines()[0]["reason"]),
        (3, &json!("not_parked"))
    );
    let ran = signer.send(&broker, &["kh-pilot/kpt-03", "requeue", "1"]);
    assert_eq!((ran.code, &ran.lines()[0]["events"]), (0, &json!(1)), "{ran:?}");
    assert_eq!(office.state("k-1"), "pending");
    office.sync();
    let all = signer.send(&broker, &["kh-pilot/kpt-03", "requeue"]);
    assert_eq!((all.code, &all.lines()[0]["events"]), (0, &json!(1)), "{all:?}");
}

/// Who sends everything round again has judged nothing.
#[test]
fn what_only_a_judgement_may_send_is_sent_by_its_number_alone() {
    let (broker, signer, office, _desk) = stage();
    assert_eq!(office.sync(), 0);
    let service = "0c0ffee0-0000-4000-8000-000000000001";
    let case = json!({"name_first": "Dara", "name_last": "Chan", "sex": "female", "date_of_birth": "2015-05-05",
        "risk_level": "high", "consent_for_services": true, "disclosure_other_orgs": true,
        "services_section": [{"unique_id": service, "service_type": "family_based_care",
            "service_response_type": "referral_to_oscar", "service_implementing_agency": "agency-gpc"}]});
    let case = office.primero.create_case("worker", case).unwrap();
    let data = json!({"transitioned_to": "agency-cif-user", "service": "family_based_care",
        "service_record_id": service, "notes": "needs a home"});
    let made = office.primero.refer("worker", &case, &data).unwrap();
    let key = format!("p-{}", made["id"].as_str().unwrap());
    assert_eq!(office.sync(), 0);
    assert_eq!(office.event(&key)["reason"], "route_unclear");
    let all = signer.send(&broker, &["kh-pilot/kpt-03", "requeue"]);
    assert_eq!((all.code, &all.lines()[0]["events"]), (0, &json!(0)), "{all:?}");
    assert_eq!(office.state(&key), "parked");
    let number = office.event(&key)["seq"].to_string();
    let one = signer.send(&broker, &["kh-pilot/kpt-03", "requeue", &number]);
    assert_eq!((one.code, &one.lines()[0]["events"]), (0, &json!(1)), "{one:?}");
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state(&key), "delivered");
    // Nobody has telephoned because the desk sends something round again.
    office.enqueue(&referral("k-1", "Bopha", "cif"));
    assert_eq!(office.sync(), 0);
    office.enqueue(&json!({"event_key": "k-2", "kind": "withdraw", "referral": "k-1"}));
    office.sync();
    assert_eq!(office.event("k-2")["reason"], "tell_the_ngo");
    let all = signer.send(&broker, &["kh-pilot/kpt-03", "requeue"]);
    assert_eq!((all.code, &all.lines()[0]["events"]), (0, &json!(0)), "{all:?}");
    let number = office.event("k-2")["seq"].to_string();
    let one = signer.send(&broker, &["kh-pilot/kpt-03", "requeue", &number]);
    assert_eq!((one.code, &one.lines()[0]["reason"]), (3, &json!("not_parked")));
    assert_eq!(office.state("k-2"), "parked");
}
