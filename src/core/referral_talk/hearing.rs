//! What each of Primero's answers means for the referral event.

use super::super::ask::{CaseQuery, CaseView, PrimeroCall, PrimeroReply, Recipient, ReferralView};
use super::super::event::Sex;
use super::super::fields::{differing, reason_text};
use super::super::lookup::stranger;
use super::super::mapping::sex_word;
use super::super::outbox;
use super::super::outcome::Trouble;
use super::super::planted::{Defect, planted};
use super::super::reason::Reason;
use super::super::record::{Flow, OneShot, State, what};
use super::{ReferralTalk, Unverified, case_ref};
use chrono::{Datelike, NaiveDate};

/// Years by which a case's birth date may differ from the event's: birth dates of children in care are estimates.
const BIRTH_YEARS_APART_MAX: i32 = 2;

impl ReferralTalk<'_> {
    /// Primero answered the last call.
    pub fn hear(&mut self, reply: PrimeroReply) {
        let Some(call) = self.asked.take() else { return };
        match (call, reply) {
            (PrimeroCall::FindCase(query), PrimeroReply::Cases { total, rows }) => {
                self.found(&query, total, rows)
            }
            (PrimeroCall::ReadCase { .. }, PrimeroReply::Case(view)) => self.read(view),
            (PrimeroCall::ReadCase { .. }, PrimeroReply::Forbidden)
                if self.unverified == Unverified::NewCase =>
            {
                self.created_out_of_scope();
            }
            (PrimeroCall::ReadCase { .. }, PrimeroReply::NotFound) => {
                self.park::<()>(Reason::CaseNotFound, "");
            }
            (PrimeroCall::CreateCase { id, .. }, PrimeroReply::Created | PrimeroReply::Case(_)) => {
                self.case_id = Some(id);
                self.unverified = Unverified::NewCase;
            }
            (PrimeroCall::CreateCase { id, .. }, PrimeroReply::Exists) => self.case_id = Some(id),
            (PrimeroCall::PatchCase { .. }, PrimeroReply::Case(_)) => {
                self.seen = None;
                self.unverified = Unverified::Services;
            }
            (PrimeroCall::ListReferrals { .. }, PrimeroReply::Referrals(list)) => self.read_back(&list),
            (PrimeroCall::CreateReferral { service, .. }, PrimeroReply::Referral(view)) => {
                self.referred(&service, view)
            }
            (call, reply) => self.refused(&call, &reply),
        }
    }

    /// Refusals: nothing was done. A referral being sent is to do again once somebody has removed the cause.
    fn refused(&mut self, call: &PrimeroCall, reply: &PrimeroReply) {
        if let PrimeroCall::CreateReferral { service, .. } = call {
            self.set_referral(service, OneShot::Todo, None);
        }
        let (reason, detail) = match reply {
            PrimeroReply::ConsentRefused => (Reason::ConsentMissing, "refused by Primero".to_owned()),
            PrimeroReply::RecipientRefused => (Reason::RecipientRefused, String::new()),
            PrimeroReply::Refused(fields) => (Reason::PrimeroRefused, fields.clone()),
            PrimeroReply::Forbidden => (Reason::OutOfScope, String::new()),
            PrimeroReply::NotFound => (Reason::CaseNotFound, String::new()),
            _ => (Reason::PrimeroRefused, "an answer of another kind".to_owned()),
        };
        self.park::<()>(reason, &detail);
    }

    /// The rule of design §1.4: one row, and it equals what was asked for. Anything else stops.
    fn found(&mut self, query: &CaseQuery, total: u64, rows: Vec<CaseView>) {
        let equal = rows
            .iter()
            .all(|row| row.text(&query.field) == Some(query.value.0.as_str()));
        match (total, rows.into_iter().next()) {
            (0, None) if self.absent == 0 && self.referral.child.primero_case_id.is_some() => {
                self.park::<()>(Reason::CaseNotFound, &query.field);
            }
            // A new one is made, which will carry the number.
            (0, None) => self.absent += 1,
            (_, Some(row)) if planted(Defect::TakeFirstHit) => self.read(row),
            (1, Some(row)) if equal => self.read(row),
            _ => {
                self.park::<()>(Reason::AmbiguousCase, &query.field);
            }
        }
    }

    fn created_out_of_scope(&mut self) {
        // 403 and not 404: the case is there, but belongs to an owner whose records this user may not read.
        self.head.note(
            self.at,
            what::CASE_CREATED,
            "owned by another group: not read back",
        );
        for service in &mut self.head.work.services {
            service.placed = true;
        }
        self.finish();
    }

    fn read(&mut self, view: CaseView) {
        let Some(case) = case_ref(&view) else {
            self.park::<()>(Reason::FieldsNotStored, "case_id not visible");
            return;
        };
        if view.fields.0.get("record_state") == Some(&serde_json::Value::Bool(false)) {
            // A disabled case takes writes all the same, and nobody would ever look at them (primero-measured.md).
            self.park::<()>(Reason::CaseNotFound, "the case is disabled");
            return;
        }
        let new = self.unverified == Unverified::NewCase;
        if new {
            let wrong = differing(&self.site.new_case(self.referral), &view.fields.0);
            let wrong: Vec<String> = wrong.into_iter().filter(|name| name != "owned_by").collect();
            if !wrong.is_empty() {
                self.park::<()>(Reason::FieldsNotStored, &wrong.join(" "));
                return;
            }
        } else if self.other_child(&view) {
            self.park::<()>(Reason::IdentityMismatch, "");
            return;
        }
        if self.head.work.case.as_ref() != Some(&case) {
            let word = if new { what::CASE_CREATED } else { what::CASE_FOUND };
            self.head.note(self.at, word, &case.short_id);
            self.head.work.case = Some(case);
        }
        if !self.services_stored(&view) {
            return;
        }
        self.unverified = Unverified::Nothing;
        self.case_id = Some(view.id.clone());
        self.seen = Some(view);
    }

    /// Compares our services with what was written, once after writing them.
    fn services_stored(&mut self, view: &CaseView) -> bool {
        let note = reason_text(&self.head.tag, self.referral);
        for index in 0..self.head.work.services.len() {
            let work = &self.head.work.services[index];
            let Some(stored) = view.service(&work.unique_id) else {
                if self.unverified == Unverified::Services {
                    // Another writer's save has swallowed ours (primero-measured.md fact 12): write again later.
                    outbox::fail(
                        &mut self.head,
                        self.at,
                        "the added service was overwritten by another save",
                    );
                    self.ended = true;
                    return false;
                }
                continue;
            };
            if !work.placed && self.unverified != Unverified::Nothing {
                let wrong = self
                    .site
                    .service(self.referral, work, &note)
                    .map(|fields| differing(&fields, stored));
                if let Some(wrong) = wrong.filter(|wrong| !wrong.is_empty()) {
                    self.park::<()>(Reason::FieldsNotStored, &wrong.join(" "));
                    return false;
                }
            }
            if !work.placed {
                let subtype = work.subtype.clone();
                self.head.work.services[index].placed = true;
                self.head.note(self.at, what::SERVICE_ADDED, &subtype);
            }
        }
        true
    }

    /// The case is of somebody else, going by what both sides know.
    fn other_child(&self, view: &CaseView) -> bool {
        let names = &self.site.names;
        let child = &self.referral.child;
        // What an NGO has under a word of its own is "other" here, and the case may say more.
        let vague = self.head.flow == Flow::OscarToPrimero && child.sex.0 == Sex::Other;
        let sex = view
            .text(&names.sex)
            .is_some_and(|sex| sex != sex_word(child.sex.0) && !vague);
        let born = view
            .text(&names.date_of_birth)
            .and_then(|text| text.parse::<NaiveDate>().ok());
        let apart = born
            .zip(child.date_of_birth.0)
            .map(|(a, b)| (a.year() - b.year()).abs());
        // Once it is this event's case, it stays so: people correct names.
        let new = self.head.work.case.is_none();
        let apart = apart.is_some_and(|years| years > BIRTH_YEARS_APART_MAX);
        sex || apart || (new && stranger(view, child, self.site))
    }

    fn referred(&mut self, service: &str, view: ReferralView) {
        if view.service.as_deref() == Some(service) {
            let id = view.id.clone();
            self.set_referral(service, OneShot::Done, Some(view.id));
            self.head.note(self.at, what::REFERRED, &id);
        } else {
            self.lost(Trouble::Shape);
        }
    }

    /// Settles doubt by what the case's list of referrals shows.
    fn read_back(&mut self, list: &[ReferralView]) {
        let user = self
            .site
            .mapping
            .agency(&self.referral.organization)
            .map(|agency| Recipient::User(agency.user.clone()));
        for index in 0..self.head.work.services.len() {
            let work = &self.head.work.services[index];
            if work.referral != OneShot::Unsure {
                continue;
            }
            let ours = |view: &&ReferralView| {
                view.service.as_deref() == Some(work.unique_id.as_str()) && Some(&view.to) == user.as_ref()
            };
            let service = work.unique_id.clone();
            match list.iter().find(ours).map(|view| view.id.clone()) {
                Some(id) => {
                    self.head.note(
                        self.at,
                        what::READ_BACK,
                        &format!("the referral had arrived: {id}"),
                    );
                    self.set_referral(&service, OneShot::Done, Some(id));
                }
                None if self.absence_counts && self.head.failures >= outbox::FAILURES_MAX => {
                    self.set_referral(&service, OneShot::Todo, None);
                    self.park::<()>(Reason::TooManyFailures, "creating the referral");
                    return;
                }
                None if self.absence_counts => {
                    self.head.note(
                        self.at,
                        what::READ_BACK,
                        "the referral had not arrived; sending it",
                    );
                    self.set_referral(&service, OneShot::Todo, None);
                }
                None => {
                    outbox::release(&mut self.head);
                    self.ended = true;
                    return;
                }
            }
        }
        self.head.state = State::Pending;
        self.head.reason = None;
    }

    fn set_referral(&mut self, service: &str, shot: OneShot, id: Option<String>) {
        let works = &mut self.head.work.services;
        if let Some(work) = works.iter_mut().find(|work| work.unique_id == service) {
            work.referral = shot;
            work.referral_id = id;
        }
    }

    /// The answer to the last call was lost where a repeat would double.
    pub fn lost(&mut self, trouble: Trouble) {
        // A recipient Primero does not know is a server error each time (primero-measured.md, "Referrals").
        self.head.failures += u32::from(trouble == Trouble::Server);
        for work in &mut self.head.work.services {
            if work.referral == OneShot::Sending {
                work.referral = OneShot::Unsure;
            }
        }
        outbox::doubt(
            &mut self.head,
            self.at,
            Reason::ReferralAnswerLost,
            trouble.word(),
        );
        self.ended = true;
    }

    /// The last call provably did nothing: what was about to be sent is still to do.
    pub fn unsent(&mut self) {
        for work in &mut self.head.work.services {
            if work.referral == OneShot::Sending {
                work.referral = OneShot::Todo;
            }
        }
        outbox::release(&mut self.head);
        self.ended = true;
    }

    /// The peer failed on this very event.
    pub fn failed(&mut self, trouble: Trouble) {
        self.unsent();
        outbox::fail(&mut self.head, self.at, trouble.word());
    }
}
