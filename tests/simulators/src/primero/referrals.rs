//! Referrals: a state machine that answers 200 to what it does not do (primero.md 3, primero-measured.md).

use serde_json::{Map, Value, json};

use super::config::{MODULE, User};
use super::errors::{Refusal, ok};
use super::state::{Alert, Caller, Data, Referral, Sim, strings, text};
use crate::wire::Reply;

/// What a client may put into a new referral, beside the booleans.
const GIVEN: [&str; 7] = [
    "transitioned_to_remote",
    "transitioned_to_agency",
    "service",
    "service_record_id",
    "type_of_export",
    "notes",
    "authorized_role_unique_id",
];

impl Sim {
    pub(super) fn create_referral(
        &mut self,
        case: &str,
        data: Option<&Value>,
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        let stored = self
            .cases
            .get(case)
            .ok_or_else(|| Refusal::not_found("Child", case))?;
        let from_service = data.is_some_and(|data| data["service_record_id"].is_string())
            && caller.role.can("referral_from_service");
        if !(caller.role.can("referral") || from_service) || !self.in_scope(caller, &stored.data) {
            return Err(Refusal::forbidden());
        }
        let body = self.refer(case, &given(data)?, caller)?;
        Ok(ok(&json!({ "data": body })))
    }

    /// POST /cases/referrals with `ids` (referrals#35).
    pub(super) fn create_referrals_in_bulk(
        &mut self,
        data: Option<&Value>,
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        let given = given(data)?;
        let ids: Vec<String> = strings(given.get("ids")).map(str::to_string).collect();
        let mut bodies = Vec::new();
        for id in ids {
            self.reachable(&id, "referral", caller)?;
            bodies.push(self.refer(&id, &given, caller)?);
        }
        Ok(ok(&json!({ "data": bodies })))
    }

    fn refer(&mut self, case: &str, given: &Data, caller: &Caller) -> Result<Value, Refusal> {
        let flag = |key: &str| given.get(key) == Some(&Value::Bool(true));
        let remote = flag("remote");
        let to = if remote {
            None
        } else {
            text(given, "transitioned_to").map(str::to_string)
        };
        let mut shown: Data = GIVEN
            .iter()
            .filter_map(|key| {
                given
                    .get(*key)
                    .filter(|v| !v.is_null())
                    .map(|v| (key.to_string(), v.clone()))
            })
            .collect();
        let mut referral = Referral {
            id: self.uuid(),
            case: case.to_string(),
            status: "in_progress",
            remote,
            by: caller.user.user_name.clone(),
            to,
            consent_overridden: flag("consent_overridden"),
            allow_case_creation: flag("allow_case_creation"),
            ..Referral::default()
        };
        self.validate(&referral, true)?;
        let before = self.base(case);
        let no_services = before.get("services_section").is_none_or(Value::is_null);
        if shown.contains_key("service_record_id") && no_services {
            return Err(Refusal::internal("undefined method `find' for nil"));
        }
        shown.extend(self.parties(&before, &referral, caller));
        referral.shown = shown;
        let mut record = before.clone();
        edit_service(&mut record, referral.service(), |service| {
            service["service_status_referred"] = true.into();
        });
        if let Some(name) = &referral.to {
            let mut assigned: Vec<&str> = strings(before.get("assigned_user_names")).collect();
            if !assigned.contains(&name.as_str()) {
                assigned.push(name);
            }
            record.insert("assigned_user_names".to_string(), json!(assigned));
            if let Some(case) = self.cases.get_mut(case) {
                case.alerts.push(Alert {
                    kind: "referral",
                    referral: Some(referral.id.clone()),
                });
            }
        }
        self.referrals.push(referral.clone());
        let changed = self.save(case, &before, record, Some(caller));
        Ok(self.referral_with_record(&referral, changed, caller))
    }

