//! Lines that come and go: no storm while they do, nothing left behind when they stay.

use crate::schedule::{FREE, GOOD, at, bad, due, hours, plan};
use referral_gateway::core::backoff::{CAP, LINE_CAP};
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::schedule::{Plan, Schedule};
use referral_gateway::core::time::Mono;
use std::time::Duration;

/// A line that goes up and down at random for six hours, under a schedule of five minutes with an event every three.
/// Counted: sessions begun, and those that met a dead line.
#[test]
fn hours_of_flapping_make_no_storm_and_leave_nothing_behind() {
    for seed in 1..=40_u64 {
        let mut random = seed;
        let mut dice = move |sides: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % sides
        };
        // From a second to three minutes each way: sometimes too short for a session, sometimes not.
        let mut flips = Vec::new();
        let mut moment = 0;
        while moment < hours(6) {
            moment += 1_000 + dice(180_000) / (1 + dice(20));
            flips.push(moment);
        }
        let up_at = |now: u64| now >= hours(6) || flips.partition_point(|flip| *flip <= now) % 2 == 0;
        let mut schedule = Schedule::new(plan(), Mono(0));
        let (mut sessions, mut dead, mut closest, mut last) = (0_u64, 0_u64, u64::MAX, None);
        let (mut waiting, mut event, mut was_up, mut now) = (0_u32, 0, true, 0);
        while now < hours(6) + 600_000 {
            if now >= event && now < hours(6) {
                event = now + 180_000;
                waiting += 1;
                schedule.event_accepted(Mono(now));
            }
            let up = up_at(now);
            if up && !was_up {
                schedule.line_returned(Mono(now), dice(u64::MAX));
            }
            was_up = up;
            if schedule.due(at(now), FREE, dice(u64::MAX)).is_some() {
                closest = closest.min(last.map_or(u64::MAX, |last| now - last));
                last = Some(now);
                sessions += 1;
                // Half a second of it must be up from end to end.
                let whole = up && up_at(now + 500);
                let fared = if whole { GOOD } else { bad(Trouble::Route) };
                if whole {
                    waiting = 0;
                }
                dead += u64::from(!whole);
                schedule.ended(fared, fared, Mono(now + 500), None, dice(u64::MAX));
                now += 500;
            }
            now += 500;
        }
        // 72 regular slots and 120 events in six hours; a dead line costs at most as much again.
        assert!(
            sessions < 400 && dead < 200,
            "seed {seed}: {sessions} sessions, {dead} of them dead"
        );
        assert!(closest >= 1_000, "seed {seed}: two sessions within {closest} ms");
        assert_eq!(
            waiting, 0,
            "seed {seed}: all is sent soon after the line is steady"
        );
        if seed == 1 {
            println!("flapping for six hours: {sessions} sessions, {dead} met a dead line");
        }
    }
}

#[test]
fn a_dead_server_is_asked_rarely_and_a_dead_line_is_tried_often() {
    for (trouble, cap) in [
        (Trouble::Server, CAP),
        (Trouble::Dns, LINE_CAP),
        (Trouble::Portal, CAP),
    ] {
        let mut schedule = Schedule::new(
            Plan {
                every: Duration::from_secs(24 * 3600),
                ..plan()
            },
            Mono(0),
        );
        let (mut now, mut sessions) = (0, 0);
        while now < hours(12) {
            if due(&mut schedule, at(now)).is_some() {
                sessions += 1;
                let longest = u64::try_from(cap.as_millis()).unwrap();
                schedule.ended(bad(trouble), bad(trouble), Mono(now), None, longest);
            }
            now = schedule.deadline(at(now), FREE).unwrap().0;
        }
        let fewest = hours(12) / u64::try_from(cap.as_millis()).unwrap();
        assert!(
            (fewest..fewest + 12).contains(&sessions),
            "{trouble:?}: {sessions}"
        );
    }
}
