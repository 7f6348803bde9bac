//! When sessions come: bursts, backoff, the office's hours, and lines that flap for hours.

use referral_gateway::core::cron::Cron;
use referral_gateway::core::office_time::QuietHours;
use referral_gateway::core::outcome::Trouble;
use referral_gateway::core::record::Peer;
use referral_gateway::core::schedule::{Fared, Means, Orders, Plan, REACH_BACK_EVERY, Schedule};
use referral_gateway::core::time::{BUILD_FLOOR, Mono, Now, Wall};
use std::time::Duration;

/// Monday, 23 November 2026, 00:00 at the office.
pub const MONDAY: i64 = 1_795_366_800;
pub const FREE: Means = Means {
    spent: false,
    urgent: false,
};
pub const GOOD: Fared = Fared {
    reached: true,
    trouble: None,
    partial: false,
    retry_after: None,
    cursor: None,
    pull_ok: None,
};

pub fn plan() -> Plan {
    Plan {
        every: Duration::from_secs(300),
        jitter: Duration::from_secs(20),
        on_event: true,
        cron: None,
        quiet: QuietHours::default(),
        zone: "Asia/Phnom_Penh".parse().unwrap(),
    }
}

pub fn bad(trouble: Trouble) -> Fared {
    Fared {
        reached: false,
        trouble: Some(trouble),
        partial: false,
        retry_after: None,
        cursor: None,
        pull_ok: None,
    }
}

/// A moment `ms` after the start, which was midnight before that Monday, with a clock somebody confirmed.
pub fn at(ms: u64) -> Now {
    Now {
        mono: Mono(ms),
        wall: Wall::judge(MONDAY + i64::try_from(ms / 1000).unwrap(), 0, true),
    }
}

/// The same with a clock that was never set.
fn unset(ms: u64) -> Now {
    Now {
        mono: Mono(ms),
        wall: Wall::judge(i64::try_from(ms / 1000).unwrap(), 0, false),
    }
}

pub fn due(schedule: &mut Schedule, now: Now) -> Option<Orders> {
    schedule.due(now, FREE, 0)
}

pub const fn hours(hours: u64) -> u64 {
    hours * 3_600_000
}

#[test]
fn a_burst_of_events_makes_one_session() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    assert!(due(&mut schedule, at(0)).is_some());
    schedule.ended(GOOD, GOOD, Mono(10), None, 0);
    for moment in 0..50 {
        schedule.event_accepted(Mono(1_000 + moment));
    }
    assert!(due(&mut schedule, at(1_100)).is_none());
    assert!(due(&mut schedule, at(2_600)).is_some());
    assert!(due(&mut schedule, at(2_700)).is_none(), "never two at a time");
    schedule.ended(GOOD, GOOD, Mono(3_000), None, 0);
    assert!(due(&mut schedule, at(3_000)).is_none());
}

#[test]
fn a_peer_in_trouble_is_left_out_and_the_other_goes_on() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    due(&mut schedule, at(0));
    let longest = 15_000;
    schedule.ended(bad(Trouble::Timeout), GOOD, Mono(10), Some(5), longest);
    schedule.event_accepted(Mono(100));
    let orders = due(&mut schedule, at(5_000)).expect("the other peer");
    assert_eq!((orders.primero, orders.oscar), (false, true));
    assert_eq!(schedule.peer(Peer::Primero).word(), "timeout");
    assert_eq!(schedule.peer(Peer::Oscar).last_ok, Some(5));
}

#[test]
fn a_refused_password_waits_for_hours_but_obeys_a_person() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    due(&mut schedule, at(0));
    schedule.ended(bad(Trouble::Auth), GOOD, Mono(0), None, 0);
    assert!(!due(&mut schedule, at(hours(1))).expect("regular").primero);
    schedule.ended(GOOD, GOOD, Mono(hours(1)), None, 0);
    schedule.asked_by_hand();
    assert_eq!(schedule.deadline(at(hours(1)), FREE), Some(Mono(hours(1))));
    let orders = due(&mut schedule, at(hours(1))).expect("by hand");
    assert!(orders.primero && orders.by_hand && orders.reach_back);
}

#[test]
fn a_returning_line_is_noticed_when_the_backoff_ends() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    due(&mut schedule, at(0));
    schedule.ended(bad(Trouble::Route), bad(Trouble::Route), Mono(0), None, 14_000);
    schedule.event_accepted(Mono(10));
    assert!(due(&mut schedule, at(2_000)).is_none(), "nobody may be asked yet");
    let again = schedule.deadline(at(2_000), FREE).expect("a retry");
    assert!(again < Mono(60_000), "long before the regular slot: {again:?}");
    let orders = due(&mut schedule, at(again.0)).expect("a session");
    assert!(orders.primero && orders.oscar);
    schedule.ended(GOOD, GOOD, again, None, 0);
    let later = at(again.0 + 30_000);
    assert!(due(&mut schedule, later).is_none(), "once, not again and again");
}

