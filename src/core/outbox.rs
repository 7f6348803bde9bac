//! The life of an event: every change of state there is, in one place, each a pure change of its [`Head`].
//!
//! ```text
//! lease    before work starts: counted, and remembered across a crash
//! settle   work ended: delivered, or back to pending
//! park     needs a person;   doubt   an answer was lost
//! recover  at start: a lease of an earlier boot means the work was cut off, and a one-shot write caught in the
//!          middle is in doubt
//! requeue, resolve, discard   what a person may decide
//! ```

use super::reason::Reason;
use super::record::{Head, Moment, OneShot, Peer, State, Work, what};
use super::time::BootId;

/// Failures of one event by itself after which it is set aside.
pub const FAILURES_MAX: u32 = 8;
/// Times the program may die with an event in hand before it is set aside. Power cuts count too, so more than a few.
pub const CRASHES_MAX: u32 = 5;

/// What a person says about a parked or doubtful event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The NGO has the referral: do not send again.
    Arrived,
    /// The NGO does not have it: send again.
    NotArrived,
    /// Both systems have been put right by hand: nothing is left to do.
    Settled,
    /// Where both sides have changed the same value, this side's stands.
    Take(Peer),
}

/// A person's wish that the event's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotNow(pub &'static str);

/// Takes the event in hand. To be committed before anything is sent.
pub fn lease(head: &mut Head, boot: BootId) {
    head.lease = Some(boot);
    head.attempts += 1;
}

/// Gives the event back unfinished: the peer could not be used.
pub fn release(head: &mut Head) {
    head.lease = None;
}

/// The event moved forward without an accident: past crashes and failures no longer count against it.
pub fn progress(head: &mut Head) {
    head.failures = 0;
    head.crashes = 0;
}

/// Everything is done at both peers.
pub fn deliver(head: &mut Head, at: Moment) {
    head.lease = None;
    head.state = State::Delivered;
    head.reason = None;
    progress(head);
    head.note(at, what::DELIVERED, "");
}

/// Sets the event aside for a person.
pub fn park(head: &mut Head, at: Moment, reason: Reason, detail: &str) {
    head.lease = None;
    head.state = State::Parked;
    head.reason = Some(reason);
    let detail = if detail.is_empty() {
        reason.code().to_owned()
    } else {
        format!("{}: {detail}", reason.code())
    };
    head.note(at, what::PARKED, &detail);
}

/// An answer was lost: nobody knows, and nothing is sent again before somebody does.
pub fn doubt(head: &mut Head, at: Moment, reason: Reason, detail: &str) {
    head.lease = None;
    head.state = State::InDoubt;
    head.reason = Some(reason);
    let detail = if detail.is_empty() {
        reason.code().to_owned()
    } else {
        format!("{}: {detail}", reason.code())
    };
    head.note(at, what::IN_DOUBT, &detail);
}

/// The peer failed on this very event: try again, but not for ever.
pub fn fail(head: &mut Head, at: Moment, detail: &str) {
    head.lease = None;
    head.failures += 1;
    if head.failures >= FAILURES_MAX {
        park(head, at, Reason::TooManyFailures, detail);
    } else {
        head.note(at, what::RETRY, detail);
    }
}

/// At start: puts right what a crash left behind. True if the head changed.
pub fn recover(head: &mut Head, at: Moment) -> bool {
    let Some(lease) = head.lease else { return false };
    if lease == at.boot {
        return false;
    }
    head.lease = None;
    head.crashes += 1;
    head.note(
        at,
        what::INTERRUPTED,
        "the box or the program stopped while this was in hand",
    );
    strand(head);
    if !head.state.open() {
        return true;
    }
    match doubtful(head) {
        Some(reason) => doubt(head, at, reason, "the program stopped before the answer came"),
        None if head.crashes >= CRASHES_MAX => park(head, at, Reason::KilledTheProgram, ""),
        None => {}
    }
    true
}

/// A one-shot write on its way although nobody is sending it: nobody knows what became of it. True if there was one.
pub fn strand(head: &mut Head) -> bool {
    let mut found = false;
    for service in &mut head.work.services {
        for shot in [&mut service.referral, &mut service.push] {
            if *shot == OneShot::Sending {
                *shot = OneShot::Unsure;
                found = true;
            }
        }
    }
    found
}

/// Why the event is in doubt, going by its one-shot writes.
pub fn doubtful(head: &Head) -> Option<Reason> {
    let any = |pick: fn(&super::record::ServiceWork) -> &OneShot| {
        head.work
            .services
            .iter()
            .any(|service| *pick(service) == OneShot::Unsure)
    };
    if any(|service| &service.push) {
        // What was never in hand has not been pushed by this gateway: the NGO would look for its tag in vain.
        Some(match head.attempts {
            0 => Reason::MaybeSentBefore,
            _ => Reason::PushAnswerLost,
        })
    } else if any(|service| &service.referral) {
        Some(Reason::ReferralAnswerLost)
    } else {
        None
    }
}

