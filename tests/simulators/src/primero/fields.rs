//! The case fields of Primero's default CP seed that matter here, plus Cambodia's (primero.md 4).

use super::config::Field;
use super::config::Kind::{Date, DateTime, Derived, Multi, Numeric, Open, Select, Subform, Text, Tick};

/// Fields shown to a role with dashboards only.
pub const DASHBOARD: [&str; 9] = [
    "flagged",
    "flag_count",
    "referred_users",
    "referred_users_pending",
    "referred_users_accepted",
    "referred_users_present",
    "referred_users_pending_present",
    "referred_users_accepted_present",
    "transferred_to_users",
];

/// `fields=short` (primero-measured.md; `referrals#43`).
pub const SHORT: [&str; 19] = [
    "age",
    "sex",
    "status",
    "owned_by",
    "short_id",
    "workflow",
    "module_id",
    "created_at",
    "case_id_display",
    "registration_date",
    "owned_by_agency_id",
    "oscar_number",
    "record_in_scope",
    "name",
    "flag_count",
    "alert_count",
    "photo",
    "photos",
    "last_updated_at",
];

/// Identifiers searched by `query` (primero.md 2.1).
pub const SEARCHED_IDS: [&str; 6] = [
    "unique_identifier",
    "short_id",
    "case_id_display",
    "case_id",
    "oscar_number",
    "national_id_no",
];

/// All case fields.
pub fn case_fields() -> Vec<Field> {
    let mut fields = core();
    fields.extend(identity());
    fields.extend(derived());
    fields.push(Field::on("services", "services_section", Subform(services())));
    fields.push(Field::on("notes", "notes_section", Subform(notes())));
    fields
}

fn core() -> Vec<Field> {
    vec![
        Field::on("", "module_id", Open).core(),
        Field::on("", "status", Select("lookup-case-status")).core(),
        Field::on("", "record_state", Tick).core(),
        Field::on("", "owned_by", Open).core(),
        Field::on("", "owned_by_phone", Text).core(),
        Field::on("", "created_at", DateTime).core(),
        Field::on("", "registration_date", Date).any_module(),
        Field::on("", "date_closure", Date).any_module(),
        Field::on("basic_identity", "workflow", Select("lookup-workflow")).any_module(),
    ]
}

fn identity() -> Vec<Field> {
    let basic = |name, kind| Field::on("basic_identity", name, kind);
    let consent = |name| Field::on("consent", name, Tick).any_module();
    let oscar = |name, kind| Field::on("oscar_form", name, kind);
    vec![
        basic("case_id", Text).identifier(),
        basic("case_id_display", Text).identifier().any_module(),
        basic("name", Text),
        basic("name_first", Text),
        basic("name_middle", Text),
        basic("name_last", Text),
        basic("name_nickname", Text),
        basic("hidden_name", Tick),
        basic("name_given_local", Text),
        basic("name_last_local", Text),
        basic("sex", Select("lookup-gender")).any_module(),
        basic("age", Numeric).any_module(),
        basic("estimated", Tick),
        basic("date_of_birth", Date).any_module(),
        basic("national_id_no", Text).identifier(),
        basic("nationality", Multi("lookup-nationality")),
        basic("location_current", Open).any_module(),
        basic("address_current", Text),
        basic("telephone_current", Text),
        Field::on("basic_identity", "risk_level", Select("lookup-risk-level")).any_module(),
        Field::on(
            "protection_concern",
            "protection_concerns",
            Multi("lookup-protection-concerns"),
        ),
        consent("consent_for_services"),
        consent("disclosure_other_orgs"),
        oscar("oscar_number", Text).identifier(),
        oscar("oscar_short_id", Text),
        oscar("mosvy_number", Text),
        oscar("oscar_status", Text),
        oscar("oscar_reason_for_exiting", Text),
        oscar("oscar_number_of_referrals", Numeric),
    ]
}

fn derived() -> Vec<Field> {
    let mut fields: Vec<Field> = [
        "short_id",
        "case_type",
        "has_photo",
        "created_by",
        "has_incidents",
        "reopened_logs",
        "last_updated_at",
        "last_updated_by",
        "owned_by_groups",
        "owned_by_agency_id",
        "current_alert_types",
        "not_edited_by_owner",
        "created_organization",
        "associated_user_names",
        "assigned_user_names",
        "previously_owned_by",
        "previously_owned_by_agency",
        "service_implemented_day_times",
        "sync_status",
        "synced_at",
    ]
    .into_iter()
    .map(|name| Field::on("", name, Derived).any_module())
    .collect();
    fields.push(Field::on("cp_case_plan", "has_case_plan", Derived));
    fields.extend(
        DASHBOARD
            .into_iter()
            .map(|name| Field::on("", name, Derived).any_module()),
    );
    fields
}

/// Keys a full record always shows, what they are when nothing is stored, and whether under any module.
pub const ALWAYS_SHOWN: [(&str, &str, bool); 10] = [
    ("name", "null", false),
    ("family_id", "null", true),
    ("family_number", "null", false),
    ("family_details_section", "[]", false),
    ("photo", "null", true),
    ("upload_bid_document", "[]", false),
    ("other_documents", "[]", false),
    ("photos", "[]", true),
    ("recorded_audio", "[]", true),
    ("incident_details", "[]", false),
];

fn notes() -> Vec<Field> {
    let note = |name, kind| Field::on("notes", name, kind);
    vec![
        note("note_date", DateTime),
        note("note_subject", Text),
        note("note_text", Text),
    ]
}

/// `services_section` (primero.md 4).
fn services() -> Vec<Field> {
    let service = |name, kind| Field::on("services", name, kind);
    vec![
        service("service_response_type", Select("lookup-service-response-type")),
        service("service_type", Select("lookup-service-type")),
        service("service_subtype", Multi("lookup-service-subtype")),
        service("service_type_text", Text),
        service("service_type_details_text", Text),
        service("service_response_day_time", DateTime),
        service(
            "service_response_timeframe",
            Select("lookup-service-response-timeframe"),
        ),
        service("service_appointment_date", Date),
        service("service_implementing_agency", Open),
        service("service_implementing_agency_individual", Open),
        service("service_provider", Text),
        service("service_delivery_location", Open),
        service("service_location", Text),
        service("service_status_referred", Tick),
        service("service_referral_notes", Text),
        service("service_implemented", Select("lookup-service-implemented")),
        service("service_implemented_day_time", DateTime),
        service("note_on_referral_from_provider", Text),
        service("referral_status_edf41f2", Select("lookup-referral-status")),
        service("oscar_referral_id_a4ac8a5", Text),
        service("referral_notes_from_oscar_2e787b8", Text),
        service("oscar_referring_organization", Text),
        service("oscar_case_worker_name", Text),
        service("oscar_case_worker_telephone", Text),
    ]
}
