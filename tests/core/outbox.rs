//! Every change of state an event can go through, and the ones it must not: the small space is walked whole.

use referral_gateway::core::event::Kind;
use referral_gateway::core::outbox::{self, CRASHES_MAX, FAILURES_MAX, Verdict};
use referral_gateway::core::reason::Reason;
use referral_gateway::core::record::{Flow, Head, Moment, OneShot, Seq, ServiceWork, State, Subject, Work};
use referral_gateway::core::time::BootId;

const SHOTS: [OneShot; 4] = [OneShot::Todo, OneShot::Sending, OneShot::Unsure, OneShot::Done];

fn at(boot: u64) -> Moment {
    Moment {
        boot: BootId(boot),
        unix: None,
    }
}

fn head(state: State, referral: OneShot, push: OneShot) -> Head {
    let mut service = ServiceWork::new("other".to_owned(), "id".to_owned());
    service.referral = referral;
    service.push = push;
    let work = Work {
        services: vec![service],
        ..Work::default()
    };
    Head {
        seq: Seq(1),
        key: "k".to_owned(),
        body_hash: [0; 32],
        kind: Kind::Referral,
        flow: Flow::LocalToOscar,
        organization: "cif".to_owned(),
        subject: Subject([0; 16]),
        tag: "GW-00000".to_owned(),
        station: None,
        urgent: false,
        state,
        reason: None,
        attempts: 0,
        failures: 0,
        crashes: 0,
        lease: None,
        created: at(1),
        changed: at(1),
        work,
        history: Vec::new(),
    }
}

/// Every head of the small space: state, and how far the two one-shot writes have got.
fn every_head() -> Vec<Head> {
    let mut heads = Vec::new();
    for state in State::ALL {
        for referral in SHOTS {
            for push in SHOTS {
                heads.push(head(state, referral.clone(), push));
            }
        }
    }
    heads
}

fn shots(head: &Head) -> [OneShot; 2] {
    let service = &head.work.services[0];
    [service.referral.clone(), service.push.clone()]
}

#[test]
fn a_crash_turns_every_write_caught_in_the_middle_into_doubt() {
    for before in every_head() {
        let mut after = Head {
            lease: Some(BootId(1)),
            ..before.clone()
        };
        assert!(outbox::recover(&mut after, at(2)));
        assert_eq!(after.lease, None);
        assert!(
            !shots(&after).contains(&OneShot::Sending),
            "nothing is taken for sent or unsent"
        );
        let caught = shots(&before)
            .iter()
            .any(|shot| matches!(shot, OneShot::Sending | OneShot::Unsure));
        let expected = if before.state.open() && caught {
            State::InDoubt
        } else {
            before.state
        };
        assert_eq!(after.state, expected, "{before:?}");
    }
}

#[test]
fn a_lease_of_this_boot_is_left_alone() {
    let mut after = Head {
        lease: Some(BootId(2)),
        ..head(State::Pending, OneShot::Sending, OneShot::Todo)
    };
    let before = after.clone();
    assert!(!outbox::recover(&mut after, at(2)));
    assert_eq!(after, before);
}

#[test]
fn an_event_that_keeps_killing_the_program_is_set_aside() {
    let mut one = head(State::Pending, OneShot::Todo, OneShot::Todo);
    for boot in 1..=u64::from(CRASHES_MAX) {
        one.lease = Some(BootId(boot));
        outbox::recover(&mut one, at(boot + 1));
    }
    assert_eq!(
        (one.state, one.reason),
        (State::Parked, Some(Reason::KilledTheProgram))
    );
}

#[test]
fn an_event_that_keeps_failing_is_set_aside_and_progress_forgives() {
    let mut one = head(State::Pending, OneShot::Todo, OneShot::Todo);
    for _ in 1..FAILURES_MAX {
        outbox::fail(&mut one, at(1), "server");
        assert_eq!(one.state, State::Pending);
    }
    let mut forgiven = one.clone();
    outbox::progress(&mut forgiven);
    outbox::fail(&mut forgiven, at(1), "server");
    assert_eq!(forgiven.state, State::Pending);
    outbox::fail(&mut one, at(1), "server");
    assert_eq!(
        (one.state, one.reason),
        (State::Parked, Some(Reason::TooManyFailures))
    );
}

#[test]
fn no_wish_of_a_person_makes_a_doubtful_push_sendable_except_saying_it_did_not_arrive() {
    for before in every_head()
        .into_iter()
        .filter(|head| shots(head)[1] == OneShot::Unsure)
    {
        let mut requeued = before.clone();
        let done = outbox::requeue(&mut requeued, at(1), "who");
        assert_eq!(shots(&requeued)[1], OneShot::Unsure);
        assert!(done.is_err() || requeued.state == State::InDoubt, "{before:?}");
        for verdict in [Verdict::Arrived, Verdict::Settled] {
            let mut resolved = before.clone();
            let _ = outbox::resolve(&mut resolved, at(1), verdict, "who");
            assert_ne!(shots(&resolved)[1], OneShot::Todo);
        }
    }
}

#[test]
fn finished_events_stay_finished() {
    for before in every_head().into_iter().filter(|head| !head.state.open()) {
        let mut after = before.clone();
        assert!(outbox::requeue(&mut after, at(1), "who").is_err());
        assert!(outbox::discard(&mut after, at(1), "who", "why").is_err());
        for verdict in [Verdict::Arrived, Verdict::NotArrived, Verdict::Settled] {
            assert!(outbox::resolve(&mut after, at(1), verdict, "who").is_err());
        }
        assert_eq!(after, before);
    }
}

/// Somebody has to telephone, or to see that nothing was sent: sent round again, such an event passed for delivered.
#[test]
fn what_only_a_person_can_finish_is_not_sent_round_again() {
    for reason in [Reason::TellTheNgo, Reason::EndedUnsent] {
        let mut one = head(State::Pending, OneShot::Done, OneShot::Todo);
        (one.work.primero_done, one.work.oscar_done) = (true, true);
        outbox::park(&mut one, at(1), reason, "");
        let before = one.clone();
        assert!(outbox::requeue(&mut one, at(1), "who").is_err());
        assert_eq!(one, before);
        assert!(outbox::resolve(&mut one, at(1), Verdict::Settled, "who").is_ok());
        assert_eq!(one.state, State::Delivered);
    }
}

#[test]
fn an_event_in_hand_is_not_discarded_under_the_sender() {
    let mut one = head(State::Pending, OneShot::Sending, OneShot::Todo);
    outbox::lease(&mut one, BootId(1));
    assert!(outbox::discard(&mut one, at(1), "who", "why").is_err());
    outbox::release(&mut one);
    assert!(outbox::discard(&mut one, at(1), "who", "the family moved").is_ok());
    assert!(
        !format!("{one:?}").contains("the family moved"),
        "a note never prints"
    );
}

#[test]
fn the_history_keeps_its_beginning_and_its_bound() {
    let mut one = head(State::Pending, OneShot::Todo, OneShot::Todo);
    one.note(at(1), "first", "");
    for _ in 0..200 {
        one.note(at(1), "again", &"ក".repeat(200));
    }
    assert_eq!(one.history[0].what, "first");
    assert!(one.history.len() <= referral_gateway::core::record::HISTORY_MAX);
    assert!(one.history[5].detail.len() <= referral_gateway::core::record::DETAIL_MAX);
}
