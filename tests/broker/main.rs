//! The MQTT link against a real Mosquitto.
//!
//! What is guarded: the desk sees the birth, the last state and an honest end; a broker that is absent, dead, hung
//! or refusing is named as such and holds nothing up; and nothing is ever said to a broker that is not ours.

mod desk;
mod fleet;
mod half_open;
#[path = "../support/mosquitto.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the emulated box, which know this machine by another name"
)]
mod mosquitto;
#[path = "../support/pki.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests, which use more of it")]
mod pki;
#[path = "../support/planted.rs"]
#[allow(
    dead_code,
    reason = "shared with the offices of the tests, which use more of it"
)]
mod planted;
mod ready_made;

use mosquitto::{Door, Mosquitto};
use pki::{Authority, Validity};
use referral_gateway::core::status::Presence;
use referral_gateway::shell::count::WireCount;
use referral_gateway::shell::mqtt::{Account, Broker, MqttLink, MqttSettings, MqttState, Publication};
use referral_gateway::shell::tls::{ClientIdentity, TlsFiles, client_config};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const STATUS: &str = "referral-gateway/v1/test/kpt-03/status";
const HEALTH: &str = "referral-gateway/v1/test/kpt-03/health";
const EVENT: &str = "referral-gateway/v1/test/kpt-03/event";

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn said(topic: &str, payload: &str) -> Publication {
    Publication::new(topic, payload.as_bytes()).unwrap()
}

fn account(broker: &Mosquitto) -> Account {
    Account {
        broker: Broker::parse(&format!("mqtts://localhost:{}", broker.port)).unwrap(),
        client_id: "kpt-03".to_owned(),
        user_name: None,
        password: None,
        tls: broker.authority.trusting(),
        keep_alive: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(2),
        interface: None,
    }
}

fn settings(broker: &Mosquitto) -> MqttSettings {
    settings_of(account(broker))
}

fn settings_of(account: Account) -> MqttSettings {
    MqttSettings {
        account,
        status: Box::new(|state, link| match state {
            Presence::Online => said(STATUS, "online"),
            _ => said(STATUS, &format!("lost {link}")),
        }),
        ear: None,
        seed: 1,
        count: Arc::new(WireCount::default()),
    }
}

async fn becomes(link: &MqttLink, wanted: &[MqttState]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !wanted.contains(&link.state()) {
        assert!(
            Instant::now() < deadline,
            "still {:?}, not {wanted:?}",
            link.state()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn the_birth_is_retained_and_the_will_follows_a_cut() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let settings = settings(&broker);
        let count = Arc::clone(&settings.count);
        let link = MqttLink::spawn(settings);
        broker.holds(STATUS, "online").await;
        assert_eq!(link.state(), MqttState::Online);
        assert!(count.sent_bytes.load(Relaxed) > 200 && count.received_bytes.load(Relaxed) > 200);
        // The task dies with its socket: no DISCONNECT, as when the process is killed.
        drop(link);
        broker.holds(STATUS, "lost 1").await;
    });
}

#[test]
fn a_clean_stop_leaves_the_farewell_and_no_will() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        broker.holds(STATUS, "online").await;
        let mut witness = broker.witness(STATUS);
        let mut process = witness
            .args(["-W", "3", "-F", "%p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "online");
        link.put(HEALTH, b"too late to matter").unwrap();
        assert!(link.stop(said(STATUS, "offline"), Duration::from_secs(5)).await);
        let rest = tokio::task::spawn_blocking(move || lines.map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(rest.await.unwrap(), ["offline"]);
        process.wait().unwrap();
        assert_eq!(broker.retained(STATUS).await.as_deref(), Some("offline"));
    });
}

#[test]
fn a_planned_silence_is_announced_and_ended_by_a_birth() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let mut link = MqttLink::spawn(settings(&broker));
        broker.holds(STATUS, "online").await;
        link.sleep(said(STATUS, "sleeping"));
        broker.holds(STATUS, "sleeping").await;
        becomes(&link, &[MqttState::Sleeping]).await;
        // Said meanwhile: kept, and not in the way of the last word.
        link.put(HEALTH, b"kept").unwrap();
        link.put(STATUS, b"online").unwrap();
        link.tell(EVENT, b"kept").unwrap();
        // Longer than the broker's patience with a connection: no will follows.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(broker.retained(STATUS).await.as_deref(), Some("sleeping"));
        assert_eq!(broker.retained(HEALTH).await, None);
        link.wake();
        broker.holds(STATUS, "online").await;
        broker.holds(HEALTH, "kept").await;
        assert_eq!(link.connection(), 2);
        // Put to sleep while its broker is away, it says so as soon as it can.
        broker.signal("STOP");
        link.sleep(said(STATUS, "sleeping again"));
        broker.signal("CONT");
        broker.holds(STATUS, "sleeping again").await;
    });
}

#[test]
fn the_latest_payload_wins_and_an_empty_one_clears() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        for number in 0..500 {
            link.put(HEALTH, number.to_string().as_bytes()).unwrap();
            tokio::task::yield_now().await;
        }
        broker.holds(HEALTH, "499").await;
        link.put(HEALTH, b"").unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while broker.retained(HEALTH).await.is_some() {
            assert!(Instant::now() < deadline);
        }
    });
}

