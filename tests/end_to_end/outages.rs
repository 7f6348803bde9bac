//! Peers that are away, refuse, or are not who they should be.

use crate::office::{Office, PRIMERO_PASSWORD, Wishes, oscar_config, private, referral, wait_until};
use serde_json::Value;
use simulators::wire::TestCa;

fn peer(office: &Office, name: &str, key: &str) -> Value {
    office.json(&["status"])["peers"][name][key].clone()
}

#[test]
fn one_peer_down_does_not_stop_the_other() {
    let mut office = Office::new();
    office.start();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    office.oscar.server().set_down(true);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.primero.referrals().len(), 1, "Primero's part is done");
    assert_eq!(peer(&office, "primero", "state"), "up");
    assert_eq!(peer(&office, "oscar", "state"), "route");
    assert!(peer(&office, "oscar", "next_try").is_string());
    let uplink = office.json(&["status"])["uplink"].clone();
    assert_eq!(uplink["state"], "up", "one that answers is enough: {uplink}");
    assert!(office.run(&["status"]).out.contains("check the uplink"));

    office.oscar.server().set_down(false);
    office.primero.server().set_down(true);
    office.enqueue(&referral("k-2", "Bopha", "cif"));
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered", "OSCaR's part went on");
    assert_eq!(office.state("k-2"), "pending");
    office.primero.server().set_down(false);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-2"), "delivered");
    assert_eq!(
        (peer(&office, "primero", "state"), peer(&office, "oscar", "state")),
        ("up".into(), "up".into())
    );
    assert!(office.json(&["status"])["last_round_trip"].is_string());
}

#[test]
fn a_dozen_taken_while_the_link_is_down_all_arrive_once_it_is_up() {
    let mut office = Office::new();
    office.primero.server().set_down(true);
    office.oscar.server().set_down(true);
    office.start();
    for number in 0..12 {
        let organization = if number % 3 == 0 { "gpc" } else { "cif" };
        let event = referral(&format!("k-{number}"), &format!("Child {number}"), organization);
        assert_eq!(office.enqueue(&event).0, 0);
    }
    assert_eq!(office.sync(), 75);
    assert!(office.states().values().all(|state| state == "pending"));
    office.primero.server().set_down(false);
    office.oscar.server().set_down(false);
    assert_eq!(office.sync(), 0);
    assert!(
        office.states().values().all(|state| state == "delivered"),
        "{:?}",
        office.states()
    );
    assert_eq!(
        (office.primero.cases().len(), office.primero.referrals().len()),
        (12, 12)
    );
    assert_eq!(office.oscar.with(|sim| sim.referrals().len()), 12);
}

#[test]
fn a_wrong_primero_password_is_tried_once_and_said() {
    let mut office = Office::wished(Wishes {
        schedule: Some("every = \"5s\"\non_event = true"),
        ..Wishes::default()
    });
    private(&office.folder.path().join("primero.password"), "not the password");
    office.start();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    wait_until("the refusal shows", || {
        peer(&office, "primero", "state") == "auth"
    });
    let asked = || {
        office
            .primero
            .server()
            .log()
            .iter()
            .filter(|request| request.status == 401)
            .count()
    };
    assert_eq!(asked(), 1, "each try counts towards a lock");
    assert_eq!(peer(&office, "primero", "state"), "auth");
    assert!(office.run(&["status"]).out.contains("correct the password file"));
    let sessions = || office.log().matches("session: ").count();
    let before = sessions();
    wait_until("the schedule came round again", || sessions() > before + 1);
    assert_eq!(asked(), 1, "{}", office.log());
    assert_eq!(office.state("k-1"), "pending");

    // What the advice says is enough.
    private(&office.folder.path().join("primero.password"), PRIMERO_PASSWORD);
    assert_eq!(office.sync(), 0);
    assert_eq!(office.state("k-1"), "delivered");
    assert_eq!(asked(), 1);
}

