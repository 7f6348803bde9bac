//! A pass at Primero: asks whether it is well, then takes every lane that waits for it one step or more.

use super::{Ground, PassReport, Round, Turn, settle};
use crate::core::ask::{Act, PrimeroCall, PrimeroReply};
use crate::core::echo::Echo;
use crate::core::event::Payload;
use crate::core::exchange::Wire;
use crate::core::link::Link;
use crate::core::outbox;
use crate::core::outcome::{Outcome, Trouble, judge};
use crate::core::planted::{Defect, planted};
use crate::core::reason::Reason;
use crate::core::record::{Head, Peer, Seq, State};
use crate::core::referral_talk::ReferralTalk;
use crate::core::time::Mono;
use crate::core::write_back::WriteBackTalk;
use crate::peers::primero::Primero;
use crate::store::StoreError;
use std::collections::{HashMap, HashSet};

mod fate;
mod follow_up;
mod footing;
mod look_through;
mod pull;
mod round;
mod sift;
mod stamps;
mod talk;
mod uptake;

use super::site_check::SiteWatch;
use pull::PullMemory;
pub use pull::{kept_cursor, kept_owed};
use stamps::remember_stamp;
use talk::Talk;

/// Works at one Primero server.
pub struct PrimeroPass<W: Wire> {
    ground: Ground,
    pub(super) codec: Primero,
    pub(super) wire: W,
    /// When doubt about an event arose in this run of the program: reading back too soon proves nothing, since the
    /// lost request may still be on its way to a commit.
    doubts: HashMap<Seq, Mono>,
    round: Round,
    /// Primero answered something about an event in this round.
    answered: bool,
    /// What it failed on in this round.
    failed: Vec<Seq>,
    /// What it failed on in the last round: comes last in the next, lest the rest wait behind it for ever.
    late: Vec<Seq>,
    /// Events whose case was read in this session.
    looked: HashSet<Seq>,
    pull: PullMemory,
    /// An answer to the pull cannot be believed: told once the rest of the pass is done.
    distrusted: bool,
    /// What this Primero cannot take.
    site: SiteWatch,
    /// The last pass met no trouble.
    well: bool,
}

/// What a call came to.
enum Heard {
    Reply(PrimeroReply),
    /// The peer is down: the pass is over.
    Down,
    Failed(Trouble),
    Doubt(Trouble),
}

/// What the next line of the pass may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    Over,
}

impl<W: Wire> PrimeroPass<W> {
    pub fn new(ground: Ground, codec: Primero, wire: W) -> PrimeroPass<W> {
        PrimeroPass {
            ground,
            codec,
            wire,
            doubts: HashMap::new(),
            round: Round::default(),
            answered: false,
            failed: Vec::new(),
            late: Vec::new(),
            looked: HashSet::new(),
            pull: PullMemory::default(),
            distrusted: false,
            site: SiteWatch::default(),
            well: false,
        }
    }

    /// How far Primero has been seen, in Unix seconds of its own clock; nothing before the first pull.
    pub fn cursor(&self) -> Option<i64> {
        self.pull.mark.as_ref().map(|mark| mark.seen)
    }

    /// One pass; the first of its session asks for Primero's health before anything else, unless all was well the last
    /// time and a pull comes first: its answer tells as much, and a request for nothing is a tenth of an empty session.
    pub fn run(&mut self, turn: Turn) -> Result<PassReport, StoreError> {
        let report = self.pass(turn)?;
        self.well = report.trouble.is_none();
        Ok(report)
    }