/// A person sends a parked event round again.
pub fn requeue(head: &mut Head, at: Moment, who: &str) -> Result<(), NotNow> {
    match head.state {
        State::Parked if head.reason.is_some_and(Reason::only_settled) => Err(NotNow(
            "nothing is left to send, see `events show`: when that is done, `events resolve` with --settled",
        )),
        State::Parked => {
            head.failures = 0;
            head.crashes = 0;
            head.work.looked_deep = false;
            // Whoever sends it round again has found out that the NGO made it.
            head.work.confirmed |= head.reason == Some(Reason::DirectionUnclear);
            head.note(at, what::REQUEUED, &format!("by {who}"));
            // A push nobody could confirm stays in doubt whatever else was wrong with the event.
            match doubtful(head) {
                Some(reason) => doubt(head, at, reason, ""),
                None if delivered_before(head) => {
                    head.state = State::Delivered;
                    head.reason = None;
                }
                None => {
                    head.state = State::Pending;
                    head.reason = None;
                }
            }
            Ok(())
        }
        State::InDoubt => Err(NotNow(
            "the event is in doubt: `events resolve` with --arrived or --not-arrived",
        )),
        State::Pending => Err(NotNow("the event is already pending")),
        State::Delivered | State::Discarded => Err(NotNow("the event is finished")),
    }
}

/// Primero can take more, or less, than it could: what waited for that is taken up again. True if the head changed.
pub fn site_changed(head: &mut Head, at: Moment) -> bool {
    let work = &mut head.work;
    let left_out = std::mem::take(&mut work.number_left_out) | std::mem::take(&mut work.links_left_out);
    let parked = head.state == State::Parked && head.reason == Some(Reason::SiteGap);
    left_out | (parked && requeue(head, at, "the gateway: Primero has changed").is_ok())
}

/// Both peers had everything when the event was parked: only the way back failed.
fn delivered_before(head: &Head) -> bool {
    head.work.primero_done && head.work.oscar_done
}

/// A person settles what the gateway could not know.
pub fn resolve(head: &mut Head, at: Moment, verdict: Verdict, who: &str) -> Result<(), NotNow> {
    match (head.state, verdict) {
        (State::InDoubt, Verdict::Arrived | Verdict::NotArrived) => {
            let now = if verdict == Verdict::Arrived {
                OneShot::Done
            } else {
                OneShot::Todo
            };
            for service in &mut head.work.services {
                for shot in [&mut service.referral, &mut service.push] {
                    if *shot == OneShot::Unsure {
                        *shot = now.clone();
                    }
                }
            }
            head.state = State::Pending;
            head.reason = None;
            let word = if verdict == Verdict::Arrived {
                "arrived"
            } else {
                "not arrived"
            };
            head.note(at, what::RESOLVED, &format!("{word}, says {who}"));
            Ok(())
        }
        (State::Parked, Verdict::Settled) => {
            if head.reason == Some(Reason::LinkConflict) {
                number_put_right(&mut head.work);
            } else {
                put_right(&mut head.work);
            }
            head.note(at, what::RESOLVED, &format!("put right by hand, says {who}"));
            deliver(head, at);
            Ok(())
        }
        (State::Parked, Verdict::Take(side)) if head.reason == Some(Reason::FieldConflict) => {
            head.work.take = Some(side);
            head.state = State::Pending;
            head.reason = None;
            head.note(at, what::RESOLVED, &format!("take {}, says {who}", side.word()));
            Ok(())
        }
        (_, Verdict::Take(_)) => Err(NotNow("only an event with field_conflict takes a side")),
        (State::InDoubt, Verdict::Settled) => {
            Err(NotNow("the event is in doubt: say --arrived or --not-arrived"))
        }
        (State::Parked, _) => Err(NotNow("the event is parked: --settled, or `events requeue`")),
        _ => Err(NotNow("only events in doubt or parked can be resolved")),
    }
}

/// Both systems stand as they should, a person says: nothing is left to write or to wait for.
pub fn put_right(work: &mut Work) {
    for service in &mut work.services {
        service.decision_written = true;
        service.decision_reported = true;
        service.link_written = true;
    }
    work.links_left_out = false;
    work.primero_done = true;
    work.oscar_done = true;
    number_put_right(work);
}

/// The child's number stands as it should in both systems. That says nothing of a decision, which may be still to come.
fn number_put_right(work: &mut Work) {
    work.number_left_out = false;
    work.number_written = true;
    work.link_seen = true;
}

/// A named person gives the event up, and says why.
pub fn discard(head: &mut Head, at: Moment, who: &str, why: &str) -> Result<(), NotNow> {
    match head.state {
        State::Pending | State::InDoubt | State::Parked if head.lease == Some(at.boot) => {
            Err(NotNow("the event is being sent right now: try again in a minute"))
        }
        State::Pending | State::InDoubt | State::Parked => {
            head.state = State::Discarded;
            head.lease = None;
            head.note(at, what::DISCARDED, &format!("by {who}"));
            head.remark(why);
            Ok(())
        }
        State::Delivered => Err(NotNow("the event is delivered: send a withdrawal instead")),
        State::Discarded => Err(NotNow("the event is already discarded")),
    }
}
