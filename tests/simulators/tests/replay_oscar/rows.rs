//! Readings of the recorded database against the simulator's ledger.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use simulators::oscar::catalogue::CATALOGUE;
use simulators::oscar::{Client, Referral, Sim};

use crate::compare::Pairs;

/// Remembers the last stamps read, since only "did it move?" can be compared.
#[derive(Default)]
pub struct Rows {
    stamps: HashMap<String, (String, DateTime<Utc>)>,
}

impl Rows {
    pub fn check(&mut self, sim: &Sim, pairs: &mut Pairs, file: &str, n: u64, rows: &Value) -> Vec<String> {
        let rows = rows.as_array().unwrap();
        rows.iter()
            .flat_map(|row| self.row(sim, pairs, file, n, row.as_object().unwrap()))
            .collect()
    }

    fn row(
        &mut self,
        sim: &Sim,
        pairs: &mut Pairs,
        file: &str,
        n: u64,
        row: &Map<String, Value>,
    ) -> Vec<String> {
        let has = |key: &str| row.contains_key(key);
        if let Some(simulated) = counted(sim, pairs, file, n, row) {
            return pairs.value("row", &Value::Object(row.clone()), &simulated);
        }
        let tenant = row
            .get("tenant")
            .or_else(|| row.get("t"))
            .and_then(Value::as_str)
            .unwrap_or("cif");
        // Readings that do not select the id they asked for.
        let id = row
            .get("id")
            .and_then(Value::as_i64)
            .unwrap_or_else(|| match (file, n) {
                ("strict", 10 | 12) => 1,
                ("strict", _) => 1033,
                ("push", 66) => 6,
                ("update-statuses", 10) => 8,
                _ => panic!("{file}#{n}: whose reading is this?"),
            });
        let child =
            has("given_name") || has("synced_date") || has("status") || (file, n) == ("update-statuses", 10);
        let (mut simulated, stamp) = match (child, sim.client(tenant, id), sim.referral(tenant, id)) {
            (true, Some(client), _) => (client_json(sim, tenant, client), client.updated_at),
            (false, _, Some(referral)) => (referral_json(tenant, referral), referral.updated_at),
            _ => return vec![format!("no row {id} at {tenant}")],
        };
        let mut found = Vec::new();
        if let Some(Value::String(recorded)) = row.get("updated_at") {
            let name = format!("{tenant}/{child}/{id}");
            if let Some((before, simulated_before)) = self.stamps.insert(name, (recorded.clone(), stamp)) {
                let (moved, simulated_moved) = (before != *recorded, simulated_before != stamp);
                if moved != simulated_moved {
                    found.push(format!(
                        "updated_at moved: recorded {moved}, simulated {simulated_moved}"
                    ));
                }
            }
        }
        simulated.retain(|key, _| row.contains_key(key));
        simulated.insert(
            "updated_at".to_owned(),
            row.get("updated_at").cloned().unwrap_or_default(),
        );
        if !has("updated_at") {
            simulated.remove("updated_at");
        }
        found.extend(pairs.value("row", &Value::Object(row.clone()), &Value::Object(simulated)));
        found
    }
}

