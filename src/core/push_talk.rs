//! Bringing one referral event to its NGO's OSCaR: one request per service, each on disk as *sending* before it leaves.
//!
//! An upsert has no key, returns no number, and cannot be read back until a person at the NGO acts (oscar.md §3): a
//! lost answer is in doubt and stays so. For a child the NGO already has, the upsert overwrites the NGO's own record,
//! so the request repeats what a pull has shown of that child and adds only the referral (oscar.md §3.5); and the
//! child's number is sent only where a pull has shown it at that very organization (oscar.md §3.7).

use super::ask::{Act, OscarCall, OscarReply, Push, PushService};
use super::event::{Private, Referral};
use super::fields::{Site, oscar_names, reason_text};
use super::link::{Link, Sighting};
use super::mapping::{oscar_risk, sex_word};
use super::outbox;
use super::outcome::Trouble;
use super::planted::{Defect, planted};
use super::reason::Reason;
use super::record::{Head, Moment, OneShot, what};

/// One event's conversation with OSCaR.
#[derive(Debug)]
pub struct PushTalk<'a> {
    pub head: Head,
    referral: &'a Referral,
    link: &'a Link,
    site: &'a Site,
    at: Moment,
    uncommitted: bool,
    ended: bool,
    sent: Option<usize>,
    sent_number: bool,
}

