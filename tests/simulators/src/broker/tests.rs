//! Raw packets over TLS: what the broker answers, forwards, keeps and refuses.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;
use crate::wire::client::Client;
use raw::{CONNECTED, Raw, connect, packet, publish, said, subscribe, text};

mod raw;

const SOON: Duration = Duration::from_secs(10);

/// A broker with its authority, open to all.
fn broker() -> (TestCa, Broker) {
    let ca = TestCa::new();
    let broker = Broker::start(&ca, "127.0.0.1:0");
    (ca, broker)
}

fn message(topic: &str, payload: &str, retained: bool, qos: u8) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.into(),
        retained,
        qos,
    }
}

#[test]
fn messages_reach_subscribers_once_at_the_lower_qos() {
    let (ca, broker) = broker();
    let mut desk = Raw::join(&ca, &broker, "desk", 0);
    desk.say(&subscribe(1, "+/event", 2));
    desk.hears((0x90, &[0, 1, 1]));
    desk.say(&subscribe(2, "k/#", 0));
    desk.hears((0x90, &[0, 2, 0]));
    let mut gateway = Raw::join(&ca, &broker, "k", 0);
    gateway.say(&publish(0x32, "k/event", Some(9), "one"));
    gateway.hears((0x40, &[0, 9]));
    desk.hears((0x32, &said("k/event", &[0, 1], "one")));
    desk.say(&packet(0x40, &[0, 1]));
    gateway.say(&publish(0x30, "k/event", None, "two"));
    desk.hears((0x30, &said("k/event", &[], "two")));
    gateway.say(&publish(0x32, "k/other", Some(10), "three"));
    desk.hears((0x30, &said("k/other", &[], "three")));
    desk.say(&packet(0xa2, &[&[0, 3][..], &text("k/#")].concat()));
    desk.hears((0xb0, &[0, 3]));
    broker.publish(message("k/other", "unheard", false, 1));
    broker.publish(message("x/event", "four", false, 1));
    desk.hears((0x32, &said("x/event", &[0, 2], "four")));
    let log = broker.log();
    assert_eq!(log.len(), 5);
    assert_eq!(log[0], message("k/event", "one", false, 1));
}

#[test]
fn retained_messages_greet_newcomers_until_cleared() {
    let (ca, broker) = broker();
    let mut gateway = Raw::join(&ca, &broker, "k", 0);
    let mut witness = Raw::join(&ca, &broker, "witness", 0);
    witness.say(&subscribe(1, "#", 1));
    witness.hears((0x90, &[0, 1, 1]));
    gateway.say(&publish(0x31, "k/info", None, "old"));
    gateway.say(&publish(0x33, "k/info", Some(1), "new"));
    gateway.hears((0x40, &[0, 1]));
    // Live, it is news and not flagged.
    witness.hears((0x30, &said("k/info", &[], "old")));
    witness.hears((0x32, &said("k/info", &[0, 1], "new")));
    assert_eq!(broker.retained()["k/info"], b"new");
    let mut newcomer = Raw::join(&ca, &broker, "newcomer", 0);
    newcomer.say(&subscribe(7, "+/info", 1));
    newcomer.hears((0x90, &[0, 7, 1]));
    newcomer.hears((0x33, &said("k/info", &[0, 1], "new")));
    gateway.say(&publish(0x33, "k/info", Some(2), ""));
    gateway.hears((0x40, &[0, 2]));
    newcomer.hears((0x32, &said("k/info", &[0, 2], "")));
    assert!(broker.retained().is_empty());
    assert_eq!(broker.log()[2], message("k/info", "", true, 1));
}

#[test]
fn the_will_follows_a_loss_and_not_a_goodbye() {
    let (ca, broker) = broker();
    let mut polite = Raw::join(&ca, &broker, "polite", 0);
    polite.say(&[0xe0, 0]);
    polite.is_closed();
    Raw::join(&ca, &broker, "lost", 0).vanish();
    let will = broker.wait_for("/status", |_| true, SOON).unwrap();
    assert_eq!(will, message("lost/status", "lost", true, 1));
    assert_eq!(broker.retained()["lost/status"], b"lost");
    // Breaking the protocol is no goodbye.
    Raw::join(&ca, &broker, "rude", 0).say(&[0xf0, 0]);
    assert!(broker.wait_for("rude/status", |_| true, SOON).is_some());
    assert!(!broker.retained().contains_key("polite/status"));
}

