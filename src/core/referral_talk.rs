//! Bringing one referral event into Primero, step by step, each step safe to be the last before a power cut.
//!
//! 1. find the case by its number, or create it under our own id; read it back and compare
//! 2. add the services that are missing, under our own ids; read back and compare
//! 3. `local-to-oscar`: one Primero referral per service to the agency's user. The only write that a repeat would
//!    double: it is on disk as *sending* before it leaves, and a lost answer is settled by listing.
//!
//! The talk never overwrites a field of an existing case, never sets consent, and takes no first hit (design §1).

use super::ask::{Act, CaseView, Fields, PrimeroCall};
use super::event::{Destination, Private, Referral};
use super::fields::{Site, reason_text};
use super::flows::{Flows, OscarConsent};
use super::link::Link;
use super::lookup::queries;
use super::outbox;
use super::reason::Reason;
use super::record::{CaseRef, Flow, Head, Moment, OneShot};
use serde_json::Value;

mod hearing;
mod ngo;

/// What the talk has written and not yet read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unverified {
    Nothing,
    NewCase,
    Services,
}

/// One event's conversation with Primero.
#[derive(Debug)]
pub struct ReferralTalk<'a> {
    pub head: Head,
    referral: &'a Referral,
    site: &'a Site,
    at: Moment,
    /// The doubt is old enough that a referral missing from the list never arrived.
    absence_counts: bool,
    case_id: Option<String>,
    /// So many lookups have shown that no case carries that number.
    absent: usize,
    flows: Flows,
    /// A raised risk, or the child's number, was written: what does not stick is not written again.
    extras_written: bool,
    seen: Option<CaseView>,
    unverified: Unverified,
    uncommitted: bool,
    asked: Option<PrimeroCall>,
    ended: bool,
}

