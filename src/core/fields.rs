//! Which field of Primero's forms carries what, and how a referral is written into them.
//!
//! Forms are configuration of each Primero site (primero.md §4), so every name outside Primero's own core can be
//! changed in `[primero.fields]`. An empty name means: this site has no such field, leave it out.

use super::ask::Fields;
use super::event::{Child, Decision, Destination, Private, Referral, Risk, Values};
use super::mapping::{Mapping, paired_name, primero_location, primero_risk, sex_word};
use super::record::{ServiceWork, Work};
use serde::Serialize;
use serde_json::{Value, json};

/// Configured field names; the defaults are those seen in the Cambodian jobs (primero.md §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldNames {
    pub name_first: String,
    pub name_last: String,
    pub sex: String,
    pub date_of_birth: String,
    pub location: String,
    pub risk_level: String,
    pub mosvy_number: String,
    pub oscar_number: String,
    pub oscar_short_id: String,
    pub consent_services: String,
    pub consent_disclosure: String,
    /// Who answers for the case, as the NGO is told, and the telephone.
    pub worker_name: String,
    pub worker_phone: String,
    /// Inside `services_section`.
    pub service_decision: String,
    pub service_oscar_referral: String,
    pub service_oscar_notes: String,
    pub service_organization: String,
    pub service_worker_name: String,
    pub service_worker_phone: String,
    pub service_details: String,
}

impl Default for FieldNames {
    fn default() -> FieldNames {
        FieldNames {
            name_first: "name_first".to_owned(),
            name_last: "name_last".to_owned(),
            sex: "sex".to_owned(),
            date_of_birth: "date_of_birth".to_owned(),
            location: "location_current".to_owned(),
            risk_level: "risk_level".to_owned(),
            mosvy_number: "mosvy_number".to_owned(),
            oscar_number: "oscar_number".to_owned(),
            oscar_short_id: "oscar_short_id".to_owned(),
            consent_services: "consent_for_services".to_owned(),
            consent_disclosure: "disclosure_other_orgs".to_owned(),
            worker_name: "owned_by".to_owned(),
            worker_phone: "owned_by_phone".to_owned(),
            service_decision: "referral_status_edf41f2".to_owned(),
            service_oscar_referral: "oscar_referral_id_a4ac8a5".to_owned(),
            service_oscar_notes: "referral_notes_from_oscar_2e787b8".to_owned(),
            service_organization: "oscar_referring_organization".to_owned(),
            service_worker_name: "oscar_case_worker_name".to_owned(),
            service_worker_phone: "oscar_case_worker_telephone".to_owned(),
            service_details: "service_type_details_text".to_owned(),
        }
    }
}

impl FieldNames {
    /// Each name with its key in `[primero.fields]`.
    pub fn by_key(&mut self) -> [(&'static str, &mut String); 20] {
        macro_rules! keyed {
            ($($key:ident,)*) => {{
                let FieldNames { $($key,)* } = self;
                [$((stringify!($key), $key),)*]
            }};
        }
        keyed! {
            name_first,
            name_last,
            sex,
            date_of_birth,
            location,
            risk_level,
            mosvy_number,
            oscar_number,
            oscar_short_id,
            consent_services,
            consent_disclosure,
            worker_name,
            worker_phone,
            service_decision,
            service_oscar_referral,
            service_oscar_notes,
            service_organization,
            service_worker_name,
            service_worker_phone,
            service_details,
        }
    }
}

/// What the talks need to know of this site.
#[derive(Debug)]
pub struct Site {
    pub mapping: Mapping,
    pub names: FieldNames,
    /// Without it Primero stores an empty case and calls it a success (primero.md §2.6).
    pub module_id: String,
}

impl Site {
    /// The fields worth reading from a case: as few bytes as the talks can do with.
    pub fn case_columns(&self) -> Vec<&str> {
        let n = &self.names;
        let columns = [
            "case_id",
            "short_id",
            "record_state",
            "module_id",
            "status",
            "services_section",
            "assigned_user_names",
            "name",
            &n.name_first,
            &n.name_last,
            &n.sex,
            &n.date_of_birth,
            &n.location,
            &n.risk_level,
            &n.mosvy_number,
            &n.oscar_number,
            &n.oscar_short_id,
            &n.consent_services,
            &n.consent_disclosure,
            &n.worker_name,
            &n.worker_phone,
        ];
        columns.into_iter().filter(|name| !name.is_empty()).collect()
    }

    /// A new case for a referral, without its services. Age is left to Primero (oscar.md §9.2 row 39).
    pub fn new_case(&self, referral: &Referral) -> Fields {
        let n = &self.names;
        let mut fields = self.bare_case(&referral.child, referral.risk_level.0);
        // A box is ticked or left alone: nobody has said no on the child's behalf.
        let consent = referral.consent;
        let ticks = [
            (&n.consent_services, consent.services),
            (&n.consent_disclosure, consent.disclosure_other_organizations),
        ];
        for (name, ticked) in ticks {
            put(&mut fields, name, ticked.then_some(Value::Bool(true)));
        }
        if referral.to == Destination::Primero {
            let owner = self.owner(&referral.child, referral.office_code.as_deref());
            put(&mut fields, "owned_by", owner.map(|user| json!(user)));
        }
        fields
    }

    /// What a new case says of the child itself.
    pub fn bare_case(&self, child: &Child, risk: Option<Risk>) -> Fields {
        let n = &self.names;
        let mut fields = Fields::new();
        fields.insert("module_id".to_owned(), json!(self.module_id));
        for (name, value) in self.child_values(child, risk) {
            fields.insert(name, json!(value.0));
        }
        put(
            &mut fields,
            &n.oscar_number,
            child.oscar_global_id.as_deref().map(|text| json!(text)),
        );
        fields
    }

