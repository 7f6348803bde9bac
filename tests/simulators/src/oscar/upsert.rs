//! POST clients/upsert: the decision tree (`oscar.md` 3.4), as the recordings correct it.
//!
//! The order of writes is the contract: an identity before any check, a referral before the child, the child
//! before its first referral follows; every later failure leaves the earlier writes behind.

use serde_json::{Map, Value, json};

use super::Sim;
use super::http::{Halt, Incoming, RECORD_ERROR, SAVED, blank, json_reply, message, text};
use super::since::birth_date;
use super::validate::{client_faults, referral_faults};
use super::world::{Client, Referral};
use super::{catalogue, http};
use crate::wire::Reply;

/// The permitted keys of `organization`, read.
struct Push<'a> {
    sent: &'a Map<String, Value>,
    tenant: String,
    global_id: Option<String>,
    /// The external system of the account, or '' when it has none.
    system: String,
}

impl Push<'_> {
    fn text(&self, key: &str) -> Option<String> {
        text(self.sent.get(key))
    }

    /// Ruby's `present?`: the text "false" and the number 0 count (`known-child#14`, `#20`).
    fn is_referred(&self) -> bool {
        match self.sent.get("is_referred") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => !blank(Some(text)),
            Some(_) => true,
        }
    }

    fn has_nul(&self) -> bool {
        self.sent
            .values()
            .any(|value| value.as_str().is_some_and(|text| text.contains('\0')))
    }

    fn echo(&self) -> Value {
        self.sent.get("external_id").cloned().unwrap_or(Value::Null)
    }
}

impl Sim {
    pub(super) fn upsert(&mut self, incoming: &Incoming, account: usize) -> Result<Reply, Halt> {
        let refusal = || Ok(message(422, RECORD_ERROR));
        let sent = match incoming.body.get("organization") {
            Some(Value::Object(sent)) => sent,
            None | Some(Value::Null) => return refusal(),
            Some(Value::Array(list)) if list.is_empty() => return refusal(),
            Some(Value::String(text)) if blank(Some(text)) => return refusal(),
            Some(_) => return Err(Halt::Crash("public".to_owned())),
        };
        let Some(tenant) = text(sent.get("organization_name")).filter(|name| !blank(Some(name))) else {
            return refusal();
        };
        let global_id = text(sent.get("global_id")).filter(|id| !blank(Some(id)));
        let system = self.config.accounts[account]
            .external_system
            .clone()
            .unwrap_or_default();
        let push = Push {
            sent,
            tenant,
            global_id,
            system,
        };
        if let Some(global_id) = &push.global_id
            && self.world.identities.contains(global_id)
            && let Some(reply) = self.known_identity(&push, global_id)?
        {
            return Ok(reply);
        }
        self.new_child(&push)
    }

    fn switch(&self, schema: &str) -> Result<usize, Halt> {
        self.world
            .tenant(schema)
            .ok_or_else(|| Halt::Crash("public".to_owned()))
    }

    /// Branch A. `None`: the identity is linked to no organisation, branch B decides.
    fn known_identity(&mut self, push: &Push, global_id: &str) -> Result<Option<Reply>, Halt> {
        let tenant = self.switch(&push.tenant)?;
        let crash = || Halt::Crash(push.tenant.clone());
        let here = self.world.tenants[tenant].live_client(global_id);
        // A0: not known at this NGO, so nothing is created and nobody is told.
        if let Some(at) = here.filter(|_| push.is_referred()) {
            let client = &self.world.tenants[tenant].clients[at];
            if client.referee_id.is_none() && client.received_by_id.is_none() && client.workers.is_empty() {
                return Err(crash());
            }
            let slug = client.slug.clone();
            let referee = client
                .referee_id
                .or(client.received_by_id)
                .or(client.workers.first().copied());
            let referral = Referral {
                slug,
                referee_id: referee,
                ..self.build(push, global_id)
            };
            let faults = referral_faults(&referral, &push.tenant);
            if !faults.is_empty() {
                let fields = self.messages(&push.tenant, "referral", &faults);
                return Ok(Some(json_reply(
                    422,
                    &json!({ "external_id": push.echo(), "message": fields }),
                )));
            }
            self.save_pushed(push, tenant, referral)?;
        }
        // R: the organisation with the lowest id, which need not be the one addressed.
        let Some(link) = self
            .world
            .links_of(global_id)
            .into_iter()
            .min_by_key(|l| l.tenant_id)
        else {
            return Ok(None);
        };
        let owner = link.tenant_id;
        let tenant = self
            .world
            .tenants
            .iter()
            .position(|t| t.id == owner)
            .ok_or_else(crash)?;
        let at = self.world.tenants[tenant]
            .live_client(global_id)
            .ok_or_else(crash)?;
        self.overwrite(push, tenant, at).map(Some)
    }