impl<'a> ReferralTalk<'a> {
    pub fn new(
        mut head: Head,
        referral: &'a Referral,
        link: &Link,
        site: &'a Site,
        at: Moment,
        absence_counts: bool,
        flows: Flows,
    ) -> ReferralTalk<'a> {
        let known = head.work.case.as_ref().or(link.case.as_ref());
        let case_id = known.map(|case| case.id.clone());
        // The commit after an answer may have failed while the program went on.
        if outbox::strand(&mut head) {
            let lease = head.lease;
            outbox::doubt(&mut head, at, Reason::ReferralAnswerLost, "");
            head.lease = lease;
        }
        ReferralTalk {
            head,
            referral,
            site,
            at,
            absence_counts,
            case_id,
            absent: 0,
            flows,
            extras_written: false,
            seen: None,
            unverified: Unverified::Nothing,
            uncommitted: false,
            asked: None,
            ended: false,
        }
    }

    /// What to do next. Deterministic: everything it depends on is in the talk.
    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        if self.ended {
            return Act::End;
        }
        if std::mem::take(&mut self.uncommitted) {
            return Act::Commit;
        }
        if let Some(call) = self.plan() {
            self.asked = Some(call.clone());
            return Act::Send(call);
        }
        if self.uncommitted {
            self.next_act()
        } else {
            Act::End
        }
    }

    fn plan(&mut self) -> Option<PrimeroCall> {
        let consent = self.referral.consent;
        if !consent.services || !consent.disclosure_other_organizations {
            match (self.head.flow, self.flows.oscar_consent) {
                (Flow::OscarToPrimero, OscarConsent::Agreement) => {}
                (Flow::OscarToPrimero, OscarConsent::Park) => return self.park(Reason::ConsentNotStated, ""),
                _ => return self.park(Reason::ConsentMissing, "in the event"),
            }
        }
        if let Err((reason, name)) = ngo::name_services(&mut self.head, &self.site.mapping) {
            return self.park(reason, &name);
        }
        let Some(view) = self.seen.clone() else {
            return Some(match &self.case_id {
                Some(id) => PrimeroCall::ReadCase { id: id.clone() },
                None => match queries(&self.referral.child, &self.site.names)
                    .into_iter()
                    .nth(self.absent)
                {
                    Some(query) => PrimeroCall::FindCase(query),
                    None => return self.create(),
                },
            });
        };
        let names = &self.site.names;
        if self.referral.to == Destination::Oscar
            && !(view.ticked(&names.consent_services) && view.ticked(&names.consent_disclosure))
        {
            return self.park(Reason::ConsentMissing, "in the Primero case");
        }
        if let Some((reason, detail)) = ngo::obstacle(&self.head, self.referral, &view, self.site) {
            return self.park(reason, detail);
        }
        let missing = self.missing_services(&view)?;
        let mut fields = Fields::new();
        if self.head.flow == Flow::OscarToPrimero && !self.extras_written {
            fields = ngo::extras(&self.head, self.referral, &view, self.site, self.flows.links);
            self.extras_written = true;
        }
        if !missing.is_empty() {
            fields.insert("services_section".to_owned(), Value::Array(missing));
        }
        if !fields.is_empty() {
            return Some(PrimeroCall::PatchCase {
                id: view.id,
                fields: Private(fields),
            });
        }
        match self.referral.to {
            Destination::Oscar => self.refer(&view.id),
            Destination::Primero => self.finish(),
        }
    }

    /// The services that are not in the case yet. `None` if the talk ended.
    fn missing_services(&mut self, view: &CaseView) -> Option<Vec<Value>> {
        let mut missing = Vec::new();
        for work in &self.head.work.services {
            if view.service(&work.unique_id).is_none() {
                let note = reason_text(&self.head.tag, self.referral);
                let Some(fields) = self.site.service(self.referral, work, &note) else {
                    let subtype = work.subtype.clone();
                    return self.park(Reason::NoMapping, &subtype);
                };
                missing.push(Value::Object(fields));
            }
        }
        Some(missing)
    }

    /// A new case under an id derived from the subject: a repeat meets its own first try (409).
    fn create(&mut self) -> Option<PrimeroCall> {
        let id = own_case_id(&self.head);
        let mut fields = self.site.new_case(self.referral);
        if self.referral.to == Destination::Primero && !fields.contains_key("owned_by") {
            return self.park(Reason::NoMapping, "owner of the province");
        }
        let services = self.missing_services(&CaseView {
            id: id.clone(),
            fields: Private(Fields::new()),
        })?;
        fields.insert("services_section".to_owned(), Value::Array(services));
        if let Some(slug) = self
            .head
            .work
            .slug
            .as_ref()
            .filter(|_| !self.site.names.oscar_short_id.is_empty())
        {
            fields.insert(
                self.site.names.oscar_short_id.clone(),
                Value::String(slug.clone()),
            );
        }
        Some(PrimeroCall::CreateCase {
            id,
            fields: Private(fields),
        })
    }

    /// The next service without a Primero referral.
    fn refer(&mut self, case: &str) -> Option<PrimeroCall> {
        if self
            .head
            .work
            .services
            .iter()
            .any(|service| service.referral == OneShot::Unsure)
        {
            return Some(PrimeroCall::ListReferrals {
                case: case.to_owned(),
            });
        }
        let Some(index) = self
            .head
            .work
            .services
            .iter()
            .position(|s| s.referral != OneShot::Done)
        else {
            return self.finish();
        };
        let work = &mut self.head.work.services[index];
        if work.referral == OneShot::Todo {
            work.referral = OneShot::Sending;
            self.uncommitted = true;
            return None;
        }
        let (service, subtype) = (work.unique_id.clone(), work.subtype.clone());
        let agency = self.site.mapping.agency(&self.referral.organization);
        let (Some(agency), Some(kind)) = (agency, self.site.mapping.primero_type(&subtype)) else {
            self.head.work.services[index].referral = OneShot::Todo;
            return self.park(Reason::NoMapping, &subtype);
        };
        Some(PrimeroCall::CreateReferral {
            case: case.to_owned(),
            to_user: agency.user.clone(),
            service_type: kind.to_owned(),
            service,
            notes: Private(reason_text(&self.head.tag, self.referral)),
        })
    }

    fn finish(&mut self) -> Option<PrimeroCall> {
        self.head.work.primero_done = true;
        self.head.lease = None;
        outbox::progress(&mut self.head);
        if self.referral.to == Destination::Primero {
            self.head.work.oscar_done = true;
            outbox::deliver(&mut self.head, self.at);
        }
        self.ended = true;
        None
    }

    fn park<T>(&mut self, reason: Reason, detail: &str) -> Option<T> {
        outbox::park(&mut self.head, self.at, reason, detail);
        self.ended = true;
        None
    }
}

/// The id a case made for this event gets: the subject's, so that every event of one child meets the same case.
pub(super) fn own_case_id(head: &Head) -> String {
    uuid::Builder::from_custom_bytes(head.subject.0)
        .into_uuid()
        .to_string()
}

/// The three ids of a case, if this role is shown them.
pub fn case_ref(view: &CaseView) -> Option<CaseRef> {
    let case_id = view.text("case_id")?.to_owned();
    let tail = case_id.get(case_id.len().checked_sub(7)?..)?;
    let short_id = view.text("short_id").unwrap_or(tail).to_owned();
    Some(CaseRef {
        id: view.id.clone(),
        case_id,
        short_id,
    })
}
