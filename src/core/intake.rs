//! The one door of design §3: a JSON object becomes a [`Payload`], or one reason per field why not.
//!
//! Pure: the caller passes today's date at the office. Nothing is half accepted; unknown keys are refused, because a
//! misspelt key is a lost value. Reasons never repeat what was typed.

use super::event::{
    CaseWorker, Child, Consent, Decision, Destination, Payload, Private, Referral, Risk, Sex,
};
use super::form::{FieldError, Form, NAME_CHARS_MAX};
use super::mapping::{Mapping, padded_location};
use chrono::NaiveDate;
use serde_json::{Map, Value};

/// Largest event body accepted, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest reason text, in characters.
pub const REASON_CHARS_MAX: usize = 4000;
/// Longest note on a decision or withdrawal, in characters.
pub const NOTE_CHARS_MAX: usize = 1000;
/// Most services in one referral.
pub const SERVICES_MAX: usize = 12;
/// How the keys of events begin that come from Primero or OSCaR: a sender who took one would keep that event out.
const PEER_KEYS: [&str; 4] = ["o-", "p-", "s-", "c-"];
/// Years back a birth date may lie.
const BIRTH_YEARS_MAX: i32 = 30;

/// What an office sent, valid as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The sender's own key, if it made one.
    pub event_key: Option<String>,
    pub payload: Payload,
}

/// What validation needs to know of the world.
pub struct Rules<'a> {
    pub mapping: &'a Mapping,
    /// The OSCaR organizations this gateway acts for.
    pub organizations: &'a [String],
    /// Today at the office, if the clock is plausible; without it, no date counts as future.
    pub today: Option<NaiveDate>,
}

/// Checks one event. `Err` holds at least one error, in the order of the fields.
pub fn check(value: &Value, rules: &Rules) -> Result<Checked, Vec<FieldError>> {
    let Value::Object(object) = value else {
        return Err(vec![FieldError {
            path: String::new(),
            reason: "must be a JSON object",
        }]);
    };
    let mut form = Form::default();
    let event_key = form.key(object, "event_key", false);
    let peers = |key: &String| PEER_KEYS.iter().any(|start| key.starts_with(start));
    if event_key.as_ref().is_some_and(peers) {
        form.refuse("/event_key", "must not begin with o-, p-, s- or c-");
    }
    let payload = match form.word(object, "", "kind", &["referral", "decision", "withdraw"]) {
        Some("referral") => referral(&mut form, object, rules),
        Some("decision") => decision(&mut form, object),
        Some("withdraw") => withdraw(&mut form, object),
        _ => None,
    };
    match payload {
        Some(payload) if form.errors.is_empty() => Ok(Checked { event_key, payload }),
        _ => Err(form.errors),
    }
}

fn referral(form: &mut Form, object: &Map<String, Value>, rules: &Rules) -> Option<Payload> {
    form.only(
        object,
        "",
        &[
            "event_key",
            "kind",
            "to",
            "organization",
            "child",
            "services",
            "reason",
            "risk_level",
            "referred_on",
            "consent",
            "case_worker",
        ],
    );
    let to = form
        .word(object, "", "to", &["oscar", "primero"])
        .map(|word| match word {
            "oscar" => Destination::Oscar,
            _ => Destination::Primero,
        });
    let organization = organization(form, object, rules);
    let child = form
        .object(object, "child")
        .map(|child| self::child(form, child, to, rules));
    let services = services(form, object, rules);
    let reason = form.text(object, "", "reason", REASON_CHARS_MAX, true);
    let risk = form.optional_word(object, "risk_level", &["high", "medium", "low", "no_action"]);
    if to == Some(Destination::Oscar) && risk.is_none() && !form.refused("/risk_level") {
        form.refuse(
            "/risk_level",
            "required: OSCaR takes no referral without a risk level",
        );
    }
    let referred_on = form.date(object, "", "referred_on", true);
    if let (Some(date), Some(today)) = (referred_on, rules.today)
        && date > today
    {
        form.refuse("/referred_on", "lies in the future");
    }
    let consent = form
        .object(object, "consent")
        .map(|consent| self::consent(form, consent, to));
    let case_worker = form
        .object(object, "case_worker")
        .map(|worker| self::case_worker(form, worker));
    Some(Payload::Referral(Box::new(Referral {
        to: to?,
        organization: organization?,
        child: child??,
        services: services?,
        reason: Private(reason?),
        risk_level: Private(risk.map(|word| match word {
            "high" => Risk::High,
            "medium" => Risk::Medium,
            "low" => Risk::Low,
            _ => Risk::NoAction,
        })),
        referred_on: referred_on?,
        consent: consent??,
        case_worker: case_worker??,
        office_code: None,
    })))
}

