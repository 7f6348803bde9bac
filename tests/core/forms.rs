//! What a site's forms and lookups leave room for, and what exactly is held up where they do not.

use referral_gateway::core::ask::Fields;
use referral_gateway::core::fields::{FieldNames, Site};
use referral_gateway::core::forms::{Form, Gap, Lookup, Needs, Reading, gap_for};
use referral_gateway::core::mapping::Mapping;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const MODULE: &str = "primeromodule-cp";

fn site() -> Site {
    Site {
        mapping: Mapping::built_in(),
        names: FieldNames::default(),
        module_id: MODULE.to_owned(),
    }
}

const SERVICES: [&str; 14] = [
    "service_type",
    "service_subtype",
    "service_response_type",
    "service_implementing_agency",
    "service_implementing_agency_individual",
    "service_referral_notes",
    "referral_status_edf41f2",
    "oscar_referral_id_a4ac8a5",
    "referral_notes_from_oscar_2e787b8",
    "oscar_referring_organization",
    "oscar_case_worker_name",
    "oscar_case_worker_telephone",
    "service_provider",
    "service_location",
];

const CASE: [&str; 12] = [
    "name_first",
    "name_last",
    "sex",
    "date_of_birth",
    "location_current",
    "risk_level",
    "mosvy_number",
    "oscar_number",
    "oscar_short_id",
    "consent_for_services",
    "disclosure_other_orgs",
    "age",
];

/// A complete site: identity, services with their subform, two lookups and one field with options of its own.
fn forms() -> Vec<Value> {
    let field = |name: &&str| match *name {
        "service_subtype" => json!({"name": name, "option_strings_source": "lookup lookup-service-subtype"}),
        "service_type" => json!({"name": name, "option_strings_source": "lookup lookup-service-type"}),
        "sex" => json!({"name": name, "option_strings_text":
            [{"id": "male"}, {"id": "female"}, {"id": "other"}, {"id": 3}]}),
        "service_implementing_agency" => json!({"name": name, "option_strings_source": "Agency"}),
        _ => json!({"name": name, "type": "text_field", "display_name": {"en": "x"}}),
    };
    let case: Vec<Value> = CASE.iter().map(field).collect();
    let services: Vec<Value> = SERVICES.iter().map(field).collect();
    let pointer = json!({"name": "services_section", "type": "subform", "subform_section_id": 77});
    vec![
        json!({"id": 77, "unique_id": "services_subform", "is_nested": true, "parent_form": "case", "fields": services}),
        json!({"id": 1, "unique_id": "identity", "parent_form": "case", "module_ids": [MODULE], "fields": case}),
        json!({"id": 2, "unique_id": "services", "parent_form": "case", "module_ids": [MODULE, "other"],
            "fields": [pointer]}),
    ]
}

fn lookups(mapping: &Mapping) -> Vec<Value> {
    let types = mapping
        .primero_services()
        .map(|service| json!({"id": service.kind}));
    let subtypes = mapping
        .primero_services()
        .map(|service| json!({"id": service.subtype}));
    vec![
        json!({"unique_id": "lookup-service-type", "values": types.collect::<Vec<_>>()}),
        json!({"unique_id": "lookup-service-subtype", "values": subtypes.collect::<Vec<_>>()}),
    ]
}

fn gaps_of(forms: Vec<Value>, lookups: Vec<Value>, rights: Option<&[(&str, &str)]>) -> Option<Vec<Gap>> {
    let needs = Needs::of(&site());
    let mut reading = Reading::new(&needs, MODULE);
    if let Some(pairs) = rights {
        let pairs = pairs
            .iter()
            .map(|(form, right)| ((*form).to_owned(), (*right).to_owned()));
        reading.rights(&pairs.collect::<BTreeMap<_, _>>());
    }
    for form in forms {
        reading.form(serde_json::from_value::<Form>(form).expect("a form"));
    }
    for lookup in lookups {
        reading.lookup(&serde_json::from_value::<Lookup>(lookup).expect("a lookup"));
    }
    reading.gaps()
}

fn words(gaps: Option<Vec<Gap>>) -> Vec<String> {
    gaps.expect("a list of forms")
        .iter()
        .map(ToString::to_string)
        .collect()
}

const BOTH: &[(&str, &str)] = &[("identity", "rw"), ("services", "rw")];

#[test]
fn a_complete_site_has_no_gap_whether_or_not_the_role_is_known() {
    let all = || lookups(&Mapping::built_in());
    assert_eq!(gaps_of(forms(), all(), None), Some(Vec::new()));
    assert_eq!(gaps_of(forms(), all(), Some(BOTH)), Some(Vec::new()));
}