    /// R: overwrites the child and perhaps writes a status to an older referral (A2 to A5).
    fn overwrite(&mut self, push: &Push, tenant: usize, at: usize) -> Result<Reply, Halt> {
        let schema = self.world.tenants[tenant].short_name.clone();
        let before = &self.world.tenants[tenant].clients[at];
        let client = self
            .overwritten(push, before)
            .ok_or_else(|| Halt::Crash(schema.clone()))?;
        let external_id = json!(client.external_id);
        let reply = |status, message: Value| {
            json_reply(status, &json!({ "external_id": external_id, "message": message }))
        };
        let faults = client_faults(&client);
        if !faults.is_empty() {
            return Ok(reply(422, self.messages(&schema, "client", &faults)));
        }
        let (id, changed) = (client.id, client != *before);
        // Unchanged, the stamp moves all the same when the push refers nobody (`known-child#51`, `#71`), and
        // stays when it does (`tenants-and-status#30`). Measured both ways, cause unknown.
        if changed || !push.is_referred() {
            let (now, place) = (self.now(), self.world.place());
            self.world.tenants[tenant].clients[at] = Client {
                updated_at: now,
                place,
                ..client
            };
        }
        if self.first_referral_waits(tenant, at) {
            // The hook of measured fact 1 strikes after the child is saved (`strict#34..36`).
            if self.config.strict_current_user {
                return Err(Halt::Crash(schema));
            }
            self.follow(tenant, at);
        }
        match push.text("referral_status") {
            None => Ok(reply(200, SAVED.into())),
            Some(status) if ["Accepted", "Exited", "Referred"].contains(&status.as_str()) => {
                self.write_older_status(tenant, id, &push.system, &status);
                Ok(reply(200, SAVED.into()))
            }
            Some(_) => {
                let text = "Referral status must be one of ['Accepted', 'Exited', 'Referred'].";
                Ok(reply(422, text.into()))
            }
        }
    }

    /// The child as a push leaves it (`oscar.md` 3.5); `None`: a location that is a number has no length.
    fn overwritten(&self, push: &Push, before: &Client) -> Option<Client> {
        let mut client = before.clone();
        client.mosvy_number = push.text("mosvy_number");
        client.given_name = push.text("given_name");
        client.family_name = push.text("family_name");
        client.gender = push.text("gender");
        client.date_of_birth = push.text("date_of_birth").as_deref().and_then(birth_date);
        client.external_case_worker_id = push.text("external_case_worker_id");
        client.external_case_worker_name = push.text("external_case_worker_name");
        client.local_given_name = None;
        client.local_family_name = None;
        client.reason_for_referral = None;
        client.relevant_referral_information = None;
        let given = |key: &str| push.sent.get(key).filter(|value| !value.is_null());
        match given("address_current_village_code").or_else(|| given("location_current_village_code")) {
            Some(Value::Number(_)) => return None,
            code => self.locate(
                &mut client.address,
                code.and_then(Value::as_str).unwrap_or_default(),
            ),
        }
        if !blank(push.text("external_id").as_deref()) {
            client.external_id = push.text("external_id");
            client.external_id_display = push.text("external_id_display");
            client.synced_date = Some(self.now().date_naive());
        }
        Some(client)
    }

    /// Writes a location code: known, it sets every level; unknown, it clears its own level and no other.
    pub(super) fn locate(&self, address: &mut [Option<String>; 4], code: &str) {
        if blank(Some(code)) {
            *address = Default::default();
            return;
        }
        let level = match code.chars().count() {
            0..=2 => 1,
            3..=4 => 2,
            5..=6 => 3,
            _ => 4,
        };
        let padded = format!("{code:0>width$}", width = level * 2);
        if padded.len() != level * 2 || !self.config.gazetteer.knows(&padded) {
            address[level - 1] = None;
            return;
        }
        for (at, slot) in address.iter_mut().enumerate() {
            *slot = (at < level).then(|| padded[..(at + 1) * 2].to_owned());
        }
    }

    /// A4: a raw write to the latest linked referral of each direction, which is never the one just pushed.
    fn write_older_status(&mut self, tenant: usize, client: i64, system: &str, status: &str) {
        let place = self.world.place();
        let t = &mut self.world.tenants[tenant];
        let short_name = t.short_name.clone();
        let newest = |received: bool| {
            let mine = t.referrals.iter().enumerate().filter(|(_, r)| {
                let side = if received {
                    &r.referred_to
                } else {
                    &r.referred_from
                };
                !r.deleted && r.client_id == Some(client) && r.ngo_name == system && *side == short_name
            });
            mine.max_by_key(|(_, r)| r.id).map(|(at, _)| at)
        };
        for at in [newest(true), newest(false)].into_iter().flatten() {
            t.referrals[at].referral_status = status.to_owned();
            t.referrals[at].place = place;
        }
    }

