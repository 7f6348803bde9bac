//! Following a case's stamps through our conversations about it ([`crate::core::echo`]).

use super::PrimeroPass;
use crate::core::ask::{CaseView, PrimeroCall, PrimeroReply};
use crate::core::echo::Echo;
use crate::core::exchange::Wire;
use crate::core::link::ChildId;
use crate::core::record::Head;
use crate::store::{StoreError, Tx};

impl<W: Wire> PrimeroPass<W> {
    /// The stamp at which the event's case was last taken in.
    pub(super) fn known_stamp(&self, head: &Head) -> Result<Option<String>, StoreError> {
        let subject = head.subject;
        let link = self.ground.store.read(|view| view.link(subject))?;
        Ok(link.and_then(|link| link.case_stamp))
    }

    /// Follows the case's stamps through a conversation.
    pub(super) fn listen(&self, echo: &mut Echo, call: &PrimeroCall, reply: &PrimeroReply) {
        let clear = |view: &CaseView| {
            !view
                .assigned()
                .any(|user| self.ground.agency_of_user(user).is_some())
        };
        match (call, reply) {
            (PrimeroCall::CreateCase { .. }, PrimeroReply::Created) => echo.created(),
            (PrimeroCall::PatchCase { .. }, PrimeroReply::Case(view)) => echo.wrote(view.stamp()),
            (_, PrimeroReply::Case(view)) => echo.read(view.stamp().unwrap_or_default(), clear(view)),
            (_, PrimeroReply::Cases { rows, .. }) if rows.len() == 1 => {
                echo.read(rows[0].stamp().unwrap_or_default(), clear(&rows[0]));
            }
            (_, PrimeroReply::Referral(view)) => echo.wrote(view.case_stamp.as_deref()),
            _ => {}
        }
    }
}

/// Remembers the stamp of our own last write, so that the next pull takes it for no news.
pub(super) fn remember_stamp(tx: &mut Tx<'_>, head: &Head, stamp: Option<String>) -> Result<(), StoreError> {
    let (Some(stamp), Some(case)) = (stamp, &head.work.case) else {
        return Ok(());
    };
    let Some(subject) = tx.subject_of(&ChildId::CaseId(case.case_id.clone()))? else {
        return Ok(());
    };
    let mut link = tx.link(subject)?.unwrap_or_default();
    link.case_stamp = Some(stamp);
    link.case_stamp_own = true;
    tx.put_link(subject, &link);
    Ok(())
}
