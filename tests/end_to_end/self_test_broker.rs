//! `self-test` at a real Mosquitto with the desk's own configuration and ACL: right about both, a guest beside the
//! running gateway, and gone without a trace.

use crate::mosquitto::{Door, Mosquitto, program};
use crate::office::{Office, Wishes, private, wait_until};
use crate::pki::{Authority, Validity};
use crate::self_test::{NOT_RUNNING, finds, found};
use crate::telemetry::{office, office_that};
use serde_json::Value;
use std::process::Command;

/// An office whose gateway the broker knows by password, there for a self-test alone.
fn by_password(broker: &Mosquitto) -> Office {
    let office = office_with(&format!(
        "url = \"mqtts://localhost:{}\"\nuser_name = \"kpt-03\"\npassword_file = \"mqtt.password\"\nca_file = \"{}\"\n",
        broker.second_port,
        broker.authority.ca_file().display()
    ));
    private(&office.folder.path().join("mqtt.password"), "right");
    std::fs::create_dir(office.data("")).unwrap();
    office
}

fn office_with(mqtt: &str) -> Office {
    Office::wished(Wishes {
        more: format!("[mqtt]\n{mqtt}"),
        ..Wishes::default()
    })
}

/// `mosquitto_sub` or `mosquitto_pub` of a user of the desk; what it printed.
pub fn user(broker: &Mosquitto, tool: &str, name: &str, words: &[&str]) -> Vec<String> {
    let port = broker.second_port.to_string();
    let output = Command::new(program(tool))
        .arg("--cafile")
        .arg(broker.authority.ca_file())
        .args(["-h", "localhost", "-p", &port, "-u", name, "-P", "right"])
        .args(["-q", "1"])
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn retained(broker: &Mosquitto) -> Vec<String> {
    let words = ["-t", "#", "-W", "1", "-F", "%t %p"];
    user(broker, "mosquitto_sub", "desk-janitor", &words)
}

#[test]
fn a_good_broker_is_told_so_beside_the_running_gateway_and_nothing_stays() {
    let broker = Mosquitto::running_as_shipped();
    let leaf = broker.authority.leaf("kpt-03", Validity::Now);
    let folder = &broker.authority.folder;
    let certificate = folder.write("kpt-03.pem", &leaf.certificate_pem);
    private(&folder.0.join("kpt-03.key"), &leaf.key_pem);
    let mut office = office_with(&format!(
        "url = \"mqtts://localhost:{}\"\nclient_cert = \"{}\"\nclient_key = \"{}\"\nca_file = \"{}\"\n",
        broker.port,
        certificate.display(),
        folder.0.join("kpt-03.key").display(),
        broker.authority.ca_file().display()
    ));
    office.start();
    office.first_session_over();
    wait_until("the gateway is with its broker", || {
        office.json(&["status"])["mqtt"]["state"] == "online"
    });
    let mut before = Vec::new();
    wait_until("the desk has all there is", || {
        before = retained(&broker);
        let kept = |topic: &str| {
            before
                .iter()
                .any(|line| line.contains(&format!("/kpt-03/{topic} ")))
        };
        ["status", "info", "health", "sync-primero", "sync-oscar"]
            .into_iter()
            .all(kept)
    });
    finds(&office, 0, &[]);
    finds(&office, 0, &[]);
    let ran = office.run(&["self-test", "--json"]);
    let found = found(&ran);
    assert!(
        found["mqtt"].1.contains("brings back") && found["mqtt acl"].1.contains("drops"),
        "{ran:?}"
    );
    assert!(
        ran.lines()[0]["sheet"]
            .as_str()
            .unwrap()
            .contains("mqtt acl: drops"),
        "on the sheet: {ran:?}"
    );
    // The gateway's own connection is the one it had, and nothing new is kept.
    let topics = |lines: &[String]| -> Vec<String> {
        let mut topics: Vec<String> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect();
        topics.sort();
        topics
    };
    let after = retained(&broker);
    assert_eq!(topics(&after), topics(&before));
    let link = |lines: &[String]| {
        let birth = lines.iter().find_map(|line| line.split_once("/kpt-03/status "));
        let birth: Value = serde_json::from_str(birth.expect("a birth").1).expect("JSON");
        (
            birth["state"].clone(),
            birth["session"].clone(),
            birth["link"].clone(),
        )
    };
    assert_eq!(link(&after), link(&before));
    assert_eq!(link(&after).0, "online");
    assert_eq!(office.json(&["status"])["mqtt"]["state"], "online");
}

#[test]
fn a_wrong_password_another_authority_and_an_absent_broker_are_told_apart() {
    let mut broker = Mosquitto::absent(Door::Password);
    let office = office(&broker);
    std::fs::create_dir(office.data("")).unwrap();
    finds(&office, 75, &[("mqtt", "fail", "cannot be reached"), NOT_RUNNING]);
    broker.start();
    let password = office.folder.path().join("mqtt.password");
    private(&password, "wrong");
    finds(&office, 4, &[("mqtt", "fail", "refuses"), NOT_RUNNING]);
    private(&password, "right");
    let stranger = Authority::new();
    let text = std::fs::read_to_string(&office.config).unwrap();
    let ours = broker.authority.ca_file().display().to_string();
    let theirs = stranger.ca_file().display().to_string();
    private(&office.config, &text.replace(&ours, &theirs));
    finds(&office, 1, &[("mqtt", "fail", "mqtt.ca_file"), NOT_RUNNING]);
    // A broker without any ACL.
    private(&office.config, &text);
    finds(&office, 1, &[("mqtt acl", "fail", "may write"), NOT_RUNNING]);
}

#[test]
fn a_broker_certificate_out_of_its_dates_points_at_the_clock() {
    let mut broker = Mosquitto::prepared(Door::Password, Validity::Over);
    broker.start();
    let office = office_that(&broker, "");
    std::fs::create_dir(office.data("")).unwrap();
    finds(&office, 1, &[("mqtt", "fail", "set the clock"), NOT_RUNNING]);
}

#[test]
fn an_acl_that_lets_a_gateway_speak_for_others_is_found() {
    for line in [
        "pattern write referral-gateway/v1/kh-pilot/+/+",
        "pattern write referral-gateway/v1/#",
    ] {
        let broker = Mosquitto::running_with_acl(|acl| format!("{line}\n{acl}"));
        let office = by_password(&broker);
        finds(&office, 1, &[("mqtt acl", "fail", "may write"), NOT_RUNNING]);
        assert!(retained(&broker).is_empty(), "nothing stays, even where it could");
    }
}

#[test]
fn an_acl_that_lets_a_gateway_read_others_is_found() {
    let wide = "pattern read referral-gateway/v1/kh-pilot/#";
    let broker = Mosquitto::running_with_acl(|acl| format!("{wide}\n{acl}"));
    let office = by_password(&broker);
    let says = |topic: &str| {
        let topic = format!("referral-gateway/v1/kh-pilot/{topic}");
        let words = ["-t", &topic, "-m", "{\"v\":1}", "-r"];
        user(&broker, "mosquitto_pub", "desk-janitor", &words);
    };
    says("kpt-03/status");
    finds(
        &office,
        0,
        &[("mqtt acl", "warn", "more than its commands"), NOT_RUNNING],
    );
    says("kpt-04/status");
    finds(
        &office,
        1,
        &[("mqtt acl", "fail", "may read what others say"), NOT_RUNNING],
    );
}

#[test]
fn an_acl_that_keeps_too_much_from_a_gateway_is_found() {
    for kept in ["%u/self-test", "%u/+"] {
        let without = |acl: String| {
            let lines = acl.lines().filter(|line| !line.ends_with(kept));
            lines.map(|line| format!("{line}\n")).collect()
        };
        let broker = Mosquitto::running_with_acl(without);
        let office = by_password(&broker);
        finds(
            &office,
            1,
            &[("mqtt", "fail", "does not bring back"), NOT_RUNNING],
        );
    }
}