#[test]
fn what_is_said_once_is_heard_and_not_kept() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        broker.holds(STATUS, "online").await;
        let mut witness = broker.witness("referral-gateway/v1/test/kpt-03/#");
        let mut process = witness
            .args(["-C", "3", "-F", "%r %p"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "1 online");
        link.tell(EVENT, b"first").unwrap();
        link.tell(EVENT, b"second").unwrap();
        let rest = tokio::task::spawn_blocking(move || lines.map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(rest.await.unwrap(), ["0 first", "0 second"]);
        process.wait().unwrap();
        assert_eq!(broker.retained(EVENT).await, None);
    });
}

#[test]
fn a_broker_that_comes_up_later_is_told_everything() {
    block_on(async {
        let mut broker = Mosquitto::absent(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        becomes(&link, &[MqttState::Unreachable]).await;
        let began = Instant::now();
        for number in 0..1000 {
            link.put(HEALTH, number.to_string().as_bytes()).unwrap();
        }
        assert!(
            began.elapsed() < Duration::from_millis(500),
            "nobody waits for a broker"
        );
        broker.start();
        broker.holds(HEALTH, "999").await;
        broker.holds(STATUS, "online").await;
    });
}

#[test]
fn a_broker_that_forgot_everything_is_told_everything_again() {
    block_on(async {
        let mut broker = Mosquitto::running(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        link.put(HEALTH, b"good").unwrap();
        broker.holds(HEALTH, "good").await;
        broker.kill();
        becomes(&link, &[MqttState::Lost, MqttState::Unreachable]).await;
        broker.start();
        broker.holds(HEALTH, "good").await;
        broker.holds(STATUS, "online").await;
    });
}

#[test]
fn a_hung_broker_is_noticed_and_delays_neither_callers_nor_the_end() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let link = MqttLink::spawn(settings(&broker));
        broker.holds(STATUS, "online").await;
        broker.signal("STOP");
        link.put(HEALTH, b"1").unwrap();
        becomes(&link, &[MqttState::Lost]).await;
        link.put(HEALTH, b"2").unwrap();
        broker.signal("CONT");
        broker.holds(HEALTH, "2").await;
        becomes(&link, &[MqttState::Online]).await;
        let number = link.connection();
        broker.signal("STOP");
        let began = Instant::now();
        assert!(
            !link
                .stop(said(STATUS, "offline"), Duration::from_millis(300))
                .await
        );
        assert!(began.elapsed() < Duration::from_secs(2));
        broker.signal("CONT");
        broker.holds(STATUS, &format!("lost {number}")).await;
    });
}

#[test]
fn a_broker_of_another_authority_is_told_nothing() {
    block_on(async {
        let broker = Mosquitto::running(Door::Open);
        let tls = Authority::new().trusting();
        let link = MqttLink::spawn(settings_of(Account {
            tls,
            ..account(&broker)
        }));
        becomes(&link, &[MqttState::Certificate]).await;
        assert_eq!(broker.retained("#").await, None);
        assert!(!link.stop(said(STATUS, "offline"), Duration::from_secs(5)).await);
    });
}

#[test]
fn a_broker_certificate_outside_its_dates_is_told_apart() {
    block_on(async {
        for validity in [Validity::Over, Validity::Ahead] {
            let mut broker = Mosquitto::prepared(Door::Open, validity);
            broker.start();
            let link = MqttLink::spawn(settings(&broker));
            becomes(&link, &[MqttState::CertificateDates]).await;
        }
    });
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_is_not() {
    block_on(async {
        let broker = Mosquitto::running(Door::Password);
        let with = |password: &str| {
            settings_of(Account {
                user_name: Some("gateway".to_owned()),
                password: Some(password.to_owned()),
                ..account(&broker)
            })
        };
        let wrong = MqttLink::spawn(with("wrong"));
        becomes(&wrong, &[MqttState::Refused]).await;
        let nobody = MqttLink::spawn(settings(&broker));
        becomes(&nobody, &[MqttState::Refused]).await;
        let right = MqttLink::spawn(with("right"));
        becomes(&right, &[MqttState::Online]).await;
    });
}

#[test]
fn a_broker_that_wants_certificates_gets_ours() {
    block_on(async {
        let broker = Mosquitto::running(Door::Certificate);
        let without = MqttLink::spawn(settings(&broker));
        becomes(&without, &[MqttState::Refused]).await;
        let leaf = broker.authority.leaf("kpt-03", Validity::Now);
        let folder = &broker.authority.folder;
        let client = ClientIdentity {
            certificate_file: folder.write("client.pem", &leaf.certificate_pem),
            key_file: folder.write("client.key", &leaf.key_pem),
        };
        let files = TlsFiles {
            ca_file: Some(broker.authority.ca_file()),
            client: Some(client),
        };
        let tls = client_config(&files).unwrap();
        let with = MqttLink::spawn(settings_of(Account {
            tls,
            ..account(&broker)
        }));
        becomes(&with, &[MqttState::Online]).await;
    });
}
