//! Quiet hours with a long queue: what is urgent goes, everything else waits for their end, and none of it is lost.

use crate::clock::by_a_clock_of_its_own;
use crate::desk_channels::office_time;
use crate::office::{Office, Wishes, referral, wait_until};
use serde_json::Value;

const WAITING: usize = 300;
const AHEAD_S: i64 = 4 * 3600;

fn lines(prefix: &str, events: usize, risk: &str) -> Vec<String> {
    let line = |number: usize| {
        let key = format!("{prefix}-{number}");
        let mut event = referral(&key, &key, "cif");
        event["risk_level"] = Value::from(risk);
        event.to_string()
    };
    (0..events).map(line).collect()
}

#[test]
fn a_queue_waits_for_the_end_of_quiet_hours_and_what_is_urgent_does_not() {
    let (_, from) = office_time(-3600);
    let (_, until) = office_time(AHEAD_S - 3600);
    let mut office = Office::wished(Wishes {
        schedule: Some("every = \"5s\"\non_event = true"),
        more: format!("[uplink]\nquiet_hours = [\"{from}-{until}\"]\n"),
        ..Wishes::default()
    });
    let clock = by_a_clock_of_its_own(&mut office, "+0");
    office.start();
    office.first_session_over();
    // Quiet hours are those of a confirmed clock.
    wait_until("the clock is believed", || {
        office.json(&["status"])["clock"] == "synced"
    });
    let urgent = 5;
    let queue = [lines("wait", WAITING, "low"), lines("urgent", urgent, "high")].concat();
    assert_eq!(office.run_with(&["enqueue", "-"], &queue.join("\n")).code, 0);
    let with = |office: &Office, word: &str| {
        let states = office.states();
        states.values().filter(|state| *state == word).count()
    };
    wait_until("what is urgent arrives", || with(&office, "delivered") == urgent);
    wait_until("its session is over", || {
        office.json(&["status"])["session_running"] == false
    });
    assert_eq!(with(&office, "pending"), WAITING, "and nothing else");
    assert_eq!(office.primero.cases().len(), urgent);

    for server in [office.primero.server(), office.oscar.server()] {
        server.set_date_skew(AHEAD_S);
    }
    std::fs::write(clock, format!("+{}h", AHEAD_S / 3600)).unwrap();
    let asked = || office.primero.server().log().len() + office.oscar.server().log().len();
    // However slow the machine is, something must move all the time.
    while with(&office, "delivered") < WAITING + urgent {
        let before = asked();
        wait_until("the queue leaves when they end", || {
            asked() > before || with(&office, "delivered") == WAITING + urgent
        });
    }
    let arrived = [
        office.primero.cases().len(),
        office.primero.referrals().len(),
        office.oscar.with(|sim| sim.referrals().len()),
    ];
    assert_eq!(arrived, [WAITING + urgent; 3], "each of it once");
}
