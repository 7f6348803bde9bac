//! Servers that tell a wrong time for a while: nothing hides behind it.

use crate::office::case;
use crate::stage::Stage;
use chrono::TimeDelta;
use referral_gateway::core::record::State;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const PULL: &str = "GET /api/v1/organizations/clients";

/// One answer by a clock that is more than a year wrong, as of one mis-set server behind a balancer.
#[test]
fn a_server_that_told_a_wrong_time_once_hides_nothing() {
    let mut rhythm = Vec::new();
    for wrong_days in [0, 400, -400] {
        let mut stage = Stage::default();
        stage.settle();
        let wrong = (stage.clock.utc() + chrono::TimeDelta::days(wrong_days)).timestamp();
        stage.oscar.tells(Some(wrong));
        stage.run();
        stage.oscar.tells(None);
        let (_, number) = stage.ngo_refers_new_child("cif", 1);
        stage.settle();
        assert!(stage.find(&format!("o-cif-{number}")).is_some(), "{wrong_days}");
        stage.oscar.taken();
        stage.wait(8 * DAY);
        stage.settle();
        rhythm.push(stage.oscar.count(PULL));
    }
    assert!(
        rhythm.iter().all(|asked| *asked == rhythm[0]),
        "afterwards it asks as if nothing had been: {rhythm:?}"
    );
}

/// Primero's clock is ahead for some minutes, and a case is saved meanwhile: with its stamp, and by the same clock's word
/// in the answer that shows it, or without.
#[test]
fn a_case_stamped_by_a_clock_that_was_ahead_hides_no_other() {
    for told in [true, false] {
        let mut stage = Stage::default();
        stage.settle();
        let ahead = stage.clock.utc() + TimeDelta::days(1);
        stage.primero.peer(|sim| sim.set_now(ahead));
        stage.enter_case(case(9));
        if told {
            stage.primero.tells(Some(ahead.timestamp()));
        }
        stage.run_at_once();
        stage.primero.tells(None);
        stage.wait(HOUR);
        stage.run();
        stage.run();
        for n in 1..=6 {
            stage.wait(3 * HOUR);
            let made = stage.worker_refers(n);
            stage.run();
            stage.run();
            assert!(
                stage.find(&format!("p-{}", made.referral)).is_some(),
                "told: {told}, referral {n} was not seen"
            );
        }
    }
}

/// A box meets a Primero whose newest case was stamped by a clock that was ahead, by that clock's own word or not.
#[test]
fn a_box_that_meets_a_stamp_from_the_future_first_sees_everything_all_the_same() {
    for told in [false, true] {
        let mut stage = Stage::default();
        stage.run();
        let ahead = stage.clock.utc() + TimeDelta::days(30);
        stage.primero.peer(|sim| sim.set_now(ahead));
        stage.enter_case(case(9));
        stage.lose_the_store();
        stage.primero.tells(Some(ahead.timestamp()).filter(|_| told));
        stage.run_at_once();
        stage.primero.tells(None);
        stage.wait(HOUR);
        stage.run();
        stage.run();
        for n in 1..=4 {
            stage.wait(3 * HOUR);
            let made = stage.worker_refers(n);
            stage.settle();
            let found = stage.find(&format!("p-{}", made.referral));
            assert!(
                found.is_some_and(|head| head.state == State::Delivered),
                "told: {told}, referral {n}"
            );
        }
    }
}
