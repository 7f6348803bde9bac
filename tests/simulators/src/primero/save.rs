//! What Primero does by itself whenever a case is saved (primero.md 2.9, 2.10 and 4).

use serde_json::{Value, json};

use super::config::Kind;
use super::merge::changed;
use super::state::{Alert, Caller, Case, Data, Sim, strings, text};

/// Forms that raise an alert when somebody else than the owner changes them (system settings of the seed).
const ALERTING: [(&str, &str); 3] = [
    ("notes_section", "notes"),
    ("incident_details", "incident_details_container"),
    ("services_section", "services"),
];

impl Sim {
    /// The state a write starts from: the stored one, unless the race is on and another write of the case
    /// began a moment ago.
    pub(super) fn base(&mut self, id: &str) -> Data {
        let (now, window) = (self.now(), self.switches.race_window);
        let Some(case) = self.cases.get_mut(id) else {
            return Data::new();
        };
        if let Some((at, snapshot)) = &case.before_last_write
            && (now - *at).abs() < window
        {
            return snapshot.clone();
        }
        case.before_last_write = Some((now, case.data.clone()));
        case.data.clone()
    }

    /// Save a case: side effects, stamp, store. Returns what differs from `before`. Without an `actor` (an
    /// accepted referral) `last_updated_by` stays (primero.md 2.10).
    pub(super) fn save(&mut self, id: &str, before: &Data, mut data: Data, actor: Option<&Caller>) -> Data {
        let new = !self.cases.contains_key(id);
        self.complete_subforms(&mut data);
        settle_services(&mut data);
        self.settle_owner(before, &mut data, new);
        self.settle_status(before, &mut data, actor);
        settle_name(before, &mut data);
        if let Some(actor) = actor {
            data.insert("last_updated_by".to_string(), actor.user.user_name.clone().into());
            if !new {
                data.insert(
                    "last_updated_by_full_name".to_string(),
                    actor.user.full_name.clone().into(),
                );
                data.insert(
                    "last_updated_organization".to_string(),
                    actor.user.agency.clone().into(),
                );
            }
        }
        let foreign = data.get("last_updated_by") != data.get("owned_by");
        data.insert("not_edited_by_owner".to_string(), foreign.into());
        self.settle_referrals(id, &mut data);
        self.settle_associates(&mut data);
        let mut alerts = self
            .cases
            .get(id)
            .map(|case| case.alerts.clone())
            .unwrap_or_default();
        if actor.is_some() {
            settle_alerts(before, &data, foreign, &mut alerts);
        }
        let mut kinds: Vec<&str> = Vec::new();
        for alert in &alerts {
            if !kinds.contains(&alert.kind) {
                kinds.push(alert.kind);
            }
        }
        data.insert("current_alert_types".to_string(), json!(kinds));
        let stamp = self.stamp();
        data.insert("last_updated_at".to_string(), stamp.into());
        let difference = changed(before, &data);
        self.store(id, data, alerts);
        difference
    }

    fn store(&mut self, id: &str, data: Data, alerts: Vec<Alert>) {
        self.touched.insert(id.to_string());
        let now = self.now();
        let hidden = self.switches.commit_delay + self.switches.index_lag;
        let old = self.cases.remove(id);
        let stale = (!hidden.is_zero()).then(|| {
            let shown = match &old {
                Some(case) => match &case.stale {
                    // An older write is still hidden: lists go on showing what they show.
                    Some((until, shown)) if *until > now => shown.clone(),
                    _ => Some(case.data.clone()),
                },
                None => None,
            };
            (now + hidden, shown)
        });
        let before_last_write = old.and_then(|case| case.before_last_write);
        self.cases.insert(
            id.to_string(),
            Case {
                data,
                alerts,
                stale,
                before_last_write,
            },
        );
    }

