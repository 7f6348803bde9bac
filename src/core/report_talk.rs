//! Telling OSCaR what was decided in Primero, and which Primero case a child has.
//!
//! Both endpoints answer "saved" whatever they did (oscar.md §4): only a later pull shows whether it stands. A decision
//! goes out only for a pair of child and number that a pull has shown together at that organization, never where the
//! child's number stands at several organizations (the server picks one of them, and the number may be another child's
//! there), never against what OSCaR was last seen to say, and never as `Referred`. One item per request.

use super::ask::{Act, OscarCall, OscarReply};
use super::flows::Flows;
use super::link::{Link, Sighting};
use super::outbox;
use super::outcome::Trouble;
use super::reason::Reason;
use super::record::{Head, Moment, what};

/// What one delivered event still has to say to OSCaR.
#[derive(Debug)]
pub struct ReportTalk<'a> {
    pub head: Head,
    link: &'a Link,
    flows: Flows,
    at: Moment,
    asked: Option<OscarCall>,
    ended: bool,
}

impl<'a> ReportTalk<'a> {
    pub fn new(head: Head, link: &'a Link, flows: Flows, at: Moment) -> ReportTalk<'a> {
        ReportTalk {
            head,
            link,
            flows,
            at,
            asked: None,
            ended: false,
        }
    }

    pub fn next_act(&mut self) -> Act<OscarCall> {
        if self.ended {
            return Act::End;
        }
        match self.plan() {
            Some(call) => {
                self.asked = Some(call.clone());
                Act::Send(call)
            }
            None => {
                self.ended = true;
                self.head.lease = None;
                Act::End
            }
        }
    }

    fn plan(&mut self) -> Option<OscarCall> {
        let decision = if self.flows.decisions {
            self.decision()
        } else {
            Ok(None)
        };
        let next = match decision {
            Ok(None) if self.flows.links => self.number(),
            other => other,
        };
        next.unwrap_or_else(|(reason, detail)| {
            outbox::park(&mut self.head, self.at, reason, detail);
            None
        })
    }

    /// Where this event's child was last seen, under the number it was seen with first.
    fn sighting(&self) -> Option<(&'a Sighting, &str)> {
        let global_id = self.head.work.global_id.as_deref()?;
        let seen = self.link.at(&self.head.organization)?;
        (seen.global_id == global_id).then_some((seen, global_id))
    }

    /// The next decision that has not been sent.
    fn decision(&self) -> Result<Option<OscarCall>, (Reason, &'static str)> {
        let Some(report) = self.head.reports().into_iter().find(|report| !report.sent) else {
            return Ok(None);
        };
        let Some(decision) = report.decision else {
            return Err((
                Reason::DecisionConflict,
                "the services of one referral are decided differently",
            ));
        };
        if report.shown.is_some_and(|shown| shown != decision) {
            return Err((Reason::DecisionConflict, "OSCaR shows another decision"));
        }
        let Some((_, global_id)) = self
            .sighting()
            .filter(|(seen, _)| seen.numbers.contains(&report.number))
        else {
            // Never seen together: nothing is sent on a guess, and a pull may still show them.
            return Ok(None);
        };
        if self.link.at_several(global_id) {
            return Err((Reason::SeveralOrganizations, "the decision was not sent"));
        }
        Ok(Some(OscarCall::Decide {
            global_id: global_id.to_owned(),
            referral: report.number,
            decision,
        }))
    }

    /// The child's Primero number, where OSCaR shows none yet.
    fn number(&self) -> Result<Option<OscarCall>, (Reason, &'static str)> {
        let work = &self.head.work;
        let due = self.head.link_due();
        let (Some(case), Some((seen, global_id)), true) = (&work.case, self.sighting(), due) else {
            return Ok(None);
        };
        let other = |seen: &&Sighting| {
            let there = seen.external_id.as_ref();
            seen.global_id == global_id && there.is_some_and(|there| *there != case.case_id)
        };
        if self.link.elsewhere_linked || self.link.sightings.iter().any(|seen| other(&seen)) {
            return Err((Reason::LinkConflict, "OSCaR names another case"));
        }
        if seen.external_id.is_some() {
            return Ok(None);
        }
        Ok(Some(OscarCall::Link {
            global_id: global_id.to_owned(),
            external_id: case.case_id.clone(),
            external_id_display: case.short_id.clone(),
        }))
    }

    /// OSCaR answered.
    pub fn hear(&mut self, reply: OscarReply) {
        match (self.asked.take(), reply) {
            (Some(OscarCall::Decide { referral, .. }), OscarReply::Saved) => {
                for service in &mut self.head.work.services {
                    service.decision_sent |= service.oscar_referral == Some(referral);
                }
                self.head
                    .note(self.at, what::DECISION_SENT, &format!("referral {referral}"));
                outbox::progress(&mut self.head);
            }
            (Some(OscarCall::Link { .. }), OscarReply::Saved) => {
                self.head.work.link_sent = true;
                self.head.note(self.at, what::LINK_SENT, "");
            }
            (Some(_), OscarReply::Refused(detail) | OscarReply::HalfRefused(detail)) => {
                outbox::park(&mut self.head, self.at, Reason::DecisionRefused, &detail);
                self.ended = true;
            }
            (_, _) => self.ended = true,
        }
    }

    /// The peer could not be used, or its answer was lost: sent again later, which changes nothing.
    pub fn unsent(&mut self) {
        outbox::release(&mut self.head);
        self.ended = true;
    }

    /// The peer failed on this very event.
    pub fn failed(&mut self, trouble: Trouble) {
        outbox::fail(&mut self.head, self.at, trouble.word());
        self.ended = true;
    }
}