/// Readings that are no row of a child or a referral.
fn counted(sim: &Sim, pairs: &Pairs, file: &str, n: u64, row: &Map<String, Value>) -> Option<Value> {
    let has = |key: &str| row.contains_key(key);
    let lives_at = |r: &&simulators::oscar::ReferralRow, tenant: &str| r.tenant == tenant && !r.deleted;
    let referrals = |tenant: &str| sim.referrals().iter().filter(|r| lives_at(r, tenant)).count();
    if has("n_tokens") {
        let tokens = sim.stored_tokens("gateway@example.org");
        let expired = tokens.iter().filter(|at| **at <= sim.now()).count();
        let both = json!({ "n_tokens": tokens.len(), "expired": expired });
        return Some(if has("expired") {
            both
        } else {
            json!({ "n_tokens": tokens.len() })
        });
    }
    if has("identities") {
        return Some(json!({
            "cif_referrals": referrals("cif"),
            "ngotwo_referrals": referrals("ngotwo"),
            "identities": sim.identities().len(),
            "es_links": sim.system_links().len(),
        }));
    }
    if has("orgs") {
        let global_id = pairs.apply(row["global_id"].as_str()?);
        let mut orgs: Vec<i64> = sim
            .link_rows()
            .iter()
            .filter(|l| l.global_id == global_id)
            .map(|l| l.tenant_id)
            .collect();
        orgs.sort_unstable();
        return Some(json!({ "global_id": global_id, "orgs": orgs }));
    }
    if has("external_system_id") {
        // The audit row: only that there is one for this global id can be seen from outside.
        let global_id = pairs.apply(row["global_id"].as_str()?);
        let known = sim.system_links().contains(&global_id);
        return Some(if known {
            Value::Object(row.clone())
        } else {
            Value::Null
        });
    }
    if has("parent") {
        let referral = sim.referral("cif", row["referral_id"].as_i64()?)?;
        let same = |at: &&usize| json!(CATALOGUE[**at].parent) == row["parent"];
        let service = &CATALOGUE[*referral.services.iter().find(same)?];
        return Some(json!({
            "referral_id": referral.id, "name": service.name, "uuid": service.uuid, "parent": service.parent,
        }));
    }
    if has("count") {
        // Referrals in the public schema: the simulator has no place for any.
        return Some(json!({ "count": 0 }));
    }
    if row.len() == 1 && has("id") {
        // Ids of the referrals of one child at one tenant.
        let tenant = if (file, n) == ("update-statuses", 58) {
            "ngotwo"
        } else {
            "cif"
        };
        return sim
            .referral(tenant, row["id"].as_i64()?)
            .map(|r| json!({ "id": r.id }));
    }
    None
}

fn client_json(sim: &Sim, tenant: &str, client: &Client) -> Map<String, Value> {
    // The recorded gazetteer had two villages; each level's row id is that of its village.
    let level = |at: usize| {
        client.address[at]
            .as_deref()
            .map(|code| if code.starts_with("01") { 1 } else { 2 })
    };
    let first = client.from_referral_id.and_then(|id| sim.referral(tenant, id));
    let Value::Object(row) = json!({
        "tenant": tenant, "id": client.id, "slug": client.slug, "given_name": client.given_name,
        "family_name": client.family_name, "local_given_name": client.local_given_name,
        "local_family_name": client.local_family_name, "gender": client.gender,
        "date_of_birth": client.date_of_birth, "status": client.status, "external_id": client.external_id,
        "external_id_display": client.external_id_display, "mosvy_number": client.mosvy_number,
        "reason_for_referral": client.reason_for_referral,
        "relevant_referral_information": client.relevant_referral_information,
        "province_id": level(0), "district_id": level(1), "commune_id": level(2), "village_id": level(3),
        "external_case_worker_name": client.external_case_worker_name,
        "external_case_worker_id": client.external_case_worker_id,
        "synced_date": client.synced_date.map(|d| d.to_string()), "referral_count": 0,
        "referred_external": client.referred_external, "from_referral_id": client.from_referral_id,
        "referral_status": first.map(|r| &r.referral_status),
    }) else {
        unreachable!("an object literal is an object")
    };
    row
}

fn referral_json(tenant: &str, referral: &Referral) -> Map<String, Value> {
    let Value::Object(row) = json!({
        "t": tenant, "id": referral.id, "slug": referral.slug, "referred_from": referral.referred_from,
        "referred_to": referral.referred_to, "ngo_name": referral.ngo_name, "client_id": referral.client_id,
        "saved": referral.saved, "referral_status": referral.referral_status,
        "level_of_risk": referral.level_of_risk, "client_global_id": referral.client_global_id,
        "external_id": referral.external_id, "referral_reason": referral.referral_reason,
        "referee_id": referral.referee_id, "name_of_referee": referral.name_of_referee,
        "client_name": referral.client_name, "client_gender": referral.client_gender,
        "village_code": referral.village_code,
    }) else {
        unreachable!("an object literal is an object")
    };
    row
}
