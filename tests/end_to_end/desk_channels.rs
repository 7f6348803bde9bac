//! What the desk is told beside the state: what the box is, what needs somebody, what happened.

use crate::mosquitto::{Door, Mosquitto};
use crate::office::{referral, wait_until};
use crate::pki::Validity;
use crate::telemetry::{BASE, Desk, office, office_that, retained};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Everything said on the `event` channel.
fn events(desk: &Desk) -> Vec<Value> {
    let topic = format!("{BASE}event");
    let said = desk.all().into_iter().filter(|(at, _)| *at == topic);
    said.map(|(_, payload)| serde_json::from_str(&payload).unwrap())
        .collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// What was said on an alert's topic, empty payloads included.
fn alert(desk: &Desk, code: &str) -> Vec<String> {
    let topic = format!("{BASE}alert-{code}");
    let said = desk.all().into_iter().filter(|(at, _)| *at == topic);
    said.map(|(_, payload)| payload).collect()
}

#[test]
fn the_desk_is_told_what_the_box_is() {
    let broker = Mosquitto::running(Door::Password);
    let mut office = office(&broker);
    office.start();
    wait_until("info is retained", || retained(&broker, "info")["v"] == 1);
    let info = retained(&broker, "info");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["time_zone"], "Asia/Phnom_Penh");
    assert_eq!(info["organizations"], "cif gpc");
    assert!(
        info["flows"].as_str().unwrap().contains("local-to-oscar"),
        "{info}"
    );
    assert!(
        info["schedule"].is_string() && info["board"].is_string(),
        "{info}"
    );
}

#[test]
fn a_parked_event_raises_one_alert_and_its_end_clears_it() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let mut office = office(&broker);
    office.start();
    desk.becomes("online");
    office.first_session_over();
    let mut lost = referral("k-1", "Dara", "cif");
    lost["child"]["primero_case_id"] = json!("11111111-2222-3333-4444-555555555555");
    assert_eq!(office.enqueue(&lost).0, 0);
    office.sync();
    assert_eq!(office.state("k-1"), "parked");
    wait_until("the alert is raised", || {
        retained(&broker, "alert-parked")["code"] == "parked"
    });
    let raised = retained(&broker, "alert-parked");
    assert_eq!(
        (&raised["level"], &raised["value"]),
        (&json!("warning"), &json!(1))
    );
    let told = events(&desk);
    let stuck = named(&told, "parked");
    assert_eq!(stuck.len(), 1, "{told:?}");
    assert_eq!(
        (&stuck[0]["seq"], &stuck[0]["reason"]),
        (&json!(1), &json!("case_not_found"))
    );

    office.sync();
    assert_eq!(
        office
            .command(&["events", "discard", "k-1", "--note", "typed wrong"])
            .status
            .code(),
        Some(0)
    );
    office.sync();
    wait_until("the alert is cleared", || {
        alert(&desk, "parked").last().is_some_and(String::is_empty) && alert(&desk, "parked").len() > 1
    });
    assert!(retained(&broker, "alert-parked").is_null());
    let raised = alert(&desk, "parked")
        .iter()
        .filter(|payload| !payload.is_empty())
        .count();
    assert_eq!(raised, 1, "raised once, not with every session");
    for (topic, payload) in desk.all() {
        assert!(
            !payload.contains("Dara") && !payload.contains("k-1") && !payload.contains("11111111"),
            "{topic}"
        );
    }
}

#[test]
fn a_refused_password_raises_its_own_alert_and_the_next_run_clears_it() {
    let broker = Mosquitto::running(Door::Password);
    let mut office = office(&broker);
    let password = office.folder.path().join("oscar.password");
    crate::office::private(&password, "wrong-password");
    office.start();
    wait_until("the alert is raised", || {
        retained(&broker, "alert-auth_oscar")["level"] == "critical"
    });
    assert!(retained(&broker, "alert-auth_primero").is_null());
    office.stop();
    assert_eq!(
        retained(&broker, "alert-auth_oscar")["code"],
        "auth_oscar",
        "it outlives the run"
    );
    office.start();
    office.first_session_over();
    // What the advice says is enough.
    crate::office::private(&password, crate::office::OSCAR_PASSWORD);
    assert_eq!(office.sync(), 0);
    wait_until("the alert is cleared", || {
        retained(&broker, "alert-auth_oscar").is_null()
    });
}

#[test]
fn events_are_numbered_and_wait_for_an_absent_broker() {
    let mut broker = Mosquitto::absent(Door::Password);
    let mut office = office(&broker);
    office.start();
    office.first_session_over();
    for number in 0..3 {
        office.enqueue(&referral(&format!("k-{number}"), "Dara", "cif"));
        assert_eq!(office.sync(), 0);
    }
    // The first to connect may be either: so the listener comes with a session of its own that waits.
    broker.start();
    let desk = Desk::listen(&broker);
    desk.becomes("online");
    office.enqueue(&referral("k-9", "Dara", "cif"));
    office.sync();
    wait_until("the last session is told", || {
        named(&events(&desk), "session")
            .iter()
            .any(|e| e["n"].as_u64() > Some(4))
    });
    let told = events(&desk);
    let numbers: Vec<u64> = told.iter().map(|event| event["n"].as_u64().unwrap()).collect();
    let whole: Vec<u64> = (numbers[0]..=*numbers.last().unwrap()).collect();
    assert_eq!(numbers, whole, "no gap, no double");
    assert!(
        told.iter()
            .all(|event| event["session"] == 1 && event["dropped"] == 0),
        "{told:?}"
    );
    for event in named(&told, "session") {
        assert!(
            event["pushed"].as_u64() > Some(0) || event["n"] == 2,
            "a session that moved nothing is not told: {event}"
        );
    }
}

