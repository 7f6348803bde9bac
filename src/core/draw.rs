//! Drawing a referral event out of a Primero case: what a worker referred there, in the form OSCaR is sent.
//!
//! Routed by the referral's own recipient and checked against its service, never by the case (oscar.md §9.2 row 11).
//! What OSCaR needs and the case does not show holds the event up until somebody has put the case right.

use super::ask::{CaseView, Fields, Recipient, ReferralView};
use super::event::{CaseWorker, Child, Consent, Destination, Private, Referral, Sex};
use super::fields::Site;
use super::intake::REASON_CHARS_MAX;
use super::mapping::{Agency, day_of, name_scripts, padded_location, risk_of, sex_of};
use super::reason::Reason;
use super::record::{OneShot, ServiceWork};
use chrono::NaiveDate;
use serde_json::Value;

/// What stands for a telephone number nobody entered: OSCaR refuses a referral without one (oscar.md §3.3).
const NO_PHONE: &str = "000000000";
/// Primero's mask for a name its owner hides (primero.md §2.4). Never used, never written back.
const MASK: &str = "*******";

/// A referral as drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub referral: Referral,
    /// One per subtype of the service: all share its id and the Primero referral.
    pub services: Vec<ServiceWork>,
    /// Why it cannot go as it is, and which fields are meant.
    pub held: Option<(Reason, String)>,
    /// What a person should know although it goes.
    pub remark: Option<String>,
}

/// Draws the referral `made` out of its case. `referred_on` is the day it was made, at the office.
pub fn draw(
    view: &CaseView,
    made: &ReferralView,
    agency: &Agency,
    site: &Site,
    referred_on: NaiveDate,
) -> Drawn {
    let names = &site.names;
    let service = made.service.as_deref().and_then(|id| view.service(id));
    let consent = Consent {
        services: view.ticked(&names.consent_services),
        disclosure_other_organizations: view.ticked(&names.consent_disclosure),
    };
    let risk = view.text(&names.risk_level).and_then(risk_of);
    let (child, missing) = child(view, site);
    let (subtypes, remark) = subtypes(service, site);
    let held = if !view.enabled() {
        Some((Reason::CaseNotFound, "the case is disabled".to_owned()))
    } else if !(consent.services && consent.disclosure_other_organizations) {
        Some((Reason::ConsentMissing, "in the Primero case".to_owned()))
    } else if let Some(doubt) = remote_doubt(made, service) {
        Some((Reason::RouteUnclear, doubt.to_owned()))
    } else if let Some(doubt) = service.and_then(|service| route_doubt(service, agency, site)) {
        Some((Reason::RouteUnclear, doubt))
    } else if !missing.is_empty() {
        Some((Reason::CaseIncomplete, missing.join(" ")))
    } else if risk.is_none() {
        Some((Reason::RiskMissing, String::new()))
    } else {
        None
    };
    let works = subtypes.iter().map(|subtype| ServiceWork {
        placed: true,
        referral: OneShot::Done,
        referral_id: Some(made.id.clone()),
        ..ServiceWork::new(subtype.clone(), made.service.clone().unwrap_or_default())
    });
    Drawn {
        services: works.collect(),
        referral: Referral {
            to: Destination::Oscar,
            organization: agency.organization.clone(),
            child,
            services: subtypes,
            reason: Private(reason(made, service)),
            risk_level: Private(risk),
            referred_on,
            consent,
            case_worker: worker(view, made, site),
            office_code: None,
        },
        held,
        remark,
    }
}

/// The child as the case shows it, and the fields without which OSCaR could not keep it. Its OSCaR number is left out:
/// it may be another organization's, and would then be lost without a word (oscar.md §3.7).
pub fn child(view: &CaseView, site: &Site) -> (Child, Vec<String>) {
    let names = &site.names;
    let hidden = view.text("name") == Some(MASK);
    let name = |field: &str| {
        let text = view
            .text(field)
            .map(str::trim)
            .filter(|text| !hidden && *text != MASK);
        let (local, latin) = name_scripts(text.unwrap_or_default());
        (local.to_owned(), latin.to_owned())
    };
    let (local_given, given) = name(&names.name_first);
    let (local_family, family) = name(&names.name_last);
    let sex = view.text(&names.sex).and_then(sex_of);
    let born = view.text(&names.date_of_birth).and_then(day_of);
    let mut missing = Vec::new();
    for (present, field) in [
        (!(given.is_empty() && local_given.is_empty()), &names.name_first),
        (!(family.is_empty() && local_family.is_empty()), &names.name_last),
        (sex.is_some(), &names.sex),
        (born.is_some(), &names.date_of_birth),
    ] {
        if !present {
            missing.push(field.clone());
        }
    }
    if hidden {
        missing.push("name-hidden".to_owned());
    }
    let place = view.text(&names.location).and_then(padded_location);
    let child = Child {
        given_name: Private(given),
        family_name: Private(family),
        local_given_name: Private(local_given),
        local_family_name: Private(local_family),
        sex: Private(sex.unwrap_or(Sex::Other)),
        date_of_birth: Private(born),
        location_code: Private(place),
        primero_case_id: view.text("case_id").map(str::to_owned),
        oscar_global_id: None,
        mosvy_number: Private(view.text(&names.mosvy_number).map(str::to_owned)),
    };
    (child, missing)
}