    /// What is known of a child, in Primero's words: only what there is.
    pub fn child_values(&self, child: &Child, risk: Option<Risk>) -> Values {
        let n = &self.names;
        let place = child.location_code.0.as_deref().map(primero_location);
        let pairs = [
            (
                &n.name_first,
                script_pair(&child.local_given_name, &child.given_name),
            ),
            (
                &n.name_last,
                script_pair(&child.local_family_name, &child.family_name),
            ),
            (&n.sex, Some(sex_word(child.sex.0).to_owned())),
            (
                &n.date_of_birth,
                child.date_of_birth.0.map(|date| date.to_string()),
            ),
            (&n.location, place.map(str::to_owned)),
            (&n.risk_level, risk.map(|risk| primero_risk(risk).to_owned())),
            (&n.mosvy_number, child.mosvy_number.0.clone()),
        ];
        let known = pairs.into_iter().filter(|(name, _)| !name.is_empty());
        known
            .filter_map(|(name, value)| Some((name.clone(), Private(value?))))
            .collect()
    }

    /// Who owns a case made for an NGO's child: the manager of the child's province, or of the NGO's. For new cases
    /// only: setting an owner later takes the case from its worker (primero.md §9.21).
    pub fn owner(&self, child: &Child, office_code: Option<&str>) -> Option<&str> {
        let place = child.location_code.0.as_deref().or(office_code)?;
        self.mapping.province_user(place)
    }

    /// One service of the referral as an entry of `services_section`, under our own `unique_id`.
    pub fn service(&self, referral: &Referral, work: &ServiceWork, note: &str) -> Option<Fields> {
        let agency = self.mapping.agency(&referral.organization)?;
        let n = &self.names;
        let mut fields = Fields::new();
        fields.insert("unique_id".to_owned(), json!(work.unique_id));
        fields.insert(
            "service_type".to_owned(),
            json!(self.mapping.primero_type(&work.subtype)?),
        );
        fields.insert("service_subtype".to_owned(), json!([work.subtype]));
        put(
            &mut fields,
            &n.service_decision,
            Some(json!(self.mapping.pending_option())),
        );
        match referral.to {
            Destination::Oscar => {
                fields.insert(
                    "service_response_type".to_owned(),
                    json!(self.mapping.responses().to_oscar),
                );
                fields.insert("service_implementing_agency".to_owned(), json!(agency.agency));
                fields.insert(
                    "service_implementing_agency_individual".to_owned(),
                    json!(agency.user),
                );
                fields.insert("service_referral_notes".to_owned(), json!(note));
            }
            Destination::Primero => {
                let worker = &referral.case_worker;
                fields.insert(
                    "service_response_type".to_owned(),
                    json!(self.mapping.responses().from_oscar),
                );
                put(&mut fields, &n.service_oscar_notes, Some(json!(note)));
                put(&mut fields, &n.service_organization, Some(json!(agency.agency)));
                put(&mut fields, &n.service_worker_name, Some(json!(worker.name)));
                put(&mut fields, &n.service_worker_phone, Some(json!(worker.phone)));
                let number = work.oscar_referral.map(|number| json!(number.to_string()));
                put(&mut fields, &n.service_oscar_referral, number);
                let called = work.called.as_ref().map(|name| json!(name));
                put(&mut fields, &n.service_details, called);
            }
        }
        Some(fields)
    }

    /// What a service entry must say once OSCaR's side is known.
    pub fn service_write_back(&self, work: &Work, unique_id: &str) -> Fields {
        let mut fields = Fields::new();
        fields.insert("unique_id".to_owned(), json!(unique_id));
        let option = work
            .decision_of(unique_id)
            .map(|decision: Decision| json!(self.mapping.service_option(decision)));
        put(&mut fields, &self.names.service_decision, option);
        let ours = work
            .services
            .iter()
            .filter(|service| service.unique_id == unique_id);
        let numbers: Vec<String> = ours
            .filter_map(|service| service.oscar_referral)
            .map(|number| number.to_string())
            .collect();
        let number = (!numbers.is_empty()).then(|| json!(numbers.join(", ")));
        put(&mut fields, &self.names.service_oscar_referral, number);
        fields
    }
}

/// The text that goes with a referral: the readable tag, the office's own date (OSCaR stamps its own day of
/// delivery, oscar.md §3.2), then the reason.
pub fn reason_text(tag: &str, referral: &Referral) -> String {
    format!("[{tag}] {} {}", referral.referred_on, referral.reason.0)
}

/// Names of fields that were written and did not come back equal; `unique_id`s and values stay out of it.
pub fn differing(written: &Fields, read: &Fields) -> Vec<String> {
    let differs = |(name, value): (&String, &Value)| (read.get(name) != Some(value)).then(|| name.clone());
    written.iter().filter_map(differs).collect()
}

fn put(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let (false, Some(value)) = (name.is_empty(), value) {
        fields.insert(name.to_owned(), value);
    }
}

/// "Khmer (Latin)" when both scripts are known and differ (mapping/rules.md "Names").
fn script_pair(local: &Private<String>, latin: &Private<String>) -> Option<String> {
    paired_name(&local.0, &latin.0)
}

/// The name OSCaR gets: Latin where there is one, since local names cannot be sent (mapping/rules.md "Names").
pub fn oscar_names(child: &Child) -> (&str, &str) {
    let pick = |latin: &'_ Private<String>| !latin.0.is_empty();
    let given = if pick(&child.given_name) {
        &child.given_name.0
    } else {
        &child.local_given_name.0
    };
    let family = if pick(&child.family_name) {
        &child.family_name.0
    } else {
        &child.local_family_name.0
    };
    (given, family)
}
