//! What is particular to a referral made by an NGO: its services have OSCaR's names, its case may be somebody else's
//! work, and it may turn out to be one of our own.

use super::super::ask::{CaseView, Fields};
use super::super::event::{Destination, Referral};
use super::super::fields::Site;
use super::super::mapping::{Mapping, Meaning, primero_risk, raised_risk, risk_of};
use super::super::reason::Reason;
use super::super::record::{Flow, Head};
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

/// Why nothing may be added to this case.
pub(super) fn obstacle(
    head: &Head,
    referral: &Referral,
    view: &CaseView,
    site: &Site,
) -> Option<(Reason, &'static str)> {
    let new = |id: &str| view.service(id).is_none();
    let services = || {
        head.work
            .services
            .iter()
            .filter(|service| new(&service.unique_id))
    };
    if referral.to != Destination::Primero || services().next().is_none() {
        return None;
    }
    if view.text("status") == Some("closed") {
        return Some((Reason::CaseClosed, ""));
    }
    if head.flow != Flow::OscarToPrimero || head.work.confirmed {
        return None;
    }
    let sent = |subtype: &str, number: Option<i64>| {
        sent_from_here(view, site, &referral.organization, subtype, number)
    };
    services()
        .any(|service| sent(&service.subtype, service.oscar_referral))
        .then_some((Reason::DirectionUnclear, "the case shows it as sent to the NGO"))
}

/// The case shows a service that was sent to this NGO under the same OSCaR name, and no other number stands with it.
fn sent_from_here(
    view: &CaseView,
    site: &Site,
    organization: &str,
    subtype: &str,
    number: Option<i64>,
) -> bool {
    let agency = site
        .mapping
        .agency(organization)
        .map(|agency| agency.agency.as_str());
    let name = site.mapping.oscar_service(subtype).map(|service| service.name);
    view.services().any(|service| {
        let text = |field: &str| {
            service
                .get(field)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let subtypes = service.get("service_subtype").and_then(Value::as_array);
        let same = subtypes
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|other| {
                let other = site.mapping.oscar_service(other).map(|service| service.name);
                other.is_some() && other == name
            });
        let there = text(&site.names.service_oscar_referral);
        let other_number = there.is_some_and(|there| Some(there) != number.map(|n| n.to_string()).as_deref());
        text("service_response_type") == Some(site.mapping.responses().to_oscar.as_str())
            && text("service_implementing_agency").is_none_or(|there| Some(there) == agency)
            && same
            && !other_number
    })
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
