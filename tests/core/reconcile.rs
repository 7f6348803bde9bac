//! What counts as a difference between the two systems and this box, row by row.

use referral_gateway::core::event::{Decision, Kind};
use referral_gateway::core::mapping::Mapping;
use referral_gateway::core::reason::Reason;
use referral_gateway::core::reconcile::{AtOscar, AtPrimero, Difference, Done, Row, compare, open};
use referral_gateway::core::record::{
    CaseRef, Flow, Head, Moment, OneShot, Peer, Seq, ServiceWork, State, Subject, Work,
};
use referral_gateway::core::time::BootId;
use std::collections::BTreeSet;

const CASE: &str = "0d9c2b52-0000-4000-8000-0000005a04e6";
const CHILD: &str = "01EC45C3SZ6V0Q5H3KV2D34Q80";
const NOW: Moment = Moment {
    boot: BootId(1),
    unix: None,
};

/// A delivered referral of ours with number 59 at OSCaR, undecided.
fn head() -> Head {
    let mut service = ServiceWork::new("counselling_trauma".to_owned(), "u1".to_owned());
    service.placed = true;
    service.referral = OneShot::Done;
    service.referral_id = Some("r1".to_owned());
    service.push = OneShot::Done;
    service.oscar_referral = Some(59);
    service.link_written = true;
    Head {
        seq: Seq(1),
        key: "event-1".to_owned(),
        body_hash: [0; 32],
        kind: Kind::Referral,
        flow: Flow::LocalToOscar,
        organization: "cif".to_owned(),
        subject: Subject([1; 16]),
        tag: "GW-7F3K2".to_owned(),
        urgent: false,
        state: State::Delivered,
        reason: None,
        attempts: 1,
        failures: 0,
        crashes: 0,
        lease: None,
        station: None,
        created: NOW,
        changed: NOW,
        work: Work {
            case: Some(CaseRef {
                id: "c1".to_owned(),
                case_id: CASE.to_owned(),
                short_id: "5a04e6".to_owned(),
            }),
            services: vec![service],
            global_id: Some(CHILD.to_owned()),
            number_written: true,
            primero_done: true,
            oscar_done: true,
            ..Work::default()
        },
        history: Vec::new(),
    }
}

fn primero(referral: Option<&str>, option: Option<&str>) -> AtPrimero {
    AtPrimero::Seen {
        referral: referral.map(str::to_owned),
        service: true,
        option: option.map(str::to_owned),
        number: Some(CHILD.to_owned()),
    }
}

fn oscar(status: &str) -> AtOscar {
    AtOscar::Seen {
        global_id: CHILD.to_owned(),
        external_id: Some(CASE.to_owned()),
        referral: Some((59, status.to_owned())),
    }
}

fn differs(head: &Head, primero: &AtPrimero, oscar: &AtOscar) -> Vec<&'static str> {
    let found = compare(head, &head.work.services[0], primero, oscar, &Mapping::built_in());
    found.into_iter().map(Difference::code).collect()
}

const PENDING: Option<&str> = Some("pending_310366");
const ACCEPTED: Option<&str> = Some("accepted_340953");

#[test]
fn equal_sides_and_silence_are_no_difference() {
    let fresh = head();
    let waiting = primero(Some("in_progress"), PENDING);
    assert_eq!(differs(&fresh, &waiting, &oscar("Referred")), [""; 0]);
    assert_eq!(differs(&fresh, &waiting, &AtOscar::NotShown), [""; 0]);
    assert_eq!(differs(&fresh, &AtPrimero::Unread, &AtOscar::Unread), [""; 0]);
    let mut decided = head();
    decided.work.services[0].decision = Some(Decision::Accepted);
    for status in ["accepted", "done"] {
        assert_eq!(
            differs(&decided, &primero(Some(status), ACCEPTED), &oscar("Active")),
            [""; 0]
        );
    }
}

#[test]
fn each_difference_has_its_row() {
    let decided = |decision| {
        let mut head = head();
        head.work.services[0].decision = Some(decision);
        head
    };
    let (fresh, yes, no) = (head(), decided(Decision::Accepted), decided(Decision::Rejected));
    let waiting = || primero(Some("in_progress"), PENDING);
    let accepted = || primero(Some("accepted"), ACCEPTED);
    let rows: Vec<(&Head, AtPrimero, AtOscar, &[&str])> = vec![
        (&fresh, AtPrimero::Gone, AtOscar::NotShown, &["case_gone"]),
        (
            &fresh,
            primero(None, PENDING),
            oscar("Referred"),
            &["referral_gone"],
        ),
        (
            &fresh,
            primero(Some("revoked"), PENDING),
            oscar("Referred"),
            &["referral_revoked"],
        ),
        (&fresh, accepted(), oscar("Referred"), &["primero_decided"]),
        (&fresh, waiting(), oscar("Accepted"), &["oscar_decided"]),
        (
            &fresh,
            accepted(),
            oscar("Exited"),
            &["primero_decided", "oscar_decided", "systems_disagree"],
        ),
        (
            &yes,
            waiting(),
            oscar("Accepted"),
            &["primero_undecided", "field_undecided"],
        ),
        (
            &yes,
            primero(Some("accepted"), PENDING),
            oscar("Accepted"),
            &["field_undecided"],
        ),
        (
            &no,
            accepted(),
            oscar("Exited"),
            &["primero_otherwise", "field_undecided", "systems_disagree"],
        ),
        (
            &yes,
            accepted(),
            oscar("Exited"),
            &["oscar_otherwise", "systems_disagree"],
        ),
        (&yes, accepted(), oscar("Referred"), &["oscar_undecided"]),
    ];
    for (head, primero, oscar, wanted) in rows {
        assert_eq!(differs(head, &primero, &oscar), wanted, "{primero:?} {oscar:?}");
    }
}

