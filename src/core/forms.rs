//! Whether this Primero can take what the flows write: every field on a form of the gateway's role, every option in its
//! lookup (primero.md §6). Primero drops what it does not know without a word (primero-measured.md fact 9), so it is
//! asked beforehand, and only the events that would write what is missing are held up.
//!
//! The list of forms is the same for every role; what the role may write stands in its user's own record (read in
//! Primero's source at 2.15.2.1: the documentation says the list depends on the role).

use super::ask::Fields;
use super::event::{Decision, Risk, Sex};
use super::fields::Site;
use super::mapping::{primero_risk, sex_word};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The subform that holds the services.
const SERVICES: &str = "services_section";

/// Something this Primero lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub field: String,
    pub lack: Lack,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// On no form of cases.
    Field,
    /// On forms the gateway's role may read at most.
    Right,
    /// Not among the options; `from` is the lookup, or the field's own list.
    Option { id: String, from: String },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match &self.lack {
            Lack::Field => write!(f, "no form has the field {field}"),
            Lack::Right => write!(f, "the gateway's role may not write the field {field}"),
            Lack::Option { id, from } => write!(f, "{from} has no option {id} (field {field})"),
        }
    }
}

/// The first gap that a case written with these fields would fall into, its services among them.
pub fn gap_for<'g>(gaps: &'g [Gap], fields: &Fields) -> Option<&'g Gap> {
    let services = fields.get(SERVICES).and_then(Value::as_array);
    let services = services.into_iter().flatten().filter_map(Value::as_object);
    std::iter::once(fields)
        .chain(services)
        .find_map(|fields| gaps.iter().find(|gap| gap.stops(fields)))
}

impl Gap {
    fn stops(&self, fields: &Fields) -> bool {
        let Some(value) = fields.get(&self.field) else {
            return false;
        };
        match (&self.lack, value) {
            (Lack::Field | Lack::Right, _) => true,
            (Lack::Option { id, .. }, Value::Array(list)) => list.iter().any(|one| one == id),
            (Lack::Option { id, .. }, value) => value == id,
        }
    }
}

/// A field the flows write, and the options they write into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Need {
    field: String,
    /// Inside the services.
    inner: bool,
    options: Vec<String>,
}

/// Everything the flows may write at this site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needs(Vec<Need>);

impl Needs {
    pub fn of(site: &Site) -> Needs {
        let (n, mapping) = (&site.names, &site.mapping);
        let mut needs = Vec::new();
        let mut need = |inner: bool, field: &str, options: Vec<&str>| {
            if !field.is_empty() {
                let mut options: Vec<String> = options.into_iter().map(str::to_owned).collect();
                options.sort_unstable();
                options.dedup();
                needs.push(Need {
                    field: field.to_owned(),
                    inner,
                    options,
                });
            }
        };
        for field in [
            SERVICES,
            &n.name_first,
            &n.name_last,
            &n.date_of_birth,
            &n.location,
            &n.mosvy_number,
            &n.oscar_number,
            &n.oscar_short_id,
            &n.consent_services,
            &n.consent_disclosure,
        ] {
            need(false, field, Vec::new());
        }
        let sexes = [Sex::Female, Sex::Male, Sex::Other];
        need(false, &n.sex, sexes.map(sex_word).to_vec());
        let risks = [Risk::High, Risk::Medium, Risk::Low, Risk::NoAction];
        need(false, &n.risk_level, risks.map(primero_risk).to_vec());
        let services = || mapping.primero_services();
        need(
            true,
            "service_type",
            services().map(|service| service.kind).collect(),
        );
        need(
            true,
            "service_subtype",
            services().map(|service| service.subtype).collect(),
        );
        let responses = mapping.responses();
        need(
            true,
            "service_response_type",
            vec![&responses.to_oscar, &responses.from_oscar],
        );
        let decisions = [Decision::Accepted, Decision::Rejected];
        let mut options = decisions
            .map(|decision| mapping.service_option(decision))
            .to_vec();
        options.push(mapping.pending_option());
        need(true, &n.service_decision, options);
        for field in [
            "service_implementing_agency",
            "service_implementing_agency_individual",
            "service_referral_notes",
            &n.service_oscar_referral,
            &n.service_oscar_notes,
            &n.service_organization,
            &n.service_worker_name,
            &n.service_worker_phone,
        ] {
            need(true, field, Vec::new());
        }
        Needs(needs)
    }

    fn wants(&self, field: &str, inner: bool) -> bool {
        self.0
            .iter()
            .any(|need| need.inner == inner && need.field == field)
    }

    fn wants_option(&self, id: &str) -> bool {
        self.0
            .iter()
            .any(|need| need.options.iter().any(|option| option == id))
    }
}

/// One form of `GET /api/v2/forms`, as far as it matters. A subform is a form of its own, `is_nested`, to which a field
/// of another form points.
#[derive(Debug, Deserialize)]
pub struct Form {
    pub id: i64,
    pub unique_id: String,
    #[serde(default)]
    pub parent_form: String,
    #[serde(default)]
    pub is_nested: bool,
    #[serde(default)]
    pub module_ids: Vec<String>,
    #[serde(default)]
    pub fields: Vec<FormField>,
}