    /// Owner, sender and recipient as they are at this moment.
    fn parties(&self, case: &Data, referral: &Referral, caller: &Caller) -> Data {
        let mut parties = Map::new();
        for (key, source) in [
            ("record_owned_by", "owned_by"),
            ("record_owned_by_agency", "owned_by_agency_id"),
            ("record_owned_by_groups", "owned_by_groups"),
        ] {
            if let Some(value) = case.get(source).filter(|value| !value.is_null()) {
                parties.insert(key.to_string(), value.clone());
            }
        }
        let recipient = referral.to.as_deref().and_then(|name| self.config.user(name));
        for (side, user) in [("by", Some(&caller.user)), ("to", recipient)] {
            if let Some(user) = user {
                parties.insert(
                    format!("transitioned_{side}_user_agency"),
                    user.agency.clone().into(),
                );
                parties.insert(format!("transitioned_{side}_user_groups"), json!(user.groups));
            }
        }
        parties.insert("created_at".to_string(), self.stamp().into());
        parties
    }

    /// Recipient and consent, checked on every save of a referral, not only the first (primero.md 3.4).
    fn validate(&self, referral: &Referral, check_recipient: bool) -> Result<(), Refusal> {
        let data = self.cases.get(&referral.case).map(|case| &case.data);
        if !referral.remote && check_recipient {
            let user = referral.to.as_deref().and_then(|name| self.config.user(name));
            // The check dereferences a user that may not be there.
            let Some(user) = user else {
                return Err(Refusal::internal("undefined method `user_name' for nil"));
            };
            if user.user_name == referral.by || !self.receives(user) {
                return Err(Refusal::model(
                    "transitioned_to",
                    "transition.errors.to_user_can_receive",
                ));
            }
        }
        let given = |key: &str| data.and_then(|d| d.get(key)) == Some(&Value::Bool(true));
        let gbv = data
            .and_then(|d| text(d, "module_id"))
            .is_some_and(|module| module != MODULE);
        let consent = given("consent_for_services") && (gbv || given("disclosure_other_orgs"));
        if !consent && !referral.consent_overridden {
            return Err(Refusal::model("consent", "transition.errors.consent"));
        }
        Ok(())
    }

    pub(super) fn receives(&self, user: &User) -> bool {
        let role = self.config.role_of(user);
        !user.disabled && role.is_some_and(|role| role.can("receive_referral") && !role.system)
    }

    /// The referral a write is about. The case of the path is looked up but not compared with the
    /// referral's own (referrals#107).
    fn writable_referral(&self, case: &str, id: &str, caller: &Caller) -> Result<Referral, Refusal> {
        let stored = self
            .cases
            .get(case)
            .ok_or_else(|| Refusal::not_found("Child", case))?;
        let referral = self
            .referrals
            .iter()
            .find(|referral| referral.id == id)
            .ok_or_else(|| Refusal::not_found("Referral", id))?;
        let writes = caller.role.can("write") && self.in_scope(caller, &stored.data);
        let may = writes || caller.role.can("receive_referral") || caller.role.can("remove_assigned_users");
        let own = self.cases.get(&referral.case).map(|case| &case.data);
        if !may || !own.is_some_and(|data| self.in_scope(caller, data)) {
            return Err(Refusal::forbidden());
        }
        Ok(referral.clone())
    }

    pub(super) fn update_referral(
        &mut self,
        case: &str,
        id: &str,
        data: Option<&Value>,
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        let mut referral = self.writable_referral(case, id, caller)?;
        let given = given(data)?;
        let note = |key: &str| given.get(key).filter(|value| !value.is_null()).cloned();
        match (referral.status, text(&given, "status")) {
            ("in_progress", Some("accepted")) => referral.status = "accepted",
            ("in_progress", Some("rejected")) => {
                referral.status = "rejected";
                if let Some(reason) = note("rejected_reason") {
                    referral.shown.insert("rejected_reason".to_string(), reason);
                }
            }
            ("accepted", Some("done")) => {
                referral.status = "done";
                if let Some(note) = note("rejection_note") {
                    referral.shown.insert("rejection_note".to_string(), note);
                }
            }
            // Not a step from here: 200, and nothing happened.
            _ => {
                let body = self.referral_with_record(&referral, Map::new(), caller);
                return Ok(ok(&json!({ "data": body })));
            }
        }
        self.validate(&referral, true)?;
        if referral.status != "done" {
            referral.responded_at = Some(self.stamp());
        }
        Ok(ok(&json!({ "data": self.settle_referral(referral, caller) })))
    }

