//! Putting a changed case on disk: what its referrals and services mean for events under way, and the new referrals in
//! it, each taken in once for ever. All of a case in one transaction, and the watermark in the same or a later one.

use super::fate::{Fate, decide_beforehand, sent_before};
use crate::core::ask::{CaseView, Recipient, ReferralView};
use crate::core::case_news;
use crate::core::cursor::Mark;
use crate::core::draw::{Drawn, draw};
use crate::core::event::Payload;
use crate::core::fields::Site;
use crate::core::flows::Flows;
use crate::core::link::{ChildId, Link};
use crate::core::mapping::Agency;
use crate::core::outbox;
use crate::core::reason::Reason;
use crate::core::record::{CaseRef, Flow, Head, Moment, OneShot, Seq, State, Subject, Work, what};
use crate::core::referral_talk::case_ref;
use crate::shell::identity::Identity;
use crate::shell::office::local_date;
use crate::shell::session::relay::{Arrival, Enrolled, enroll};
use crate::shell::session::{Ground, settle};
use crate::store::{Limits, StoreError, Tx};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::sync::Arc;

/// A case as read, with its referrals if they were listed.
pub(super) struct Taken {
    pub view: CaseView,
    pub list: Option<Vec<ReferralView>>,
}

/// A case in the middle of its transaction.
struct InHand<'a> {
    taken: &'a Taken,
    case: &'a CaseRef,
    subject: Subject,
    /// The child's events before it.
    heads: &'a [Head],
}

impl InHand<'_> {
    /// One of the child's events is this very referral.
    fn knows(&self, made: &ReferralView) -> bool {
        let mut services = self.heads.iter().flat_map(|head| &head.work.services);
        services.any(|service| service.referral_id.as_ref() == Some(&made.id))
    }
}

/// What a batch of cases brought.
#[derive(Default)]
pub(super) struct Done {
    pub new: Vec<Seq>,
    pub confirmed: u32,
    pub parked: u32,
    pub in_doubt: u32,
    /// The queue is full: this case and those after it were not taken in.
    pub full: bool,
    /// A case does not show its number: without it nobody can be sure which child it is.
    pub blind: bool,
}

/// Everything needed to take cases in, by value: it travels to the store's thread.
pub(super) struct Uptake {
    pub(super) site: Arc<Site>,
    identity: Arc<Identity>,
    organizations: Arc<[String]>,
    limits: Limits,
    pub(super) flows: Flows,
    zone: Tz,
    pub(super) user_name: String,
    pub(super) start: i64,
    pub(super) born: i64,
    at: Moment,
}

impl Uptake {
    pub fn new(ground: &Ground, user_name: &str, mark: &Mark) -> Uptake {
        Uptake {
            site: Arc::clone(&ground.site),
            identity: Arc::clone(&ground.identity),
            organizations: Arc::clone(&ground.organizations),
            limits: ground.limits,
            flows: ground.flows,
            zone: ground.zone,
            user_name: user_name.to_owned(),
            start: mark.start,
            born: mark.born,
            at: ground.moment(),
        }
    }

    pub fn take(&self, tx: &mut Tx<'_>, batch: &[Taken]) -> Result<Done, StoreError> {
        let mut done = Done::default();
        for taken in batch {
            let Some(case) = case_ref(&taken.view) else {
                done.blind = true;
                break;
            };
            self.case(tx, taken, case, &mut done)?;
            if done.full {
                break;
            }
        }
        Ok(done)
    }

    fn case(&self, tx: &mut Tx<'_>, taken: &Taken, case: CaseRef, done: &mut Done) -> Result<(), StoreError> {
        let number = ChildId::CaseId(case.case_id.clone());
        let subject = tx.subject_of(&number)?;
        let heads = match subject {
            Some(subject) => self.heads(tx, subject)?,
            None => Vec::new(),
        };
        let subject = subject.unwrap_or_else(|| Identity::relayed_subject(&case.case_id));
        for before in &heads {
            let mut head = before.clone();
            let list = taken.list.as_deref();
            case_news::take_in(
                &taken.view,
                list,
                &mut head,
                &self.site,
                self.flows.decisions,
                self.at,
            );
            let payload = self.drawn_anew(tx, taken, &mut head)?;
            if head == *before && payload.is_none() {
                continue;
            }
            if let Some(payload) = payload {
                tx.rewrite(&head, &payload)?;
            }
            settle(tx, &head)?;
            done.confirmed += 1;
            done.count(before, &head);
        }
        if self.flows.primero_to_oscar {
            let child = InHand {
                taken,
                case: &case,
                subject,
                heads: &heads,
            };
            for made in taken.list.iter().flatten() {
                self.referral(tx, &child, made, done)?;
                if done.full {
                    return Ok(());
                }
            }
        }
        // Known by its stamp from now on, also where nothing was found: the overlap shows it again and again.
        let mut link = tx.link(subject)?.unwrap_or_default();
        let known = link.clone();
        link.case = Some(case.clone());
        link.case_stamp = taken.view.stamp().map(str::to_owned);
        link.case_stamp_own = false;
        if link != known {
            tx.put_link(subject, &link);
        }
        for id in [number, ChildId::ShortId(case.short_id)] {
            if tx.subject_of(&id)?.is_none() {
                tx.put_id(&id, subject);
            }
        }
        Ok(())
    }

