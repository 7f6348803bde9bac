//! The desk's broker with the configuration and the ACL we ship: who may say and hear what.

use crate::mosquitto::{Mosquitto, program};
use crate::pki::{Leaf, Validity};
use crate::{account, becomes, block_on, said, settings_of};
use referral_gateway::shell::mqtt::{Account, Broker, MqttLink, MqttState};
use referral_gateway::shell::tls::{ClientIdentity, TlsFiles, client_config};
use std::process::Command;
use std::time::{Duration, Instant};

const FLEET: &str = "referral-gateway/v1/kh-pilot";

/// The account of a gateway that holds this certificate.
fn holder(broker: &Mosquitto, id: &str, leaf: &Leaf) -> Account {
    let folder = &broker.authority.folder;
    let client = ClientIdentity {
        certificate_file: folder.write(&format!("{id}.pem"), &leaf.certificate_pem),
        key_file: folder.write(&format!("{id}.key"), &leaf.key_pem),
    };
    let files = TlsFiles {
        ca_file: Some(broker.authority.ca_file()),
        client: Some(client),
    };
    Account {
        client_id: id.to_owned(),
        tls: client_config(&files).unwrap(),
        ..account(broker)
    }
}

/// `mosquitto_sub` or `mosquitto_pub` of a user with a password.
fn user(broker: &Mosquitto, tool: &str, name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program(tool));
    command.arg("--cafile").arg(broker.authority.ca_file());
    let port = broker.second_port.to_string();
    command.args([
        "-h",
        "localhost",
        "-p",
        &port,
        "-u",
        name,
        "-P",
        "right",
        "-q",
        "1",
    ]);
    command.args(words);
    command
}

/// What a user finds retained on a topic within a moment.
fn finds(broker: &Mosquitto, name: &str, topic: &str) -> Vec<String> {
    let output = user(
        broker,
        "mosquitto_sub",
        name,
        &["-t", topic, "-W", "1", "-F", "%t %p"],
    )
    .output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn says(broker: &Mosquitto, name: &str, topic: &str) {
    let said = user(broker, "mosquitto_pub", name, &["-t", topic, "-m", "x", "-r"]).status();
    assert!(said.unwrap().success());
}

fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !come() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
    }
}

#[test]
fn a_gateway_writes_only_below_its_own_id() {
    block_on(async {
        let broker = Mosquitto::running_as_shipped();
        let leaf = broker.authority.leaf("kpt-03", Validity::Now);
        let link = MqttLink::spawn(settings_of(holder(&broker, "kpt-03", &leaf)));
        becomes(&link, &[MqttState::Online]).await;
        // Its own come last: once they are there, what was refused before them has been refused.
        for topic in [
            "kpt-04/health",
            "kpt-03/deep/er",
            "kpt-03/health",
            "kpt-03/alert-parked",
        ] {
            link.put(&format!("{FLEET}/{topic}"), b"x").unwrap();
        }
        link.put("referral-gateway/v1/other/kpt-03/health", b"x").unwrap();
        link.put("elsewhere", b"x").unwrap();
        link.put(&format!("{FLEET}/kpt-03/info"), b"last").unwrap();
        let found = tokio::task::spawn_blocking(move || {
            wait_for("the last is there", || {
                finds(&broker, "desk", "#").contains(&format!("{FLEET}/kpt-03/info last"))
            });
            (
                finds(&broker, "desk", "#"),
                finds(&broker, "desk-janitor", "#"),
                broker,
            )
        });
        let (seen, all, _broker) = found.await.unwrap();
        // The birth of these tests stands below another fleet: refused like the rest.
        let wanted = ["alert-parked x", "health x", "info last"];
        let mut topics = seen.clone();
        topics.sort();
        assert_eq!(topics, wanted.map(|end| format!("{FLEET}/kpt-03/{end}")));
        assert_eq!(all.len(), seen.len(), "nothing is kept elsewhere");
        drop(link);
    });
}

#[test]
fn a_gateway_with_a_password_is_held_to_the_same_and_hears_only_its_commands() {
    let broker = Mosquitto::running_as_shipped();
    says(&broker, "kpt-05", &format!("{FLEET}/kpt-05/status"));
    says(&broker, "kpt-05", &format!("{FLEET}/kpt-06/status"));
    says(&broker, "kpt-05", &format!("{FLEET}/kpt-06/cmd"));
    says(&broker, "desk-commands", &format!("{FLEET}/kpt-05/cmd"));
    says(&broker, "desk-commands", &format!("{FLEET}/kpt-06/cmd"));
    says(&broker, "desk-commands", &format!("{FLEET}/kpt-06/status"));
    says(&broker, "desk", &format!("{FLEET}/kpt-05/cmd-result"));
    let mut kept = finds(&broker, "desk", "#");
    kept.sort();
    assert_eq!(
        kept,
        ["kpt-05/cmd x", "kpt-05/status x", "kpt-06/cmd x"].map(|end| format!("{FLEET}/{end}"))
    );
    assert_eq!(finds(&broker, "kpt-05", "#"), [format!("{FLEET}/kpt-05/cmd x")]);
    assert!(finds(&broker, "desk-commands", "#").is_empty());
}

#[test]
fn a_revoked_certificate_is_refused_and_its_neighbour_is_not() {
    block_on(async {
        let mut leaves = Vec::new();
        let mut broker = Mosquitto::as_shipped(|authority| {
            leaves = ["kpt-03", "kpt-04"]
                .map(|id| authority.leaf(id, Validity::Now))
                .into();
            authority.revoking(&[&leaves[0]])
        });
        broker.start();
        let revoked = MqttLink::spawn(settings_of(holder(&broker, "kpt-03", &leaves[0])));
        let good = MqttLink::spawn(settings_of(holder(&broker, "kpt-04", &leaves[1])));
        becomes(&good, &[MqttState::Online]).await;
        becomes(&revoked, &[MqttState::Refused]).await;
        let over = broker.authority.leaf("kpt-09", Validity::Over);
        let expired = MqttLink::spawn(settings_of(holder(&broker, "kpt-09", &over)));
        becomes(&expired, &[MqttState::Refused]).await;
    });
}

