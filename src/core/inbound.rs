//! Referrals an NGO has made to the government: which of a child's OSCaR referrals they are, and what goes to Primero.
//!
//! OSCaR mixes both directions in one list and says nothing of the sender (oscar.md §2.7). A number is the NGO's only
//! if the child is flagged (shape A: every child an NGO refers is, and no push flags one), the ledger does not know it,
//! no push of ours could be it, and the latest reason does not carry a gateway's tag. Where a push of ours could be it,
//! nothing is made until that is settled. Nothing is invented: reason and consent are of the latest referral alone.

use super::element::{Element, Shape};
use super::event::{Child, Consent, Destination, Private, Referral, Sex};
use super::link::Known;
use super::mapping::{Mapping, Meaning, day_of, padded_location, risk_of, sex_of};
use super::reason::Reason;
use super::record::{Head, OneShot, State};
use chrono::NaiveDate;

/// A referral by the NGO, not taken in yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub number: i64,
    /// OSCaR's names of its services, each once.
    pub services: Vec<String>,
    /// The element's reason and consent are those of this one.
    pub latest: bool,
    /// A push of ours that a person has closed without a number might be this one.
    pub unclear: bool,
}

/// The NGO's referrals in an element. `heads` are this subject's events; `known` says whether the ledger has a number.
pub fn inbound(
    element: &Element,
    heads: &[Head],
    service_name: &dyn Fn(&str) -> Option<String>,
    known: &dyn Fn(i64) -> bool,
) -> Vec<Found> {
    if element.shape != Shape::Referred {
        return Vec::new();
    }
    let latest = element.latest_number();
    let mut found = Vec::new();
    for number in element.numbers() {
        let items = || element.items.iter().filter(move |item| item.number == number);
        // Decided already: then there is nothing to ask the government for.
        if known(number) || items().any(|item| item.status != "Referred") {
            continue;
        }
        let latest = latest == Some(number);
        if latest && element.latest_tag().is_some() {
            continue;
        }
        let mut services: Vec<String> = Vec::new();
        for item in items().filter(|item| !item.service.is_empty()) {
            if !services.contains(&item.service) {
                services.push(item.service.clone());
            }
        }
        let untagged = latest && !element.latest.reason.0.is_empty();
        if services.is_empty() {
            continue;
        }
        match could_be_ours(element, number, &services, heads, service_name, untagged) {
            Ours::Yes => {}
            Ours::Perhaps { closed } if !closed => {}
            doubt => found.push(Found {
                number,
                services,
                latest,
                unclear: matches!(doubt, Ours::Perhaps { .. }),
            }),
        }
    }
    found
}

enum Ours {
    Yes,
    /// `closed`: nothing of this gateway's own will settle it any more.
    Perhaps {
        closed: bool,
    },
    No,
}

fn could_be_ours(
    element: &Element,
    number: i64,
    services: &[String],
    heads: &[Head],
    service_name: &dyn Fn(&str) -> Option<String>,
    untagged: bool,
) -> Ours {
    let mut doubt: Option<bool> = None;
    let here = |head: &&Head| head.flow.to_oscar() && head.organization == element.organization;
    for head in heads.iter().filter(here) {
        for work in &head.work.services {
            if work.oscar_referral == Some(number) {
                return Ours::Yes;
            }
            let sent = work.push != OneShot::Todo && work.oscar_referral.is_none();
            let same = service_name(&work.subtype).is_some_and(|name| services.contains(&name));
            // Whatever this box has sent carries its tag.
            let other = untagged && head.work.pushed_at.is_some();
            if sent && same && !other {
                let closed = work.link_written || head.state == State::Discarded;
                doubt = Some(doubt.unwrap_or(true) && closed);
            }
        }
    }
    doubt.map_or(Ours::No, |closed| Ours::Perhaps { closed })
}

/// What goes to Primero for a found referral, and why a person has to look first, if so. `seen_on` is the day it was
/// first seen, at the office: OSCaR's pull holds no date of a referral.
pub fn referral(
    found: &Found,
    element: &Element,
    known: &Known,
    seen_on: NaiveDate,
) -> (Referral, Option<Reason>) {
    let (child, unreadable) = child(element, known);
    let stated = found.latest && element.latest.consent_form;
    let reason = if found.latest {
        element.latest.reason.clone()
    } else {
        Private(String::new())
    };
    let referral = Referral {
        to: Destination::Primero,
        organization: element.organization.clone(),
        child,
        services: found.services.clone(),
        reason,
        risk_level: Private(risk_of(&element.latest.level_of_risk.0)),
        referred_on: seen_on,
        consent: Consent {
            services: stated,
            disclosure_other_organizations: stated,
        },
        case_worker: super::event::CaseWorker {
            name: element.worker_name.clone(),
            phone: element.worker_phone.clone(),
            email: Private(None),
        },
        office_code: element.office_code.clone(),
    };
    let held = if found.unclear {
        Some(Reason::DirectionUnclear)
    } else if unreadable {
        Some(Reason::ValueUnreadable)
    } else {
        None
    };
    (referral, held)
}

/// The child as the gateway speaks of it; true if a value cannot be carried as it stands (mapping/rules.md).
pub fn child(element: &Element, known: &Known) -> (Child, bool) {
    let born = known.date_of_birth.0.as_str();
    let date = day_of(born);
    let code = known.location_code.0.as_str();
    let place = padded_location(code);
    let unreadable = (date.is_none() && !born.is_empty()) || (place.is_none() && !code.is_empty());
    let mosvy = Some(known.mosvy_number.0.clone()).filter(|text| !text.is_empty());
    let child = Child {
        given_name: known.given_name.clone(),
        family_name: known.family_name.clone(),
        local_given_name: known.local_given_name.clone(),
        local_family_name: known.local_family_name.clone(),
        sex: Private(sex_of(&known.gender.0).unwrap_or(Sex::Other)),
        date_of_birth: Private(date),
        location_code: Private(place),
        primero_case_id: element.external_id.clone(),
        oscar_global_id: Some(element.global_id.clone()),
        mosvy_number: Private(mosvy),
    };
    (child, unreadable)
}

/// What stands for one of OSCaR's services in Primero: its subtype, and its name where that has to be said in words. Our
/// own ledger of this child counts first, then the tables; a name of several meanings stays for a person.
pub fn service(name: &str, heads: &[Head], mapping: &Mapping) -> (String, Option<String>) {
    let sent = heads.iter().filter(|head| head.flow.to_oscar());
    let mut sent = sent.flat_map(|head| &head.work.services).filter(|work| {
        mapping
            .oscar_service(&work.subtype)
            .is_some_and(|s| s.name == name)
    });
    if let Some(first) = sent.next()
        && sent.all(|work| work.subtype == first.subtype)
    {
        return (first.subtype.clone(), None);
    }
    match mapping.primero_service(name) {
        Meaning::One(service) => (service.subtype.to_owned(), None),
        Meaning::Ambiguous(_) => (name.to_owned(), None),
        Meaning::Unknown => (
            mapping.unknown_service().subtype.to_owned(),
            Some(name.to_owned()),
        ),
    }
}