/// `HH:MM` in Phnom Penh, so many seconds from now.
pub fn office_time(ahead_s: i64) -> (i64, String) {
    let unix = crate::telemetry::unix_now() + ahead_s;
    let minute = unix.div_euclid(60) + 7 * 60;
    let text = format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    (unix.div_euclid(60) * 60, text)
}

#[test]
fn quiet_hours_are_announced_with_the_moment_they_end() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let (end, until) = office_time(3 * 3600);
    let (_, from) = office_time(-3600);
    let mut office = crate::telemetry::office_that(
        &broker,
        &format!("[uplink]\nquiet_hours = [\"{from}-{until}\"]\n"),
    );
    office.start();
    // A first session confirms the clock; then the office knows what time it is.
    desk.becomes("sleeping");
    let told = retained(&broker, "status");
    let next_by = told["next_by"].as_i64().unwrap();
    assert!(next_by > end && next_by < end + 3600, "{told} for {end}");
    assert_eq!(office.json(&["status"])["mqtt"]["state"], "sleeping");
    wait_until("nothing is said after it", || {
        desk.state().as_deref() == Some("sleeping")
    });
    office.stop();
    assert_eq!(
        retained(&broker, "status")["state"],
        "sleeping",
        "no will, and no noise at the stop"
    );
}

#[test]
fn a_death_shows_in_the_next_boot() {
    let broker = Mosquitto::running(Door::Password);
    let desk = Desk::listen(&broker);
    let mut office = office(&broker);
    let boots = |count: usize| {
        wait_until("the boot is told", || {
            named(&events(&desk), "boot").len() >= count
        });
        named(&events(&desk), "boot")[count - 1].clone()
    };
    office.start();
    assert_eq!(
        boots(1)["clean"],
        true,
        "nothing is known of a run before the first"
    );
    office.stop();
    office.start();
    assert_eq!(boots(2)["clean"], true);
    for deaths in 1..=3 {
        office.kill();
        office.start();
        let boot = boots(2 + deaths);
        assert_eq!(
            (&boot["clean"], &boot["crashes"]),
            (&json!(false), &json!(deaths))
        );
    }
    wait_until("a crash loop is an alert", || {
        retained(&broker, "alert-crash_loop")["value"] == 3
    });
}

#[test]
fn the_desk_is_told_why_the_box_started_what_room_it_has_and_how_long_its_certificates_last() {
    let broker = Mosquitto::running(Door::Password);
    let mut office = office_that(&broker, "[lan]\nlisten = \"127.0.0.1:0\"\n");
    // The box's own script: started, and started again without having been stopped.
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/common/root/usr/lib/referral-gateway/boot-reason");
    for _ in 0..2 {
        let ran = Command::new("sh")
            .arg(&script)
            .arg("start")
            .arg(office.data(""))
            .args(["/nowhere", "/dev/null"])
            .status();
        assert!(ran.unwrap().success());
    }
    office.start();
    office.first_session_over();
    wait_until("health has the days", || {
        retained(&broker, "health")["cert_days"].is_i64()
    });
    let health = retained(&broker, "health");
    assert_eq!(health["boot_reason"], "power", "{health}");
    // The listener's own certificate lasts ten years from the day it is made.
    assert!(health["cert_days"].as_i64().unwrap() > 3600, "{health}");
    assert!(health["disk_free_b"].as_i64().unwrap() > 1_000_000, "{health}");
    let figures = office.json(&["status"])["figures"].clone();
    assert_eq!(figures["boot_reason"], "power", "{figures}");
}

#[test]
fn a_certificate_for_the_broker_that_runs_out_is_told_before_it_has() {
    let broker = Mosquitto::running(Door::Password);
    let folder = &broker.authority.folder;
    let with = |validity, name: &str| {
        let leaf = broker.authority.leaf("kpt-03", validity);
        let certificate = folder.write(&format!("{name}.pem"), &leaf.certificate_pem);
        let key = folder.0.join(format!("{name}.key"));
        crate::office::private(&key, &leaf.key_pem);
        format!(
            "client_cert = \"{}\"\nclient_key = \"{}\"\n",
            certificate.display(),
            key.display()
        )
    };
    let near = with(Validity::Days(10), "near");
    let mut office = office_that(&broker, &near);
    office.start();
    wait_until("the alert is raised", || {
        retained(&broker, "alert-certificate")["level"] == "warning"
    });
    let days = retained(&broker, "alert-certificate")["value"].clone();
    assert!([9, 10].contains(&days.as_i64().unwrap()), "{days}");
    assert_eq!(retained(&broker, "health")["cert_days"], days);
    office.stop();
    // A new one is put in its place.
    let text = std::fs::read_to_string(&office.config).unwrap();
    crate::office::private(
        &office.config,
        &text.replace(&near, &with(Validity::Days(400), "new")),
    );
    office.start();
    wait_until("the alert is cleared", || {
        retained(&broker, "alert-certificate").is_null()
    });
}