fn organization(form: &mut Form, object: &Map<String, Value>, rules: &Rules) -> Option<String> {
    let name = form.text(object, "", "organization", NAME_CHARS_MAX, true)?;
    if !rules.organizations.contains(&name) {
        form.refuse("/organization", "not an organization this gateway acts for");
        return None;
    }
    if rules.mapping.agency(&name).is_none() {
        form.refuse("/organization", "not in the agency mapping");
        return None;
    }
    Some(name)
}

fn services(form: &mut Form, object: &Map<String, Value>, rules: &Rules) -> Option<Vec<String>> {
    let Some(Value::Array(items)) = object.get("services") else {
        form.refuse("/services", "required: a list of services");
        return None;
    };
    if items.is_empty() || items.len() > SERVICES_MAX {
        form.refuse("/services", "between 1 and 12 services");
        return None;
    }
    let mut subtypes: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("/services/{index}");
        let Value::Object(service) = item else {
            form.refuse(&path, "must be an object");
            continue;
        };
        form.only(service, &path, &["subtype"]);
        let Some(subtype) = form.text(service, &path, "subtype", NAME_CHARS_MAX, true) else {
            continue;
        };
        let path = format!("{path}/subtype");
        if !rules.mapping.knows_subtype(&subtype) {
            form.refuse(&path, "unknown service");
        } else if subtypes.contains(&subtype) {
            form.refuse(&path, "named twice");
        } else {
            subtypes.push(subtype);
        }
    }
    Some(subtypes)
}

const CHILD_KEYS: [&str; 10] = [
    "given_name",
    "family_name",
    "local_given_name",
    "local_family_name",
    "sex",
    "date_of_birth",
    "location_code",
    "primero_case_id",
    "oscar_global_id",
    "mosvy_number",
];

fn child(
    form: &mut Form,
    object: &Map<String, Value>,
    to: Option<Destination>,
    rules: &Rules,
) -> Option<Child> {
    const AT: &str = "/child";
    form.only(object, AT, &CHILD_KEYS);
    let [given, family, local_given, local_family] = names(form, object);
    let sex = form.word(object, AT, "sex", &["female", "male", "other"]);
    let born = birth(form, object, to, rules);
    let location = form.text(object, AT, "location_code", 8, false);
    let location = location.filter(|code| !code.is_empty()).and_then(|code| {
        let padded = padded_location(&code);
        if padded.is_none() {
            form.refuse("/child/location_code", "must be 1 to 8 digits");
        }
        padded
    });
    let case = form.id(
        object,
        "primero_case_id",
        "must be a Primero case id or its last seven characters",
        is_case_id,
    );
    let global = form.id(
        object,
        "oscar_global_id",
        "must be an OSCaR global id (26 characters)",
        is_ulid,
    );
    let mosvy = form
        .text(object, AT, "mosvy_number", NAME_CHARS_MAX, false)
        .filter(|text| !text.is_empty());
    if to == Some(Destination::Primero) && case.is_none() {
        let owner = location
            .as_deref()
            .and_then(|code| rules.mapping.province_user(code));
        if owner.is_none() && !form.refused("/child/location_code") {
            form.refuse(
                "/child/location_code",
                "required: it decides who owns the new case, and no owner is known",
            );
        }
    }
    Some(Child {
        given_name: Private(given),
        family_name: Private(family),
        local_given_name: Private(local_given),
        local_family_name: Private(local_family),
        sex: Private(match sex? {
            "female" => Sex::Female,
            "male" => Sex::Male,
            _ => Sex::Other,
        }),
        date_of_birth: Private(born),
        location_code: Private(location),
        primero_case_id: case,
        oscar_global_id: global,
        mosvy_number: Private(mosvy),
    })
}