    /// The child's events, oldest first.
    fn heads(&self, tx: &Tx<'_>, subject: Subject) -> Result<Vec<Head>, StoreError> {
        let seqs: Vec<Seq> = tx
            .queue()
            .iter()
            .filter(|entry| entry.subject == subject)
            .map(|entry| entry.seq)
            .collect();
        let mut heads = Vec::new();
        for seq in seqs {
            heads.extend(tx.head(seq)?);
        }
        Ok(heads)
    }

    fn agency(&self, user: &str) -> Option<&Agency> {
        agency_of_user(&self.site, &self.organizations, user)
    }

    /// The NGO a remote referral is to: by the agency it names, and where it names none by its service's.
    fn remote_agency(&self, taken: &Taken, made: &ReferralView, named: &str) -> Option<&Agency> {
        let named = Some(named).filter(|agency| !agency.is_empty());
        let service = made.service.as_deref().and_then(|id| taken.view.service(id));
        let of_service = || service?.get("service_implementing_agency")?.as_str();
        let agency = self.site.mapping.agency_by_id(named.or_else(of_service)?)?;
        self.organizations
            .contains(&agency.organization)
            .then_some(agency)
    }

    fn day(&self, made: &ReferralView) -> NaiveDate {
        let second = made.created_ms.unwrap_or(self.born).div_euclid(1000);
        local_date(second, self.zone).unwrap_or_default()
    }

    /// A referral from Primero of which nothing has been sent goes as the case stands when it goes: drawn anew whenever
    /// the case has changed, and let go when what held it up is gone. The new content, if it differs.
    fn drawn_anew(&self, tx: &Tx<'_>, taken: &Taken, head: &mut Head) -> Result<Option<Payload>, StoreError> {
        let unsent = head
            .work
            .services
            .iter()
            .all(|service| service.push == OneShot::Todo);
        let waiting = match (head.state, head.reason) {
            (State::Pending, _) => true,
            (State::Parked, Some(reason)) => mends(reason),
            _ => false,
        };
        if head.flow != Flow::PrimeroToOscar || !unsent || !waiting || head.work.oscar_done {
            return Ok(None);
        }
        let id = head
            .work
            .services
            .iter()
            .find_map(|service| service.referral_id.as_ref());
        let made = taken.list.iter().flatten().find(|made| Some(&made.id) == id);
        let (Some(made), Some(agency)) = (made, self.site.mapping.agency(&head.organization)) else {
            return Ok(None);
        };
        let Drawn {
            referral,
            services,
            held,
            ..
        } = draw(&taken.view, made, agency, &self.site, self.day(made));
        let known = head.work.services.iter().map(|service| &service.subtype);
        if !known.eq(services.iter().map(|service| &service.subtype)) {
            head.work.redraw(services);
        }
        match (head.state, held) {
            // A person has looked at the route and sent it on.
            (State::Pending, Some((Reason::RouteUnclear, _))) | (State::Pending, None) => {}
            (_, Some((reason, detail))) if head.reason != Some(reason) => {
                outbox::park(head, self.at, reason, &detail);
            }
            (_, Some(_)) => {}
            (_, None) => {
                head.state = State::Pending;
                head.reason = None;
                head.note(self.at, what::REQUEUED, "the case was changed in Primero");
            }
        }
        let payload = Payload::Referral(Box::new(referral));
        Ok((tx.payload(head.seq)?.as_ref() != Some(&payload)).then_some(payload))
    }

