//! What is planted in events must not turn up anywhere: not in files, not in the log, not in what commands print
//! without `--reveal`, not at the centre.

use crate::mosquitto::{Door, Mosquitto, program};
use crate::office::planted::{clean, clean_folder, found};
use crate::office::{Office, Wishes, referral, wait_until};
use referral_gateway::core::outbox;
use referral_gateway::store::{DeviceKey, Store};
use serde_json::{Value, json};
use simulators::wire::{Fault, FaultRule, Reply};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn planted(key: &str, organization: &str) -> Value {
    referral(key, "Xanthippe", organization)
}

/// Asks for everything a person or a program can see without asking for the content; what commands print is searched as
/// they print it.
fn clean_everywhere(office: &Office) {
    let bundle = office.folder.path().join("bundle.json");
    office.run(&["support-bundle", "--output", bundle.to_str().unwrap()]);
    clean("the support bundle", &std::fs::read(&bundle).unwrap());
    assert!(clean_folder(&office.folder.path().join("data")) >= 3);
    clean("the service's log", office.log().as_bytes());
    for json in [&[][..], &["--json"]] {
        for words in [
            &["events", "list"][..],
            &["status"],
            &["sync"],
            &["check-config"],
            &["self-test"],
            &["station", "list"],
        ] {
            office.run(&[words, json].concat());
        }
        for key in office.states().keys() {
            office.run(&[&["events", "show", key], json].concat());
        }
    }
}

/// Hands events in by every way there is, good ones and bad ones.
fn hand_in(office: &Office) {
    for (key, running) in [("cli", true), ("cli-2", false)] {
        let organization = if running { "cif" } else { "gpc" };
        let ran = office.run_with(&["enqueue", "-"], &planted(key, organization).to_string());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let mut wrong = planted("wrong", "cif");
    wrong["child"]["sex"] = "Xanthippe".into();
    wrong["child"]["date_of_birth"] = "2014-07-19T00:00".into();
    wrong["organization"] = "Zyzzyva".into();
    let other = planted("cli", "gpc");
    let broken = planted("broken", "cif").to_string().replace("\"kind\"", "kind");
    for bad in [wrong.to_string(), other.to_string(), broken.clone()] {
        for words in [
            &["enqueue", "-"][..],
            &["enqueue", "-", "--json"],
            &["enqueue", "-", "--dry-run"],
        ] {
            office.run_with(words, &bad);
        }
    }
    let folder = office.data("intake");
    let drop_in = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    drop_in("Xanthippe Zyzzyva.json", &planted("dropped", "cif").to_string());
    drop_in("ក្រចៅឆ្មា.json", &wrong.to_string());
    drop_in("Xanthippe.jsonl", &broken);
    let plain = |entry: std::fs::DirEntry| entry.path().is_file();
    wait_until("the drop folder is empty", || {
        !std::fs::read_dir(&folder).unwrap().flatten().any(plain)
    });
}

/// A peer that talks about what it was sent.
fn chatty(status: u16) -> Fault {
    let errors = json!({"status": status, "resource": "/api/v2/cases", "detail": "Xanthippe Zyzzyva",
        "message": "ក្រចៅឆ្មា is not a quokka"});
    let body = json!({"errors": [errors], "message": "Xanthippe", "error": {"Xanthippe": ["Zyzzyva"]},
        "Xanthippe": ["2014-07-19"]});
    Fault::Answer(Reply::json(status, &body))
}

/// A collector that would not notice proves nothing: each planted thing, in each place there is.
#[test]
fn a_leak_is_caught_wherever_it_is() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let fails = |leak: &dyn Fn(Office)| {
        let office = Office::new();
        std::fs::create_dir_all(office.data("intake/rejected")).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| leak(office)));
        let said = caught.expect_err("a leak went unnoticed");
        let said = said.downcast_ref::<String>().unwrap();
        assert!(said.starts_with("LEAK: "), "{said}");
    };
    // A person's own words come back in an error: to the person, and so to the collector.
    fails(&|office| drop(office.run(&["Xanthippe"])));
    let event = referral("k", "Xanthippe", "cif");
    let at_rest = |name: &'static str, text: String| {
        fails(&move |office: Office| std::fs::write(office.folder.path().join(name), &text).unwrap());
    };
    at_rest("service.log", event["child"]["family_name"].to_string());
    at_rest("service.log", format!("{:?}", event["case_worker"]["phone"]));
    at_rest(
        "data/gateway.redb",
        format!("..{}..", event["child"]["date_of_birth"]),
    );
    at_rest(
        "data/control.json",
        event["child"]["local_given_name"].to_string(),
    );
    at_rest(
        "data/intake/rejected/why",
        "\\u1780\\u17d2\\u179a\\u1785\\u17c5".to_owned(),
    );
    at_rest("data/intake/rejected/Xanthippe.json", String::new());
    fails(&|office| {
        let bundle = office.folder.path().join("bundle.json");
        std::fs::write(&bundle, crate::planted::WORKER).unwrap();
        // A wrong line writes nothing anew.
        office.run(&[
            "support-bundle",
            "--output",
            bundle.to_str().unwrap(),
            "--no-such-option",
        ]);
    });
    // Said over MQTT, in whatever test.
    fails(&|_| {
        let broker = Mosquitto::running(Door::Open);
        let topic = "referral-gateway/v1/kh-pilot/kpt-03/event";
        let mut said = Command::new(program("mosquitto_pub"));
        said.arg("--cafile").arg(broker.authority.ca_file());
        said.args(["-h", "localhost", "-p", &broker.port.to_string(), "-q", "1"]);
        let said = said.args(["-t", topic, "-m", "ក្រចៅឆ្មា"]).status();
        assert!(said.unwrap().success());
    });
    assert_eq!(found("nothing planted: Xanthi, 2014-07-18".as_bytes()), None);
}