/// Given and family name, Latin then local.
fn names(form: &mut Form, object: &Map<String, Value>) -> [String; 4] {
    const AT: &str = "/child";
    let mut name = |key| {
        form.text(object, AT, key, NAME_CHARS_MAX, false)
            .unwrap_or_default()
    };
    let (given, family) = (name("given_name"), name("family_name"));
    let (local_given, local_family) = (name("local_given_name"), name("local_family_name"));
    // OSCaR leaves a child without both names out of every pull (oscar.md §2.2): its decision could never return.
    if given.is_empty() && local_given.is_empty() {
        form.refuse("/child/given_name", "required, in either script");
    }
    if family.is_empty() && local_family.is_empty() {
        form.refuse("/child/family_name", "required, in either script");
    }
    [given, family, local_given, local_family]
}

fn birth(
    form: &mut Form,
    object: &Map<String, Value>,
    to: Option<Destination>,
    rules: &Rules,
) -> Option<NaiveDate> {
    const AT: &str = "/child";
    let born = form.date(object, AT, "date_of_birth", to == Some(Destination::Oscar));
    if let (Some(born), Some(today)) = (born, rules.today) {
        if born > today {
            form.refuse("/child/date_of_birth", "lies in the future");
        } else if chrono::Datelike::year(&born) < chrono::Datelike::year(&today) - BIRTH_YEARS_MAX {
            form.refuse("/child/date_of_birth", "more than 30 years ago");
        }
    }
    born
}

fn consent(form: &mut Form, object: &Map<String, Value>, to: Option<Destination>) -> Option<Consent> {
    form.only(
        object,
        "/consent",
        &["services", "disclosure_other_organizations"],
    );
    let services = form.flag(object, "services");
    let disclosure = form.flag(object, "disclosure_other_organizations");
    if services == Some(false) {
        form.refuse(
            "/consent/services",
            "without consent to services nothing may be referred",
        );
    }
    // Needed by Primero for any referral (primero.md §3.4), and the reason a child may be told of elsewhere.
    if disclosure == Some(false) && to.is_some() {
        form.refuse(
            "/consent/disclosure_other_organizations",
            "without this consent nothing may be shared",
        );
    }
    Some(Consent {
        services: services?,
        disclosure_other_organizations: disclosure?,
    })
}

fn case_worker(form: &mut Form, object: &Map<String, Value>) -> Option<CaseWorker> {
    const AT: &str = "/case_worker";
    form.only(object, AT, &["name", "phone", "email"]);
    let name = form.text(object, AT, "name", NAME_CHARS_MAX, true);
    let phone = form.text(object, AT, "phone", NAME_CHARS_MAX, true);
    let email = form
        .text(object, AT, "email", NAME_CHARS_MAX, false)
        .filter(|text| !text.is_empty());
    Some(CaseWorker {
        name: Private(name?),
        phone: Private(phone?),
        email: Private(email),
    })
}

fn decision(form: &mut Form, object: &Map<String, Value>) -> Option<Payload> {
    form.only(object, "", &["event_key", "kind", "referral", "status", "note"]);
    let target = form.key(object, "referral", true);
    let status = form.word(object, "", "status", &["accepted", "rejected"]);
    let note = form
        .text(object, "", "note", NOTE_CHARS_MAX, false)
        .filter(|text| !text.is_empty());
    let decision = match status? {
        "accepted" => Decision::Accepted,
        _ => Decision::Rejected,
    };
    Some(Payload::Decision {
        target: target?,
        decision,
        note: Private(note),
    })
}

fn withdraw(form: &mut Form, object: &Map<String, Value>) -> Option<Payload> {
    form.only(object, "", &["event_key", "kind", "referral", "note"]);
    let target = form.key(object, "referral", true);
    let note = form
        .text(object, "", "note", NOTE_CHARS_MAX, false)
        .filter(|text| !text.is_empty());
    Some(Payload::Withdraw {
        target: target?,
        note: Private(note),
    })
}

/// A Primero `case_id` (lower-case UUID) or the short id cut from its end.
fn is_case_id(text: &str) -> bool {
    let hex = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let groups: Vec<&str> = text.split('-').collect();
    let uuid = groups.len() == 5
        && groups
            .iter()
            .zip([8, 4, 4, 4, 12])
            .all(|(g, n)| g.len() == n && hex(g));
    uuid || (text.len() == 7 && hex(text))
}

/// An OSCaR global id: 26 characters of Crockford's alphabet, capitals only (a lower-case one is taken for unknown
/// and makes a second child: oscar-measured.md, push#69).
fn is_ulid(text: &str) -> bool {
    text.len() == 26
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b)))
}
