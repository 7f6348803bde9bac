//! A last look at Primero before a push that has waited: is there still consent, and still a referral?

use super::{Heard, PrimeroPass};
use crate::core::ask::{PrimeroCall, PrimeroReply};
use crate::core::case_news::stopped;
use crate::core::exchange::Wire;
use crate::core::reason::Reason;
use crate::core::record::Head;
use crate::shell::session::{Footing, PassReport};

impl<W: Wire> PrimeroPass<W> {
    /// Whether Primero still stands behind the event's referral: a push may have waited long since its case was read.
    /// Nothing where it would have to be asked and may not.
    pub fn footing(&mut self, head: &Head, may_ask: bool) -> Option<Footing> {
        let read = head.work.case.is_none() || self.looked.contains(&head.seq);
        match (read, may_ask) {
            (true, _) => Some(Footing::Holds),
            (false, true) => Some(self.footing_now(head)),
            (false, false) => None,
        }
    }

    fn footing_now(&mut self, head: &Head) -> Footing {
        let Some(case) = &head.work.case else {
            return Footing::Holds;
        };
        let mut report = PassReport::default();
        let view = match self.call(&PrimeroCall::ReadCase { id: case.id.clone() }, &mut report) {
            Heard::Reply(PrimeroReply::Case(view)) => view,
            Heard::Reply(PrimeroReply::Forbidden | PrimeroReply::NotFound) => {
                return Footing::Lost(Reason::OutOfScope, "the case is not shown any more");
            }
            _ => return Footing::Unknown,
        };
        let names = &self.ground.site.names;
        if ![&names.consent_services, &names.consent_disclosure]
            .iter()
            .all(|name| view.ticked(name))
        {
            return Footing::Lost(Reason::ConsentMissing, "withdrawn since");
        }
        if !view.enabled() {
            return Footing::Lost(Reason::CaseNotFound, "the case is disabled");
        }
        let case = case.id.clone();
        match self.call(&PrimeroCall::ListReferrals { case }, &mut report) {
            Heard::Reply(PrimeroReply::Referrals(list)) => match stopped(&list, head) {
                Some(word) => return Footing::Lost(Reason::EndedUnsent, word),
                None => self.looked.insert(head.seq),
            },
            _ => return Footing::Unknown,
        };
        Footing::Holds
    }
}
