//! Cases: create, show, change, disable, and what of them a caller may read (primero.md 2.4 to 2.9).

use chrono::Datelike;
use serde_json::{Map, Value, json};

use super::config::{Field, MODULE};
use super::errors::{Refusal, no_content, ok};
use super::fields::{ALWAYS_SHOWN, DASHBOARD, SHORT};
use super::merge::merge;
use super::state::{Caller, Case, Data, Sim, text};
use super::validate::{has_nul, is_uuid, normalise, permit, refused};
use crate::wire::{Reply, Request};

/// Kept from the creation on; a PATCH of them is dropped (primero.md 2.8).
const FIXED: [&str; 2] = ["case_id", "case_id_display"];

/// Permissions shown in `permitted_form_actions`.
const FORM_ACTIONS: [&str; 6] = [
    "request_approval_case_plan",
    "request_approval_closure",
    "referral_from_service",
    "referral",
    "receive_referral",
    "remove_assigned_users",
];

impl Sim {
    pub(super) fn create_case(&mut self, data: Option<&Value>, caller: &Caller) -> Result<Reply, Refusal> {
        if !caller.role.can("create") {
            return Err(Refusal::forbidden());
        }
        let given = object(data)?;
        let module = text(&given, "module_id").map(str::to_string);
        let mut refused_id = Vec::new();
        let own_id = match given.get("id") {
            None => None,
            Some(Value::String(id)) if is_uuid(id) => Some(id.clone()),
            Some(_) => {
                refused_id.push("/id".to_string());
                None
            }
        };
        let permitted = self.permitted(&given, module.as_deref(), caller, refused_id, &[])?;
        let id = own_id.clone().unwrap_or_else(|| self.uuid());
        if self.cases.contains_key(&id) {
            return Err(Refusal::conflict());
        }
        let unique = self.uuid();
        let mut record = self.blank_case(&unique, caller);
        record.extend(permitted);
        let case_id = record.get("case_id").cloned().unwrap_or_default();
        if self
            .cases
            .values()
            .any(|case| case.data.get("case_id") == Some(&case_id))
        {
            return Err(Refusal::conflict());
        }
        let changed = self.save(&id, &Map::new(), record, Some(caller));
        if own_id.is_some() {
            return Ok(no_content());
        }
        Ok(ok(&json!({ "data": self.changed_body(&id, changed, caller) })))
    }

    /// What the server itself puts into a new case.
    fn blank_case(&self, unique: &str, caller: &Caller) -> Data {
        let short = &unique[unique.len() - 7..];
        let defaults = json!({
            "unique_identifier": unique,
            "short_id": short,
            "case_id": unique,
            "case_id_display": short,
            "record_state": true,
            "status": "open",
            "workflow": "new",
            "case_type": "person",
            "registration_date": self.now().format("%Y-%m-%d").to_string(),
            "created_at": self.stamp(),
            "created_by": caller.user.user_name,
            "created_organization": caller.user.agency,
            "owned_by": caller.user.user_name,
            "has_photo": false,
            "has_case_plan": false,
            "has_incidents": false,
            "protection_concerns": [],
            "notes_section": [],
            "reopened_logs": [],
            "flagged": false,
            "transferred_to_users": [],
        });
        defaults.as_object().cloned().unwrap_or_default()
    }