    fn pass(&mut self, turn: Turn) -> Result<PassReport, StoreError> {
        let mut report = PassReport::default();
        let first = turn == Turn::First;
        if first {
            self.looked.clear();
        }
        let pulls = first && self.ground.flows.pull_primero() && !self.ground.thrifty();
        let trusting = pulls && self.well;
        if first && !trusting && self.healthy(&mut report) == Go::Over {
            return Ok(report);
        }
        if first && let Some(trouble) = self.site.look(&self.ground, &self.codec, &mut self.wire)? {
            report.down(trouble, None);
            return Ok(report);
        }
        self.distrusted = false;
        if pulls && self.pull(&mut report)? == Go::Over {
            return Ok(report);
        }
        // Nothing is written to a server that has not been heard to be one.
        if trusting && self.distrusted && self.healthy(&mut report) == Go::Over {
            return Ok(report);
        }
        if turn != Turn::Next {
            self.begin_round();
        }
        self.work_through(&mut report)?;
        if !report.more {
            self.end_round(&mut report)?;
        }
        if self.distrusted {
            report.partly(Trouble::Shape);
        }
        Ok(report)
    }

    fn healthy(&mut self, report: &mut PassReport) -> Go {
        match self.call(&PrimeroCall::Health, report) {
            Heard::Reply(_) => Go::On,
            Heard::Down => Go::Over,
            Heard::Failed(trouble) | Heard::Doubt(trouble) => {
                report.down(trouble, None);
                Go::Over
            }
        }
    }

    fn event(&mut self, seq: Seq, report: &mut PassReport) -> Result<Go, StoreError> {
        let boot = self.ground.boot;
        self.ground.take_in_hand(seq);
        // A fresh look and the lease in one transaction: a person may have discarded the event meanwhile.
        let leased = self.ground.store.write(move |tx| {
            let Some((mut head, payload)) = tx
                .event(seq)?
                .filter(|(head, _)| head.next_peer() == Some(Peer::Primero))
            else {
                return Ok::<_, StoreError>(None);
            };
            let target = match payload.as_ref().and_then(Payload::target) {
                Some(key) => tx.head_by_key(key)?,
                None => None,
            };
            if let Some(target) = target.as_ref().filter(|target| target.holds_lane()) {
                // It was left behind in another lane than the referral it speaks of: there it waits its turn.
                head.subject = target.subject;
                return tx.update(&head).map(|()| None);
            }
            outbox::lease(&mut head, boot);
            tx.update(&head)?;
            let link = tx.link(head.subject)?.unwrap_or_default();
            Ok(Some((head, payload, target, link)))
        })?;
        let Some((mut head, payload, target, link)) = leased else {
            return Ok(Go::On);
        };
        match (head.state, payload) {
            (State::Delivered, _) => self.write_back(head, report),
            (_, Some(Payload::Referral(referral))) => self.referral(head, &referral, &link, report),
            (_, Some(Payload::Child(record))) => {
                let (site, at) = (self.ground.site.clone(), self.ground.moment());
                self.drive(&mut Talk::child(head, &record, &link, &site, at), report)
            }
            (_, Some(Payload::Decision { decision, .. })) => self.decision(head, target, decision, report),
            (_, Some(Payload::Withdraw { .. })) => self.withdraw(head, target, report),
            (_, None) => {
                outbox::park(
                    &mut head,
                    self.ground.moment(),
                    Reason::TooManyFailures,
                    "content missing",
                );
                self.settle(head).map(|()| Go::On)
            }
        }
    }

    fn referral(
        &mut self,
        head: Head,
        referral: &crate::core::event::Referral,
        link: &Link,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let seq = head.seq;
        let now = (self.ground.clock)().mono;
        // A doubt from before this start ages from the first look at it: a program restarts faster than a request dies.
        let doubted = *self.doubts.entry(seq).or_insert(now);
        let absence_counts = now.since(doubted) >= self.ground.read_back_after;
        let (site, at) = (self.ground.site.clone(), self.ground.moment());
        let talk = ReferralTalk::new(head, referral, link, &site, at, absence_counts, self.ground.flows);
        self.drive(&mut Talk::Referral(Box::new(talk)), report)
    }

    fn write_back(&mut self, head: Head, report: &mut PassReport) -> Result<Go, StoreError> {
        let (site, at) = (self.ground.site.clone(), self.ground.moment());
        let lacking = self.site.lacking();
        let mut talk = Talk::WriteBack(Box::new(WriteBackTalk::new(head, &site, at, lacking)));
        self.drive(&mut talk, report)
    }

