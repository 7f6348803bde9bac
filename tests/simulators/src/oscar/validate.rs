//! What OSCaR's models insist on, and in which words (`oscar.md` 3.3, 3.5; measured fact 9).

use serde_json::{Map, Value};

use super::Sim;
use super::http::blank;
use super::world::{Client, Referral};

const RISKS: [&str; 4] = ["high", "medium", "low", "no action"];
pub(super) const STATUSES: [&str; 4] = ["Referred", "Accepted", "Active", "Exited"];
const GENDERS: [&str; 6] = ["female", "male", "lgbt", "unknown", "prefer_not_to_say", "other"];

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Blank,
    NotInList,
}

/// Broken rules by attribute, in the order the model checks them.
pub(super) type Faults = Vec<(&'static str, Fault)>;

fn require(faults: &mut Faults, attribute: &'static str, value: Option<&str>) {
    if blank(value) {
        faults.push((attribute, Fault::Blank));
    }
}

fn require_one_of(faults: &mut Faults, attribute: &'static str, value: Option<&str>, list: &[&str]) {
    require(faults, attribute, value);
    if !value.is_some_and(|v| list.contains(&v)) {
        faults.push((attribute, Fault::NotInList));
    }
}

/// `tenant` is the schema the row lives in: only its own referrals need a consent file.
pub(super) fn referral_faults(referral: &Referral, tenant: &str) -> Faults {
    let mut faults = Faults::new();
    require(&mut faults, "client_name", Some(&referral.client_name));
    require(&mut faults, "client_global_id", Some(&referral.client_global_id));
    require(&mut faults, "referred_from", Some(&referral.referred_from));
    require(&mut faults, "referred_to", Some(&referral.referred_to));
    require(&mut faults, "referral_reason", Some(&referral.referral_reason));
    require(&mut faults, "name_of_referee", Some(&referral.name_of_referee));
    require(&mut faults, "referral_phone", Some(&referral.referral_phone));
    if !referral.slug.is_empty() && referral.referee_id.is_none() {
        faults.push(("referee_id", Fault::Blank));
    }
    require_one_of(
        &mut faults,
        "referral_status",
        Some(&referral.referral_status),
        &STATUSES,
    );
    require_one_of(
        &mut faults,
        "level_of_risk",
        referral.level_of_risk.as_deref(),
        &RISKS,
    );
    if referral.services.is_empty() {
        faults.push(("services", Fault::Blank));
    }
    if referral.referred_from == tenant && referral.consent_form.is_empty() {
        faults.push(("consent_form", Fault::Blank));
    }
    faults
}

/// The rules on the NGO's own record that a push can trip over (A2).
pub(super) fn client_faults(client: &Client) -> Faults {
    let mut faults = Faults::new();
    let gender = client.gender.as_deref();
    require(&mut faults, "gender", gender);
    // A blank gender is reported once, not twice (`known-child#83`).
    if !blank(gender) && !gender.is_some_and(|g| GENDERS.contains(&g)) {
        faults.push(("gender", Fault::NotInList));
    }
    if client.workers.is_empty() && client.status != "Exited" {
        faults.push(("user_ids", Fault::Blank));
    }
    if client.initial_referral_date.is_none() {
        faults.push(("initial_referral_date", Fault::Blank));
    }
    if client.received_by_id.is_none() {
        faults.push(("received_by_id", Fault::Blank));
    }
    if client.referral_source_category_id.is_none() {
        faults.push(("referral_source_category_id", Fault::Blank));
    }
    faults
}

impl Sim {
    /// `{field: [texts]}`.
    pub(super) fn messages(&self, schema: &str, model: &str, faults: &Faults) -> Value {
        let mut fields: Map<String, Value> = Map::new();
        for (attribute, fault) in faults {
            let texts = fields
                .entry((*attribute).to_owned())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(texts) = texts {
                texts.push(self.wording(schema, model, attribute, *fault).into());
            }
        }
        Value::Object(fields)
    }

    /// All faults as sentences joined by `. `, the way update_statuses reports them.
    pub(super) fn sentences(&self, schema: &str, model: &str, faults: &Faults) -> String {
        let sentence = |(attribute, fault): &(&'static str, Fault)| {
            let name = attribute.trim_end_matches("_id").replace('_', " ");
            let upper = name.get(..1).unwrap_or_default().to_uppercase();
            format!(
                "{upper}{} {}",
                name.get(1..).unwrap_or_default(),
                self.wording(schema, model, attribute, *fault)
            )
        };
        faults.iter().map(sentence).collect::<Vec<_>>().join(". ")
    }

    fn wording(&self, schema: &str, model: &str, attribute: &str, fault: Fault) -> String {
        let kind = match fault {
            Fault::Blank => "blank",
            Fault::NotInList => "inclusion",
        };
        if !self.is_warm(schema) {
            let key = format!("activerecord.errors.models.{model}.attributes.{attribute}.{kind}");
            return format!("translation missing: {}.{key}", self.locale);
        }
        let text = match (self.locale.as_str(), fault) {
            // Invented Khmer: that it is not English is the point (`oscar.md` 8.3).
            ("km", Fault::Blank) => "\u{1791}\u{1791}\u{17c1}",
            ("km", Fault::NotInList) => "\u{1798}\u{17b7}\u{1793}\u{1798}\u{17b6}\u{1793}",
            // A customised text (measured fact 9).
            (_, Fault::Blank) if (model, attribute) == ("client", "gender") => "Blank",
            (_, Fault::Blank) => "can't be blank",
            (_, Fault::NotInList) => "is not included in the list",
        };
        text.to_owned()
    }
}