    /// Both stages of validation; `module` is that of the stored case, or of the body on create.
    fn permitted(
        &self,
        given: &Data,
        module: Option<&str>,
        caller: &Caller,
        mut pointers: Vec<String>,
        fixed: &[&str],
    ) -> Result<Data, Refusal> {
        let form_fields = module == Some(MODULE);
        let allowed = |field: &Field| {
            (field.core || (form_fields && caller.role.writes(field))) && !fixed.contains(&field.name)
        };
        let mut permitted = permit(&self.config.fields, given, &allowed);
        pointers.extend(refused(&self.config, &self.config.fields, &permitted, ""));
        if !pointers.is_empty() {
            return Err(Refusal::schema(pointers));
        }
        if permitted.values().any(has_nul) {
            return Err(Refusal::internal("string contains null byte"));
        }
        let year = text(&permitted, "date_of_birth").and_then(|date| date[..4].parse::<i32>().ok());
        if year.is_some_and(|year| year > self.now().year()) {
            let message = "Please enter a valid date of birth for this case record";
            return Err(Refusal::model("date_of_birth", message));
        }
        normalise(&self.config.fields, &mut permitted);
        Ok(permitted)
    }

    pub(super) fn show_case(&self, id: &str, request: &Request, caller: &Caller) -> Result<Reply, Refusal> {
        let case = self.reachable(id, "read", caller)?;
        let fields = request
            .query_pairs()
            .into_iter()
            .find(|(name, _)| name == "fields");
        let mut body = self.case_body(
            id,
            case,
            &case.data,
            fields.map(|(_, list)| list).as_deref(),
            caller,
            false,
        );
        let owner = text(&case.data, "owned_by") == Some(caller.user.user_name.as_str());
        let referred = self.referrals.iter().any(|referral| {
            referral.case == id && referral.is_live() && referral.to.as_ref() == Some(&caller.user.user_name)
        });
        if referred && !owner {
            self.add_permitted_forms(&mut body, caller);
        }
        Ok(ok(&json!({ "data": body })))
    }

    /// What a recipient of a referral is told about its rights (primero.md 2.5).
    fn add_permitted_forms(&self, body: &mut Data, caller: &Caller) {
        let mut forms = Map::new();
        for field in self
            .config
            .fields
            .iter()
            .filter(|f| !f.form.is_empty() && caller.role.sees(f))
        {
            forms.insert(field.form.to_string(), "rw".into());
        }
        let actions: Vec<&str> = FORM_ACTIONS
            .into_iter()
            .filter(|action| caller.role.can(action))
            .collect();
        body.insert("permitted_forms".to_string(), forms.into());
        body.insert(
            "permitted_form_actions".to_string(),
            json!({"case": actions, "incident": []}),
        );
    }

    pub(super) fn update_case(
        &mut self,
        id: &str,
        data: Option<&Value>,
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        self.reachable(id, "write", caller)?;
        let given = object(data)?;
        let before = self.base(id);
        let module = text(&before, "module_id").map(str::to_string);
        let permitted = self.permitted(&given, module.as_deref(), caller, Vec::new(), &FIXED)?;
        let mut record = before.clone();
        merge(&self.config.fields, &mut record, permitted);
        let changed = self.save(id, &before, record, Some(caller));
        Ok(ok(&json!({ "data": self.changed_body(id, changed, caller) })))
    }

    /// DELETE: disabled, not gone (primero.md 2.9).
    pub(super) fn disable_case(&mut self, id: &str, caller: &Caller) -> Result<Reply, Refusal> {
        self.reachable(id, "enable_disable_record", caller)?;
        let before = self.base(id);
        let mut record = before.clone();
        record.insert("record_state".to_string(), false.into());
        self.save(id, &before, record, Some(caller));
        Ok(ok(&json!({"data": {"id": id}})))
    }

    /// POST flags: bumps the case (primero.md 2.10).
    pub(super) fn flag_case(
        &mut self,
        id: &str,
        data: Option<&Value>,
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        self.reachable(id, "flag", caller)?;
        let given = object(data)?;
        let before = self.base(id);
        let mut record = before.clone();
        record.insert("flagged".to_string(), true.into());
        let changed = self.save(id, &before, record, Some(caller));
        Ok(ok(&json!({"data": {
            "record_id": id,
            "record_type": "cases",
            "message": given.get("message"),
            "date": given.get("date"),
            "flagged_by": caller.user.user_name,
            "removed": false,
            "created_at": self.stamp(),
            "record": self.changed_body(id, changed, caller),
        }})))
    }