#[derive(Debug, Deserialize)]
pub struct FormField {
    pub name: String,
    /// `lookup lookup-gender`, `Agency`, `Location`, ... or nothing.
    pub option_strings_source: Option<String>,
    /// The field's own options, where it has no lookup.
    pub option_strings_text: Option<Vec<Choice>>,
    pub subform_section_id: Option<i64>,
}

/// One lookup of `GET /api/v2/lookups`.
#[derive(Debug, Deserialize)]
pub struct Lookup {
    pub unique_id: String,
    #[serde(default)]
    pub values: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
pub struct Choice {
    pub id: Value,
    #[serde(default)]
    pub disabled: bool,
}

/// What has been read of a site so far: needed names and options only, so that memory does not grow with the site.
#[derive(Debug)]
pub struct Reading<'a> {
    needs: &'a Needs,
    module: &'a str,
    /// The forms the role may write; nothing where Primero does not say.
    open: Option<BTreeSet<String>>,
    fields: Vec<Seen>,
    /// Subforms that hold the services.
    services: BTreeSet<i64>,
    lookups: BTreeMap<String, BTreeSet<String>>,
    forms: u32,
}

/// A needed field on one form.
#[derive(Debug)]
struct Seen {
    field: String,
    /// The subform it stands in.
    inside: Option<i64>,
    writable: bool,
    from: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Anything,
    Lookup(String),
    Own(BTreeSet<String>),
}

impl<'a> Reading<'a> {
    pub fn new(needs: &'a Needs, module: &'a str) -> Reading<'a> {
        Reading {
            needs,
            module,
            open: None,
            fields: Vec::new(),
            services: BTreeSet::new(),
            lookups: BTreeMap::new(),
            forms: 0,
        }
    }

    /// The role's right at each form, `rw` or `r`. To be said before the forms are read.
    pub fn rights(&mut self, rights: &BTreeMap<String, String>) {
        let open = rights.iter().filter(|(_, right)| *right == "rw");
        self.open = Some(open.map(|(form, _)| form.clone()).collect());
    }

    pub fn form(&mut self, form: Form) {
        self.forms += 1;
        let ours = form.is_nested
            || form.module_ids.is_empty()
            || form.module_ids.iter().any(|id| id == self.module);
        if !ours || !(form.parent_form.is_empty() || form.parent_form == "case") {
            return;
        }
        let right = |open: &BTreeSet<String>| open.contains(&form.unique_id);
        // What a subform's fields may is decided by the form that shows it.
        let writable = form.is_nested || self.open.as_ref().is_none_or(right);
        for field in form.fields {
            if !self.needs.wants(&field.name, form.is_nested) {
                continue;
            }
            if field.name == SERVICES {
                self.services.extend(field.subform_section_id);
            }
            self.fields.push(Seen {
                from: self.options(&field),
                field: field.name,
                inside: form.is_nested.then_some(form.id),
                writable,
            });
        }
    }

    fn options(&self, field: &FormField) -> Source {
        let source = field.option_strings_source.as_deref().unwrap_or_default();
        match (source.strip_prefix("lookup "), &field.option_strings_text) {
            (Some(lookup), _) => Source::Lookup(lookup.trim().to_owned()),
            (None, Some(own)) if source.is_empty() && !own.is_empty() => Source::Own(self.needed(own)),
            (None, _) => Source::Anything,
        }
    }

    fn needed(&self, choices: &[Choice]) -> BTreeSet<String> {
        let ids = choices
            .iter()
            .filter(|choice| !choice.disabled)
            .filter_map(|choice| choice.id.as_str());
        ids.filter(|id| self.needs.wants_option(id))
            .map(str::to_owned)
            .collect()
    }

    pub fn lookup(&mut self, lookup: &Lookup) {
        let ids = self.needed(&lookup.values);
        self.lookups.insert(lookup.unique_id.clone(), ids);
    }

    /// What is missing; nothing at all if what was read is no list of forms, which proves nothing about the site.
    pub fn gaps(&self) -> Option<Vec<Gap>> {
        if self.forms == 0 || self.fields.is_empty() {
            return None;
        }
        Some(self.needs.0.iter().flat_map(|need| self.gaps_of(need)).collect())
    }

    fn gaps_of(&self, need: &Need) -> Vec<Gap> {
        let gap = |lack| Gap {
            field: need.field.clone(),
            lack,
        };
        let here = |seen: &&Seen| {
            seen.field == need.field
                && match seen.inside {
                    None => !need.inner,
                    Some(subform) => need.inner && self.services.contains(&subform),
                }
        };
        let seen: Vec<&Seen> = self.fields.iter().filter(here).collect();
        if seen.is_empty() {
            return vec![gap(Lack::Field)];
        }
        let writable: Vec<&&Seen> = seen.iter().filter(|seen| seen.writable).collect();
        if writable.is_empty() {
            return vec![gap(Lack::Right)];
        }
        let has = |seen: &Seen, id: &String| match &seen.from {
            Source::Anything => true,
            Source::Own(ids) => ids.contains(id),
            Source::Lookup(name) => self.lookups.get(name).is_some_and(|ids| ids.contains(id)),
        };
        let missing = need
            .options
            .iter()
            .filter(|id| !writable.iter().any(|seen| has(seen, id)));
        missing
            .map(|id| {
                let from = match &writable[0].from {
                    Source::Lookup(name) => name.clone(),
                    Source::Own(_) | Source::Anything => "the form".to_owned(),
                };
                gap(Lack::Option { id: id.clone(), from })
            })
            .collect()
    }
}
