//! Two installations: the one the recordings were made on, and one with Cambodia's lookups.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::config::{Config, Role, Scope, User};
use super::fields;

/// Password of every user of [`Config::recorded`]; a throwaway of the recording machine.
const RECORDED_PASSWORD: &str = "S3cret-pass!";

/// Cambodia's agencies, province managers and service lookups, cut from the project's mapping.
const CAMBODIA: &str = include_str!("../../data/cambodia.json");

/// The group all office staff of [`Config::cambodia`] are in.
const OFFICE: &str = "usergroup-office";

/// What a gateway's role may do (primero.md 6); nothing more.
const GATEWAY: [&str; 6] = ["read", "write", "create", "referral", "receive_referral", "flag"];

/// What the seed's CP case worker may do, as far as it matters here.
const WORKER: [&str; 10] = [
    "read",
    "write",
    "create",
    "flag",
    "request_approval_case_plan",
    "request_approval_closure",
    "referral_from_service",
    "referral",
    "receive_referral",
    "remove_assigned_users",
];

fn role(name: &str, scope: Scope, permissions: &[&str]) -> Role {
    Role {
        name: name.to_string(),
        scope,
        permissions: permissions.iter().map(|p| p.to_string()).collect(),
        forms: None,
        read_only: BTreeSet::new(),
        system: false,
        dashboard: false,
    }
}

fn user(id: u64, name: &str, password: &str, agency: &str, group: &str, role: &str) -> User {
    User {
        id,
        user_name: name.to_string(),
        full_name: capitalised(name),
        password: password.to_string(),
        agency: agency.to_string(),
        groups: vec![group.to_string()],
        role: role.to_string(),
        disabled: false,
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

fn lookups(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(name, ids)| (name.to_string(), ids.iter().map(|id| id.to_string()).collect()))
        .collect()
}

fn seed_lookups() -> BTreeMap<String, Vec<String>> {
    lookups(&[
        (
            "lookup-case-status",
            &["open", "closed", "transferred", "identified", "duplicate"],
        ),
        // A client's workflow was refused each time (services-patch-2#3, #6); it follows the services.
        (
            "lookup-workflow",
            &["new", "reopened", "case_plan", "services_implemented", "closed"],
        ),
        ("lookup-gender", &["male", "female", "other"]),
        (
            "lookup-nationality",
            &["nationality1", "nationality2", "cambodian"],
        ),
        ("lookup-risk-level", &["high", "medium", "low", "no_action"]),
        (
            "lookup-protection-concerns",
            &["unaccompanied", "separated", "child_labour", "trafficked"],
        ),
        ("lookup-service-implemented", &["implemented", "not_implemented"]),
        (
            "lookup-service-response-timeframe",
            &["1_hour", "3_hours", "1_day", "3_days"],
        ),
        (
            "lookup-service-type",
            &[
                "safehouse_service",
                "health_medical_service",
                "psychosocial_service",
                "police_other_service",
                "legal_assistance_service",
                "livelihoods_service",
                "child_protection_service",
                "family_mediation_service",
                "education_service",
            ],
        ),
        ("lookup-service-subtype", &["sub_a", "sub_b"]),
        (
            "lookup-service-response-type",
            &[
                "care_plan",
                "action_plan",
                "service_provision",
                "referral_to_oscar",
                "referral_from_oscar",
                "service_being_provided_by_oscar_partner_47618",
            ],
        ),
        (
            "lookup-referral-status",
            &["pending_310366", "accepted_340953", "rejected_936484"],
        ),
    ])
}

/// The seed's lookups, those of services and referral status replaced by the mapping's.
fn cambodian_lookups(data: &Value) -> BTreeMap<String, Vec<String>> {
    let strings = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str())
            .map(str::to_string)
            .collect()
    };
    let types = data["service_types"]
        .as_object()
        .expect("the embedded mapping lists service types");
    let mut responses = vec![
        "care_plan".to_string(),
        "action_plan".to_string(),
        "service_provision".to_string(),
    ];
    responses.extend(strings(&data["service_response_types"]));
    let mut lookups = seed_lookups();
    lookups.insert("lookup-service-type".to_string(), types.keys().cloned().collect());
    lookups.insert(
        "lookup-service-subtype".to_string(),
        types.values().flat_map(strings).collect(),
    );
    lookups.insert(
        "lookup-referral-status".to_string(),
        strings(&data["referral_status"]),
    );
    lookups.insert("lookup-service-response-type".to_string(), responses);
    lookups
}

