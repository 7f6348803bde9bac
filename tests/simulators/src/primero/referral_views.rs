//! Referrals as they are shown: the list by scope, the answer to a write, the allowed recipients
//! (primero.md 3.1, 3.2 and 3.5).

use serde_json::{Value, json};

use super::config::{Scope, User};
use super::errors::{Refusal, ok};
use super::state::{Caller, Data, Referral, Sim, text};
use crate::wire::{Reply, Request};

impl Sim {
    /// Whole, unpaged and unordered; what is in it depends on the caller's scope (primero.md 3.5).
    pub(super) fn list_referrals(&self, case: &str, caller: &Caller) -> Result<Reply, Refusal> {
        let data = &self.reachable(case, "read", caller)?.data;
        let mine = caller.user.user_name.as_str();
        let owner = text(data, "owned_by");
        let owning = owner.and_then(|name| self.config.user(name));
        let shown = |referral: &Referral| {
            let to = referral.to.as_deref().and_then(|name| self.config.user(name));
            let handles = caller.role.handles_referrals();
            let to_me = referral.to.as_deref() == Some(mine);
            let shares = |user: &User| user.groups.iter().any(|group| caller.user.groups.contains(group));
            match caller.role.scope {
                Scope::All => true,
                Scope::Own => owner == Some(mine) || to_me,
                _ if !handles => to_me && referral.is_live(),
                Scope::Group => owner == Some(mine) || owning.is_some_and(shares) || to.is_some_and(shares),
                Scope::Agency => {
                    owning.is_some_and(|user| user.agency == caller.user.agency)
                        || text(&referral.shown, "transitioned_to_agency") == Some(&caller.user.agency)
                        || to.is_some_and(|user| user.agency == caller.user.agency)
                }
            }
        };
        let referrals: Vec<Value> = self
            .referrals
            .iter()
            .filter(|referral| referral.case == case && shown(referral))
            .map(|referral| Value::Object(referral_body(referral, caller)))
            .collect();
        Ok(ok(&json!({ "data": referrals })))
    }

    /// The referral as a write answers it: with what changed in the case, uncut, or a note that the caller
    /// may no longer read it.
    pub(super) fn referral_with_record(&self, referral: &Referral, changed: Data, caller: &Caller) -> Value {
        let mut body = referral_body(referral, caller);
        let data = self.cases.get(&referral.case).map(|case| &case.data);
        if data.is_some_and(|data| self.in_scope(caller, data)) {
            let mut record = changed;
            self.add_envelope(&referral.case, data, &mut record);
            body.insert("record".to_string(), record.into());
        } else {
            body.insert("record_access_denied".to_string(), true.into());
        }
        body.into()
    }

    /// GET /users/refer-to: who may be referred to (primero.md 3.1).
    pub(super) fn recipients(&self, request: &Request, caller: &Caller) -> Reply {
        let agency = request
            .query_pairs()
            .into_iter()
            .find(|(name, _)| name == "agency")
            .map(|(_, value)| value);
        let users: Vec<Value> = self
            .config
            .users
            .iter()
            .filter(|user| self.receives(user) && user.user_name != caller.user.user_name)
            .filter(|user| agency.as_ref().is_none_or(|agency| *agency == user.agency))
            .map(|user| {
                json!({
                    "id": user.id, "user_name": user.user_name, "code": null, "position": null,
                    "location": null, "agency": user.agency, "disabled": false, "services": [],
                })
            })
            .collect();
        ok(&json!({ "data": users }))
    }
}

/// Nulls are left out; the booleans are always there (primero.md 3.2).
pub(super) fn referral_body(referral: &Referral, caller: &Caller) -> Data {
    let mut body = referral.shown.clone();
    let to_me = referral.to.as_ref() == Some(&caller.user.user_name);
    let fixed = json!({
        "id": referral.id,
        "type": "Referral",
        "status": referral.status,
        "record_id": referral.case,
        "record_type": "case",
        "transitioned_by": referral.by,
        "remote": referral.remote,
        "consent_overridden": referral.consent_overridden,
        "consent_individual_transfer": false,
        "allow_case_creation": referral.allow_case_creation,
        "record_access_denied": false,
        "user_can_accept_or_reject": to_me && referral.status == "in_progress",
    });
    body.extend(fixed.as_object().cloned().unwrap_or_default());
    for (key, value) in [
        ("transitioned_to", &referral.to),
        ("responded_at", &referral.responded_at),
    ] {
        if let Some(value) = value {
            body.insert(key.to_string(), value.clone().into());
        }
    }
    body
}