#[test]
fn after_a_night_without_a_line_its_return_makes_one_session_within_seconds() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    let (mut now, mut back) = (0, 0);
    while now < hours(10) {
        back = now + 1_000;
        if due(&mut schedule, at(now)).is_some() {
            schedule.ended(bad(Trouble::Dns), bad(Trouble::Route), Mono(now), None, 250_000);
        }
        now = schedule.deadline(at(now), FREE).unwrap().0.max(now + 1);
    }
    schedule.line_returned(Mono(back), 7);
    let next = schedule.deadline(at(back), FREE).unwrap();
    assert!(next <= Mono(back + 2_007), "{next:?} after {back}");
    let orders = due(&mut schedule, at(next.0)).expect("the session of the return");
    assert!(orders.primero && orders.oscar, "one for both");
    schedule.ended(GOOD, GOOD, next, None, 0);
    let then = schedule.deadline(at(next.0), FREE).unwrap();
    assert!(
        then > Mono(next.0 + 100_000),
        "the slots that were missed stay missed"
    );
}

#[test]
fn looking_back_for_acceptances_is_rarer_than_looking() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    let mut reached = 0;
    let mut now = 0;
    for _ in 0..REACH_BACK_EVERY * 3 {
        let orders = schedule.due(at(now), FREE, 7).expect("due");
        reached += u32::from(orders.reach_back);
        schedule.ended(GOOD, GOOD, Mono(now), None, 0);
        now = schedule.deadline(at(now), FREE).expect("scheduled").0;
    }
    assert_eq!(reached, 3);
}

fn by_cron() -> Schedule {
    let plan = Plan {
        cron: Some(Cron::parse("*/5 7-18 * * mon-sat").unwrap()),
        jitter: Duration::ZERO,
        ..plan()
    };
    Schedule::new(plan, Mono(0))
}

/// Runs whatever is due at `now` and returns the next look.
fn pass(schedule: &mut Schedule, now: Now) -> u64 {
    if due(schedule, now).is_some() {
        schedule.ended(GOOD, GOOD, now.mono, None, 0);
    }
    schedule.deadline(now, FREE).unwrap().0
}

#[test]
fn a_cron_rule_keeps_office_hours() {
    let mut schedule = by_cron();
    let mut now = 0;
    let mut starts = Vec::new();
    for _ in 0..200 {
        now = pass(&mut schedule, at(now));
        starts.push(now / 60_000);
    }
    assert_eq!(&starts[..3], [7 * 60, 7 * 60 + 5, 7 * 60 + 10]);
    // Twelve hours of twelve sessions, then Tuesday at seven.
    assert_eq!(&starts[143..145], [18 * 60 + 55, 31 * 60]);
    // An event at night goes at once all the same.
    let night = hours(3);
    let mut schedule = by_cron();
    pass(&mut schedule, at(0));
    schedule.event_accepted(Mono(night));
    assert_eq!(schedule.deadline(at(night), FREE), Some(Mono(night + 1_500)));
}

#[test]
fn a_clock_nobody_confirmed_means_the_plain_interval() {
    let mut schedule = by_cron();
    assert_eq!(pass(&mut schedule, unset(0)), 300_000);
    assert_eq!(schedule.timing(unset(0)), "every, until the clock is confirmed");
    assert_eq!(pass(&mut schedule, unset(300_000)), 600_000);
    // The clock is set, at three in the morning: from now on the office's hours count.
    let set = at(hours(3));
    assert_eq!(
        pass(
            &mut schedule,
            Now {
                mono: Mono(310_000),
                ..set
            }
        ),
        310_000 + hours(4)
    );
    assert_eq!(schedule.timing(set), "cron");
}

#[test]
fn a_clock_that_is_set_moves_the_next_slot_and_makes_up_for_none() {
    let mut schedule = by_cron();
    pass(&mut schedule, at(0));
    // An hour later the clock is put to noon: the next slot is five past.
    let noon = Now {
        mono: Mono(hours(1)),
        wall: Wall::judge(MONDAY + 12 * 3600 + 60, 0, true),
    };
    assert_eq!(pass(&mut schedule, noon), hours(1) + 4 * 60_000);
    // And back to before the build: nothing is believed any more.
    let lost = Now {
        mono: Mono(hours(1) + 60_000),
        wall: Wall::judge(BUILD_FLOOR - 1, 0, false),
    };
    assert_eq!(pass(&mut schedule, lost), hours(1) + 360_000);
}