impl Config {
    /// The server the recordings were made on (primero-measured.md, "How far this is the real thing").
    pub fn recorded() -> Config {
        let integration: Vec<&str> = ["transfer", "assign", "consent_override", "enable_disable_record"]
            .into_iter()
            .chain(GATEWAY.into_iter().filter(|p| *p != "flag"))
            .collect();
        let mut worker = role("role-cp-case-worker", Scope::Own, &WORKER);
        worker.dashboard = true;
        let mut limited = role("role-limited", Scope::All, &["read", "write", "create"]);
        limited.forms = Some(
            ["basic_identity", "consent"]
                .iter()
                .map(|form| form.to_string())
                .collect(),
        );
        let mut system = role("role-system", Scope::All, &integration);
        system.system = true;
        let cp =
            |id, name, agency, role| user(id, name, RECORDED_PASSWORD, agency, "usergroup-primero-cp", role);
        let mut disabled = cp(20, "disabled_user", "UNICEF", "role-cp-case-worker");
        disabled.disabled = true;
        let mut administrator = cp(1, "primero_cp_ar", "UNICEF", "role-cp-case-worker");
        administrator.password = "primer0!".to_string();
        Config {
            seed: 1,
            users: vec![
                administrator,
                cp(12, "interop", "UNICEF", "role-integration"),
                cp(13, "interop2", "agency-cif", "role-integration"),
                cp(14, "worker_a", "UNICEF", "role-cp-case-worker"),
                cp(15, "worker_b", "UNICEF", "role-cp-case-worker"),
                cp(16, "worker_cif", "agency-cif", "role-cp-case-worker"),
                cp(17, "readonly", "UNICEF", "role-read-only"),
                cp(18, "limited", "UNICEF", "role-limited"),
                cp(19, "sysuser", "UNICEF", "role-system"),
                disabled,
            ],
            roles: vec![
                role("role-integration", Scope::All, &integration),
                worker,
                role("role-read-only", Scope::All, &["read"]),
                limited,
                system,
            ],
            agencies: vec!["UNICEF".to_string(), "agency-cif".to_string()],
            fields: fields::case_fields(),
            lookups: seed_lookups(),
            bulk: 0,
        }
    }

    /// An office in Cambodia: the gateway's user with the role of primero.md 6, two case workers, the NGOs'
    /// users and the province managers of the mapping, all in the office's group and with the gateway's
    /// password, and an `outsider` in another group. Service lookups are those of the mapping.
    pub fn cambodia(gateway_user: &str, password: &str) -> Config {
        let data: Value = serde_json::from_str(CAMBODIA).expect("the embedded mapping is JSON");
        let ministry = "agency-mosvy";
        let mut users = vec![
            user(1, gateway_user, password, ministry, OFFICE, "role-gateway"),
            user(2, "worker", password, ministry, OFFICE, "role-cp-case-worker"),
            user(3, "worker-two", password, ministry, OFFICE, "role-cp-case-worker"),
            user(
                4,
                "outsider",
                password,
                ministry,
                "usergroup-elsewhere",
                "role-cp-case-worker",
            ),
        ];
        let mut agencies = vec![ministry.to_string()];
        for entry in data["agencies"].as_array().into_iter().flatten() {
            let (agency, name) = (entry["agency"].as_str(), entry["user"].as_str());
            let (Some(agency), Some(name)) = (agency, name) else {
                continue;
            };
            users.push(user(
                100 + users.len() as u64,
                name,
                password,
                agency,
                OFFICE,
                "role-cp-case-worker",
            ));
            agencies.push(agency.to_string());
        }
        for entry in data["provinces"].as_array().into_iter().flatten() {
            let Some(name) = entry["user"].as_str() else {
                continue;
            };
            users.push(user(
                100 + users.len() as u64,
                name,
                password,
                ministry,
                OFFICE,
                "role-province",
            ));
        }
        Config {
            seed: 1,
            users,
            roles: vec![
                role("role-gateway", Scope::Group, &GATEWAY),
                role("role-cp-case-worker", Scope::Own, &WORKER),
                role("role-province", Scope::Group, &WORKER),
            ],
            agencies,
            fields: fields::case_fields(),
            lookups: cambodian_lookups(&data),
            bulk: 0,
        }
    }

    /// The same installation with another seed for ids and ties.
    pub fn with_seed(mut self, seed: u64) -> Config {
        self.seed = seed;
        self
    }
}
