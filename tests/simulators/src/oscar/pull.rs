//! GET organizations/clients: two halves on two clocks in two shapes (`oscar.md` 2, measured fact 4).

use std::cmp::Reverse;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::Sim;
use super::catalogue::CATALOGUE;
use super::config::Office;
use super::http::{Halt, Incoming, blank, json_reply};
use super::since::{Reading, read};
use super::world::{Client, Tenant};
use crate::wire::Reply;

/// What the query string asks for.
enum Window {
    Everything,
    Since(Reading),
    /// Wall-clock digits, offsets dropped (`pull#47`, `#48`).
    Created(DateTime<Utc>, DateTime<Utc>),
}

impl Window {
    /// Half A compares instants, sub-second kept.
    fn holds_instant(&self, client: &Client) -> bool {
        match self {
            Self::Since(since) => {
                client.updated_at >= since.instant() || client.created_at >= since.instant()
            }
            Self::Everything => true,
            Self::Created(..) => false,
        }
    }

    /// Half B compares UTC dates with the date text of the value, offset and all (`pull#13`).
    fn holds_date(&self, client: &Client) -> bool {
        let day = |at: DateTime<Utc>| -> NaiveDate { at.date_naive() };
        match self {
            Self::Since(since) => {
                let since = since.wall.date();
                day(client.updated_at) >= since || day(client.created_at) >= since
            }
            Self::Everything => true,
            Self::Created(from, to) => (*from..=*to).contains(&client.created_at),
        }
    }
}

/// The completeness gate of both halves (`oscar.md` 2.2).
fn complete(client: &Client) -> bool {
    let either = |a: &Option<String>, b: &Option<String>| !blank(a.as_deref()) || !blank(b.as_deref());
    either(&client.given_name, &client.local_given_name)
        && either(&client.family_name, &client.local_family_name)
        && !blank(client.gender.as_deref())
        && client.date_of_birth.is_some()
}

fn or_local<'a>(latin: &'a Option<String>, local: &'a Option<String>) -> Option<&'a String> {
    latin
        .as_ref()
        .filter(|name| !blank(Some(name)))
        .or(local.as_ref())
}

impl Sim {
    pub(super) fn pull(&mut self, incoming: &Incoming, account: usize) -> Result<Reply, Halt> {
        let window = self.window(incoming)?;
        let system = self.config.accounts[account]
            .external_system
            .clone()
            .unwrap_or_default();
        let mut elements = Vec::new();
        for tenant in self.world.tenants.iter().filter(|t| t.integrated && !t.deleted) {
            if !tenant.schema_exists {
                return Err(Halt::Crash("public".to_owned()));
            }
            half_a(tenant, &window, &system, &mut elements)?;
            half_b(tenant, &window, &system, &mut elements)?;
        }
        Ok(json_reply(200, &json!({ "data": elements })))
    }

    fn window(&self, incoming: &Incoming) -> Result<Window, Halt> {
        let crash = || Halt::Crash("public".to_owned());
        if incoming
            .query
            .iter()
            .any(|(key, _)| key.starts_with("since_date[") || key.starts_with("end_date["))
        {
            return Err(crash());
        }
        let today = self.now().with_timezone(&self.config.server_zone).date_naive();
        let parsed = |name: &str| match incoming.query(name) {
            Some(text) if !blank(Some(text)) => read(text, self.config.server_zone, today)
                .map(Some)
                .ok_or_else(crash),
            _ => Ok(None),
        };
        match (parsed("since_date")?, parsed("end_date")?) {
            (None, None) => Ok(Window::Everything),
            (Some(since), None) => Ok(Window::Since(since)),
            (Some(since), Some(end)) => Ok(Window::Created(since.wall.and_utc(), end.wall.and_utc())),
            (None, Some(_)) => Err(crash()),
        }
    }
}

fn in_half_a(tenant: &Tenant, client: &Client, window: &Window, system: &str) -> bool {
    client.referred_external
        && !client.archived
        && complete(client)
        && window.holds_instant(client)
        && !tenant.linked(client.id, system).is_empty()
}

fn half_a(tenant: &Tenant, window: &Window, system: &str, out: &mut Vec<Value>) -> Result<(), Halt> {
    let mut half: Vec<&Client> = tenant
        .clients
        .iter()
        .filter(|c| in_half_a(tenant, c, window, system))
        .collect();
    half.sort_by_key(|c| (Reverse(c.updated_at), c.place));
    for client in half {
        out.push(shape_a(tenant, client, system)?);
    }
    Ok(())
}

/// Everything complete that half A did not return: archived children too, and children referred to us whose
/// stamp lies before the instant but on the same day (measured fact 4).
fn half_b(tenant: &Tenant, window: &Window, system: &str, out: &mut Vec<Value>) -> Result<(), Halt> {
    let wanted = |c: &&Client| complete(c) && window.holds_date(c) && !in_half_a(tenant, c, window, system);
    let mut half: Vec<&Client> = tenant.clients.iter().filter(wanted).collect();
    if matches!(window, Window::Created(..)) {
        half.sort_by_key(|c| (c.created_at, c.place));
    } else {
        half.sort_by_key(|c| (Reverse(c.updated_at), c.place));
    }
    for client in half {
        out.push(shape_b(tenant, client, system)?);
    }
    Ok(())
}

