//! What a session costs on the wire, counted by the simulators: TLS included, at both peers.

use crate::office::{Office, referral};
use simulators::wire::Server;

/// Requests and bytes both ways since the start.
fn traffic(server: &Server) -> (u64, u64) {
    let counters = server.counters();
    (
        counters.requests.values().sum(),
        counters.bytes_in + counters.bytes_out,
    )
}

/// What one session costs at Primero and at OSCaR.
fn cost(office: &Office) -> [(u64, u64); 2] {
    let servers = [office.primero.server(), office.oscar.server()];
    let before = servers.map(traffic);
    assert_eq!(office.sync(), 0);
    let after = servers.map(traffic);
    [0, 1].map(|at| (after[at].0 - before[at].0, after[at].1 - before[at].1))
}

#[test]
fn an_empty_session_is_cheap_at_both_peers() {
    let mut office = Office::new();
    office.start();
    assert_eq!(office.sync(), 0);
    let hands = || {
        let servers = [office.primero.server(), office.oscar.server()];
        servers.map(|server| {
            (
                server.counters().handshakes_full,
                server.counters().handshakes_resumed,
            )
        })
    };
    let before = hands();
    let costs = cost(&office);
    println!(
        "empty session: (requests, bytes) at primero {:?}, at oscar {:?}",
        costs[0], costs[1]
    );
    for (requests, bytes) in costs {
        assert!(
            requests <= 3 && bytes <= 10_000,
            "{requests} requests, {bytes} bytes"
        );
    }
    let anew = before.map(|(full, resumed)| (full, resumed + 1));
    assert_eq!(hands(), anew, "the session before left nothing open");
}

#[test]
fn a_look_back_for_acceptances_is_the_pull_as_well() {
    let mut office = Office::new();
    office.start();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
    // By hand a session looks back, and nobody has decided yet.
    assert_eq!(cost(&office)[1].0, 1, "one question to OSCaR");
}

#[test]
fn a_referral_costs_what_the_contracts_force() {
    let mut office = Office::new();
    office.start();
    assert_eq!(office.sync(), 0);
    let empty = cost(&office);
    office.enqueue(&referral("k-1", "Dara", "cif"));
    let one = cost(&office);
    for number in 0..10 {
        office.enqueue(&referral(
            &format!("many-{number}"),
            &format!("Child {number}"),
            "cif",
        ));
    }
    let ten = cost(&office);
    let each = |at: usize, which: fn((u64, u64)) -> u64| (which(ten[at]) - which(empty[at])) / 10;
    println!(
        "one referral alone: primero {:?}, oscar {:?}; empty {empty:?}",
        one[0], one[1]
    );
    println!(
        "each of ten: primero {} requests {} bytes, oscar {} requests {} bytes",
        each(0, |t| t.0),
        each(0, |t| t.1),
        each(1, |t| t.0),
        each(1, |t| t.1)
    );
    for (method, path) in office.primero.server().counters().requests.keys() {
        println!("  {method} {path}");
    }
    // Create the case, read it back, refer: three. The push: one.
    assert_eq!((each(0, |t| t.0), each(1, |t| t.0)), (3, 1));
    assert!(each(0, |t| t.1) < 8_000 && each(1, |t| t.1) < 4_000);
}
