//! Taking one element into the store, all of it in one transaction: what it says of our own referrals, the referrals it
//! shows that an NGO has made, what has changed of a child that Primero has from there, and where else the child is.

use super::sink::{Glass, subject_of};
use crate::core::element::Element;
use crate::core::event::{Kind, Payload, Referral, Risk, Values};
use crate::core::fields::Site;
use crate::core::flows::{Flows, OscarConsent};
use crate::core::inbound::{self, Found};
use crate::core::link::{Agreed, ChildId, Known, Link};
use crate::core::reason::Reason;
use crate::core::record::{Flow, Head, Moment, ServiceWork, State, Subject, Work, what};
use crate::core::sighting::take_in;
use crate::shell::identity::Identity;
use crate::shell::session::relay::{Arrival, Enrolled, enroll};
use crate::shell::session::{Ground, settle};
use crate::store::{Limits, StoreError, Tx};
use chrono::{DateTime, NaiveDate};
use std::sync::Arc;

mod record;

/// What came of one or several elements.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    pub confirmed: u32,
    pub parked: u32,
    pub held: bool,
}

impl Taken {
    pub fn add(&mut self, other: Taken) {
        self.confirmed += other.confirmed;
        self.parked += other.parked;
        self.held |= other.held;
    }
}

/// Everything that taking in depends on beside the store.
pub(super) struct Taking {
    site: Arc<Site>,
    identity: Arc<Identity>,
    limits: Limits,
    flows: Flows,
    organizations: Arc<[String]>,
    glass: Glass,
    at: Moment,
    /// The day at the office, by OSCaR's clock.
    today: NaiveDate,
}

/// One element with what the store knows of its child.
struct Child<'e> {
    element: &'e Element,
    subject: Subject,
    link: Link,
    heads: Vec<Head>,
}

impl Taking {
    pub fn new(ground: &Ground, glass: Glass, date: Option<i64>) -> Taking {
        let at = ground.moment();
        let unix = date.or(at.unix).unwrap_or(glass.since);
        let today = DateTime::from_timestamp(unix, 0)
            .unwrap_or_default()
            .with_timezone(&ground.zone);
        Taking {
            site: Arc::clone(&ground.site),
            identity: Arc::clone(&ground.identity),
            limits: ground.limits,
            flows: ground.flows,
            organizations: Arc::clone(&ground.organizations),
            glass,
            at,
            today: today.date_naive(),
        }
    }

    pub fn take(&self, tx: &mut Tx<'_>, element: &Element) -> Result<Taken, StoreError> {
        let known = subject_of(tx, element)?;
        let subject = known.unwrap_or_else(|| Identity::relayed_subject(&element.global_id));
        let link = tx.link(subject)?.unwrap_or_default();
        let mut child = Child {
            element,
            subject,
            link,
            heads: Vec::new(),
        };
        if !self.organizations.contains(&element.organization) {
            child.link.elsewhere_linked |= linked_elsewhere(&child.link, element);
            child.link.elsewhere = true;
            tx.put_link(subject, &child.link);
            return Ok(Taken::default());
        }
        child.heads = referrals_of(tx, subject)?;
        let mut taken = Taken::default();
        let unknown = self.unknown_numbers(tx, &child)?;
        if !self.glass.ledger_whole && element.external_id.is_some() && !unknown.is_empty() {
            // Primero may still tell that we made these.
            taken.held = true;
            return Ok(taken);
        }
        let link_before = child.link.clone();
        let news = take_in(
            element,
            &mut child.link,
            &mut child.heads,
            &self.site.mapping,
            self.at,
        );
        for number in news.ours {
            tx.put_id(
                &ChildId::OscarReferral(element.organization.clone(), number),
                subject,
            );
        }
        for index in news.heads {
            let head = &child.heads[index];
            taken.parked += u32::from(head.state == State::Parked);
            settle(tx, head)?;
            taken.confirmed += 1;
        }
        // A head that settles may have joined this child to another lane, and written the link on its way.
        let full = self.take_new(tx, &mut child, known.is_none(), &mut taken)?;
        if full {
            taken.held = true;
            child.link = link_before.clone();
        }
        self.put_link(tx, &child, known.is_some(), &link_before)?;
        Ok(taken)
    }