    /// DELETE: revoked, from whatever it was (primero.md 3.3).
    pub(super) fn revoke(&mut self, case: &str, id: &str, caller: &Caller) -> Result<Reply, Refusal> {
        let mut referral = self.writable_referral(case, id, caller)?;
        self.validate(&referral, false)?;
        referral.status = "revoked";
        Ok(ok(&json!({ "data": self.settle_referral(referral, caller) })))
    }

    /// Store a referral's new state and what it does to the case.
    fn settle_referral(&mut self, referral: Referral, caller: &Caller) -> Value {
        let id = referral.case.clone();
        let before = self.base(&id);
        let mut record = before.clone();
        if let Some(stored) = self.referrals.iter_mut().find(|stored| stored.id == referral.id) {
            *stored = referral.clone();
        }
        if let Some(case) = self.cases.get_mut(&id) {
            case.alerts
                .retain(|alert| alert.referral.as_ref() != Some(&referral.id));
        }
        if let (false, Some(name)) = (referral.is_live(), &referral.to) {
            let still = self
                .referrals
                .iter()
                .any(|other| other.case == id && other.is_live() && other.to.as_ref() == Some(name));
            let assigned: Vec<&str> = strings(before.get("assigned_user_names"))
                .filter(|assigned| still || *assigned != name)
                .collect();
            record.insert("assigned_user_names".to_string(), json!(assigned));
        }
        if referral.status == "done" {
            let (now, note) = (self.stamp(), referral.shown.get("rejection_note").cloned());
            edit_service(&mut record, referral.service(), |service| {
                if service["service_implemented_day_time"].is_null() {
                    service["service_implemented_day_time"] = now.into();
                }
                if let Some(note) = note {
                    service["note_on_referral_from_provider"] = note;
                }
            });
        }
        // An acceptance does not count as an edit by the one who accepts.
        let actor = (referral.status != "accepted").then_some(caller);
        let changed = self.save(&id, &before, record, actor);
        self.referral_with_record(&referral, changed, caller)
    }

    /// The case's summary of its referrals, kept on every save.
    pub(super) fn settle_referrals(&self, case: &str, data: &mut Data) {
        let of_case = || self.referrals.iter().filter(|referral| referral.case == case);
        let users = |states: &[&str]| {
            let mut names: Vec<Value> = Vec::new();
            for referral in of_case().filter(|referral| states.contains(&referral.status)) {
                // A remote referral has no user, and says so (referrals#22).
                let name = referral.to.clone().map_or(Value::Null, Value::from);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names
        };
        for (key, states) in [
            ("referred_users", &["in_progress", "accepted"][..]),
            ("referred_users_pending", &["in_progress"][..]),
            ("referred_users_accepted", &["accepted"][..]),
        ] {
            let names = users(states);
            data.insert(format!("{key}_present"), (!names.is_empty()).into());
            data.insert(key.to_string(), names.into());
        }
        for (key, state) in [
            ("last_referral_rejected_at", "rejected"),
            ("last_referral_done_at", "done"),
        ] {
            let last = of_case()
                .filter(|r| r.status == state)
                .filter_map(|r| r.responded_at.clone())
                .max();
            if last.is_some() || data.contains_key(key) {
                data.insert(key.to_string(), last.map_or(Value::Null, Value::from));
            }
        }
    }
}

/// The `data` of a referral request; an empty one counts as missing (referrals#19).
fn given(data: Option<&Value>) -> Result<Data, Refusal> {
    match data {
        Some(Value::Object(data)) if !data.is_empty() => Ok(data.clone()),
        _ => Err(Refusal::missing_data()),
    }
}

fn edit_service(record: &mut Data, id: Option<&str>, edit: impl FnOnce(&mut Value)) {
    let services = record.get_mut("services_section").and_then(Value::as_array_mut);
    let service = services
        .into_iter()
        .flatten()
        .find(|s| id.is_some() && s["unique_id"].as_str() == id);
    if let Some(service) = service {
        edit(service);
    }
}
