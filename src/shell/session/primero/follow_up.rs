//! Events of the office that speak of an earlier referral: its decision, or that it is taken back.

use super::talk::Talk;
use super::{Go, PrimeroPass};
use crate::core::event::Decision;
use crate::core::exchange::Wire;
use crate::core::follow_up::{Standing, WithdrawTalk, apply_decision, end_decision};
use crate::core::outbox;
use crate::core::reason::Reason;
use crate::core::record::{Head, State, what};
use crate::core::write_back::WriteBackTalk;
use crate::shell::session::PassReport;
use crate::store::StoreError;

impl<W: Wire> PrimeroPass<W> {
    /// An office decision goes the way of a decision that came from OSCaR: through its referral's write-back.
    pub(super) fn decision(
        &mut self,
        mut head: Head,
        target: Option<Head>,
        decision: Decision,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let at = self.ground.moment();
        let Some(mut target) = target else {
            end_decision(&mut head, Standing::TargetGone, None, at);
            return self.settle(head).map(|()| Go::On);
        };
        let standing = apply_decision(&mut target, decision, at);
        let mut go = Go::On;
        if standing == Standing::Write && target.write_back_due() {
            outbox::lease(&mut target, self.ground.boot);
            self.settle(target.clone())?;
            let (site, lacking) = (self.ground.site.clone(), self.site.lacking());
            let mut talk = Talk::WriteBack(Box::new(WriteBackTalk::new(target, &site, at, lacking)));
            go = self.drive(&mut talk, report)?;
            target = talk.head().clone();
        }
        end_decision(&mut head, standing, Some(&target), at);
        report.count(&head);
        self.settle(head)?;
        Ok(go)
    }

    pub(super) fn withdraw(
        &mut self,
        head: Head,
        target: Option<Head>,
        report: &mut PassReport,
    ) -> Result<Go, StoreError> {
        let mut head = head;
        let Some(target) = target else {
            outbox::park(&mut head, self.ground.moment(), Reason::TargetUnsettled, "");
            return self.settle(head).map(|()| Go::On);
        };
        let (mut target, at) = (target, self.ground.moment());
        if target.state == State::Delivered && !target.history.iter().any(|step| step.what == what::WITHDRAWN)
        {
            // Or the pull would find its referral revoked and send for a person a second time.
            target.note(at, what::WITHDRAWN, "by the office");
            self.settle(target.clone())?;
        }
        let mut talk = Talk::Withdraw(Box::new(WithdrawTalk::new(head, target, at)));
        self.drive(&mut talk, report)
    }
}