    /// 404 before 403, and both before anything else is looked at.
    pub(super) fn reachable(&self, id: &str, permission: &str, caller: &Caller) -> Result<&Case, Refusal> {
        let case = self
            .cases
            .get(id)
            .ok_or_else(|| Refusal::not_found("Child", id))?;
        if !caller.role.can(permission) || !self.in_scope(caller, &case.data) {
            return Err(Refusal::forbidden());
        }
        Ok(case)
    }

    /// Whether the caller reads a field; a list does not look at the case's module, a single case does
    /// (services-patch#85 and #99).
    pub(super) fn reads(&self, caller: &Caller, field: &Field, module: Option<&str>) -> bool {
        caller.role.sees(field)
            && (caller.role.dashboard || !DASHBOARD.contains(&field.name))
            && module.is_none_or(|module| module == MODULE || field.any_module)
    }

    /// The answer to a write: what changed and may be read.
    fn changed_body(&self, id: &str, changed: Data, caller: &Caller) -> Data {
        let stored = self.cases.get(id).map(|case| &case.data);
        let module = stored.and_then(|data| text(data, "module_id"));
        let mut body: Data = changed
            .into_iter()
            .filter(|(key, _)| {
                // last_updated_by never shows in a write's answer (primero.md 2.9).
                key != "last_updated_by"
                    && self
                        .config
                        .field(key)
                        .is_some_and(|field| self.reads(caller, field, module))
            })
            .collect();
        self.add_envelope(id, stored, &mut body);
        body
    }

    /// `id`, `enabled` and `last_updated_at`, which every rendering has.
    pub(super) fn add_envelope(&self, id: &str, data: Option<&Data>, body: &mut Data) {
        let get = |key: &str| data.and_then(|data| data.get(key)).cloned().unwrap_or_default();
        body.insert("id".to_string(), id.into());
        body.insert("enabled".to_string(), get("record_state"));
        body.insert("last_updated_at".to_string(), get("last_updated_at"));
    }

    /// A whole case as this caller sees it. `fields` is the query parameter of that name.
    pub(super) fn case_body(
        &self,
        id: &str,
        case: &Case,
        data: &Data,
        fields: Option<&str>,
        caller: &Caller,
        in_list: bool,
    ) -> Data {
        let module = if in_list { None } else { text(data, "module_id") };
        let mut body: Data = data
            .iter()
            .filter(|(key, _)| {
                self.config
                    .field(key)
                    .is_some_and(|field| self.reads(caller, field, module))
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, default, any_module) in ALWAYS_SHOWN {
            if any_module || module.is_none_or(|module| module == MODULE) {
                let value = if default == "[]" { json!([]) } else { Value::Null };
                body.entry(key).or_insert(value);
            }
        }
        if data.get("hidden_name") == Some(&Value::Bool(true)) {
            body.insert("name".to_string(), "*******".into());
        }
        body.insert("record_in_scope".to_string(), self.in_scope(caller, data).into());
        body.insert("alert_count".to_string(), case.alerts.len().into());
        if caller.role.dashboard {
            body.insert("flag_count".to_string(), 0.into());
        }
        if let Some(fields) = fields.filter(|list| !list.is_empty()) {
            let wanted: Vec<&str> = if fields == "short" {
                SHORT.to_vec()
            } else {
                fields.split(',').collect()
            };
            body.retain(|key, _| wanted.contains(&key.as_str()));
        }
        self.add_envelope(id, Some(data), &mut body);
        body
    }
}

/// The `data` of a body: missing or null is an empty one, anything but an object breaks the application.
fn object(data: Option<&Value>) -> Result<Data, Refusal> {
    match data {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(data)) => Ok(data.clone()),
        Some(_) => Err(Refusal::internal(
            "undefined method `permit' for an instance of String",
        )),
    }
}