#[test]
fn silence_of_one_and_a_half_keep_alives_is_a_loss() {
    let (ca, broker) = broker();
    let start = Instant::now();
    let mut silent = Raw::join(&ca, &broker, "silent", 1);
    let mut alive = Raw::join(&ca, &broker, "alive", 1);
    // Half a packet is no sign of life.
    silent.say(&[0xc0]);
    let second = Duration::from_secs(1);
    assert!(broker.wait_for("never", |_| true, second).is_none());
    alive.say(&[0xc0, 0]);
    alive.hears((0xd0, &[]));
    assert!(broker.wait_for("silent/status", |_| true, SOON).is_some());
    assert!(start.elapsed() >= Duration::from_millis(1500) && start.elapsed() < SOON);
    silent.is_closed();
    alive.say(&[0xc0, 0]);
    alive.hears((0xd0, &[]));
    assert_eq!(broker.log().len(), 1);
}

#[test]
fn a_client_id_moves_to_the_newcomer_after_the_old_will() {
    let (ca, broker) = broker();
    let mut old = Raw::join(&ca, &broker, "k", 0);
    let mut new = Raw::join(&ca, &broker, "k", 0);
    assert_eq!(broker.log(), [message("k/status", "lost", true, 1)]);
    new.say(&publish(0x33, "k/status", Some(1), "online"));
    new.hears((0x40, &[0, 1]));
    old.is_closed();
    assert_eq!(broker.retained()["k/status"], b"online");
    // Nameless clients are nobody's rivals.
    let mut nameless = [0, 1].map(|_| Raw::dial(&ca, &broker));
    for raw in &mut nameless {
        raw.say(&connect(0x02, 0, &text("")));
        raw.hears(CONNECTED);
    }
    nameless[0].say(&[0xc0, 0]);
    nameless[0].hears((0xd0, &[]));
}