fn worker(view: &CaseView, made: &ReferralView, site: &Site) -> CaseWorker {
    let name = view.text(&site.names.worker_name).or(made.by_user.as_deref());
    let phone = view
        .text(&site.names.worker_phone)
        .map(str::trim)
        .filter(|phone| !phone.is_empty());
    CaseWorker {
        name: Private(name.unwrap_or("-").to_owned()),
        phone: Private(phone.unwrap_or(NO_PHONE).to_owned()),
        email: Private(None),
    }
}

/// What was written with this very referral, else with its service (oscar.md §9.2 row 12).
fn reason(made: &ReferralView, service: Option<&Fields>) -> String {
    let notes = made
        .notes
        .0
        .as_deref()
        .map(str::trim)
        .filter(|notes| !notes.is_empty());
    let text = notes.or_else(|| service.and_then(|service| text(service, "service_referral_notes")));
    text.unwrap_or_default().chars().take(REASON_CHARS_MAX).collect()
}

/// The subtypes to send. A service without any goes as "Not Specified", and so does one the mapping does not know, with
/// a remark (mapping/services.json, `primero_blank_subtype` and `unknown_primero_subtype`): the empty subtype.
fn subtypes(service: Option<&Fields>, site: &Site) -> (Vec<String>, Option<String>) {
    let listed = match service.and_then(|service| service.get("service_subtype")) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let (mut subtypes, mut remark): (Vec<String>, Option<String>) = (Vec::new(), None);
    if listed.is_empty() {
        remark = Some("sent as Not Specified: the service names no subtype".to_owned());
    }
    for subtype in listed {
        let known = site.mapping.oscar_service(subtype).is_some();
        if !known {
            let shown: String = subtype
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            let shown: String = shown.chars().take(60).collect();
            remark = Some(format!("sent as Not Specified: no mapping for {shown}"));
        }
        let sent = if known { subtype } else { "" };
        if !subtypes.iter().any(|there| there == sent) {
            subtypes.push(sent.to_owned());
        }
    }
    if subtypes.is_empty() {
        subtypes.push(String::new());
    }
    (subtypes, remark)
}

/// A remote referral is a note to nobody in particular: it goes only where it names both its agency and its service.
fn remote_doubt(made: &ReferralView, service: Option<&Fields>) -> Option<&'static str> {
    match &made.to {
        Recipient::Remote(agency) if agency.is_empty() => Some("a remote referral that names no agency"),
        Recipient::Remote(_) if service.is_none() => Some("a remote referral that names no service"),
        Recipient::Remote(_) | Recipient::User(_) | Recipient::Nobody => None,
    }
}

/// The recipient is of one NGO and the service speaks of something else: nothing goes to anybody by guess.
fn route_doubt(service: &Fields, agency: &Agency, site: &Site) -> Option<String> {
    let differs = |field: &str, ours: &str| text(service, field).is_some_and(|theirs| theirs != ours);
    if differs("service_response_type", &site.mapping.responses().to_oscar) {
        return Some("service_response_type".to_owned());
    }
    let field = [
        "service_implementing_agency",
        "service_implementing_agency_individual",
    ]
    .into_iter()
    .find(|field| text(service, field).is_some())?;
    let ours = if field.ends_with("individual") {
        &agency.user
    } else {
        &agency.agency
    };
    differs(field, ours).then(|| field.to_owned())
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let text = fields.get(name).and_then(Value::as_str).map(str::trim);
    text.filter(|text| !text.is_empty())
}

/// OSCaR's numbers as they stand in a service that was sent already: one, or one for each subtype.
pub fn stored_numbers(view: &CaseView, made: &ReferralView, site: &Site) -> Option<Vec<i64>> {
    let service = made.service.as_deref().and_then(|id| view.service(id))?;
    let stored = text(service, &site.names.service_oscar_referral)?;
    let numbers = stored
        .split(|c: char| !c.is_ascii_digit())
        .filter(|word| !word.is_empty());
    Some(numbers.filter_map(|word| word.parse().ok()).collect())
}