#[test]
fn each_lack_is_named_by_field_and_lookup() {
    let all = || lookups(&Mapping::built_in());
    // A field that is on no form; one that is on a form of another module only.
    let mut without = forms();
    without[1]["fields"]
        .as_array_mut()
        .unwrap()
        .retain(|field| field["name"] != "risk_level");
    without.push(
        json!({"id": 9, "unique_id": "gbv", "parent_form": "case", "module_ids": ["primeromodule-gbv"],
        "fields": [{"name": "risk_level"}]}),
    );
    without.push(
        json!({"id": 10, "unique_id": "incident", "parent_form": "incident", "module_ids": [MODULE],
        "fields": [{"name": "risk_level"}]}),
    );
    assert_eq!(
        words(gaps_of(without, all(), None)),
        ["no form has the field risk_level"]
    );
    // A form the role may only read, and one it does not have.
    for rights in [
        &[("identity", "rw"), ("services", "r")][..],
        &[("identity", "rw")],
    ] {
        let said = words(gaps_of(forms(), all(), Some(rights)));
        assert_eq!(
            said,
            ["the gateway's role may not write the field services_section"]
        );
    }
    // An option that is missing, one that is disabled, and a lookup that is not there.
    let mut lookups = all();
    let values = lookups[1]["values"].as_array_mut().unwrap();
    values.retain(|value| value["id"] != "counselling_trauma");
    values
        .iter_mut()
        .find(|value| value["id"] == "counselling_family")
        .unwrap()["disabled"] = json!(true);
    let said = words(gaps_of(forms(), lookups, None));
    assert_eq!(
        said,
        [
            "lookup-service-subtype has no option counselling_family (field service_subtype)",
            "lookup-service-subtype has no option counselling_trauma (field service_subtype)",
        ]
    );
    let said = words(gaps_of(forms(), all().split_off(1), None));
    assert_eq!(said.len(), 13, "every service type: {said:?}");
}

#[test]
fn a_subform_that_nothing_points_to_does_not_count() {
    let mut forms = forms();
    forms[2]["fields"][0]["subform_section_id"] = json!(78);
    let said = words(gaps_of(forms, lookups(&Mapping::built_in()), None));
    assert_eq!(said.len(), 12, "every field of a service: {said:?}");
}

#[test]
fn an_answer_that_is_no_list_of_forms_proves_nothing() {
    assert_eq!(gaps_of(Vec::new(), Vec::new(), None), None);
    let stranger = json!({"id": 1, "unique_id": "x", "fields": [{"name": "unknown"}]});
    assert_eq!(gaps_of(vec![stranger], Vec::new(), None), None);
}

#[test]
fn only_what_would_be_written_is_held_up() {
    let mut lookups = lookups(&Mapping::built_in());
    lookups[1]["values"]
        .as_array_mut()
        .unwrap()
        .retain(|value| value["id"] != "counselling_trauma");
    let gaps = gaps_of(forms(), lookups, None).expect("read");
    let case = |services: Value| -> Fields {
        serde_json::from_value(json!({"name_first": "x", "services_section": services})).expect("an object")
    };
    for (services, held) in [
        (json!([{"service_subtype": ["counselling_trauma"]}]), true),
        (
            json!([{"service_subtype": ["counselling_family"]}, {"service_subtype": ["counselling_trauma"]}]),
            true,
        ),
        (json!([{"service_subtype": ["counselling_family"]}]), false),
        (json!([{"service_referral_notes": "counselling_trauma"}]), false),
        (json!([]), false),
    ] {
        assert_eq!(
            gap_for(&gaps, &case(services.clone())).is_some(),
            held,
            "{services}"
        );
    }
}

#[test]
fn a_field_that_this_site_is_configured_without_is_not_looked_for() {
    let mut site = site();
    site.names.mosvy_number = String::new();
    let needs = Needs::of(&site);
    let mut reading = Reading::new(&needs, MODULE);
    for mut form in forms() {
        let fields = form["fields"].as_array_mut().unwrap();
        fields.retain(|field| field["name"] != "mosvy_number");
        reading.form(serde_json::from_value(form).expect("a form"));
    }
    for lookup in lookups(&site.mapping) {
        reading.lookup(&serde_json::from_value(lookup).expect("a lookup"));
    }
    assert_eq!(reading.gaps(), Some(Vec::new()));
}
