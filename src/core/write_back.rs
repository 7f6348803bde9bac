//! Writing into Primero what OSCaR's side has shown: the child's number, the referral's number, and the decision.
//!
//! The decision lives twice in Primero, in the referral's status and in the service's own field (primero.md §4): both
//! are one local event here, taken up again until both stand. Primero answers 200 to a change it does not make
//! (primero.md §9.9), so the answer's status is what counts.

use super::ask::{Act, CaseView, Fields, PrimeroCall, PrimeroReply, ReferralView};
use super::case_news::in_field;
use super::event::{Decision, Private};
use super::fields::{Site, differing};
use super::outbox;
use super::outcome::Trouble;
use super::reason::Reason;
use super::record::{Head, Moment, Peer, what};
use serde_json::{Value, json};

/// The conversation that brings one delivered referral event's news to Primero.
#[derive(Debug)]
pub struct WriteBackTalk<'a> {
    pub head: Head,
    site: &'a Site,
    at: Moment,
    /// Fields that this Primero does not have.
    lacking: Vec<String>,
    seen: Option<CaseView>,
    written: bool,
    asked: Option<PrimeroCall>,
    ended: bool,
}

impl<'a> WriteBackTalk<'a> {
    /// `lacking` names fields that this Primero does not have: numbers are left out there, decisions are not.
    pub fn new(head: Head, site: &'a Site, at: Moment, lacking: Vec<String>) -> WriteBackTalk<'a> {
        WriteBackTalk {
            head,
            site,
            at,
            lacking,
            seen: None,
            written: false,
            asked: None,
            ended: false,
        }
    }

    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        match self.plan() {
            Some(call) => {
                self.asked = Some(call.clone());
                Act::Send(call)
            }
            None => Act::End,
        }
    }

    fn plan(&mut self) -> Option<PrimeroCall> {
        if self.ended {
            return None;
        }
        let Some(case) = self.head.work.case.clone() else {
            self.end();
            return None;
        };
        let Some(view) = &self.seen else {
            return Some(PrimeroCall::ReadCase { id: case.id });
        };
        if let Some(detail) = self.decided_otherwise(view) {
            self.park(Reason::DecisionConflict, &detail);
            return None;
        }
        if let Some((referral, decision)) = self.undecided_referral() {
            return Some(PrimeroCall::DecideReferral {
                case: case.id,
                referral,
                decision,
            });
        }
        let (fields, conflict) = self.changes(view);
        if fields.is_empty() {
            self.all_written(conflict);
            return None;
        }
        if self.written {
            // Written, read back, and not there: swallowed by another save, or not permitted to this role.
            let names: Vec<String> = fields.keys().cloned().collect();
            outbox::fail(
                &mut self.head,
                self.at,
                &format!("not stored: {}", names.join(" ")),
            );
            self.ended = true;
            return None;
        }
        Some(PrimeroCall::PatchCase {
            id: case.id,
            fields: Private(fields),
        })
    }

    /// The next Primero referral whose status does not say the decision yet.
    fn undecided_referral(&self) -> Option<(String, Decision)> {
        self.head.work.services.iter().find_map(|service| {
            let decision = self.head.work.decision_of(&service.unique_id);
            let decision = decision.filter(|_| !service.decision_written)?;
            let referral = service.referral_id.clone()?;
            (!service.referral_decided).then_some((referral, decision))
        })
    }

    /// A service's own field that says the opposite, by somebody's hand: it is not written over.
    fn decided_otherwise(&self, view: &CaseView) -> Option<String> {
        let work = &self.head.work;
        work.services
            .iter()
            .filter(|service| !service.decision_written)
            .find_map(|service| {
                let decision = work.decision_of(&service.unique_id)?;
                let there =
                    in_field(view, &service.unique_id, self.site).filter(|there| *there != decision)?;
                Some(format!("the Primero service is {}", there.word()))
            })
    }

    fn lacks(&self, name: &str) -> bool {
        self.lacking.iter().any(|lacking| lacking == name)
    }

    /// What the case lacks. Only differences are sent: even an empty PATCH moves the case's date for everybody
    /// (primero.md §9.12). True if the child's number is there and is another: the case has room for one
    /// (oscar.md §3.7), and the decision is written all the same.
    fn changes(&self, view: &CaseView) -> (Fields, bool) {
        let names = &self.site.names;
        let work = &self.head.work;
        let mut fields = Fields::new();
        let ours = self.head.flow.to_oscar();
        let conflict = work.global_id.as_deref().filter(|_| ours).is_some_and(|number| {
            view.text(&names.oscar_number)
                .is_some_and(|there| there != number)
        });
        let pairs = [
            (&names.oscar_number, &work.global_id),
            (&names.oscar_short_id, &work.slug),
        ];
        for (name, value) in pairs {
            let Some(value) = value.as_ref().filter(|value| {
                ours && !name.is_empty() && !value.is_empty() && !conflict && !self.lacks(name)
            }) else {
                continue;
            };
            if view.text(name) != Some(value) {
                fields.insert(name.clone(), json!(value));
            }
        }
        let mut entries = Vec::new();
        for (index, service) in work.services.iter().enumerate() {
            // Several subtypes may share one service.
            if work.services[..index]
                .iter()
                .any(|before| before.unique_id == service.unique_id)
            {
                continue;
            }
            let mut wanted = self.site.service_write_back(work, &service.unique_id);
            if self.lacks(&names.service_oscar_referral) {
                wanted.remove(&names.service_oscar_referral);
            }
            let Some(stored) = view.service(&service.unique_id) else {
                continue;
            };
            if !differing(&wanted, stored).is_empty() {
                entries.push(Value::Object(wanted));
            }
        }
        if !entries.is_empty() {
            fields.insert("services_section".to_owned(), Value::Array(entries));
        }
        (fields, conflict)
    }

