//! Bringing what waits to OSCaR, lane by lane, each push on disk as *sending* before it leaves.

use super::hold::Hold;
use super::{AskPrimero, Go, Heard, OscarPass};
use crate::core::ask::Act;
use crate::core::event::{Payload, Referral};
use crate::core::exchange::Wire;
use crate::core::link::Link;
use crate::core::outbox;
use crate::core::outcome::Trouble;
use crate::core::push_talk::PushTalk;
use crate::core::reason::Reason;
use crate::core::record::{Head, Peer, Seq, State};
use crate::shell::session::{Footing, PassReport, settle};
use crate::store::StoreError;

impl<W: Wire> OscarPass<W> {
    pub(super) fn push_all(
        &mut self,
        footing: AskPrimero<'_>,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let done = self.push_each(footing, report);
        let kept = self.keep_answer();
        done.and_then(|done| kept.map(|()| done))
    }

    fn push_each(&mut self, footing: AskPrimero<'_>, report: &mut PassReport) -> Result<Go, StoreError> {
        let hold = match self.hold {
            Some(hold) => hold,
            None => Hold::of_doubts(self.server_doubts()?, (self.ground.clock)().mono),
        };
        self.hold = Some(hold);
        loop {
            self.keep_answer()?;
            let mut work = self.waiting(|state| state != State::Delivered);
            work.retain(|seq| !self.round.tried.contains(seq));
            if work.is_empty() {
                return Ok(Go::On);
            }
            for seq in work {
                let now = (self.ground.clock)().mono;
                let held = self.hold.is_some_and(|hold| !hold.open(now));
                if self.ground.stopping() || held || self.turn_over(now, report) {
                    return Ok(Go::On);
                }
                self.round.tried.insert(seq);
                let (Go::On, failed) = self.event(seq, footing, report)? else {
                    return Ok(Go::Over);
                };
                if self.round.fared(failed) {
                    report.down(Trouble::Server, None);
                    return Ok(Go::Over);
                }
            }
        }
    }

    /// Pushes in doubt after a server error.
    fn server_doubts(&self) -> Result<u32, StoreError> {
        self.ground.store.read(|view| {
            let mut doubts = 0;
            for entry in view.queue().iter().filter(|entry| entry.state == State::InDoubt) {
                let reason = view.head(entry.seq)?.and_then(|head| head.reason);
                doubts += u32::from(reason == Some(Reason::PushServerError));
            }
            Ok(doubts)
        })
    }

    /// One event; true if the peer failed on it.
    fn event(
        &mut self,
        seq: Seq,
        footing: AskPrimero<'_>,
        report: &mut PassReport,
    ) -> Result<(Go, bool), StoreError> {
        self.ground.take_in_hand(seq);
        let taken = self.ground.store.read(|view| {
            let event = view
                .event(seq)?
                .filter(|(head, _)| head.next_peer() == Some(Peer::Oscar));
            let Some((head, payload)) = event else {
                return Ok(None);
            };
            let link = view.link(head.subject)?.unwrap_or_default();
            Ok(Some((head, payload, link)))
        })?;
        let Some((mut head, payload, link)) = taken else {
            return Ok((Go::On, false));
        };
        let (at, known) = (self.ground.moment(), head.clone());
        let set_aside = match &payload {
            Some(Payload::Referral(_)) => self.stands(&head, footing)?.judge(&mut head, at),
            _ => Footing::Lost(Reason::TooManyFailures, "content missing").judge(&mut head, at),
        };
        if set_aside {
            report.count(&head);
            self.settle(Some(known), head)?;
            return Ok((Go::On, false));
        }
        match payload {
            Some(Payload::Referral(referral)) => self.push(head, &referral, &link, report),
            _ => Ok((Go::On, false)),
        }
    }

    /// Holds the conversation about one event; true if the peer failed on it.
    fn push(
        &mut self,
        mut head: Head,
        referral: &Referral,
        link: &Link,
        report: &mut PassReport,
    ) -> Result<(Go, bool), StoreError> {
        // The lease goes to disk with the first *sending*: nothing leaves the box before that commit. Until then a
        // person may still take the event out of our hands.
        let mut known = Some(head.clone());
        outbox::lease(&mut head, self.ground.boot);
        // Where to look for what becomes of it, should its answer be lost.
        let seen = self.watermark.as_ref().map(|mark| mark.since);
        head.work.pushed_at = head.work.pushed_at.or(seen);
        let (failures, done_before) = (head.failures, head.work.oscar_done);
        let site = self.ground.site.clone();
        let mut talk = PushTalk::new(head, referral, link, &site, self.ground.moment());
        let mut go = Go::On;
        loop {
            match talk.next_act() {
                Act::Commit => {
                    if !self.settle(known.take(), talk.head.clone())? {
                        return Ok((Go::On, false));
                    }
                }
                Act::End => break,
                Act::Send(call) => match self.call(&call, report)? {
                    Heard::Reply(reply) => {
                        self.hold = Some(Hold::default());
                        talk.hear(reply);
                    }
                    Heard::Failed(trouble) => talk.failed(trouble),
                    Heard::Doubt(trouble) => {
                        talk.lost(trouble);
                        self.doubted(trouble, report);
                        go = Go::Over;
                    }
                    Heard::Down => {
                        talk.unsent();
                        go = Go::Over;
                    }
                },
            }
        }
        let head = talk.head;
        report.count(&head);
        report.pushed += u32::from(head.work.oscar_done && !done_before);
        let failed = head.failures > failures;
        if known.is_none() && head.state == State::Delivered && go == Go::On {
            self.answered_push = Some(head);
        } else {
            self.settle(known, head)?;
        }
        Ok((go, failed))
    }

    /// On a line without answers, and perhaps at a failing server, every further push would be in doubt too.
    fn doubted(&mut self, trouble: Trouble, report: &mut PassReport) {
        report.down(trouble, None);
        if trouble == Trouble::Server {
            let now = (self.ground.clock)().mono;
            self.hold.get_or_insert_default().fail(now);
        }
    }

    /// Whether Primero still stands behind a referral. Nobody is asked before the last answer is on disk.
    fn stands(&mut self, head: &Head, footing: AskPrimero<'_>) -> Result<Footing, StoreError> {
        if let Some(stands) = footing(head, false) {
            return Ok(stands);
        }
        self.keep_answer()?;
        Ok(footing(head, true).unwrap_or(Footing::Unknown))
    }

    /// Puts the last answer on disk, if it is not there.
    fn keep_answer(&mut self) -> Result<(), StoreError> {
        match self.answered_push.take() {
            Some(head) => self.ground.store.write(move |tx| settle(tx, &head)),
            None => Ok(()),
        }
    }
}