#[test]
fn nothing_planted_turns_up_anywhere() {
    let broker = Mosquitto::running(Door::Open);
    let said = said(&broker);
    let more = format!(
        "[mqtt]\nurl = \"mqtts://localhost:{}\"\nca_file = \"{}\"\n",
        broker.port,
        broker.authority.ca_file().display()
    );
    let mut office = Office::wished(Wishes {
        more,
        ..Wishes::default()
    });
    office.primero.server().set_down(true);
    office.start();
    hand_in(&office);
    clean_everywhere(&office);

    office.primero.server().set_down(false);
    for (server, method, path, status) in [
        (office.primero.server(), "POST", "/api/v2/cases", 422),
        (office.primero.server(), "POST", "/api/v2/cases", 500),
        (office.primero.server(), "POST", "/referrals", 422),
        (office.oscar.server(), "POST", "/upsert", 422),
        (office.oscar.server(), "POST", "/upsert", 500),
    ] {
        server
            .faults()
            .add(FaultRule::on(method, path, chatty(status)).times(1));
        office.run(&["sync"]);
        let parked = office.states().into_iter().filter(|(_, state)| state == "parked");
        for (key, _) in parked.collect::<Vec<_>>() {
            office.run(&["events", "requeue", &key]);
        }
    }
    clean_everywhere(&office);
    let told = office
        .primero
        .cases()
        .iter()
        .any(|case| case.to_string().contains("ក្រចៅឆ្មា"));
    assert!(told, "the peers are told, nobody else");
    for key in office.states().keys() {
        let note = "Xanthippe Zyzzyva came to the office";
        office.run(&["events", "discard", key, "--note", note]);
    }
    clean_everywhere(&office);
    office.kill();
    assert!(clean_folder(&office.folder.path().join("data")) >= 3);
    office.start();
    assert_eq!(office.stop(), Some(0));
    clean_everywhere(&office);
    drop(broker);
    let said = said.join().unwrap();
    assert!(said.len() > 500, "the desk heard something");
    clean("what the centre was told", &said);
}