    /// Entries of subforms without an id get one.
    fn complete_subforms(&mut self, data: &mut Data) {
        let subforms: Vec<&str> = self
            .config
            .fields
            .iter()
            .filter(|field| matches!(field.kind, Kind::Subform(_)))
            .map(|field| field.name)
            .collect();
        for name in subforms {
            for entry in data
                .get_mut(name)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if entry.get("unique_id").is_none() {
                    entry["unique_id"] = self.uuid().into();
                }
            }
        }
    }

    /// Groups and agency follow the owner; an unknown owner orphans a new case and is undone on an old one
    /// (primero.md 2.6; cases#42).
    fn settle_owner(&self, before: &Data, data: &mut Data, new: bool) {
        if before.get("owned_by") == data.get("owned_by") {
            return;
        }
        let name = text(data, "owned_by").map(str::to_string);
        match name.as_deref().and_then(|name| self.config.user(name)) {
            Some(owner) => {
                data.insert("owned_by_agency_id".to_string(), owner.agency.clone().into());
                data.insert("owned_by_groups".to_string(), json!(owner.groups));
                if !new {
                    for (key, source) in [
                        ("previously_owned_by", "owned_by"),
                        ("previously_owned_by_agency", "owned_by_agency_id"),
                    ] {
                        data.insert(key.to_string(), before.get(source).cloned().unwrap_or_default());
                    }
                }
            }
            None if new => {
                data.insert("associated_user_names".to_string(), json!([name]));
                data.insert("owned_by".to_string(), Value::Null);
            }
            None => {
                data.insert(
                    "owned_by".to_string(),
                    before.get("owned_by").cloned().unwrap_or_default(),
                );
            }
        }
    }

    /// Closing, reopening by a new service, and the workflow that follows the services.
    fn settle_status(&mut self, before: &Data, data: &mut Data, actor: Option<&Caller>) {
        let today = self.now().format("%Y-%m-%d").to_string();
        let was_closed = text(before, "status") == Some("closed");
        if !was_closed && text(data, "status") == Some("closed") {
            data.insert("workflow".to_string(), "closed".into());
            data.insert("date_closure".to_string(), today.into());
        }
        let services = |data: &Data| {
            data.get("services_section")
                .and_then(Value::as_array)
                .map_or(0, Vec::len)
        };
        let enabled = data.get("record_state") == Some(&Value::Bool(true));
        let added = services(data) > services(before);
        if was_closed && text(data, "status") == Some("closed") && enabled && added {
            data.insert("status".to_string(), "open".into());
            let log = json!({
                "unique_id": self.uuid(),
                "reopened_date": self.stamp(),
                "reopened_user": actor.map(|actor| actor.user.user_name.clone()),
            });
            if let Some(logs) = data.get_mut("reopened_logs").and_then(Value::as_array_mut) {
                logs.push(log);
            }
        }
        let touched = before.get("services_section") != data.get("services_section");
        if text(data, "status") == Some("open")
            && touched
            && let Some(workflow) = workflow_of(data)
        {
            data.insert("workflow".to_string(), workflow.into());
        }
    }

    /// Owner and assigned users, with their agencies and groups.
    fn settle_associates(&self, data: &mut Data) {
        let mut names: Vec<String> = text(data, "owned_by").map(str::to_string).into_iter().collect();
        names.extend(strings(data.get("assigned_user_names")).map(str::to_string));
        if names.is_empty() {
            return;
        }
        let (mut agencies, mut groups): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for user in names.iter().filter_map(|name| self.config.user(name)) {
            agencies.push(user.agency.clone());
            groups.extend(user.groups.iter().cloned());
        }
        for list in [&mut names, &mut agencies, &mut groups] {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|item| seen.insert(item.clone()));
        }
        data.insert("associated_user_names".to_string(), json!(names));
        data.insert("associated_user_agencies".to_string(), json!(agencies));
        data.insert("associated_user_groups".to_string(), json!(groups));
    }
}

/// `service_implemented` is computed from the time, whatever a client wrote (services-patch#55).
fn settle_services(data: &mut Data) {
    let Some(services) = data.get_mut("services_section").and_then(Value::as_array_mut) else {
        return;
    };
    let mut times = Vec::new();
    for service in services {
        let time = service
            .get("service_implemented_day_time")
            .filter(|time| !time.is_null())
            .cloned();
        if let Some(time) = &time {
            times.push(time.clone());
        }
        if service.get("service_type").is_some_and(|kind| !kind.is_null()) || time.is_some() {
            let state = if time.is_some() {
                "implemented"
            } else {
                "not_implemented"
            };
            service["service_implemented"] = state.into();
        }
    }
    data.insert("service_implemented_day_times".to_string(), times.into());
}

/// Response type of the latest service not yet implemented; `services_implemented` when all are.
fn workflow_of(data: &Data) -> Option<String> {
    let with_type: Vec<&Value> = data
        .get("services_section")?
        .as_array()?
        .iter()
        .filter(|service| service["service_response_type"].is_string())
        .collect();
    let open = with_type
        .iter()
        .filter(|service| service["service_implemented"] != "implemented")
        .max_by_key(|service| service["service_response_day_time"].as_str().unwrap_or_default());
    match open {
        Some(service) => service["service_response_type"].as_str().map(str::to_string),
        None if with_type.is_empty() => None,
        None => Some("services_implemented".to_string()),
    }
}

/// `name` is rebuilt when one of its parts changes.
fn settle_name(before: &Data, data: &mut Data) {
    let parts = ["name_first", "name_middle", "name_last"];
    if parts.iter().all(|part| before.get(*part) == data.get(*part)) {
        return;
    }
    let name: Vec<&str> = parts
        .iter()
        .filter_map(|part| text(data, part))
        .filter(|part| !part.is_empty())
        .collect();
    if !name.is_empty() {
        let name = name.join(" ");
        data.insert("name".to_string(), name.into());
    }
}

/// A change by somebody else than the owner alerts the owner; the owner's own save clears such alerts.
fn settle_alerts(before: &Data, data: &Data, foreign: bool, alerts: &mut Vec<Alert>) {
    if !foreign {
        alerts.retain(|alert| alert.referral.is_some());
        return;
    }
    for (field, kind) in ALERTING {
        let alerted = alerts.iter().any(|alert| alert.kind == kind);
        if data.contains_key(field) && before.get(field) != data.get(field) && !alerted {
            alerts.push(Alert { kind, referral: None });
        }
    }
}
