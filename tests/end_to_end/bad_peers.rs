//! Peers that behave as no server should: the gateway gives nothing away, ends when it is told to, and doubles nothing.

use crate::office::{Office, referral, wait_until};
use simulators::wire::{Fault, FaultRule, Reply};
use std::time::Duration;

/// The peer answers, one byte a second: longer than a stop may last, and never silent enough to be given up.
#[test]
fn a_stop_does_not_wait_for_a_peer_that_sends_a_byte_a_second() {
    let mut office = Office::new();
    let trickle = || FaultRule::on("POST", "/api/v2/cases", Fault::Trickle(Duration::from_secs(1)));
    office.primero.server().faults().add(trickle());
    for (key, name) in [("k-1", "Dara"), ("k-2", "Bopha")] {
        assert_eq!(office.enqueue(&referral(key, name, "cif")).0, 0);
    }
    office.start();
    wait_until("Primero has made the case and is telling so", || {
        !office.primero.cases().is_empty()
    });
    assert_eq!(office.stop(), Some(0), "{}", office.log());
    let made = office.primero.cases().len();
    assert_eq!(made, 1, "stopped in the middle of the first answer");
    office.primero.server().faults().clear();
    office.start();
    office.first_session_over();
    office.run(&["sync"]);
    let states = office.states();
    assert!(
        states.len() == 2 && states.values().all(|state| state == "delivered"),
        "{states:?}"
    );
    let counts = (office.primero.cases().len(), office.primero.referrals().len());
    assert_eq!(
        (counts, office.oscar.with(|sim| sim.referrals().len())),
        ((2, 2), 2)
    );
}

/// Whoever can make a server answer "look over there" gets neither a password nor a child.
#[test]
fn a_redirect_to_another_host_is_not_followed() {
    let office = Office::new();
    // Each sends everybody on to the other, whose certificate is a good one, too.
    let (primero, oscar) = (office.primero.server(), office.oscar.server());
    for (server, other) in [(primero, office.oscar.url()), (oscar, office.primero.url())] {
        for (method, status) in [("GET", 302), ("POST", 307), ("PATCH", 308)] {
            let away = Reply::html(status, "").with_header("Location", &format!("{other}/caught"));
            server
                .faults()
                .add(FaultRule::on(method, "/", Fault::Answer(away)));
        }
    }
    assert_eq!(office.enqueue(&referral("k-1", "Dara", "cif")).0, 0);
    let ran = office.run(&["sync", "--json"]);
    assert!(primero.faults().struck() > 0 && oscar.faults().struck() > 0);
    for server in [primero, oscar] {
        let log = server.log();
        assert!(
            !log.iter()
                .any(|request| format!("{request:?}").contains("caught")),
            "{log:?}"
        );
    }
    assert_eq!(office.state("k-1"), "pending");
    for peer in ["primero", "oscar"] {
        assert_eq!(ran.lines()[0][peer]["error"], "portal", "{ran:?}");
    }
    primero.faults().clear();
    oscar.faults().clear();
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
}
