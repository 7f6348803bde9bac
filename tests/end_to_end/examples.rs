//! The configurations we give the technician at the broker we give the desk, by the ports they name: a box set up by
//! either of them is heard there, and can be locked.

use crate::mosquitto::Mosquitto;
use crate::office::{OSCAR_PASSWORD, Office, PRIMERO_PASSWORD, gateway, private, wait_until};
use crate::self_test_broker::user;
use std::path::Path;
use std::process::{Command, Output};

const KPT_03: &str = "referral-gateway/v1/kh-pilot/kpt-03";

fn ran(words: &[&str]) -> Output {
    Command::new(gateway()).args(words).output().unwrap()
}

/// A shipped example with the shipped ports as this broker has them.
fn shipped(name: &str, broker: &Mosquitto) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let [certificates, passwords] = [broker.port, broker.second_port].map(|port| format!(":{port}\""));
    text.replace(":8883\"", &certificates)
        .replace(":8884\"", &passwords)
}

/// One thing filled in that the example must have.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the example has no {from}");
    text.replace(from, to)
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// The desk's key, and the line it gives the gateways.
fn key_of_the_desk(broker: &Mosquitto) -> (String, String) {
    let key = broker.authority.folder.0.join("desk.key").display().to_string();
    let made = ran(&["fleet", "key", &key]);
    (key, String::from_utf8(made.stdout).unwrap().trim().to_owned())
}

/// The desk hears the gateway of this office and locks it.
fn is_heard_and_locked(broker: &Mosquitto, office: &mut Office, key: &str) {
    office.start();
    let held = |channel: &str, words: &str| {
        let topic = format!("{KPT_03}/{channel}");
        let found = user(broker, "mosquitto_sub", "desk", &["-t", &topic, "-W", "1"]);
        found.iter().any(|line| line.contains(words))
    };
    wait_until("the desk hears the gateway", || held("status", "\"online\""));
    // It obeys by a confirmed clock alone.
    office.first_session_over();
    let password = broker.authority.folder.0.join("desk.password");
    private(&password, "right");
    let url = format!("mqtts://localhost:{}", broker.second_port);
    let ca = broker.authority.ca_file().display().to_string();
    let password = password.display().to_string();
    let words = [
        "fleet",
        "send",
        "kh-pilot/kpt-03",
        "lock",
        "--key",
        key,
        "--broker",
        &url,
    ];
    let account = [
        "--ca-file",
        &ca,
        "--user-name",
        "desk-commands",
        "--password-file",
        &password,
    ];
    let sent = ran(&[&words[..], &account].concat());
    assert!(sent.status.success(), "{sent:?}");
    wait_until("the gateway is locked", || held("alert-locked", "\"locked\""));
}

#[test]
fn the_example_configuration_and_the_shipped_broker_fit_together() {
    let broker = Mosquitto::running_as_shipped();
    let (key, line) = key_of_the_desk(&broker);
    let mut office = Office::new();
    let folder = office.folder.path().to_owned();
    private(&folder.join("mqtt.password"), "right");
    for (name, from) in [
        ("primero", folder.join("ca.pem")),
        ("oscar", folder.join("ca.pem")),
        ("mqtt", broker.authority.ca_file()),
    ] {
        std::fs::copy(from, folder.join(format!("{name}-ca.pem"))).unwrap();
    }
    let home = folder.display().to_string();
    let text = shipped("boards/common/gateway.toml", &broker);
    let text = with(&text, "/etc/referral-gateway", &home);
    let text = with(&text, "/var/lib/referral-gateway", &format!("{home}/data"));
    let text = with(&text, "https://primero.example.org", &office.primero.url());
    let text = with(&text, "gateway-kpt-03\"\n", "gateway-test\"\n");
    let text = with(&text, "https://interoperability.example.org", &office.oscar.url());
    let text = with(&text, "gateway-kpt-03@", "gateway@");
    let text = with(&text, "broker.example.org", "localhost");
    // The authorities of a test are not public ones; the desk's line is its own.
    let text = with(&text, "#ca_file = ", "ca_file = ");
    let example = text.lines().find(|line| line.starts_with("#command_keys = "));
    let text = with(&text, example.unwrap(), &line);
    std::fs::write(&office.config, &text).unwrap();
    is_heard_and_locked(&broker, &mut office, &key);
}

#[test]
fn a_box_set_up_by_the_card_and_the_shipped_broker_fit_together() {
    let broker = Mosquitto::running_as_shipped();
    let (key, line) = key_of_the_desk(&broker);
    let mut office = Office::new();
    let folder = office.folder.path().to_owned();
    let ca = |file: &Path| format!("ca = \"\"\"\n{}\"\"\"\n", read(file));
    let of_both = ca(&folder.join("ca.pem"));
    let of_the_broker = ca(&broker.authority.ca_file());
    let text = shipped("boards/common/gateway.txt", &broker);
    let text = with(
        &text,
        "url = \"mqtts://FILL-IN",
        &format!("{of_the_broker}url = \"mqtts://localhost"),
    );
    let text = with(
        &text,
        "url = \"https://FILL-IN\"\nuser_name = \"FILL-IN\"\npassword = \"FILL-IN\"",
        &format!(
            "{of_both}url = \"{}\"\nuser_name = \"gateway-test\"\npassword = \"{PRIMERO_PASSWORD}\"",
            office.primero.url()
        ),
    );
    let text = with(
        &text,
        "url = \"https://FILL-IN\"\nemail = \"FILL-IN\"\npassword = \"FILL-IN\"\norganizations = [\"FILL-IN\"]",
        &format!(
            "{of_both}url = \"{}\"\nemail = \"gateway@example.org\"\npassword = \"{OSCAR_PASSWORD}\"\norganizations = [\"cif\"]",
            office.oscar.url()
        ),
    );
    let text = with(
        &text,
        "passphrase = \"FILL-IN\"",
        "passphrase = \"five words or more of them\"",
    );
    let text = with(&text, "password = \"FILL-IN\"", "password = \"right\"");
    let text = with(&text, "= \"FILL-IN\"", "= \"kpt-03\"");
    let text = with(&text, "0.0.0.0:8443", "127.0.0.1:0");
    let (card, home) = (folder.join("gateway.txt"), folder.join("data/config"));
    // A line that is none of the desk's is found on the laptop.
    let unset = "# command_keys = [\"FILL-IN\"]";
    std::fs::write(&card, with(&text, unset, "command_keys = [\"no key\"]")).unwrap();
    let checked = ran(&["provision", "check", card.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(
        !checked.status.success() && said.contains("command_keys"),
        "{said}"
    );
    std::fs::write(&card, with(&text, unset, &line)).unwrap();
    std::fs::create_dir_all(&home).unwrap();
    let applied = ran(&[
        "provision",
        "apply",
        card.to_str().unwrap(),
        home.to_str().unwrap(),
    ]);
    assert!(applied.status.success(), "{applied:?}");
    office.config = home.join("current/gateway.toml");
    is_heard_and_locked(&broker, &mut office, &key);
}
