//! PUT referrals/update_statuses (`oscar.md` 4.2): one item after the other, stopping at the first bad one.

use serde_json::{Value, json};

use super::Sim;
use super::http::{Halt, Incoming, RECORD_ERROR, SAVED, blank, json_reply, message, text};
use super::upsert::leading_number;
use super::validate::referral_faults;
use crate::wire::Reply;

/// The first bad item: a text for the 422, or an exception.
enum Stop {
    Refused(String),
    Halt(Halt),
}

impl Sim {
    pub(super) fn update_statuses(&mut self, incoming: &Incoming) -> Result<Reply, Halt> {
        let items = match incoming.body.get("data") {
            Some(Value::Array(items)) if !items.is_empty() => items,
            _ => return Err(Halt::Crash("public".to_owned())),
        };
        for item in items {
            match self.decide(item) {
                Ok(()) => {}
                Err(Stop::Halt(halt)) => return Err(halt),
                Err(Stop::Refused(error)) => {
                    return Ok(json_reply(
                        422,
                        &json!({ "error": error, "message": RECORD_ERROR }),
                    ));
                }
            }
        }
        Ok(message(200, SAVED))
    }

    fn decide(&mut self, item: &Value) -> Result<(), Stop> {
        let Value::Object(item) = item else {
            return Err(Stop::Halt(Halt::Crash("public".to_owned())));
        };
        let refused = |text: &str| Stop::Refused(text.to_owned());
        let global_id = text(item.get("client_global_id")).filter(|id| !blank(Some(id)));
        // One arbitrary tenant of the child (measured fact 8): whichever link row storage yields first.
        let link = global_id.and_then(|id| self.world.links_of(&id).first().map(|l| l.tenant_id));
        let tenant = link.and_then(|id| self.world.tenants.iter().position(|t| t.id == id && !t.deleted));
        let tenant = tenant.ok_or_else(|| refused("ActiveRecord::RecordNotFound"))?;
        let schema = self.world.tenants[tenant].short_name.clone();
        let crash = || Stop::Halt(Halt::Crash(schema.clone()));
        let id = match item.get("referral_id") {
            None | Some(Value::Null) => return Err(refused("Couldn't find Referral without an ID")),
            Some(Value::Array(_) | Value::Object(_)) => return Err(crash()),
            scalar => text(scalar).unwrap_or_default(),
        };
        // Nothing checks that the referral is this child's (`update-statuses#41`).
        let Some(at) = self.world.tenants[tenant].referral_at(leading_number(&id)) else {
            let scope = "[WHERE \"referrals\".\"deleted_at\" IS NULL]";
            return Err(Stop::Refused(format!(
                "Couldn't find Referral with 'id'={id} {scope}"
            )));
        };
        let mut referral = self.world.tenants[tenant].referrals[at].clone();
        referral.referral_status = text(item.get("referral_status")).unwrap_or_default();
        let faults = referral_faults(&referral, &schema);
        if !faults.is_empty() {
            let faults = self.sentences(&schema, "referral", &faults);
            let list = "Referral status must be one of ['Accepted', 'Exited', 'Referred'].";
            return Err(Stop::Refused(format!("{faults}. {list}")));
        }
        if self.config.strict_current_user {
            return Err(crash());
        }
        self.save_referral(tenant, at, referral);
        Ok(())
    }
}
