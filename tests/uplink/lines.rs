//! Lines as offices have them.

use crate::names::Mood;
use crate::net::{DEVICE, Dweller, PRIMERO, Quality, STRANGER, inside, run};
use crate::office::wait_until;
use crate::site::Site;
use simulators::broker::{self, Broker};
use simulators::wire::{Options, Reply, Server, TestCa};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

const RARELY: &str = "every = \"24h\"\njitter = \"0s\"";

#[test]
fn a_slow_line_that_loses_packets_carries_everything_once() {
    let mut site = Site::new(RARELY, "");
    site.net.set(Quality {
        delay: Duration::from_millis(150),
        loss_percent: 4,
        rate: 256_000,
        ..Quality::default()
    });
    site.enqueue("slow", 4);
    site.start();
    site.wait_for_an_empty_queue();
    site.all_arrived_once(4);
    assert_eq!(site.line(), "up");
    println!(
        "4 events over a bad line: {} bytes with IP headers",
        site.net.passed.bytes()
    );
}

#[test]
fn a_login_page_of_the_network_is_named_and_told_nothing() {
    let mut site = Site::new(RARELY, "");
    site.names.set(Mood::Hijacked(STRANGER));
    // The hotel's own certificate, of an authority nobody here trusts, on every host's port 443.
    let page = Reply::html(200, "<html><title>Welcome! Please sign in</title></html>");
    let identity = TestCa::new().issue(&["login.hotel.example"]);
    let _portal = Dweller::new(&site.net.far, || {
        let handler = Arc::new(move |_: &simulators::wire::Request| page.clone());
        Server::start_with(&format!("{STRANGER}:443"), &identity, Options::default(), handler)
    });
    let door = inside(&site.net.far, || TcpListener::bind((STRANGER, 80)).unwrap());
    std::thread::spawn(move || {
        for mut visitor in door.incoming().flatten() {
            let mut question = [0; 1024];
            let _ = visitor.read(&mut question);
            let _ = visitor.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\n\r\n");
        }
    });
    site.enqueue("guest", 2);
    site.start();
    wait_until("the portal is named", || site.line() == "portal");
    assert!(
        site.uplink()["advice"].as_str().unwrap().contains("sign in"),
        "{}",
        site.uplink()
    );
    assert_eq!(site.pending(), 2);
    assert!(site.primero.server().log().is_empty() && site.oscar.server().log().is_empty());
    // Somebody signs in.
    site.names.set(Mood::Honest);
    let _ = site.command(&["sync"], "");
    site.all_arrived_once(2);
    assert_eq!(site.line(), "up");
}

#[test]
fn a_wrong_certificate_without_a_login_page_stays_a_matter_of_tls() {
    let mut site = Site::new(RARELY, "");
    site.names.set(Mood::Hijacked(STRANGER));
    let identity = TestCa::new().issue(&["primero.test", "oscar.test"]);
    let page = Reply::html(200, "anything");
    let _other = Dweller::new(&site.net.far, || {
        let handler = Arc::new(move |_: &simulators::wire::Request| page.clone());
        Server::start_with(&format!("{STRANGER}:443"), &identity, Options::default(), handler)
    });
    site.start();
    wait_until("the certificate is named", || site.line() == "tls");
    assert!(site.uplink()["advice"].as_str().unwrap().contains("ca_file"));
}

#[test]
fn a_dead_name_server_is_named_and_its_return_noticed() {
    let mut site = Site::new(RARELY, "");
    site.names.set(Mood::Silent);
    site.enqueue("nameless", 3);
    site.start();
    wait_until("the name server is named", || site.line() == "dns");
    assert_eq!(site.pending(), 3);
    site.names.set(Mood::Honest);
    site.wait_for_an_empty_queue();
    site.all_arrived_once(3);
}