#[test]
fn a_broker_that_kept_its_store_shows_the_fleet_again() {
    block_on(async {
        let mut broker = Mosquitto::running_as_shipped();
        let leaf = broker.authority.leaf("kpt-03", Validity::Now);
        let here = holder(&broker, "kpt-03", &leaf);
        let gone = broker.authority.leaf("kpt-04", Validity::Now);
        let there = holder(&broker, "kpt-04", &gone);
        let link = MqttLink::spawn(settings_of(here));
        let other = MqttLink::spawn(settings_of(there));
        becomes(&link, &[MqttState::Online]).await;
        becomes(&other, &[MqttState::Online]).await;
        let health = |id: &str| format!("{FLEET}/{id}/health");
        link.put(&health("kpt-03"), b"1").unwrap();
        other.put(&health("kpt-04"), b"2").unwrap();
        let broker = tokio::task::spawn_blocking(move || {
            wait_for("both are there", || {
                finds(&broker, "desk", "+/+/+/+/health").len() == 2
            });
            broker.stop();
            broker
        });
        let mut broker = broker.await.unwrap();
        // One of them never comes back: what it said last is still to be seen.
        drop(other);
        becomes(&link, &[MqttState::Lost, MqttState::Unreachable]).await;
        link.tell(&format!("{FLEET}/kpt-03/event"), b"waited").unwrap();
        broker.start();
        becomes(&link, &[MqttState::Online]).await;
        let found = tokio::task::spawn_blocking(move || finds(&broker, "desk", "+/+/+/+/health"));
        let mut found = found.await.unwrap();
        found.sort();
        assert_eq!(
            found,
            [
                format!("{} 1", health("kpt-03")),
                format!("{} 2", health("kpt-04"))
            ]
        );
    });
}

#[test]
fn a_listener_of_the_desk_connects_as_shipped() {
    block_on(async {
        let broker = Mosquitto::running_as_shipped();
        let desk = Account {
            broker: Broker::parse(&format!("mqtts://localhost:{}", broker.second_port)).unwrap(),
            user_name: Some("desk".to_owned()),
            password: Some("right".to_owned()),
            ..account(&broker)
        };
        let link = MqttLink::spawn(settings_of(desk));
        becomes(&link, &[MqttState::Online]).await;
        assert!(link.stop(said("x", "bye"), Duration::from_secs(5)).await);
    });
}

/// The lines of the frame in the desk's guide.
fn what_the_guide_says() -> Vec<String> {
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/desk/README.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let frame = guide.split("```text\n").nth(1).expect("a frame");
    let frame = frame.split("```").next().unwrap();
    frame.lines().map(str::to_owned).collect()
}

#[test]
fn a_gateway_taken_out_of_service_as_the_guide_says_is_cut_off_and_leaves_nothing() {
    block_on(async {
        let broker = Mosquitto::running_as_shipped();
        let leaves = ["kpt-03", "kpt-04"].map(|id| broker.authority.leaf(id, Validity::Now));
        let gone = MqttLink::spawn(settings_of(holder(&broker, "kpt-03", &leaves[0])));
        let stays = MqttLink::spawn(settings_of(holder(&broker, "kpt-04", &leaves[1])));
        for (link, id) in [(&gone, "kpt-03"), (&stays, "kpt-04")] {
            becomes(link, &[MqttState::Online]).await;
            for channel in [
                "status",
                "health",
                "info",
                "sync-oscar",
                "alert-parked",
                "alert-locked",
            ] {
                link.put(&format!("{FLEET}/{id}/{channel}"), b"x").unwrap();
            }
        }
        let revoked = broker.authority.revoking(&[&leaves[0]]);
        let kept = |broker: &Mosquitto, id: &str| finds(broker, "desk", &format!("{FLEET}/{id}/#")).len();
        let restarted = tokio::task::spawn_blocking(move || {
            let mut broker = broker;
            wait_for("both have said everything", || {
                kept(&broker, "kpt-03") == 6 && kept(&broker, "kpt-04") == 6
            });
            broker.authority.folder.write("revoked.pem", &revoked);
            match what_the_guide_says()[0].as_str() {
                "systemctl restart mosquitto" => {
                    broker.stop();
                    broker.start();
                }
                _ => broker.signal("HUP"),
            }
            broker
        });
        let broker = restarted.await.unwrap();
        becomes(&gone, &[MqttState::Refused]).await;
        becomes(&stays, &[MqttState::Online]).await;
        let cleared = tokio::task::spawn_blocking(move || {
            let account = format!(
                "--cafile {} -h localhost -p {} -P right",
                broker.authority.ca_file().display(),
                broker.second_port
            );
            for line in what_the_guide_says().iter().skip(1) {
                let line = line.replace('…', &account);
                let ran = Command::new("sh").args(["-c", &line]).output().unwrap();
                // 27: nothing more came in time, which is how it ends.
                assert!(matches!(ran.status.code(), Some(0 | 27)), "{ran:?}");
            }
            wait_for("nothing of it is left", || kept(&broker, "kpt-03") == 0);
            assert_eq!(kept(&broker, "kpt-04"), 6, "its neighbour is as it was");
            broker
        });
        drop(cleared.await.unwrap());
    });
}