    pub fn hear(&mut self, reply: PrimeroReply) {
        let Some(call) = self.asked.take() else { return };
        match (call, reply) {
            (PrimeroCall::ReadCase { .. }, PrimeroReply::Case(view)) => self.seen = Some(view),
            (PrimeroCall::PatchCase { .. }, PrimeroReply::Case(_)) => {
                self.seen = None;
                self.written = true;
            }
            (PrimeroCall::DecideReferral { decision, .. }, PrimeroReply::Referral(view)) => {
                self.decided(decision, &view)
            }
            (_, PrimeroReply::Refused(fields)) => self.park(Reason::PrimeroRefused, &fields),
            (_, PrimeroReply::ConsentRefused) => self.park(Reason::ConsentMissing, "refused by Primero"),
            (_, PrimeroReply::RecipientRefused) => self.park(Reason::RecipientRefused, ""),
            (_, PrimeroReply::Forbidden) => self.park(Reason::OutOfScope, ""),
            (_, PrimeroReply::NotFound) => self.park(Reason::CaseNotFound, ""),
            (_, _) => self.park(Reason::PrimeroRefused, "an answer of another kind"),
        }
    }

    fn decided(&mut self, decision: Decision, view: &ReferralView) {
        // "done" is an accepted referral whose service has been given since; one that was taken back is over for both.
        let stands = match decision {
            Decision::Accepted => matches!(view.status.as_str(), "accepted" | "done"),
            Decision::Rejected => matches!(view.status.as_str(), "rejected" | "revoked"),
        };
        if !stands {
            let detail = format!("the Primero referral is {}", known_status(&view.status));
            self.park(Reason::DecisionConflict, &detail);
            return;
        }
        for service in &mut self.head.work.services {
            if service.referral_id.as_deref() == Some(view.id.as_str()) {
                service.referral_decided = true;
            }
        }
    }

    /// Everything there is room for stands in the case.
    fn all_written(&mut self, conflict: bool) {
        let waited = self.head.work.number_left_out;
        let left_out = self.leave_out();
        let work = &mut self.head.work;
        let ours = self.head.flow.to_oscar();
        let due = work.global_id.is_some() && !work.number_written && !work.number_left_out;
        let linked = ours && due && !conflict;
        work.number_written = work.number_written || linked;
        let mut decided = false;
        for service in &mut work.services {
            service.link_written |= service.oscar_referral.is_some() && !work.links_left_out;
            decided |= service.decision.is_some() && !service.decision_written;
            service.decision_written = service.decision_written || service.decision.is_some();
            if !ours && service.decision.is_some() {
                // Primero's from here on: OSCaR is still to be told.
                service.decided_at = Some(Peer::Primero);
            }
        }
        if linked {
            self.head.note(self.at, what::LINKED, "");
        }
        if decided {
            self.head.note(self.at, what::DECISION_WRITTEN, "");
        }
        if let Some(fields) = left_out {
            self.head.note(self.at, what::LEFT_OUT, &fields);
        }
        if conflict && !self.head.work.number_written {
            let field = self.site.names.oscar_number.clone();
            if !self.head.undecided() {
                return self.park(Reason::LinkConflict, &field);
            }
            // It can wait until the decision is there, which a parked event would hold up.
            self.head.work.number_left_out = true;
            if !waited {
                self.head.note(self.at, what::LEFT_OUT, &field);
            }
        }
        outbox::progress(&mut self.head);
        self.end();
    }

    /// Notes which numbers find no field; their names, if that is news.
    fn leave_out(&mut self) -> Option<String> {
        let names = &self.site.names;
        let lacks = |name: &String, some: bool| (some && self.lacks(name)).then(|| name.clone());
        let work = &self.head.work;
        let ours = self.head.flow.to_oscar();
        let slug = work.slug.as_ref().is_some_and(|slug| !slug.is_empty());
        let numbered = work
            .services
            .iter()
            .any(|service| service.oscar_referral.is_some());
        let number = [
            lacks(&names.oscar_number, ours && work.global_id.is_some()),
            lacks(&names.oscar_short_id, ours && slug),
        ];
        let link = lacks(&names.service_oscar_referral, ours && numbered);
        let before = (work.number_left_out, work.links_left_out);
        let now = (number.iter().any(Option::is_some), link.is_some());
        let fields: Vec<String> = number.into_iter().flatten().chain(link).collect();
        let work = &mut self.head.work;
        (work.number_left_out, work.links_left_out) = now;
        (now != before && !fields.is_empty()).then(|| fields.join(" "))
    }

    fn end(&mut self) {
        self.head.lease = None;
        self.ended = true;
    }

    fn park(&mut self, reason: Reason, detail: &str) {
        outbox::park(&mut self.head, self.at, reason, detail);
        self.ended = true;
    }

    /// The peer could not be used: everything written so far stands, the rest is taken up again.
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

/// A status word if it is one of Primero's own: an unknown text from outside is not repeated.
fn known_status(status: &str) -> &str {
    let known = ["in_progress", "accepted", "rejected", "done", "revoked"];
    if known.contains(&status) {
        status
    } else {
        "in an unknown state"
    }
}
