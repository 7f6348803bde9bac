//! What the centre sees, with a real Mosquitto over TLS as the witness.

use crate::mosquitto::{Door, Mosquitto};
use crate::office::{Office, Wishes, private, referral, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

pub const BASE: &str = "referral-gateway/v1/kh-pilot/kpt-03/";

/// An office that reports to this broker.
pub fn office(broker: &Mosquitto) -> Office {
    office_that(broker, "")
}

/// The same with more in its `[mqtt]` section.
pub fn office_that(broker: &Mosquitto, more: &str) -> Office {
    let more = format!(
        "[mqtt]\nurl = \"mqtts://localhost:{}\"\nuser_name = \"gateway\"\npassword_file = \"mqtt.password\"\n\
         ca_file = \"{}\"\n{more}",
        broker.port,
        broker.authority.ca_file().display()
    );
    let office = Office::wished(Wishes {
        more,
        ..Wishes::default()
    });
    private(&office.folder.path().join("mqtt.password"), "right");
    office
}

/// Everything said below our base, as it arrives: topic and payload, retained or not.
#[derive(Clone)]
pub struct Desk(Arc<Mutex<Vec<(String, String)>>>);

impl Desk {
    pub fn listen(broker: &Mosquitto) -> Desk {
        let mut command = broker.witness("#");
        command.args(["-u", "gateway", "-P", "right", "-F", "%t %p"]);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let desk = Desk(Arc::default());
        let heard = Arc::clone(&desk.0);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
                heard.lock().unwrap().push((topic.to_owned(), payload.to_owned()));
            }
            // The broker has gone, and its listener with it.
            process.kill().ok();
            process.wait().ok();
        });
        desk
    }

    pub fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }

    /// The last thing said on each channel.
    pub fn last(&self) -> BTreeMap<String, Value> {
        let read = |(topic, payload): (String, String)| {
            let channel = topic.strip_prefix(BASE)?.to_owned();
            Some((channel, serde_json::from_str(&payload).ok()?))
        };
        self.all().into_iter().filter_map(read).collect()
    }

    pub fn state(&self) -> Option<String> {
        Some(self.last().get("status")?["state"].as_str()?.to_owned())
    }

    pub fn becomes(&self, state: &str) {
        wait_until(&format!("the desk sees {state}"), || {
            self.state().as_deref() == Some(state)
        });
    }
}

/// What a desk that comes later is told.
pub fn retained(broker: &Mosquitto, channel: &str) -> Value {
    let mut command = broker.witness(&format!("{BASE}{channel}"));
    let output = command
        .args([
            "-u", "gateway", "-P", "right", "-C", "1", "-W", "3", "-F", "%r %p",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.strip_prefix("1 ")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null)
}

pub fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs().try_into().unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[test]
fn the_desk_sees_the_birth_and_a_promise() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let mut office = office(&broker);
    office.start();
    desk.becomes("online");
    let birth = retained(&broker, "status");
    assert_eq!((&birth["v"], &birth["session"]), (&json!(1), &json!(1)));
    let (ts, next_by) = (birth["ts"].as_i64().unwrap(), birth["next_by"].as_i64().unwrap());
    assert!(next_by > ts + 15 * 60 && next_by < ts + 3600, "{birth}");
    assert_eq!(office.json(&["status"])["mqtt"]["state"], "online");
}

#[test]
fn the_desk_sees_what_each_session_did_and_how_the_box_is() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let mut office = office(&broker);
    office.start();
    desk.becomes("online");
    office.first_session_over();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    let pushed = |channel: &str| desk.last().get(channel).is_some_and(|sync| sync["pushed"] == 1);
    wait_until("both sync channels show the push", || {
        pushed("sync-primero") && pushed("sync-oscar")
    });
    let wanted =
        "bytes confirmed error in_doubt last_attempt last_ok last_round_trip ms parked pulled pushed ts v";
    for channel in ["sync-primero", "sync-oscar"] {
        let sync = retained(&broker, channel);
        assert_eq!(keys(&sync).join(" "), wanted, "{channel}");
        let bytes = sync["bytes"].as_u64().unwrap();
        assert!(bytes > 500 && sync["error"].is_null(), "{sync}");
    }
    wait_until("health shows the delivery", || {
        desk.last().get("health").is_some_and(|h| h["delivered"] == 1)
    });
    let health = retained(&broker, "health");
    for key in "uptime_s mem_kb clock queue bytes parked in_doubt commits wire_bytes disk_free_b".split(' ') {
        assert!(!health[key].is_null(), "{key} in {health}");
    }
    // This box keeps no reason of its start, and shows no certificate.
    for key in ["boot_reason", "cert_days"] {
        assert_eq!(health.get(key), Some(&Value::Null), "{key} in {health}");
    }

    office.oscar.server().set_down(true);
    office.run(&["sync"]);
    wait_until("the trouble shows", || {
        desk.last()["sync-oscar"]["error"] == "route"
    });
    for (topic, payload) in desk.all() {
        assert!(payload.len() <= 1024 && topic.starts_with(BASE), "{topic}");
        if payload.is_empty() && topic.contains("/alert-") {
            continue;
        }
        let said: Value = serde_json::from_str(&payload).unwrap();
        let nested = |value: &Value| value.is_object() || value.is_array();
        assert!(!said.as_object().unwrap().values().any(nested), "{payload}");
        assert_eq!(said["v"], 1);
    }
}

#[test]
fn a_clean_stop_says_offline_and_a_death_says_lost() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let mut office = office(&broker);
    office.start();
    desk.becomes("online");
    assert_eq!(office.stop(), Some(0));
    desk.becomes("offline");
    assert_eq!(retained(&broker, "status")["session"], 1);
    office.start();
    desk.becomes("online");
    office.kill();
    desk.becomes("lost");
    let will = retained(&broker, "status");
    assert_eq!(
        (&will["state"], &will["session"]),
        (&json!("lost"), &json!(2)),
        "the number tells whose will it is"
    );
    office.start();
    desk.becomes("online");
    assert_eq!(retained(&broker, "status")["session"], 3);
}

#[test]
fn an_absent_broker_delays_nothing_and_is_told_when_it_comes() {
    let mut broker = Mosquitto::absent(Door::Password);
    let mut office = office(&broker);
    let start = std::time::Instant::now();
    office.start();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert_eq!(office.json(&["status"])["mqtt"]["state"], "unreachable");
    broker.start();
    wait_until("the broker is told", || {
        retained(&broker, "sync-oscar")["last_ok"].is_u64()
    });
    assert_eq!(retained(&broker, "status")["state"], "online");
    broker.signal("STOP");
    let start = std::time::Instant::now();
    office.enqueue(&referral("k-2", "Bopha", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-2"), "delivered");
    assert_eq!(office.stop(), Some(0));
    assert!(
        start.elapsed().as_secs() < 10,
        "a hung broker holds up the stop: {:?}",
        start.elapsed()
    );
    broker.signal("CONT");
}

#[test]
fn a_wrong_broker_password_shows_and_hurts_nothing_else() {
    let broker = Mosquitto::running(Door::Password);
    let mut office = office(&broker);
    private(&office.folder.path().join("mqtt.password"), "wrong");
    office.start();
    wait_until("the refusal shows", || {
        office.json(&["status"])["mqtt"]["state"] == "refused"
    });
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
}