/// A panic says where the fault is, and nothing of the child in hand; after it nothing is lost and nothing is doubled.
#[test]
#[cfg(debug_assertions)]
fn a_panic_with_a_child_in_hand_tells_nothing_of_it() {
    const SIGABRT: i32 = 6;
    let mut office = Office::new();
    office.environment.push(("PLANTED", "panic".to_owned()));
    office.start();
    office.first_session_over();
    assert_eq!(office.enqueue(&planted("k-1", "cif")).0, 0);
    assert_ne!(office.sync(), 0);
    assert_eq!(office.ended(), Some(SIGABRT), "{}", office.log());
    let log = office.log();
    for said in [
        "panicked at src/shell/session/primero.rs",
        "planted, with CreateCase",
        "/api/v2/cases",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    clean("the panic", log.as_bytes());
    assert!(clean_folder(&office.folder.path().join("data")) >= 1);

    office.environment.clear();
    office.start();
    wait_until("it is delivered all the same", || {
        office.state("k-1") == "delivered"
    });
    assert_eq!(
        (
            office.primero.cases().len(),
            office.oscar.with(|sim| sim.referrals().len())
        ),
        (1, 1)
    );
}

/// All that is published until the broker ends.
fn said(broker: &Mosquitto) -> std::thread::JoinHandle<Vec<u8>> {
    let mut witness = broker.witness("#");
    witness.args(["-F", "%t %p", "-E"]);
    // Subscribed for sure before anything is said: `-E` ends once the subscription stands.
    assert!(witness.status().unwrap().success());
    let mut command = broker.witness("#");
    let mut process = command
        .args(["-F", "%t %p"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut process.stdout.take().unwrap(), &mut bytes).unwrap();
        let _ = process.wait();
        bytes
    })
}

#[test]
fn after_the_purge_the_content_is_gone() {
    let office = Office::new();
    let mut event = planted("k-1", "cif");
    event["to"] = "primero".into();
    assert_eq!(office.enqueue(&event).0, 0);
    assert_eq!(office.enqueue(&planted("k-2", "cif")).0, 0);
    office.run(&[
        "events",
        "discard",
        "k-2",
        "--note",
        "Xanthippe is with her aunt",
        "--by",
        "Officer Chan",
    ]);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
    assert!(
        office
            .run(&["events", "show", "k-1", "--reveal"])
            .out
            .contains("Xanthippe")
    );

    purge(&office.data("gateway.redb"), &office.data("seal.key"), 90);
    for key in ["k-1", "k-2"] {
        let ran = office.run(&["events", "show", key, "--reveal"]);
        assert!(ran.code == 0 && ran.out.contains("erased"), "{ran:?}");
        clean("an erased event", ran.out.as_bytes());
    }
    assert_eq!(
        office.enqueue(&event).1["state"],
        "delivered",
        "the key is remembered"
    );
    purge(&office.data("gateway.redb"), &office.data("seal.key"), 400);
    assert!(office.states().is_empty(), "the queue is empty");
    let ran = office.run(&["events", "show", "k-1", "--reveal"]);
    assert!(
        ran.code == 0 && ran.out.contains("left the queue as delivered"),
        "{ran:?}"
    );
    clean("a receipt", ran.out.as_bytes());
    assert_eq!(
        office.enqueue(&event).1["state"],
        "delivered",
        "the key is remembered still"
    );
    assert_eq!(office.enqueue(&planted("k-1", "gpc")).0, 3);
}

/// What the service does every hour, as if so many seconds had passed since; `keep_delivered` at its least.
fn purge(store: &Path, key: &Path, later_s: i64) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let key = DeviceKey::load_or_make(key).unwrap();
    let (store, _) = Store::open(store, key, Some(now), &outbox::recover).unwrap();
    assert!(store.purge(Some(now + later_s), 60).unwrap().any());
}
