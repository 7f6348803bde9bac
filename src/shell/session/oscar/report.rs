//! Telling OSCaR of decisions and links, after the pushes of a pass.
//!
//! A server that fails every decision (as published, oscar-measured.md fact 1) is asked once for each step of a growing
//! wait; it fails on no event in particular, so none is set aside for it. One event that fails while others are
//! answered is counted, and in the end parked.

use super::hold::Hold;
use super::{Go, Heard, OscarPass};
use crate::core::ask::Act;
use crate::core::exchange::Wire;
use crate::core::record::{Head, Peer, Seq, State};
use crate::core::report_talk::ReportTalk;
use crate::shell::session::PassReport;
use crate::store::StoreError;

impl<W: Wire> OscarPass<W> {
    pub(super) fn report_all(&mut self, report: &mut PassReport) -> Result<(), StoreError> {
        let flows = self.ground.flows;
        if !flows.decisions && !flows.links {
            return Ok(());
        }
        let mut work = self.waiting(|state| state == State::Delivered);
        work.retain(|seq| !self.reported.contains(seq));
        // What failed before comes last, lest the rest wait behind it for ever.
        let failures = |seq: &Seq| self.ground.store.read(|view| view.head(*seq)).ok().flatten();
        work.sort_by_cached_key(|seq| failures(seq).map_or(0, |head| head.failures));
        for seq in work {
            let now = (self.ground.clock)().mono;
            if self.ground.stopping() || !self.report_hold.open(now) || self.turn_over(now, report) {
                return Ok(());
            }
            self.reported.insert(seq);
            if self.report_one(seq, report)? == Go::Over {
                return Ok(());
            }
        }
        Ok(())
    }

    fn report_one(&mut self, seq: Seq, report: &mut PassReport) -> Result<Go, StoreError> {
        self.ground.take_in_hand(seq);
        let taken = self.ground.store.read(|view| {
            let head = view.head(seq)?.filter(due);
            let Some(head) = head else { return Ok(None) };
            Ok(Some((view.link(head.subject)?.unwrap_or_default(), head)))
        })?;
        let Some((link, head)) = taken else {
            return Ok(Go::On);
        };
        let before = head.clone();
        let mut talk = ReportTalk::new(head, &link, self.ground.flows, self.ground.moment());
        let mut go = Go::On;
        loop {
            match talk.next_act() {
                Act::Commit | Act::End => break,
                Act::Send(call) => match self.call(&call, report)? {
                    Heard::Reply(reply) => {
                        self.report_hold = Hold::default();
                        talk.hear(reply);
                    }
                    Heard::Failed(trouble) => {
                        let now = (self.ground.clock)().mono;
                        self.report_hold.fail(now);
                        if std::mem::take(&mut self.answered) {
                            talk.failed(trouble);
                        } else {
                            talk.unsent();
                        }
                        report.partly(trouble);
                        go = Go::Over;
                    }
                    Heard::Doubt(_) | Heard::Down => {
                        talk.unsent();
                        go = Go::Over;
                    }
                },
            }
        }
        let head = talk.head;
        if head != before {
            report.count(&head);
            report.confirmed += u32::from(head.state == State::Delivered && head.failures == before.failures);
            self.settle(Some(before), head)?;
        }
        Ok(go)
    }
}

fn due(head: &Head) -> bool {
    head.next_peer() == Some(Peer::Oscar) && head.state == State::Delivered
}
