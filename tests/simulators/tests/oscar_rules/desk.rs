//! A gateway at its desk: signed in, with a clock that stands still.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use simulators::oscar::{Config, Sim};
use simulators::wire::{Reply, Request};

pub const EMAIL: &str = "gateway@example.org";
pub const PASSWORD: &str = "secret-password";

/// A simulator with a stopped clock and a signed-in gateway.
pub struct Desk {
    pub sim: Sim,
    pub session: Vec<(String, String)>,
}

impl Desk {
    pub fn new(edit: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default_for(EMAIL, PASSWORD);
        edit(&mut config);
        let mut desk = Self {
            sim: Sim::new(config),
            session: Vec::new(),
        };
        desk.sim.set_now("2026-03-01T08:00:00Z".parse().unwrap());
        desk.sign_in();
        desk
    }

    pub fn sign_in(&mut self) {
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        let reply = self
            .sim
            .handle(&Request::new("POST", "/api/v1/admin_auth/sign_in").with_json(&body));
        assert_eq!(reply.status, 200);
        let pick = |name: &str| (name.to_owned(), reply.header(name).unwrap().to_owned());
        self.session = ["access-token", "client", "uid"].map(pick).to_vec();
    }

    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut request = Request::new(method, path);
        request = body.into_iter().fold(request, |r, body| r.with_json(body));
        request = self
            .session
            .iter()
            .fold(request, |r, (name, value)| r.with_header(name, value));
        self.sim.handle(&request)
    }

    pub fn push(&mut self, changes: &Value) -> Reply {
        let mut organization = json!({
            "external_id": "case-1", "external_id_display": "case-1", "given_name": "Dara",
            "family_name": "Test",
            "gender": "female", "date_of_birth": "2015-01-01", "location_current_village_code": "10060805",
            "address_current_village_code": "10060805", "reason_for_referral": "[GW-1] reason",
            "external_case_worker_name": "Officer 1", "external_case_worker_mobile": "000000000",
            "level_of_risk": "medium", "is_referred": true, "organization_name": "cif",
            "services": [{ "name": "Community social work" }],
        });
        for (key, value) in changes.as_object().unwrap() {
            organization[key] = value.clone();
        }
        self.send(
            "POST",
            "/api/v1/organizations/clients/upsert",
            Some(&json!({ "organization": organization })),
        )
    }

    pub fn pull(&mut self, query: &str) -> Vec<Value> {
        let reply = self.send("GET", &format!("/api/v1/organizations/clients{query}"), None);
        assert_eq!(reply.status, 200);
        reply.json_body().unwrap()["data"].as_array().unwrap().clone()
    }

    /// What an incremental pull since `since` shows.
    pub fn seen_since(&mut self, since: DateTime<Utc>) -> usize {
        self.pull(&format!("?since_date={}", since.format("%Y-%m-%dT%H:%M:%SZ")))
            .len()
    }

    pub fn day(&mut self) -> DateTime<Utc> {
        let now = self.sim.now() + TimeDelta::days(1);
        self.sim.set_now(now);
        now
    }

    pub fn status(&self, referral: i64) -> String {
        self.sim
            .referral("cif", referral)
            .unwrap()
            .referral_status
            .clone()
    }
}