#[test]
fn a_cable_put_back_makes_one_session_at_once() {
    let mut site = Site::new(RARELY, "");
    site.start();
    wait_until("the line is up", || site.line() == "up");
    site.net.unplug();
    let sent = || site.net.passed.bytes[0].load(std::sync::atomic::Ordering::Relaxed);
    let before = sent();
    site.enqueue("cable", 3);
    wait_until("the missing route is named", || site.line() == "route");
    assert_eq!(site.uplink()["route"], false);
    // Some retries pass without a byte on the line.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(sent(), before);
    // Longer than the routing table goes unread: so it is the cable that starts the session, not a retry that was due.
    wait_until("the next retry is some time off", || {
        site.uplink()["next_session_s"].as_u64() >= Some(6)
    });
    let sessions = site.sessions();
    site.net.plug_in();
    site.wait_for_an_empty_queue();
    site.all_arrived_once(3);
    assert!(site.log().contains("the line is back"), "{}", site.log());
    let since = site.sessions() - sessions;
    assert!(
        since <= 2,
        "one session for the return, besides one that may have been on its way: {since}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(site.sessions() - sessions, since, "once");
}

#[test]
fn packets_that_vanish_for_their_size_are_no_lost_events() {
    let mut site = Site::new(RARELY, "");
    // The peers' certificates do not get through.
    let hole = Quality {
        hole: Some(500),
        ..Quality::default()
    };
    site.net.set(hole);
    site.enqueue("large", 2);
    site.start();
    wait_until("the line is named", || site.line() == "timeout");
    assert_eq!(site.pending(), 2);
    site.net.set(Quality::default());
    let _ = site.command(&["sync"], "");
    site.all_arrived_once(2);
}

#[test]
fn a_line_that_flaps_doubles_nothing_and_is_not_stormed() {
    let mut site = Site::new("every = \"5s\"\njitter = \"1s\"", "");
    site.enqueue("flap", 6);
    site.start();
    for turn in 0..8_u64 {
        site.net.set(Quality {
            dead: turn % 2 == 0,
            delay: Duration::from_millis(40),
            loss_percent: 3,
            ..Quality::default()
        });
        std::thread::sleep(Duration::from_millis(700 + turn * 150));
    }
    site.net.set(Quality::default());
    let settled = || {
        // What was cut off after it left is in doubt, not lost: a person, or OSCaR's own word, settles it.
        site.json(&["status"])["queue"]["pending"] == 0
    };
    wait_until("nothing is pending", settled);
    let queue = site.json(&["status"])["queue"].clone();
    let (delivered, doubt) = (
        queue["delivered"].as_u64().unwrap(),
        queue["in_doubt"].as_u64().unwrap(),
    );
    assert_eq!(delivered + doubt, 6, "{queue}");
    assert_eq!(site.primero.cases().len(), 6);
    assert_eq!(site.primero.referrals().len(), 6);
    let pushed = site.oscar.with(|sim| sim.referrals().len()) as u64;
    assert!(
        (delivered..=6).contains(&pushed),
        "{pushed} pushed, {delivered} delivered"
    );
    assert!(
        site.sessions() < 20,
        "{} sessions in some ten seconds",
        site.sessions()
    );
}

#[test]
fn a_prescribed_interface_is_used_whatever_the_routes_say() {
    let by_the_line = format!(
        "[uplink]\ninterface = \"{DEVICE}\"\n[mqtt]\nurl = \"mqtts://broker.test\"\nca_file = \"ca.pem\"\n"
    );
    let mut site = Site::new(RARELY, &by_the_line);
    let _broker = Dweller::new(&site.net.far, || {
        let identity = site.ca.issue(&["broker.test"]);
        Broker::start_with(&identity, &format!("{PRIMERO}:8883"), broker::Options::default())
    });
    // A better route by a cable that leads nowhere.
    let office = &site.net.office;
    run(&format!("ip -n {office} link add eth7 type veth peer name eth8"));
    for words in [
        "link set eth7 up",
        "link set eth8 up",
        "addr add 10.88.0.1/24 dev eth7",
        "route add 10.77.0.3/32 via 10.88.0.2 dev eth7",
        "route add 10.77.0.2/32 via 10.88.0.2 dev eth7",
        "route add 10.77.0.2/32 dev up0 metric 900",
    ] {
        run(&format!("ip -n {office} {words}"));
    }
    // Names are looked up the system's way, so they are given here.
    let hosts = std::path::Path::new("/etc/netns").join(office).join("hosts");
    let known = "10.77.0.2 primero.test broker.test\n10.77.0.3 oscar.test\n";
    std::fs::write(hosts, known).unwrap();
    site.enqueue("bound", 2);
    site.start();
    site.wait_for_an_empty_queue();
    site.all_arrived_once(2);
    let broker_is = |site: &Site, state: &str| {
        wait_until(&format!("the broker is {state}"), || {
            site.json(&["status"])["mqtt"]["state"] == state
        });
    };
    broker_is(&site, "online");
    site.stop();

    // Without the prescription the same routes lead nowhere.
    let config = site.folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&format!("\"{DEVICE}\""), "\"any\"")).unwrap();
    let output = site.command(&["sync"], "");
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    site.start();
    broker_is(&site, "unreachable");
}
