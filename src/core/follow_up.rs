//! Events that speak of an earlier referral of this gateway: the office records a decision, or takes one back.
//!
//! Both share the lane of the referral they speak of, so it has settled before they are looked at. A decision is
//! written through the referral's own write-back; a withdrawal revokes the Primero referrals, after which people
//! have to be told by telephone, because OSCaR has no such call.

use super::ask::{Act, PrimeroCall, PrimeroReply};
use super::event::Decision;
use super::outbox;
use super::outcome::Trouble;
use super::reason::Reason;
use super::record::{Flow, Head, Moment, OneShot, ServiceWork, State, what};

/// What a decision event may do to the referral it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Go on with the target's write-back.
    Write,
    /// The target was given up before it was delivered, or does not exist.
    TargetGone,
    /// The target carries the other decision already.
    Conflict,
}

/// Puts an office decision onto the referral it speaks of.
pub fn apply_decision(target: &mut Head, decision: Decision, at: Moment) -> Standing {
    if target.state != State::Delivered {
        return Standing::TargetGone;
    }
    let other = |known: Option<Decision>| known.is_some_and(|known| known != decision);
    if target.work.services.iter().any(|service| other(service.decision)) {
        return Standing::Conflict;
    }
    let mut news = false;
    for service in &mut target.work.services {
        news |= service.decision.is_none();
        service.decision = Some(decision);
    }
    if news {
        target.note(
            at,
            what::DECIDED,
            &format!("{}, says the office", decision.word()),
        );
    }
    Standing::Write
}

/// Ends a decision event by what became of its target's write-back.
pub fn end_decision(head: &mut Head, standing: Standing, target: Option<&Head>, at: Moment) {
    match (standing, target) {
        (Standing::TargetGone, _) | (_, None) => outbox::park(head, at, Reason::TargetUnsettled, ""),
        (Standing::Conflict, _) => outbox::park(head, at, Reason::DecisionConflict, ""),
        (Standing::Write, Some(target)) if target.state == State::Parked => {
            let reason = target.reason.unwrap_or(Reason::PrimeroRefused);
            outbox::park(head, at, reason, "while writing the decision");
        }
        (Standing::Write, Some(target)) if target.write_back_due() => outbox::release(head),
        (Standing::Write, Some(_)) => {
            head.work.primero_done = true;
            head.work.oscar_done = true;
            outbox::deliver(head, at);
        }
    }
}

/// The conversation that takes a delivered referral back in Primero.
#[derive(Debug)]
pub struct WithdrawTalk {
    pub head: Head,
    target: Head,
    at: Moment,
    revoked: usize,
    asked: bool,
    ended: bool,
}

impl WithdrawTalk {
    pub fn new(head: Head, target: Head, at: Moment) -> WithdrawTalk {
        WithdrawTalk {
            head,
            target,
            at,
            revoked: 0,
            asked: false,
            ended: false,
        }
    }

    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        if self.ended {
            return Act::End;
        }
        let referrals: Vec<&String> = self
            .target
            .work
            .services
            .iter()
            .filter_map(|service| service.referral_id.as_ref())
            .collect();
        match (&self.target.work.case, referrals.get(self.revoked)) {
            (Some(case), Some(referral)) => {
                self.asked = true;
                Act::Send(PrimeroCall::RevokeReferral {
                    case: case.id.clone(),
                    referral: (*referral).clone(),
                })
            }
            _ => {
                self.done();
                Act::End
            }
        }
    }

    fn done(&mut self) {
        self.ended = true;
        let pushed = self
            .target
            .work
            .services
            .iter()
            .any(|service| service.push != OneShot::Todo);
        let people_know =
            pushed || (self.target.flow == Flow::LocalToPrimero && self.target.work.case.is_some());
        self.head.work.primero_done = true;
        self.head.work.oscar_done = true;
        if people_know {
            outbox::park(&mut self.head, self.at, Reason::TellTheNgo, "");
        } else {
            outbox::deliver(&mut self.head, self.at);
        }
    }

    pub fn hear(&mut self, reply: PrimeroReply) {
        if !std::mem::take(&mut self.asked) {
            return;
        }
        match reply {
            PrimeroReply::Referral(view) if view.status == "revoked" => self.revoked += 1,
            PrimeroReply::NotFound => self.revoked += 1,
            PrimeroReply::Forbidden => self.park(Reason::OutOfScope),
            _ => self.park(Reason::PrimeroRefused),
        }
    }

    fn park(&mut self, reason: Reason) {
        outbox::park(&mut self.head, self.at, reason, "");
        self.ended = true;
    }

    pub fn unsent(&mut self) {
        outbox::release(&mut self.head);
        self.ended = true;
    }

    pub fn failed(&mut self, trouble: Trouble) {
        outbox::fail(&mut self.head, self.at, trouble.word());
        self.ended = true;
    }
}

/// A withdrawal that arrives before anything of its referral has left for the NGO: the referral simply does not go. What
/// Primero has of it by then is for the withdrawal to take back. Not while the event is in hand, nor where a write is in
/// doubt.
pub fn withdraw_unsent(target: &mut Head, boot: super::time::BootId, at: Moment) -> bool {
    let work = &target.work;
    let certain = |s: &ServiceWork| matches!(s.referral, OneShot::Todo | OneShot::Done);
    let unsent = if target.flow.to_oscar() {
        !work.oscar_done
            && work
                .services
                .iter()
                .all(|s| s.push == OneShot::Todo && certain(s))
    } else {
        work.case.is_none() && target.attempts == 0
    };
    let open = matches!(target.state, State::Pending | State::Parked) && target.lease != Some(boot);
    if unsent && open {
        target.state = State::Discarded;
        target.note(
            at,
            what::WITHDRAWN,
            "by the office, before anything was sent to the NGO",
        );
    }
    unsent && open
}
