//! The small endpoints, most of them dead (`oscar.md` 5, measured fact 10).

use serde_json::{Value, json};

use super::Sim;
use super::http::{Halt, Incoming, RECORD_ERROR, blank, json_reply, message};
use super::world::{Client, Tenant};
use crate::wire::Reply;

/// Any of these makes check_duplication build a reply at all.
const TRIGGERS: [&str; 7] = [
    "given_name",
    "family_name",
    "local_given_name",
    "local_family_name",
    "date_of_birth",
    "address_current_village_code",
    "birth_province_code",
];

impl Sim {
    pub(super) fn small(&mut self, incoming: &Incoming, method: &str, path: &str) -> Result<Reply, Halt> {
        let crash = || Err(Halt::Crash("public".to_owned()));
        match (method, path) {
            ("GET", "") => {
                let listed = self.world.tenants.iter().filter(|t| t.listed && !t.deleted);
                Ok(json_reply(
                    200,
                    &json!({ "organizations": listed.map(columns).collect::<Vec<_>>() }),
                ))
            }
            ("GET", "/listing") => crash(),
            ("GET", "/clients/check_duplication") => self.check_duplication(incoming),
            ("GET", _) => Ok(message(500, RECORD_ERROR)),
            // Tenant administration takes the static HTTP token of an AdminUser: not for us, never let in.
            _ => Ok(Reply::text(401, "HTTP Token: Access denied.\n")),
        }
    }

    /// Simplified: names match exactly or not at all, where OSCaR scores similarity up to 75 %.
    fn check_duplication(&self, incoming: &Incoming) -> Result<Reply, Halt> {
        let given = |key: &str| incoming.query(key).filter(|value| !blank(Some(value)));
        let code = given("address_current_village_code").unwrap_or_default();
        let usable = matches!(code.len(), 2 | 4 | 6 | 8) && self.config.gazetteer.knows(code);
        if TRIGGERS.iter().all(|key| given(key).is_none()) || !usable {
            return Err(Halt::Crash("public".to_owned()));
        }
        let same =
            |key: &str, column: &Option<String>| given(key).is_none_or(|v| column.as_deref() == Some(v));
        let alike = |c: &Client| {
            same("given_name", &c.given_name)
                && same("family_name", &c.family_name)
                && same("local_given_name", &c.local_given_name)
                && same("local_family_name", &c.local_family_name)
                && same("date_of_birth", &c.date_of_birth)
        };
        let found = self.world.tenants.iter().flat_map(|t| &t.clients).any(alike);
        let text = if found {
            "Record was Found"
        } else {
            "Record was not found"
        };
        Ok(json_reply(200, &json!({ "similar_fields": text })))
    }
}

/// Every column, since the serializer meant for it is not found in production.
fn columns(tenant: &Tenant) -> Value {
    let picture = "image-placeholder.png";
    let stamp = tenant.created_at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    json!({
        "id": tenant.id,
        "full_name": tenant.full_name,
        "short_name": tenant.short_name,
        "logo": {
            "url": picture, "thumb": { "url": picture }, "photo": { "url": picture }, "filename": null,
        },
        "created_at": stamp,
        "updated_at": stamp,
        "fcf_ngo": false,
        "country": "cambodia",
        "aht": false,
        "integrated": tenant.integrated,
        "supported_languages": ["km", "en"],
        "clients_count": 0,
        "active_client": 0,
        "accepted_client": 0,
        "demo": false,
        "referral_source_category_name": null,
        "ngo_type": null,
        "referred_count": 0,
        "exited_client": 0,
        "deleted_at": null,
        "onboarding_status": "completed",
        "users_count": 0,
        "last_integrated_date": "2024-01-01",
        "parent_id": null,
    })
}