#[test]
fn ids_are_compared_on_both_sides() {
    let head = head();
    let waiting = primero(Some("in_progress"), PENDING);
    let with = |service, number: Option<&str>| AtPrimero::Seen {
        referral: Some("in_progress".to_owned()),
        service,
        option: PENDING.filter(|_| service).map(str::to_owned),
        number: number.map(str::to_owned),
    };
    assert_eq!(
        differs(&head, &with(false, Some(CHILD)), &AtOscar::NotShown),
        ["service_gone"]
    );
    assert_eq!(
        differs(&head, &with(true, None), &AtOscar::NotShown),
        ["number_missing"]
    );
    assert_eq!(
        differs(&head, &with(true, Some("01X")), &AtOscar::NotShown),
        ["number_other"]
    );
    let linked = |external: Option<&str>, number| AtOscar::Seen {
        global_id: CHILD.to_owned(),
        external_id: external.map(str::to_owned),
        referral: number,
    };
    let referred = Some((59, "Referred".to_owned()));
    assert_eq!(
        differs(&head, &waiting, &linked(None, referred.clone())),
        ["link_missing"]
    );
    assert_eq!(
        differs(&head, &waiting, &linked(Some("other"), referred)),
        ["link_other"]
    );
    assert_eq!(
        differs(&head, &waiting, &linked(Some(CASE), None)),
        ["referral_unknown"]
    );
}

/// A referral an NGO made has no referral in Primero: the service's own field says the decision.
#[test]
fn a_referral_from_an_ngo_is_decided_in_the_services_field() {
    let mut inbound = head();
    inbound.flow = Flow::OscarToPrimero;
    inbound.work.services[0].referral = OneShot::Todo;
    inbound.work.services[0].referral_id = None;
    assert_eq!(
        differs(&inbound, &primero(None, PENDING), &oscar("Referred")),
        [""; 0]
    );
    assert_eq!(
        differs(&inbound, &primero(None, ACCEPTED), &oscar("Referred")),
        ["primero_decided"]
    );
    inbound.work.services[0].decision = Some(Decision::Accepted);
    inbound.work.services[0].decided_at = Some(Peer::Primero);
    assert_eq!(
        differs(&inbound, &primero(None, ACCEPTED), &oscar("Referred")),
        ["oscar_undecided"]
    );
    assert_eq!(
        differs(&inbound, &primero(None, PENDING), &oscar("Accepted")),
        ["field_undecided"]
    );
}

#[test]
fn what_was_done_is_told_by_what_changed() {
    let before = head();
    let mut queued = before.clone();
    queued.work.services[0].decision = Some(Decision::Accepted);
    let mut parked = before.clone();
    (parked.state, parked.reason) = (State::Parked, Some(Reason::LinkConflict));
    let mut doubtful = before.clone();
    (doubtful.state, doubtful.work.services[0].push) = (State::InDoubt, OneShot::Unsure);
    let mut learned = before.clone();
    learned.work.slug = Some("abcd-1".to_owned());
    for (before, after, done) in [
        (&before, &before, Done::Nothing),
        (&before, &queued, Done::Queued),
        (&before, &parked, Done::Parked(Some(Reason::LinkConflict))),
        (&doubtful, &before, Done::DoubtSettled),
        (&before, &learned, Done::Learned),
    ] {
        assert_eq!(Done::of(before, after), done);
    }
    let row = Row::of(
        &before,
        &queued,
        0,
        AtPrimero::Unread,
        oscar("Accepted"),
        &Mapping::built_in(),
    );
    let row = row.expect("the service is there");
    assert_eq!(
        (row.differs, row.done),
        (vec![Difference::OscarDecided], Done::Queued)
    );
    assert!(
        Row::of(
            &before,
            &queued,
            1,
            AtPrimero::Unread,
            AtOscar::Unread,
            &Mapping::built_in()
        )
        .is_none()
    );
}

#[test]
fn only_referrals_that_are_not_over_are_looked_at() {
    assert!(open(&head()));
    let mut over = head();
    over.work.services[0].decision = Some(Decision::Accepted);
    assert!(open(&over), "the decision is not written yet");
    over.work.services[0].decision_written = true;
    over.work.services[0].referral_decided = true;
    assert!(!open(&over));
    let mut other = head();
    other.kind = Kind::Withdraw;
    other.state = State::Pending;
    assert!(!open(&other));
}

#[test]
fn the_codes_are_unique_and_stored_as_shown() {
    let mut seen = BTreeSet::new();
    for difference in Difference::ALL {
        assert!(seen.insert(difference.code()) && !difference.words().is_empty());
        let stored = serde_json::to_string(difference).expect("serializes");
        assert_eq!(stored, format!("\"{}\"", difference.code()));
    }
}