    /// One referral of the list: taken in if it is to one of our NGOs and nobody has.
    fn referral(
        &self,
        tx: &mut Tx<'_>,
        child: &InHand<'_>,
        made: &ReferralView,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let agency = match &made.to {
            Recipient::User(user) => self.agency(user),
            Recipient::Remote(named) => self.remote_agency(child.taken, made, named),
            Recipient::Nobody => None,
        };
        let Some(agency) = agency.filter(|_| !child.knows(made)) else {
            return Ok(());
        };
        let transition = ChildId::Transition(made.id.clone());
        if tx.subject_of(&transition)?.is_some() {
            return Ok(());
        }
        let fate = self.fate(child.taken, made);
        let drawn = draw(&child.taken.view, made, agency, &self.site, self.day(made));
        let mut work = Work {
            case: Some(child.case.clone()),
            services: drawn.services,
            primero_done: true,
            ..Work::default()
        };
        let held = match &fate {
            Fate::Leave => return Ok(()),
            Fate::Send => {
                decide_beforehand(&mut work, made);
                drawn.held.as_ref().map(|(reason, _)| (State::Parked, *reason))
            }
            // Where it belongs is asked first: `--not-arrived` sends it, and nobody would look at that any more.
            Fate::Doubt | Fate::Sent(_) => sent_before(&mut work, &fate).map(|doubt| match drawn.held {
                Some((Reason::RouteUnclear, _)) => (State::Parked, Reason::RouteUnclear),
                _ => doubt,
            }),
        };
        let arrival = Arrival {
            key: format!("p-{}", made.id),
            flow: Flow::PrimeroToOscar,
            subject: child.subject,
            ids: vec![
                ChildId::CaseId(child.case.case_id.clone()),
                ChildId::ShortId(child.case.short_id.clone()),
                transition,
            ],
            referral: Box::new(drawn.referral),
            work,
            held,
        };
        match enroll(tx, &self.identity, self.limits, arrival, self.at)? {
            Enrolled::New(seq) => {
                let detail = drawn.held.map(|(_, detail)| detail).unwrap_or_default();
                self.entered(tx, seq, &detail, drawn.remark.as_deref(), done)
            }
            Enrolled::Known => Ok(()),
            Enrolled::Full => {
                done.full = true;
                Ok(())
            }
        }
    }

    /// What a new event says of itself beyond its content, and its end if it was sent before.
    fn entered(
        &self,
        tx: &mut Tx<'_>,
        seq: Seq,
        detail: &str,
        remark: Option<&str>,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let mut head = tx.head(seq)?.ok_or(StoreError::Unknown(seq))?;
        if let (State::Parked, Some(reason)) = (head.state, head.reason) {
            let step = head.history.last_mut().expect("it was parked a moment ago");
            step.detail = format!("{}: {detail}", reason.code());
        }
        if let Some(remark) = remark {
            head.note(self.at, what::ACCEPTED, remark);
        }
        if head.state == State::Pending && head.work.oscar_done {
            outbox::deliver(&mut head, self.at);
            self.account(tx, &head)?;
        }
        settle(tx, &head)?;
        done.new.push(seq);
        done.parked += u32::from(head.state == State::Parked);
        done.in_doubt += u32::from(head.state == State::InDoubt);
        Ok(())
    }

    /// OSCaR's numbers of a referral that was sent before are no news when a pull shows them.
    fn account(&self, tx: &mut Tx<'_>, head: &Head) -> Result<(), StoreError> {
        let mut link: Link = tx.link(head.subject)?.unwrap_or_default();
        for number in head
            .work
            .services
            .iter()
            .filter_map(|service| service.oscar_referral)
        {
            link.count(&head.organization, number);
        }
        tx.put_link(head.subject, &link);
        Ok(())
    }
}

impl Done {
    fn count(&mut self, before: &Head, after: &Head) {
        if before.state != after.state {
            self.parked += u32::from(after.state == State::Parked);
            self.in_doubt += u32::from(after.state == State::InDoubt);
        }
    }
}

impl Ground {
    /// The NGO of our scope that this Primero user receives referrals for.
    pub fn agency_of_user(&self, user: &str) -> Option<&Agency> {
        agency_of_user(&self.site, &self.organizations, user)
    }
}

fn agency_of_user<'a>(site: &'a Site, organizations: &[String], user: &str) -> Option<&'a Agency> {
    let agency = site.mapping.agency_by_user(user)?;
    organizations.contains(&agency.organization).then_some(agency)
}

/// Reasons that a change of the case can take away.
fn mends(reason: Reason) -> bool {
    use Reason::{CaseIncomplete, CaseNotFound, ConsentMissing, OutOfScope, RiskMissing, RouteUnclear};
    matches!(
        reason,
        CaseIncomplete | CaseNotFound | ConsentMissing | OutOfScope | RiskMissing | RouteUnclear
    )
}