#[test]
fn a_wrong_oscar_password_needs_a_person() {
    let office = Office::new();
    private(&office.folder.path().join("oscar.password"), "not the password");
    office.enqueue(&referral("k-1", "Dara", "cif"));
    let ran = office.run(&["sync"]);
    assert!(
        ran.code == 4 && ran.out.contains("correct the password file"),
        "{ran:?}"
    );
    let tries = office
        .oscar
        .server()
        .log()
        .iter()
        .filter(|request| request.path.ends_with("sign_in"))
        .count();
    assert_eq!(tries, 1);
    assert_eq!(office.primero.referrals().len(), 1, "Primero's part is done");
}

#[test]
fn a_certificate_of_another_authority_is_told_nothing() {
    let mut office = Office::new();
    std::fs::write(office.folder.path().join("ca.pem"), TestCa::new().pem()).unwrap();
    office.start();
    office.enqueue(&referral("k-1", "Dara", "cif"));
    assert_eq!(office.sync(), 75);
    assert_eq!(
        (peer(&office, "primero", "state"), peer(&office, "oscar", "state")),
        ("tls".into(), "tls".into())
    );
    assert!(office.run(&["status"]).out.contains("check ca_file"));
    assert!(office.primero.server().log().is_empty() && office.oscar.server().log().is_empty());
}

#[test]
fn a_certificate_that_has_run_out_is_told_apart() {
    let expired = |ca: &TestCa| ca.issue_expired(&["localhost"]);
    let mut office = Office::wished(Wishes {
        primero: Some(expired),
        ..Wishes::default()
    });
    office.start();
    assert_eq!(office.sync(), 0);
    assert_eq!(peer(&office, "oscar", "state"), "up");
    // OSCaR's certificate fits the clock, so the clock is not to blame.
    assert_eq!(peer(&office, "primero", "state"), "tls");
    assert!(
        office.run(&["status"]).out.contains("run out"),
        "{:?}",
        office.run(&["status"])
    );
    assert!(office.primero.server().log().is_empty());
}

#[test]
fn certificates_that_all_do_not_fit_the_clock_speak_against_the_clock() {
    let expired = |ca: &TestCa| ca.issue_expired(&["localhost"]);
    let mut office = Office::wished(Wishes {
        primero: Some(expired),
        ..Wishes::default()
    });
    office.oscar.server().set_down(true);
    office.start();
    assert_eq!(office.sync(), 75);
    let confirmed = office.json(&["status"])["clock"] == "synced";
    assert_eq!(
        peer(&office, "primero", "state"),
        if confirmed { "tls" } else { "clock" }
    );
    assert!(office.run(&["status"]).out.contains("set the clock"));
}

#[test]
fn oscar_as_published_leaves_the_queue_intact_and_is_not_hammered() {
    let oscar = simulators::oscar::Config {
        strict_current_user: true,
        ..oscar_config()
    };
    let mut office = Office::wished(Wishes {
        oscar: Some(oscar),
        ..Wishes::default()
    });
    office.start();
    office.first_session_over();
    for number in 0..5 {
        office.enqueue(&referral(
            &format!("k-{number}"),
            &format!("Child {number}"),
            "cif",
        ));
    }
    office.run(&["sync"]);
    let pushes = || {
        office
            .oscar
            .server()
            .log()
            .iter()
            .filter(|request| request.path.ends_with("/upsert"))
            .count()
    };
    assert_eq!(pushes(), 1, "one answer is enough to know");
    let states = office.states();
    assert_eq!(
        states.values().filter(|state| *state == "in_doubt").count(),
        1,
        "{states:?}"
    );
    assert_eq!(
        states.values().filter(|state| *state == "pending").count(),
        4,
        "{states:?}"
    );
    assert_eq!(peer(&office, "oscar", "state"), "server");
    let doubtful = states.iter().find(|(_, state)| *state == "in_doubt").unwrap().0;
    assert_eq!(office.event(doubtful)["reason"], "push_server_error");
    assert!(office.oscar.with(|sim| sim.referrals().is_empty()));
}
