//! What people do in Primero's web application, and what only a test may see: as methods, and as HTTP under
//! `/sim/` for a person with curl.

use serde_json::{Value, json};

use super::errors::Refusal;
use super::referral_views::referral_body;
use super::state::{Caller, Sim};
use crate::wire::{Reply, Request};

/// A hook that could not act: the reply the application gave in its place.
pub type Refused = Reply;

impl Sim {
    /// Act as this user through the API itself, past passwords, locks, proxies and faults.
    ///
    /// # Errors
    /// The application's reply, if it is not a success.
    pub fn act_as(
        &mut self,
        user: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let Some(caller) = self.caller(user) else {
            return Err(Reply::text(404, "no such user"));
        };
        let mut request = Request::new(method, path);
        if let Some(body) = body {
            request = request.with_json(body);
        }
        let path = request.path.clone();
        let segments: Vec<&str> = path.trim_start_matches("/api/v2/").split('/').collect();
        let reply = self
            .act(&request, &segments, &caller)
            .unwrap_or_else(|refusal| refusal.reply(&path));
        if reply.status < 300 {
            Ok(reply.json_body().unwrap_or_default()["data"].take())
        } else {
            Err(reply)
        }
    }

    fn act(&mut self, request: &Request, segments: &[&str], caller: &Caller) -> Result<Reply, Refusal> {
        self.route(request, segments, caller)
    }