    /// Drives one conversation to its end and puts the outcome on disk.
    fn drive(&mut self, talk: &mut Talk<'_>, report: &mut PassReport) -> Result<Go, StoreError> {
        let before = talk.head().clone();
        let mut echo = Echo::since(self.known_stamp(&before)?);
        let mut go = Go::On;
        loop {
            match talk.next_act() {
                Act::Commit => self.settle(talk.head().clone())?,
                Act::End => break,
                Act::Send(call) if self.site.gap(&call).is_some() => {
                    let gap = self.site.gap(&call).map(ToString::to_string).unwrap_or_default();
                    talk.unsent();
                    outbox::park(talk.head_mut(), self.ground.moment(), Reason::SiteGap, &gap);
                    break;
                }
                Act::Send(call) => match self.call(&call, report) {
                    Heard::Reply(reply) => {
                        self.listen(&mut echo, &call, &reply);
                        talk.hear(reply);
                    }
                    Heard::Failed(trouble) => talk.failed(trouble),
                    Heard::Doubt(trouble) => {
                        let now = (self.ground.clock)().mono;
                        self.doubts.insert(before.seq, now);
                        talk.lost(trouble);
                        // A server error may be about this record alone; a silent line is about all of them.
                        if trouble != Trouble::Server {
                            report.down(trouble, None);
                            go = Go::Over;
                        }
                    }
                    Heard::Down => {
                        talk.unsent();
                        go = Go::Over;
                    }
                },
            }
        }
        let head = talk.head().clone();
        let refused = matches!(
            head.reason,
            Some(Reason::FieldsNotStored | Reason::PrimeroRefused)
        );
        if refused && head.state == State::Parked {
            self.site.doubt();
        }
        if head.state != State::InDoubt {
            self.doubts.remove(&head.seq);
        }
        if head.work.primero_done {
            self.looked.insert(head.seq);
        }
        report.count(&head);
        report.pushed += u32::from(head.work.primero_done && !before.work.primero_done);
        report.confirmed += u32::from(before.write_back_due() && !head.write_back_due());
        let stamp = echo.own().map(str::to_owned);
        self.ground.store.write(move |tx| {
            settle(tx, &head)?;
            remember_stamp(tx, &head, stamp)
        })?;
        Ok(go)
    }

    fn settle(&self, head: Head) -> Result<(), StoreError> {
        self.ground.store.write(move |tx| settle(tx, &head))
    }

    fn call(&mut self, call: &PrimeroCall, report: &mut PassReport) -> Heard {
        let request = self.codec.encode(call, &self.ground.site);
        if planted(Defect::PanicInHand) && request.body.is_some() {
            panic!("planted, with {call:?} and {request:?} in hand");
        }
        let result = self.wire.exchange(&request);
        if let Ok(answer) = &result
            && let Some(reply) = self.codec.decode(call, answer)
        {
            report.reached = true;
            self.answered |= !matches!(call, PrimeroCall::Health);
            return Heard::Reply(reply);
        }
        match judge(&result, call.repeat(), |_| false) {
            Outcome::Answered => Heard::Failed(Trouble::Shape),
            Outcome::Down(trouble, after) => {
                if trouble == Trouble::Throttled {
                    // A configuration is being applied (primero.md §7.2).
                    self.site.doubt();
                }
                report.down(trouble, after);
                Heard::Down
            }
            // Six wrong passwords lock the account for everybody who uses it (primero.md §1.4): never a second try.
            Outcome::Unauthorized => {
                report.down(Trouble::Auth, None);
                Heard::Down
            }
            Outcome::Failed(trouble) => {
                report.reached |= trouble == Trouble::Server;
                Heard::Failed(trouble)
            }
            Outcome::Doubt(trouble) => Heard::Doubt(trouble),
        }
    }
}