fn shape_a(tenant: &Tenant, client: &Client, system: &str) -> Result<Value, Halt> {
    let office = match &tenant.office {
        Office::Commune(code) | Office::District(code) => code,
        Office::ProvinceOnly(_) | Office::NoSettings => return Err(Halt::Crash(tenant.short_name.clone())),
    };
    let latest = tenant.linked(client.id, system).into_iter().max_by_key(|r| r.id);
    let reason = latest
        .map(|r| &r.referral_reason)
        .or(client.reason_for_referral.as_ref());
    let village = village(client);
    Ok(json!({
        "slug": client.slug,
        "global_id": client.global_id,
        "external_id": client.external_id,
        "external_id_display": client.external_id_display,
        "mosvy_number": client.mosvy_number,
        "given_name": or_local(&client.given_name, &client.local_given_name),
        "family_name": or_local(&client.family_name, &client.local_family_name),
        "gender": client.gender,
        "date_of_birth": client.date_of_birth,
        "location_current_village_code": village,
        "address_current_village_code": village,
        "organization_id": tenant.id,
        "organization_name": tenant.short_name,
        "external_case_worker_name": client.external_case_worker_name,
        "external_case_worker_id": client.external_case_worker_id,
        "reason_for_referral": reason.map_or("", String::as_str),
        "status": client.status,
        "case_worker_name": workers(tenant, client, |w| &w.name),
        "case_worker_mobile": workers(tenant, client, |w| &w.mobile),
        "is_referred": latest.is_some(),
        "referral_consent_form": latest.map_or(&[][..], |r| &r.consent_form),
        "organization_address_code": office,
        "level_of_risk": latest.and_then(|r| r.level_of_risk.as_deref()).unwrap_or_default(),
        "services": services(tenant, client, system),
    }))
}

fn shape_b(tenant: &Tenant, client: &Client, system: &str) -> Result<Value, Halt> {
    let office = match &tenant.office {
        Office::Commune(code) | Office::District(code) | Office::ProvinceOnly(code) => code,
        Office::NoSettings => return Err(Halt::Crash(tenant.short_name.clone())),
    };
    let linked_to_primero = !blank(client.external_id.as_deref());
    let listed = if linked_to_primero {
        services(tenant, client, system)
    } else {
        Vec::new()
    };
    Ok(json!({
        "given_name": or_local(&client.given_name, &client.local_given_name),
        "family_name": or_local(&client.family_name, &client.local_family_name),
        "local_given_name": client.local_given_name,
        "local_family_name": client.local_family_name,
        "gender": client.gender,
        "date_of_birth": client.date_of_birth,
        "global_id": client.global_id,
        "slug": client.slug,
        "external_id": client.external_id.as_deref().unwrap_or_default(),
        "external_id_display": client.external_id_display.as_deref().unwrap_or_default(),
        "status": client.status,
        "mosvy_number": client.mosvy_number.as_deref().unwrap_or_default(),
        "location_current_village_code": village(client),
        "case_worker_name": workers(tenant, client, |w| &w.name),
        "case_worker_mobile": workers(tenant, client, |w| &w.mobile),
        // Direction-blind and permanent (`oscar.md` 2.6).
        "is_referred": !tenant.linked(client.id, system).is_empty(),
        "organization_name": tenant.short_name,
        "organization_address_code": office,
        // "Linked to a Primero case", not "came from Primero".
        "resource": linked_to_primero.then_some("primero"),
        "services": listed,
    }))
}

/// The most precise level there is; after an unknown code a stale lower one (`extra#63..71`).
fn village(client: &Client) -> &str {
    client
        .address
        .iter()
        .rev()
        .flatten()
        .next()
        .map_or("", String::as_str)
}

fn workers<'t>(
    tenant: &'t Tenant,
    client: &Client,
    field: impl Fn(&'t super::Worker) -> &'t String,
) -> String {
    let assigned = client
        .workers
        .iter()
        .filter_map(|id| tenant.workers.iter().find(|w| w.id == *id));
    assigned.map(|w| field(w).as_str()).collect::<Vec<_>>().join(", ")
}

/// Programme items, then one item per (referral, service): both directions mixed (`oscar.md` 2.7).
fn services(tenant: &Tenant, client: &Client, system: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut seen = Vec::new();
    for enrolment in &client.enrolments {
        for &service in &enrolment.services {
            if seen.contains(&(&enrolment.programme, service)) {
                continue;
            }
            seen.push((&enrolment.programme, service));
            items.push(json!({
                "program_name": enrolment.programme,
                "enrollment_date": enrolment.date.to_string(),
                "uuid": CATALOGUE[service].uuid,
                "name": CATALOGUE[service].name,
            }));
        }
    }
    for referral in tenant.linked(client.id, system) {
        for &service in &referral.services {
            items.push(json!({
                "program_name": null,
                "enrollment_date": null,
                "uuid": CATALOGUE[service].uuid,
                "name": CATALOGUE[service].name,
                "referral_id": referral.id,
                "referral_status": referral.referral_status,
            }));
        }
    }
    items
}