    /// The link as it stands now, with the case that settling may have put there.
    fn put_link(
        &self,
        tx: &mut Tx<'_>,
        child: &Child<'_>,
        known: bool,
        before: &Link,
    ) -> Result<(), StoreError> {
        let mut link = child.link.clone();
        if link == *before || (!known && link.agreed.is_none()) {
            return Ok(());
        }
        let stored = tx.link(child.subject)?.and_then(|stored| stored.case);
        link.case = stored.or(link.case);
        tx.put_link(child.subject, &link);
        tx.put_id(&ChildId::GlobalId(child.element.global_id.clone()), child.subject);
        Ok(())
    }

    /// Numbers that neither the ledger nor the link accounts for.
    fn unknown_numbers(&self, tx: &Tx<'_>, child: &Child<'_>) -> Result<Vec<i64>, StoreError> {
        let element = child.element;
        let mut unknown = Vec::new();
        for number in element.numbers() {
            let known =
                child.link.counted(&element.organization, number) || self.in_ledger(tx, element, number)?;
            if !known {
                unknown.push(number);
            }
        }
        Ok(unknown)
    }

    fn in_ledger(&self, tx: &Tx<'_>, element: &Element, number: i64) -> Result<bool, StoreError> {
        let id = ChildId::OscarReferral(element.organization.clone(), number);
        Ok(tx.subject_of(&id)?.is_some())
    }