fn quiet_nights() -> Plan {
    Plan {
        quiet: QuietHours::parse(["22:00-05:00"]).unwrap(),
        jitter: Duration::ZERO,
        ..plan()
    }
}

fn with_quiet_nights() -> Schedule {
    Schedule::new(quiet_nights(), Mono(hours(21)))
}

#[test]
fn quiet_hours_hold_back_everything_but_what_is_urgent_or_asked_for() {
    let mut schedule = with_quiet_nights();
    pass(&mut schedule, at(hours(21)));
    let night = hours(22) + 60_000;
    schedule.event_accepted(Mono(night));
    assert_eq!(schedule.quiet_until(at(night)), Some(MONDAY + 29 * 3600));
    for minute in 0..7 * 60 - 1 {
        let now = at(night + minute * 60_000);
        assert!(due(&mut schedule, now).is_none(), "minute {minute}");
        assert!(
            schedule.deadline(now, FREE).unwrap() > now.mono,
            "no busy waiting"
        );
    }
    let urgent = Means { urgent: true, ..FREE };
    let orders = schedule.due(at(night + 120_000), urgent, 0).expect("urgent");
    assert!(orders.urgent_only && orders.primero && orders.oscar);
    schedule.ended(GOOD, GOOD, Mono(night + 121_000), None, 0);
    schedule.asked_by_hand();
    let orders = due(&mut schedule, at(night + 180_000)).expect("by hand");
    assert!(!orders.urgent_only && orders.by_hand);
    schedule.ended(GOOD, GOOD, Mono(night + 181_000), None, 0);
    // What came at night and is not urgent goes when the night ends, without waiting for a slot.
    schedule.event_accepted(Mono(hours(28)));
    let last = at(hours(29) - 30_000);
    assert!(due(&mut schedule, last).is_none());
    assert!(schedule.deadline(last, FREE).unwrap() <= Mono(hours(29)));
    assert!(due(&mut schedule, at(hours(29))).is_some_and(|orders| !orders.urgent_only));
}

/// An office whose next slot is hours after its quiet hours.
#[test]
fn what_an_urgent_session_leaves_goes_when_the_quiet_hours_end() {
    let mut schedule = Schedule::new(
        Plan {
            every: Duration::from_secs(24 * 3600),
            ..quiet_nights()
        },
        Mono(hours(21)),
    );
    pass(&mut schedule, at(hours(21)));
    let night = hours(23);
    schedule.event_accepted(Mono(night));
    let urgent = Means { urgent: true, ..FREE };
    for minute in [1, 3] {
        // The second comes while the rest waits for the morning: it does not wait with it.
        let now = at(night + minute * 60_000);
        schedule.event_accepted(Mono(now.mono.0 - 2_000));
        assert!(
            schedule
                .due(now, urgent, 0)
                .is_some_and(|orders| orders.urgent_only)
        );
        schedule.ended(GOOD, GOOD, now.mono, None, 0);
        assert!(
            schedule.due(now, urgent, 0).is_none(),
            "no second session for what may not go"
        );
    }
    assert!(due(&mut schedule, at(hours(29) - 1_000)).is_none());
    assert!(due(&mut schedule, at(hours(29))).is_some_and(|orders| !orders.urgent_only));
    schedule.ended(GOOD, GOOD, Mono(hours(29) + 1_000), None, 0);
    assert!(due(&mut schedule, at(hours(30))).is_none(), "once");
}

#[test]
fn a_spent_month_carries_urgent_events_alone() {
    let mut schedule = Schedule::new(plan(), Mono(0));
    let spent = Means {
        spent: true,
        urgent: false,
    };
    let urgent = Means {
        spent: true,
        urgent: true,
    };
    assert!(schedule.due(at(0), spent, 0).is_none());
    schedule.event_accepted(Mono(10));
    for second in 0..3_600 {
        let now = at(second * 1000);
        assert!(schedule.due(now, spent, 0).is_none());
        assert!(
            schedule.deadline(now, spent).unwrap() > now.mono,
            "no busy waiting"
        );
    }
    let orders = schedule.due(at(hours(1)), urgent, 0).expect("urgent");
    assert!(orders.urgent_only);
    // The urgent peer fails: it is tried again although the month is spent.
    schedule.ended(bad(Trouble::Dns), GOOD, Mono(hours(1)), None, 10_000);
    assert_eq!(
        schedule.deadline(at(hours(1)), urgent),
        Some(Mono(hours(1) + 10_000))
    );
    // A new month: what waited goes.
    schedule.event_accepted(Mono(hours(2)));
    let orders = due(&mut schedule, at(hours(2) + 2_000)).expect("a new month");
    assert!(!orders.urgent_only);
}
