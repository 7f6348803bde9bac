//! Bringing a child's own record from an NGO to Primero.
//!
//! A child an NGO shares without referring it gets a case of its own, so that nobody registers it twice; a case that
//! exists is not touched. A child that was referred is followed: what the NGO has changed since it was last brought
//! here is changed in Primero too, unless Primero's people have changed the same field otherwise. Then a person picks.
//! Never an owner, a consent, a lower risk, and nothing of a closed case.

use super::ask::{Act, CaseView, Fields, PrimeroCall, PrimeroReply};
use super::event::{ChildRecord, Private};
use super::fields::{Site, differing};
use super::link::Link;
use super::lookup::{queries, stranger};
use super::merge::{Merged, merge};
use super::outbox;
use super::outcome::Trouble;
use super::reason::Reason;
use super::record::{Head, Moment, what};
use super::referral_talk::{case_ref, own_case_id};
use serde_json::json;

/// The conversation about one child's record.
#[derive(Debug)]
pub struct ChildTalk<'a> {
    pub head: Head,
    record: &'a ChildRecord,
    site: &'a Site,
    at: Moment,
    case_id: Option<String>,
    absent: usize,
    created: bool,
    written: bool,
    seen: Option<CaseView>,
    asked: Option<PrimeroCall>,
    ended: bool,
}