    /// Everything about this child that has to be brought to Primero; true if the queue has no room for it.
    fn take_new(
        &self,
        tx: &mut Tx<'_>,
        child: &mut Child<'_>,
        stranger: bool,
        taken: &mut Taken,
    ) -> Result<bool, StoreError> {
        let element = child.element;
        if self.flows.oscar_to_primero {
            let mut ledger = Vec::new();
            for number in element.numbers() {
                if self.in_ledger(tx, element, number)? {
                    ledger.push(number);
                }
            }
            let name = |subtype: &str| Some(self.site.mapping.oscar_service(subtype)?.name.to_owned());
            let found = inbound::inbound(element, &child.heads, &name, &|number| ledger.contains(&number));
            // Not to be taken in from here: the next look that may take it has to find it new.
            if !self.glass.inbound && !found.is_empty() {
                child.link.look_again(&element.organization);
            }
            for found in found.iter().filter(|_| self.glass.inbound) {
                match self.take_referral(tx, child, found, taken)? {
                    Enrolled::Full => return Ok(true),
                    Enrolled::New(_) | Enrolled::Known => {}
                }
            }
            if let Some(latest) = element.latest_number().filter(|number| ledger.contains(number)) {
                self.renew(tx, child, latest, taken)?;
            }
        }
        let values = self.values(child);
        match &child.link.agreed {
            Some(agreed) if agreed.organization == element.organization => {
                let agreed = agreed.clone();
                self.take_changes(tx, child, agreed, values, taken)
            }
            None if stranger
                && self.flows.shares_cases()
                && element.external_id.is_none()
                && self.glass.inbound =>
            {
                self.take_shared(tx, child, values, taken)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// What OSCaR says of the child, in Primero's words.
    fn values(&self, child: &Child<'_>) -> Values {
        let (record, _) = inbound::child(child.element, &known(child));
        self.site.child_values(&record, child.element.risk())
    }

    fn take_referral(
        &self,
        tx: &mut Tx<'_>,
        child: &mut Child<'_>,
        found: &Found,
        taken: &mut Taken,
    ) -> Result<Enrolled, StoreError> {
        let element = child.element;
        let (referral, held) = inbound::referral(found, element, &known(child), self.today);
        // The case of a linked child may show that this one was ours: that comes before the question of consent.
        let unstated = self.unstated(&referral).filter(|_| element.external_id.is_none());
        let held = held.or(unstated);
        let services = found.services.iter().map(|name| {
            let (subtype, called) = inbound::service(name, &child.heads, &self.site.mapping);
            let id = Identity::relayed_service_id(&element.organization, found.number, name);
            let mut work = ServiceWork::new(subtype, id);
            work.oscar_referral = Some(found.number);
            work.called = called;
            work
        });
        let work = Work {
            services: services.collect(),
            global_id: Some(element.global_id.clone()),
            slug: Some(element.slug.clone()).filter(|slug| !slug.is_empty()),
            pushed_at: Some(self.glass.since),
            confirmed: found.certain,
            ..Work::default()
        };
        let number = ChildId::OscarReferral(element.organization.clone(), found.number);
        let arrival = Arrival {
            key: event_key(element, found.number),
            flow: Flow::OscarToPrimero,
            subject: child.subject,
            ids: [ChildId::GlobalId(element.global_id.clone()), number.clone()]
                .into_iter()
                .chain(element.external_id.clone().map(ChildId::CaseId))
                .collect(),
            referral: Box::new(referral),
            work,
            held: held.map(|reason| (State::Parked, reason)),
        };
        let enrolled = enroll(tx, &self.identity, self.limits, arrival, self.at)?;
        match enrolled {
            Enrolled::New(_) => {
                taken.confirmed += 1;
                taken.parked += u32::from(held.is_some());
                let values = self.values(child);
                child.link.agreed.get_or_insert(Agreed {
                    organization: element.organization.clone(),
                    values,
                });
                child.link.count(&element.organization, found.number);
            }
            Enrolled::Known => tx.put_id(&number, child.subject),
            Enrolled::Full => {}
        }
        Ok(enrolled)
    }

    /// Why a referral whose consent OSCaR does not state may not go on.
    fn unstated(&self, referral: &Referral) -> Option<Reason> {
        let may = referral.consent.services || self.flows.oscar_consent == OscarConsent::Agreement;
        (!may).then_some(Reason::ConsentNotStated)
    }

    /// The NGO has corrected a referral that nothing has been done about yet.
    fn renew(
        &self,
        tx: &mut Tx<'_>,
        child: &Child<'_>,
        number: i64,
        taken: &mut Taken,
    ) -> Result<(), StoreError> {
        let element = child.element;
        let Some(mut head) = tx.head_by_key(&event_key(element, number))? else {
            return Ok(());
        };
        let untouched = head.flow == Flow::OscarToPrimero && head.work.case.is_none() && head.lease.is_none();
        let open = matches!(head.state, State::Pending | State::Parked);
        let Some(Payload::Referral(before)) = tx.payload(head.seq)?.filter(|_| untouched && open) else {
            return Ok(());
        };
        let found = Found {
            number,
            services: before.services.clone(),
            latest: true,
            unclear: false,
            certain: element.latest_is_the_ngos(),
        };
        let (referral, held) = inbound::referral(&found, element, &known(child), before.referred_on);
        if *before == referral {
            return Ok(());
        }
        let held = held.or(self.unstated(&referral));
        let waited = matches!(
            head.reason,
            Some(Reason::ConsentNotStated | Reason::ValueUnreadable)
        );
        head.urgent = referral.risk_level.0 == Some(Risk::High);
        let payload = Payload::Referral(Box::new(referral));
        head.body_hash = Identity::body_hash(&payload);
        head.work.confirmed |= found.certain;
        head.note(self.at, what::RENEWED, "the NGO has changed it");
        if waited {
            head.reason = held;
            head.state = if held.is_some() {
                State::Parked
            } else {
                State::Pending
            };
        }
        taken.confirmed += 1;
        tx.rewrite(&head, &payload)
    }
}

/// What is known of the child, this element included.
fn known(child: &Child<'_>) -> Known {
    let seen = child.link.at(&child.element.organization);
    let mut known = seen.map(|seen| seen.known.clone()).unwrap_or_default();
    known.learn(&child.element.shown);
    known
}

/// The key of the event that an NGO's referral becomes: numbers repeat from one organization to the next.
fn event_key(element: &Element, number: i64) -> String {
    format!("o-{}-{number}", element.organization)
}

/// A further organization has the child linked to a case that is not the one we know.
pub(super) fn linked_elsewhere(link: &Link, element: &Element) -> bool {
    let ours = link.case.as_ref().map(|case| &case.case_id);
    !link.elsewhere_linked && element.external_id.is_some() && element.external_id.as_ref() != ours
}

/// The stored events of a child that a pull may say something of, in order.
fn referrals_of(tx: &Tx<'_>, subject: Subject) -> Result<Vec<Head>, StoreError> {
    let seqs: Vec<_> = tx
        .queue()
        .iter()
        .filter(|entry| entry.subject == subject)
        .map(|entry| entry.seq)
        .collect();
    let mut heads = Vec::new();
    for seq in seqs {
        let head = tx.head(seq)?;
        let told = |h: &Head| h.kind == Kind::Referral || h.kind == Kind::Child;
        heads.extend(head.filter(|h| told(h) && (h.flow.to_oscar() || h.flow == Flow::OscarToPrimero)));
    }
    Ok(heads)
}
