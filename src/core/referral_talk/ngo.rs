//! What is particular to a referral made by an NGO: its services have OSCaR's names, its case may be somebody else's
//! work, and it may turn out to be one of our own.

use super::super::ask::{CaseView, Fields};
use super::super::event::{Destination, Referral};
use super::super::fields::Site;
use super::super::mapping::{Mapping, Meaning, primero_risk, raised_risk, risk_of};
use super::super::reason::Reason;
use super::super::record::{Flow, Head, ServiceWork};
use serde_json::{Value, json};

/// Longest service name repeated in a history line, in characters.
const NAME_CHARS_MAX: usize = 60;

/// Gives services that still have OSCaR's name the Primero subtype they stand for; the first that has none, or has
/// several, is a reason to stop.
pub(super) fn name_services(head: &mut Head, mapping: &Mapping) -> Result<(), (Reason, String)> {
    if head.flow != Flow::OscarToPrimero {
        return Ok(());
    }
    for service in &mut head.work.services {
        if mapping.primero_type(&service.subtype).is_some() {
            continue;
        }
        let name = service.subtype.clone();
        match mapping.primero_service(&name) {
            Meaning::One(known) => service.subtype = known.subtype.to_owned(),
            Meaning::Ambiguous(_) => {
                let short = name.chars().take(NAME_CHARS_MAX).collect();
                return Err((Reason::AmbiguousService, short));
            }
            Meaning::Unknown => {
                service.subtype = mapping.unknown_service().subtype.to_owned();
                service.called = Some(name);
            }
        }
    }
    Ok(())
}

/// Why nothing is to be added to a case.
pub(super) enum Obstacle {
    /// The case shows this very number with a service that went to the NGO: the referral was never the NGO's.
    SentFromHere,
    Park(Reason, &'static str),
}

pub(super) fn obstacle(head: &Head, referral: &Referral, view: &CaseView, site: &Site) -> Option<Obstacle> {
    let new = |service: &&ServiceWork| view.service(&service.unique_id).is_none();
    let mut services = head.work.services.iter().filter(new).peekable();
    if referral.to != Destination::Primero || services.peek().is_none() {
        return None;
    }
    if head.flow == Flow::OscarToPrimero && !head.work.confirmed {
        let origins: Vec<Origin> = services
            .map(|service| origin(view, site, &referral.organization, service))
            .collect();
        if origins.contains(&Origin::Here) {
            return Some(Obstacle::SentFromHere);
        }
        if origins.contains(&Origin::Open) {
            let detail = "the case shows such a service as sent to the NGO";
            return Some(Obstacle::Park(Reason::DirectionUnclear, detail));
        }
    }
    (view.text("status") == Some("closed")).then_some(Obstacle::Park(Reason::CaseClosed, ""))
}

/// What a case says of the sender of one service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Here,
    /// A service of that name went to this NGO, and no number stands with it.
    Open,
    There,
}

fn origin(view: &CaseView, site: &Site, organization: &str, work: &ServiceWork) -> Origin {
    let mapping = &site.mapping;
    let agency = mapping.agency(organization).map(|agency| agency.agency.as_str());
    let name = mapping.oscar_service(&work.subtype).map(|service| service.name);
    let number = work.oscar_referral.map(|number| number.to_string());
    let mut found = Origin::There;
    for service in view.services() {
        let text = |field: &str| {
            let value = service.get(field).and_then(Value::as_str);
            value.filter(|text| !text.is_empty())
        };
        let subtypes = service.get("service_subtype").and_then(Value::as_array);
        let mut subtypes = subtypes.into_iter().flatten().filter_map(Value::as_str);
        let same =
            subtypes.any(|other| name.is_some() && mapping.oscar_service(other).map(|s| s.name) == name);
        let sent = text("service_response_type") == Some(mapping.responses().to_oscar.as_str())
            && text("service_implementing_agency").is_none_or(|there| Some(there) == agency);
        match text(&site.names.service_oscar_referral) {
            Some(there) if sent && Some(there) == number.as_deref() => return Origin::Here,
            None if sent && same => found = Origin::Open,
            _ => {}
        }
    }
    found
}

/// What an existing case gets beside the services: a risk that is higher than its own, and the child's number where it
/// has none. Never an owner, a consent, or anything a worker has filled in.
pub(super) fn extras(head: &Head, referral: &Referral, view: &CaseView, site: &Site, links: bool) -> Fields {
    let n = &site.names;
    let mut fields = Fields::new();
    let there = view.text(&n.risk_level).and_then(risk_of);
    if let Some(risk) = raised_risk(there, referral.risk_level.0).filter(|_| !n.risk_level.is_empty()) {
        fields.insert(n.risk_level.clone(), json!(primero_risk(risk)));
    }
    let number = referral.child.oscar_global_id.as_ref();
    let pairs = [
        (&n.oscar_number, number),
        (&n.oscar_short_id, head.work.slug.as_ref()),
    ];
    // The two belong together: no short id of one child beside the number of another.
    let same = view
        .text(&n.oscar_number)
        .is_none_or(|there| Some(there) == number.map(String::as_str));
    if links && same {
        for (name, value) in pairs {
            if let (false, None, Some(value)) = (name.is_empty(), view.text(name), value) {
                fields.insert(name.clone(), json!(value));
            }
        }
    }
    fields
}