impl<'a> ChildTalk<'a> {
    pub fn new(
        head: Head,
        record: &'a ChildRecord,
        link: &Link,
        site: &'a Site,
        at: Moment,
    ) -> ChildTalk<'a> {
        let known = head.work.case.as_ref().or(link.case.as_ref());
        let case_id = known.map(|case| case.id.clone());
        ChildTalk {
            head,
            record,
            site,
            at,
            case_id,
            absent: 0,
            created: false,
            written: false,
            seen: None,
            asked: None,
            ended: false,
        }
    }

    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        if self.ended {
            return Act::End;
        }
        match self.plan() {
            Some(call) => {
                self.asked = Some(call.clone());
                Act::Send(call)
            }
            None => Act::End,
        }
    }

    fn plan(&mut self) -> Option<PrimeroCall> {
        let Some(view) = self.seen.clone() else {
            return match &self.case_id {
                Some(id) => Some(PrimeroCall::ReadCase { id: id.clone() }),
                None => match queries(&self.record.child, &self.site.names)
                    .into_iter()
                    .nth(self.absent)
                {
                    Some(query) => Some(PrimeroCall::FindCase(query)),
                    None => self.create(),
                },
            };
        };
        let shut =
            view.text("status") == Some("closed") || view.fields.0.get("record_state") == Some(&json!(false));
        let Some(before) = self.record.before.as_ref().filter(|_| !self.created && !shut) else {
            let word = if self.created {
                ""
            } else {
                "the case is there already"
            };
            return self.finish(
                if self.created {
                    what::CASE_CREATED
                } else {
                    what::LEFT_ALONE
                },
                word,
            );
        };
        let now = self
            .site
            .child_values(&self.record.child, self.record.risk_level.0);
        let merged = merge(
            before,
            &now,
            &self.site.names.risk_level,
            &|name| view.text(name),
            self.head.work.take,
        );
        if !merged.conflicts.is_empty() {
            return self.conflict(&merged);
        }
        let fields: Fields = merged
            .fields
            .into_iter()
            .map(|(name, value)| (name, json!(value.0)))
            .collect();
        if fields.is_empty() {
            let word = if self.written {
                what::CASE_UPDATED
            } else {
                what::LEFT_ALONE
            };
            return self.finish(word, "");
        }
        if self.written {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let names = names.join(" ");
            return self.park(Reason::FieldsNotStored, &names);
        }
        Some(PrimeroCall::PatchCase {
            id: view.id,
            fields: Private(fields),
        })
    }

    /// Both values go into the history's sealed note; nothing is written before somebody has picked.
    fn conflict(&mut self, merged: &Merged) -> Option<PrimeroCall> {
        let names: Vec<&str> = merged.conflicts.iter().map(|(name, ..)| name.as_str()).collect();
        let names = names.join(" ");
        let lines = merged.conflicts.iter();
        let note: Vec<String> = lines
            .map(|(name, here, there)| {
                format!("{name}: OSCaR has \"{}\", Primero has \"{}\"", here.0, there.0)
            })
            .collect();
        outbox::park(&mut self.head, self.at, Reason::FieldConflict, &names);
        self.head.remark(&note.join("; "));
        self.ended = true;
        None
    }

    fn create(&mut self) -> Option<PrimeroCall> {
        if self.record.before.is_some() {
            return self.park(Reason::CaseNotFound, "");
        }
        let fields = self.new_case();
        if !fields.contains_key("owned_by") {
            return self.park(Reason::NoMapping, "owner of the province");
        }
        Some(PrimeroCall::CreateCase {
            id: own_case_id(&self.head),
            fields: Private(fields),
        })
    }

    /// Without a box ticked: OSCaR states no consent for a child it only shares.
    fn new_case(&self) -> Fields {
        let record = self.record;
        let mut fields = self.site.bare_case(&record.child, record.risk_level.0);
        if let Some(owner) = self.site.owner(&record.child, record.office_code.as_deref()) {
            fields.insert("owned_by".to_owned(), json!(owner));
        }
        let short = &self.site.names.oscar_short_id;
        if let Some(slug) = self.head.work.slug.as_ref().filter(|_| !short.is_empty()) {
            fields.insert(short.clone(), json!(slug));
        }
        fields
    }

    pub fn hear(&mut self, reply: PrimeroReply) {
        let Some(call) = self.asked.take() else { return };
        match (call, reply) {
            (PrimeroCall::FindCase(query), PrimeroReply::Cases { total, rows }) => {
                let wanted = Some(query.value.0.as_str());
                let equal = rows.iter().all(|row| row.text(&query.field) == wanted);
                match (total, rows.into_iter().next()) {
                    (0, None) => self.absent += 1,
                    (1, Some(row)) if equal && stranger(&row, &self.record.child, self.site) => {
                        self.stop(Reason::IdentityMismatch, "");
                    }
                    (1, Some(row)) if equal => self.read(row),
                    _ => self.stop(Reason::AmbiguousCase, &query.field),
                }
            }
            (PrimeroCall::ReadCase { .. }, PrimeroReply::Case(view)) => self.read(view),
            // Made under another group's owner: it is there, and this user may not look.
            (PrimeroCall::ReadCase { .. }, PrimeroReply::Forbidden) if self.created => {
                self.finish::<()>(what::CASE_CREATED, "owned by another group: not read back");
            }
            (PrimeroCall::CreateCase { id, .. }, reply) if created(&reply) => {
                self.created = reply != PrimeroReply::Exists;
                self.case_id = Some(id);
            }
            (PrimeroCall::PatchCase { .. }, PrimeroReply::Case(_)) => {
                self.written = true;
                self.seen = None;
            }
            (_, PrimeroReply::Refused(fields)) => self.stop(Reason::PrimeroRefused, &fields),
            (_, PrimeroReply::Forbidden) => self.stop(Reason::OutOfScope, ""),
            (_, PrimeroReply::NotFound) => self.stop(Reason::CaseNotFound, ""),
            (_, _) => self.stop(Reason::PrimeroRefused, "an answer of another kind"),
        }
    }

    fn read(&mut self, view: CaseView) {
        let Some(case) = case_ref(&view) else {
            return self.stop(Reason::FieldsNotStored, "case_id not visible");
        };
        if self.created {
            let wrong: Vec<String> = differing(&self.new_case(), &view.fields.0)
                .into_iter()
                .filter(|name| name != "owned_by")
                .collect();
            if !wrong.is_empty() {
                return self.stop(Reason::FieldsNotStored, &wrong.join(" "));
            }
        }
        self.head.work.case = Some(case);
        self.case_id = Some(view.id.clone());
        self.seen = Some(view);
    }

    fn finish<T>(&mut self, word: &str, detail: &str) -> Option<T> {
        self.head.note(self.at, word, detail);
        self.head.work.primero_done = true;
        self.head.work.oscar_done = true;
        outbox::deliver(&mut self.head, self.at);
        self.ended = true;
        None
    }

    fn park<T>(&mut self, reason: Reason, detail: &str) -> Option<T> {
        self.stop(reason, detail);
        None
    }

    fn stop(&mut self, reason: Reason, detail: &str) {
        outbox::park(&mut self.head, self.at, reason, detail);
        self.ended = true;
    }

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

fn created(reply: &PrimeroReply) -> bool {
    matches!(
        reply,
        PrimeroReply::Created | PrimeroReply::Case(_) | PrimeroReply::Exists
    )
}