    /// A worker enters a case; returns its id. `module_id` is added if missing.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn create_case_as(&mut self, user: &str, mut data: Value) -> Result<String, Refused> {
        if !data.is_object() && !data.is_null() {
            return Err(Reply::text(422, "data must be an object"));
        }
        if data["module_id"].is_null() {
            data["module_id"] = super::config::MODULE.into();
        }
        let body = self.act_as(user, "POST", "/api/v2/cases", Some(&json!({ "data": data })))?;
        Ok(body["id"].as_str().map_or_else(
            || data["id"].as_str().unwrap_or_default().to_string(),
            str::to_string,
        ))
    }

    /// A worker edits a case.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn edit_case_as(&mut self, user: &str, id: &str, data: &Value) -> Result<Value, Refused> {
        self.act_as(
            user,
            "PATCH",
            &format!("/api/v2/cases/{id}"),
            Some(&json!({ "data": data })),
        )
    }

    /// A worker refers a case; returns the referral.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn refer_as(&mut self, user: &str, case: &str, data: &Value) -> Result<Value, Refused> {
        self.act_as(
            user,
            "POST",
            &format!("/api/v2/cases/{case}/referrals"),
            Some(&json!({ "data": data })),
        )
    }

    /// Somebody decides a referral: `accepted`, `rejected`, `done` or `revoked`. Returns the referral; look
    /// at its `status`, for a step that is not allowed answers 200 as well.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn decide_referral_as(
        &mut self,
        user: &str,
        referral: &str,
        status: &str,
        note: &str,
    ) -> Result<Value, Refused> {
        let Some(case) = self
            .referrals
            .iter()
            .find(|r| r.id == referral)
            .map(|r| r.case.clone())
        else {
            return Err(Reply::text(404, "no such referral"));
        };
        let path = format!("/api/v2/cases/{case}/referrals/{referral}");
        if status == "revoked" {
            return self.act_as(user, "DELETE", &path, None);
        }
        let mut data = json!({ "status": status });
        if !note.is_empty() {
            let key = if status == "done" {
                "rejection_note"
            } else {
                "rejected_reason"
            };
            data[key] = note.into();
        }
        self.act_as(user, "PATCH", &path, Some(&json!({ "data": data })))
    }

    /// As [`Sim::decide_referral_as`], by the recipient, or by the sender where there is none (remote).
    ///
    /// # Errors
    /// The application's refusal.
    pub fn decide_referral(&mut self, referral: &str, status: &str, note: &str) -> Result<Value, Refused> {
        let user = self
            .referrals
            .iter()
            .find(|r| r.id == referral)
            .map(|r| r.to.clone().unwrap_or(r.by.clone()));
        match user {
            Some(user) => self.decide_referral_as(&user, referral, status, note),
            None => Err(Reply::text(404, "no such referral")),
        }
    }

    /// The family withdraws its consent: both boxes unticked by the owner.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn withdraw_consent(&mut self, case: &str) -> Result<Value, Refused> {
        let owner = self
            .case(case)
            .and_then(|case| case["owned_by"].as_str().map(str::to_string));
        let data = json!({"consent_for_services": false, "disclosure_other_orgs": false});
        self.edit_case_as(&owner.unwrap_or_default(), case, &data)
    }

    /// The case moves to another owner, and perhaps out of somebody's scope.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn move_owner(&mut self, case: &str, to: &str) -> Result<Value, Refused> {
        let owner = self
            .case(case)
            .and_then(|case| case["owned_by"].as_str().map(str::to_string));
        self.edit_case_as(&owner.unwrap_or_default(), case, &json!({ "owned_by": to }))
    }

    /// A nightly job, or a change of the user's group, saves all cases it owns: a burst of new stamps and
    /// nothing else (primero.md 2.10).
    pub fn bump_cases_of(&mut self, user: &str) {
        let owned = |case: &super::state::Case| super::state::text(&case.data, "owned_by") == Some(user);
        let ids: Vec<String> = self
            .cases
            .iter()
            .filter(|(_, case)| owned(case))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let before = self.base(&id);
            self.save(&id, &before, before.clone(), None);
        }
    }

    /// The webhook calls due: one per case saved since the last time, with the state of now, as the queued
    /// job reads it, cut to what this user's role reads (primero.md 5). Delivering them, once and without
    /// retry, is the test's business.
    pub fn due_webhooks(&mut self, reader: &str, hostname: &str) -> Vec<Value> {
        let Some(caller) = self.caller(reader) else {
            return Vec::new();
        };
        let touched = std::mem::take(&mut self.touched);
        let payload = |id: &String| {
            let case = self.cases.get(id)?;
            let mut data = self.case_body(id, case, &case.data, None, &caller, false);
            data.remove("id");
            data.insert("record_id".to_string(), id.clone().into());
            data.insert("record_type".to_string(), "case".into());
            data.insert("hostname".to_string(), hostname.into());
            Some(json!({ "data": data }))
        };
        touched.iter().filter_map(payload).collect()
    }

    /// An administrator disables a user, or enables it again.
    pub fn set_disabled(&mut self, user: &str, disabled: bool) {
        for known in self
            .config
            .users
            .iter_mut()
            .filter(|known| known.user_name == user)
        {
            known.disabled = disabled;
        }
    }

    /// An administrator changes a user's password.
    pub fn set_password(&mut self, user: &str, password: &str) {
        for known in self
            .config
            .users
            .iter_mut()
            .filter(|known| known.user_name == user)
        {
            known.password = password.to_string();
        }
    }

    /// The switches for faults and quirks.
    pub fn switches(&mut self) -> &mut super::state::Switches {
        &mut self.switches
    }

    /// Everything stored of one case, scope and permissions aside.
    pub fn case(&self, id: &str) -> Option<Value> {
        let mut data = self.cases.get(id)?.data.clone();
        data.insert("id".to_string(), id.into());
        Some(data.into())
    }

    /// Everything stored of all cases.
    pub fn cases(&self) -> Vec<Value> {
        self.cases.keys().filter_map(|id| self.case(id)).collect()
    }

    /// All referrals in order of creation, as the API shows them to their sender.
    pub fn referrals(&self) -> Vec<Value> {
        let show = |referral: &super::state::Referral| {
            self.caller(&referral.by)
                .map(|caller| Value::Object(referral_body(referral, &caller)))
        };
        self.referrals.iter().filter_map(show).collect()
    }

    /// True counts for tests: services per case and referrals per service.
    pub fn ledger(&self) -> Value {
        let mut services = serde_json::Map::new();
        for (id, case) in &self.cases {
            let count = case
                .data
                .get("services_section")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            services.insert(id.clone(), count.into());
        }
        let mut per_service = std::collections::BTreeMap::<&str, u64>::new();
        for referral in &self.referrals {
            *per_service.entry(referral.service().unwrap_or("")).or_default() += 1;
        }
        json!({
            "cases": self.cases.len(),
            "referrals": self.referrals.len(),
            "services_per_case": services,
            "referrals_per_service": per_service,
        })
    }

    /// The hooks over HTTP: GET for ledgers, POST with a JSON body for actions; see the match.
    pub(super) fn hook(&mut self, request: &Request) -> Reply {
        let body = request.json().unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_string();
        let on = body["on"].as_bool().unwrap_or(true);
        let milliseconds = chrono::TimeDelta::milliseconds(body["ms"].as_i64().unwrap_or(0));
        let segments: Vec<&str> = request.path.trim_start_matches("/sim/").split('/').collect();
        let result = match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["ledger"]) => Ok(self.ledger()),
            ("GET", ["cases"]) => Ok(self.cases().into()),
            ("GET", ["cases", id]) => self.case(id).ok_or_else(|| Reply::text(404, "no such case")),
            ("GET", ["referrals"]) => Ok(self.referrals().into()),
            ("POST", ["cases"]) => self
                .create_case_as(&text("user"), body["data"].clone())
                .map(|id| json!({ "id": id })),
            ("POST", ["cases", id]) => self.edit_case_as(&text("user"), id, &body["data"]),
            ("POST", ["cases", id, "withdraw-consent"]) => self.withdraw_consent(id),
            ("POST", ["cases", id, "owner"]) => self.move_owner(id, &text("to")),
            ("POST", ["cases", id, "referrals"]) => self.refer_as(&text("user"), id, &body["data"]),
            ("POST", ["referrals", id, status]) => self.decide_referral(id, status, &text("note")),
            ("POST", ["users", name, "disabled"]) => {
                self.set_disabled(name, on);
                Ok(Value::Null)
            }
            ("POST", ["restart"]) => {
                self.restart();
                Ok(Value::Null)
            }
            ("POST", ["switches", name]) => self.switch(name, on, milliseconds),
            _ => Err(Reply::text(404, "no such hook")),
        };
        result.map_or_else(|refused| refused, |value| Reply::json(200, &value))
    }

    fn switch(&mut self, name: &str, on: bool, time: chrono::TimeDelta) -> Result<Value, Refused> {
        let switches = &mut self.switches;
        match name {
            "config-lock" => switches.config_lock = on,
            "database-down" => switches.database_down = on,
            "nginx" => switches.nginx = on,
            "nginx-busy" => switches.nginx_busy = on,
            "race-window" => switches.race_window = time,
            "commit-delay" => switches.commit_delay = time,
            "index-lag" => switches.index_lag = time,
            _ => return Err(Reply::text(404, "no such switch")),
        }
        Ok(Value::Null)
    }
}