#[test]
fn refusals_carry_their_code() {
    let ca = TestCa::new();
    let options = Options {
        login: Some(("gateway".to_owned(), "right".to_owned())),
        ..Options::default()
    };
    let broker = Broker::start_with(&ca.localhost(), "127.0.0.1:0", options);
    let login = |password| [text("k"), text("gateway"), text(password)].concat();
    let version = |name, level| packet(0x10, &[&text(name), &[level, 2, 0, 0][..], &text("k")].concat());
    for (bytes, code) in [
        (connect(0xc2, 0, &login("right")), 0),
        (connect(0xc0, 0, &login("right")), 0),
        (connect(0xc2, 0, &login("wrong")), 5),
        (connect(0x82, 0, &[text("k"), text("gateway")].concat()), 5),
        (connect(0x02, 0, &text("k")), 5),
        (connect(0x00, 0, &text("")), 2),
        (version("MQTT", 5), 1),
        (version("MQIsdp", 3), 1),
    ] {
        let mut raw = Raw::dial(&ca, &broker);
        raw.say(&bytes);
        raw.hears((0x20, &[0, code]));
        if code != 0 {
            raw.is_closed();
        }
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let (ca, broker) = broker();
    for (reason, bytes) in [
        ("too large", vec![0x30, 0xff, 0xff, 0x7f]),
        ("endless length", vec![0x30, 0x80, 0x80, 0x80, 0x80]),
        ("QoS 2", publish(0x34, "a", Some(1), "")),
        ("wildcard in a name", publish(0x30, "a/+", None, "")),
        ("no name", publish(0x30, "", None, "")),
        ("id 0", publish(0x32, "a", Some(0), "")),
        ("again at QoS 0", publish(0x38, "a", None, "")),
        ("not UTF-8", packet(0x30, &[0, 1, 0xff])),
        ("field beyond the packet", packet(0x30, &[0, 9, b'a'])),
        ("bad filter", subscribe(1, "a#", 0)),
        ("QoS 3", subscribe(1, "a", 3)),
        ("no filter", packet(0x82, &[0, 1])),
        ("reserved bits", packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        ("trailing bytes", packet(0xc0, &[0])),
        ("second CONNECT", connect(0x02, 0, &text("k"))),
        ("a server's packet", vec![0xd0, 0]),
    ] {
        let mut raw = Raw::join(&ca, &broker, "k", 0);
        raw.say(&bytes);
        assert!(broker.wait_for("k/status", |_| true, SOON).is_some(), "{reason}");
        raw.is_closed();
        broker.clear_log();
    }
    for bytes in [
        publish(0x30, "a", None, "before CONNECT"),
        connect(0x03, 0, &text("reserved flag")),
        connect(0x22, 0, &text("will retain without will")),
        connect(0x42, 0, &text("password without user")),
        connect(0x16, 0, &[text("k"), text("t"), text("QoS 2")].concat()),
    ] {
        let mut raw = Raw::dial(&ca, &broker);
        raw.say(&bytes);
        raw.is_closed();
    }
    assert!(broker.log().is_empty());
}

#[test]
fn packets_come_in_pieces_or_several_at_once() {
    let (ca, broker) = broker();
    let mut raw = Raw::dial(&ca, &broker);
    for byte in connect(0x02, 0, &text("k")) {
        raw.say(&[byte]);
    }
    raw.hears(CONNECTED);
    let mut burst = subscribe(1, "a", 0);
    for number in 0..3 {
        burst.extend(publish(0x30, "a", None, &number.to_string()));
    }
    burst.extend([0xc0, 0]);
    raw.say(&burst);
    raw.hears((0x90, &[0, 1, 0]));
    for number in 0..3 {
        raw.hears((0x30, &said("a", &[], &number.to_string())));
    }
    raw.hears((0xd0, &[]));
    // Several TLS records long, and its length takes three bytes.
    let large = "x".repeat(60_000);
    let body = said("b", &[], &large);
    let length = [
        (body.len() & 0x7f) | 0x80,
        (body.len() >> 7 & 0x7f) | 0x80,
        body.len() >> 14,
    ];
    raw.say(&[&[0x30], &length.map(|seven| seven as u8)[..], &body].concat());
    let found = broker.wait_for("b", |message| message.payload == large.as_bytes(), SOON);
    assert!(found.is_some());
}

#[test]
fn a_subscriber_that_takes_nothing_is_cut_and_holds_nobody_up() {
    let (ca, broker) = broker();
    let mut stuck = Raw::join(&ca, &broker, "stuck", 0);
    stuck.say(&subscribe(1, "a", 0));
    let mut forgetful = Raw::join(&ca, &broker, "forgetful", 0);
    forgetful.say(&subscribe(1, "b", 1));
    forgetful.hears((0x90, &[0, 1, 1]));
    stuck.hears((0x90, &[0, 1, 0]));
    let mut diligent = Raw::join(&ca, &broker, "diligent", 0);
    diligent.say(&subscribe(1, "b", 1));
    diligent.hears((0x90, &[0, 1, 1]));
    let start = Instant::now();
    let payload = "x".repeat(4096);
    let gone = |name: &str| broker.retained().contains_key(&format!("{name}/status"));
    while !gone("stuck") {
        broker.publish(message("a", &payload, false, 0));
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    // Both read all of it, one acknowledges none of it.
    while !gone("forgetful") {
        broker.publish(message("b", "", false, 1));
        let (_, body) = diligent.next();
        diligent.say(&packet(0x40, &body[3..]));
        if !gone("forgetful") {
            assert_eq!(forgetful.next().0, 0x32);
        }
    }
    forgetful.is_closed();
    for _ in 0..10 {
        broker.publish(message("b", "", false, 1));
        assert_eq!(diligent.next().0, 0x32);
    }
}

#[test]
fn link_down_loses_the_clients_and_lets_none_in() {
    let (ca, broker) = broker();
    let mut raw = Raw::join(&ca, &broker, "k", 0);
    broker.set_down(true);
    assert!(broker.wait_for("k/status", |_| true, SOON).is_some());
    raw.is_closed();
    assert!(Client::new(&ca).connect(broker.address()).is_err());
    broker.set_down(false);
    Raw::join(&ca, &broker, "k", 0);
}

#[test]
fn drop_is_prompt_and_frees_the_port() {
    let (ca, broker) = broker();
    let address = broker.address();
    assert_eq!(broker.url(), format!("mqtts://localhost:{}", address.port()));
    let mut client = Raw::join(&ca, &broker, "k", 0);
    // Connected, and never a byte of TLS.
    let _mute = TcpStream::connect(address).unwrap();
    let hub = broker.hub.clone();
    let start = Instant::now();
    drop(broker);
    assert!(start.elapsed() < Duration::from_secs(5));
    client.is_closed();
    assert!(
        hub.log().is_empty(),
        "no will is published by a broker that is gone"
    );
    Broker::start(&ca, &address.to_string());
}

#[test]
fn waiting_ends_with_the_message_or_with_the_time() {
    let (_ca, broker) = broker();
    broker.publish(message("k/status", "online", true, 1));
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            // The question may look at the broker again.
            let offline = |message: &Message| message.payload == b"offline" && !broker.log().is_empty();
            broker.wait_for("/status", offline, SOON)
        });
        broker.publish(message("k/event", "offline", false, 1));
        broker.publish(message("k/status", "offline", true, 1));
        assert_eq!(waiting.join().unwrap().unwrap().topic, "k/status");
    });
    broker.clear_log();
    let moment = Duration::from_millis(20);
    assert!(broker.wait_for("/status", |_| true, moment).is_none());
    assert_eq!(broker.retained()["k/status"], b"offline");
}