impl<'a> PushTalk<'a> {
    pub fn new(
        mut head: Head,
        referral: &'a Referral,
        link: &'a Link,
        site: &'a Site,
        at: Moment,
    ) -> PushTalk<'a> {
        let (uncommitted, sent, sent_number) = (false, None, false);
        // The commit after an answer may have failed while the program went on.
        let ended = outbox::strand(&mut head);
        if ended {
            outbox::doubt(&mut head, at, Reason::PushAnswerLost, "");
        }
        PushTalk {
            head,
            referral,
            link,
            site,
            at,
            uncommitted,
            ended,
            sent,
            sent_number,
        }
    }

    pub fn next_act(&mut self) -> Act<OscarCall> {
        if self.ended {
            return Act::End;
        }
        if std::mem::take(&mut self.uncommitted) {
            return Act::Commit;
        }
        let consent = self.referral.consent;
        if !consent.services || !consent.disclosure_other_organizations {
            return self.park(Reason::ConsentMissing, "in the event");
        }
        let Some(index) = self
            .head
            .work
            .services
            .iter()
            .position(|s| s.push != OneShot::Done)
        else {
            return self.finish();
        };
        let sighting = self.link.at(&self.referral.organization);
        if let Some(act) = self.wait_for_sighting(sighting) {
            return act;
        }
        match self.head.work.services[index].push {
            OneShot::Todo => match self.push(index, sighting) {
                // Judged before it is marked: what cannot be built is parked, not in doubt.
                Ok(_) => {
                    self.head.work.services[index].push = OneShot::Sending;
                    self.uncommitted = true;
                    self.next_act()
                }
                Err((reason, detail)) => self.park(reason, &detail),
            },
            OneShot::Sending => match self.push(index, sighting) {
                Ok(push) => {
                    self.sent = Some(index);
                    self.sent_number = push.global_id.is_some();
                    Act::Send(OscarCall::Push(Box::new(push)))
                }
                Err((reason, detail)) => self.park(reason, &detail),
            },
            OneShot::Unsure | OneShot::Done => {
                outbox::doubt(&mut self.head, self.at, Reason::PushAnswerLost, "");
                self.ended = true;
                Act::End
            }
        }
    }

    /// A child the office knows by OSCaR number, or that OSCaR says it knows, must have been seen at this
    /// organization before anything is sent.
    fn wait_for_sighting(&mut self, sighting: Option<&Sighting>) -> Option<Act<OscarCall>> {
        let named = self.referral.child.oscar_global_id.as_deref();
        let other = |seen: &Sighting| named.is_some_and(|number| number != seen.global_id);
        let seen = match sighting {
            Some(seen) if other(seen) => {
                return Some(self.park(Reason::OscarChildNotSeen, "seen under another number"));
            }
            Some(_) => true,
            None => false,
        };
        let needed = named.is_some() || self.head.work.wants_sighting;
        match (needed, seen) {
            (true, false) if self.head.work.looked_deep => {
                let reason = if named.is_some() {
                    Reason::OscarChildNotSeen
                } else {
                    Reason::PushChildKnown
                };
                Some(self.park(reason, ""))
            }
            (true, false) => {
                self.head.work.wants_sighting = true;
                outbox::release(&mut self.head);
                self.ended = true;
                Some(Act::End)
            }
            (true, true) => {
                self.head.work.wants_sighting = false;
                None
            }
            (false, _) => None,
        }
    }

    /// The request for one service. Every key in it is on the allow-list of [`Push`].
    fn push(&self, index: usize, sighting: Option<&Sighting>) -> Result<Push, (Reason, String)> {
        let work = &self.head.work.services[index];
        let service = self.site.mapping.oscar_service(&work.subtype);
        let service = service.ok_or((Reason::NoMapping, work.subtype.clone()))?;
        let risk = self
            .referral
            .risk_level
            .0
            .ok_or((Reason::RiskMissing, String::new()))?;
        let case = self
            .head
            .work
            .case
            .as_ref()
            .ok_or((Reason::CaseNotFound, String::new()))?;
        let worker = &self.referral.case_worker;
        let child = &self.referral.child;
        let (given, family) = oscar_names(child);
        if given.is_empty() || family.is_empty() || child.date_of_birth.0.is_none() {
            return Err((Reason::CaseIncomplete, String::new()));
        }
        let own = Push {
            global_id: None,
            external_id: case.case_id.clone(),
            external_id_display: case.short_id.clone(),
            mosvy_number: child.mosvy_number.0.clone().map(Private),
            given_name: Private(given.to_owned()),
            family_name: Private(family.to_owned()),
            gender: Private(sex_word(child.sex.0).to_owned()),
            date_of_birth: Private(
                child
                    .date_of_birth
                    .0
                    .map(|date| date.to_string())
                    .unwrap_or_default(),
            ),
            location_current_village_code: child.location_code.0.clone().map(Private),
            address_current_village_code: child.location_code.0.clone().map(Private),
            reason_for_referral: Private(reason_text(&self.head.tag, self.referral)),
            external_case_worker_name: worker.name.clone(),
            external_case_worker_mobile: worker.phone.clone(),
            external_case_worker_email: worker.email.0.clone().map(Private),
            level_of_risk: Private(oscar_risk(risk).to_owned()),
            is_referred: true,
            organization_name: self.referral.organization.clone(),
            services: [PushService {
                uuid: service.uuid.map(str::to_owned),
                name: service.name.to_owned(),
            }],
        };
        Ok(match sighting {
            None => own,
            Some(seen) => overlay(own, seen),
        })
    }

    fn finish(&mut self) -> Act<OscarCall> {
        self.head.work.oscar_done = true;
        outbox::deliver(&mut self.head, self.at);
        self.ended = true;
        Act::End
    }

    fn park(&mut self, reason: Reason, detail: &str) -> Act<OscarCall> {
        self.unsend();
        outbox::park(&mut self.head, self.at, reason, detail);
        self.ended = true;
        Act::End
    }

    /// OSCaR answered the last push.
    pub fn hear(&mut self, reply: OscarReply) {
        let Some(index) = self.sent.take() else { return };
        match reply {
            OscarReply::Saved => {
                self.head.work.services[index].push = OneShot::Done;
                let subtype = self.head.work.services[index].subtype.clone();
                self.head.note(self.at, what::PUSHED, &subtype);
            }
            // B3 created nothing: look for the child, then send once more with its number.
            OscarReply::ChildKnown if !self.sent_number => {
                self.unsend();
                self.head.work.wants_sighting = true;
                outbox::release(&mut self.head);
                self.head.note(
                    self.at,
                    what::RETRY,
                    "OSCaR knows this child: looking for its number",
                );
                self.ended = true;
            }
            OscarReply::ChildKnown => {
                self.park(Reason::PushChildKnown, "although its number was sent");
            }
            OscarReply::Refused(fields) => {
                self.park(Reason::PushRefused, &fields);
            }
            OscarReply::HalfRefused(fields) => self.unsure(Reason::PushHalfRefused, &fields),
        }
    }

    fn unsend(&mut self) {
        for work in &mut self.head.work.services {
            if work.push == OneShot::Sending {
                work.push = OneShot::Todo;
            }
        }
    }

    fn unsure(&mut self, reason: Reason, detail: &str) {
        if planted(Defect::ResendInDoubt) {
            return self.unsent();
        }
        for work in &mut self.head.work.services {
            if work.push == OneShot::Sending {
                work.push = OneShot::Unsure;
            }
        }
        outbox::doubt(&mut self.head, self.at, reason, detail);
        self.ended = true;
    }

    /// The answer to the last push was lost or was a server error.
    pub fn lost(&mut self, trouble: Trouble) {
        let server = trouble == Trouble::Server;
        self.unsure(
            if server {
                Reason::PushServerError
            } else {
                Reason::PushAnswerLost
            },
            trouble.word(),
        );
    }

    /// The last push provably did nothing.
    pub fn unsent(&mut self) {
        self.unsend();
        outbox::release(&mut self.head);
        self.ended = true;
    }

    pub fn failed(&mut self, trouble: Trouble) {
        self.unsent();
        outbox::fail(&mut self.head, self.at, trouble.word());
    }
}

/// Puts what the NGO has on record over what the office typed: names, sex, birth date, place, ministry number.
/// A blank there is not sent, since a blank would be written (mapping/rules.md "Empty versus missing").
fn overlay(own: Push, seen: &Sighting) -> Push {
    let known = &seen.known;
    let keep = |theirs: &Private<String>, ours: Private<String>| {
        if theirs.0.is_empty() { ours } else { theirs.clone() }
    };
    let place = Some(known.location_code.clone()).filter(|code| !code.0.is_empty());
    let mosvy = Some(known.mosvy_number.clone()).filter(|text| !text.0.is_empty());
    Push {
        global_id: Some(seen.global_id.clone()),
        mosvy_number: mosvy.or(own.mosvy_number),
        given_name: keep(&known.given_name, own.given_name),
        family_name: keep(&known.family_name, own.family_name),
        gender: keep(&known.gender, own.gender),
        date_of_birth: keep(&known.date_of_birth, own.date_of_birth),
        location_current_village_code: place.clone().or(own.location_current_village_code),
        address_current_village_code: place.or(own.address_current_village_code),
        ..own
    }
}