    /// Branch B: any one referral with the same external id decides, whichever storage yields first (fact 6).
    fn new_child(&mut self, push: &Push) -> Result<Reply, Halt> {
        let crash = || Halt::Crash(push.tenant.clone());
        // The public schema can be switched to, but nothing can be saved there (`push#73`).
        let tenant = if push.tenant == "public" {
            None
        } else {
            Some(self.switch(&push.tenant)?)
        };
        let now = self.now();
        let global_id = push
            .global_id
            .clone()
            .unwrap_or_else(|| self.world.new_identity(now));
        let Some(tenant) = tenant.filter(|_| !push.has_nul()) else {
            return Err(crash());
        };
        let external_id = push.text("external_id");
        let t = &self.world.tenants[tenant];
        let same = t
            .referrals
            .iter()
            .filter(|r| !r.deleted && r.external_id == external_id);
        let found = same.min_by_key(|r| r.place);
        let linked = |r: &Referral| {
            r.client_id
                .and_then(|id| t.client_at(id))
                .is_some_and(|at| !t.clients[at].archived)
        };
        if found.is_some_and(linked) {
            let errors = match push.global_id {
                Some(_) => json!({}),
                None => json!({
                    "global_id": "global_id must exist.",
                    "referral_status": "referral_status must be present.",
                }),
            };
            let body =
                json!({ "external_id": push.echo(), "message": "Record was found.", "errors": errors });
            return Ok(json_reply(422, &body));
        }
        // B2 takes the first one's global id and leaves the identity just made an orphan.
        let pending = found.map(|r| r.client_global_id.clone());
        let first = pending.is_none();
        let global_id = pending.unwrap_or(global_id);
        let referral = self.build(push, &global_id);
        let faults = referral_faults(&referral, &push.tenant);
        if !faults.is_empty() {
            let fields = self.messages(&push.tenant, "referral", &faults);
            return Ok(json_reply(
                422,
                &json!({ "external_id": push.echo(), "message": fields }),
            ));
        }
        self.save_pushed(push, tenant, referral)?;
        if first {
            // B1 with an unknown global id fails only now, with the referral stored (`push#61`).
            if !self.world.identities.contains(&global_id) {
                return Err(crash());
            }
            self.world.system_links.insert(global_id);
        }
        Ok(json_reply(
            200,
            &json!({ "external_id": push.echo(), "message": SAVED }),
        ))
    }

    /// Inserts a pushed referral, unless the code as published rolls it back; the sequence moves either way.
    fn save_pushed(&mut self, push: &Push, tenant: usize, referral: Referral) -> Result<(), Halt> {
        if push.has_nul() {
            return Err(Halt::Crash(push.tenant.clone()));
        }
        if self.config.strict_current_user {
            self.world.tenants[tenant].last_referral_id += 1;
            return Err(Halt::Crash(push.tenant.clone()));
        }
        self.world.insert_referral(tenant, referral);
        Ok(())
    }

    /// A referral built from a push (`oscar.md` 3.2).
    fn build(&self, push: &Push, global_id: &str) -> Referral {
        let now = self.now();
        let or_empty = |key: &str| push.text(key).unwrap_or_default();
        let names = [or_empty("given_name"), or_empty("family_name")];
        let services = match push.sent.get("services") {
            Some(Value::Array(list)) => catalogue::named(
                list.iter()
                    .filter_map(|item| item.get("name").and_then(Value::as_str)),
            ),
            _ => Vec::new(),
        };
        let reason = push.text("reason_for_referral").filter(|r| !http::blank(Some(r)));
        Referral {
            id: 0,
            slug: String::new(),
            external_id: push.text("external_id"),
            external_id_display: push.text("external_id_display"),
            mosvy_number: push.text("mosvy_number"),
            client_global_id: global_id.to_owned(),
            client_name: names.join(" ").trim().to_owned(),
            client_gender: push.text("gender"),
            client_date_of_birth: push.text("date_of_birth").as_deref().and_then(birth_date),
            village_code: push.text("location_current_village_code"),
            referred_from: push.system.clone(),
            referred_to: push.tenant.clone(),
            ngo_name: push.system.clone(),
            referral_reason: reason.unwrap_or_else(|| "N/A".to_owned()),
            name_of_referee: or_empty("external_case_worker_name"),
            referral_phone: or_empty("external_case_worker_mobile"),
            referee_id: push.text("external_case_worker_id").map(|id| leading_number(&id)),
            level_of_risk: push.text("level_of_risk"),
            referral_status: "Referred".to_owned(),
            services,
            consent_form: Vec::new(),
            client_id: None,
            saved: false,
            deleted: false,
            created_at: now,
            updated_at: now,
            place: 0,
        }
    }
}

/// Ruby's `to_i`: the digits in front, or 0.
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}
