//! What people at an NGO do, as methods, each with its effect on `clients.updated_at` (`oscar-measured.md`,
//! table "What moved"). A worker always is a current user, so [`Config::strict_current_user`](super::Config)
//! does not hinder any of this.

use std::fmt;

use super::config::{AcceptRule, SYSTEM};
use super::http::blank;
use super::validate::STATUSES;
use super::world::{Client, Enrolment, Referral};
use super::{Sim, catalogue};

/// A worker's action that OSCaR's screens would not have let through, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A referral an NGO makes to Primero.
#[derive(Clone, Debug)]
pub struct NgoReferral {
    pub services: Vec<String>,
    pub level_of_risk: String,
    pub reason: String,
}

impl NgoReferral {
    /// One service by its exact name; a doubled name yields two rows (`oscar.md` 2.7).
    pub fn of(service: &str, level_of_risk: &str, reason: &str) -> Self {
        let (level_of_risk, reason) = (level_of_risk.to_owned(), reason.to_owned());
        Self {
            services: vec![service.to_owned()],
            level_of_risk,
            reason,
        }
    }
}

/// The worker who does everything: referee and case worker of new children.
pub(super) const WORKER: i64 = 2;

impl Sim {
    pub(super) fn at(&self, tenant: &str) -> Result<usize, Refused> {
        self.world
            .tenant(tenant)
            .ok_or_else(|| Refused(format!("no tenant {tenant}")))
    }

    pub(super) fn client_at(&self, tenant: &str, client_id: i64) -> Result<(usize, usize), Refused> {
        let t = self.at(tenant)?;
        let at = self.world.tenants[t].client_at(client_id);
        at.map(|c| (t, c))
            .ok_or_else(|| Refused(format!("no child {client_id} at {tenant}")))
    }

    pub(super) fn referral_at(&self, tenant: &str, referral_id: i64) -> Result<(usize, usize), Refused> {
        let t = self.at(tenant)?;
        let at = self.world.tenants[t].referral_at(referral_id);
        at.map(|r| (t, r))
            .ok_or_else(|| Refused(format!("no referral {referral_id} at {tenant}")))
    }

    /// Saves a referral. Its own stamp moves only if something changed (`update-statuses#44`), the child it
    /// is linked to moves in any case (`#14`).
    pub(super) fn save_referral(&mut self, tenant: usize, at: usize, referral: Referral) {
        let now = self.now();
        let client = referral.client_id;
        if referral != self.world.tenants[tenant].referrals[at] {
            let place = self.world.place();
            self.world.tenants[tenant].referrals[at] = Referral {
                updated_at: now,
                place,
                ..referral
            };
        }
        if let Some(at) = client.and_then(|id| self.world.tenants[tenant].client_at(id)) {
            self.touch(tenant, at);
        }
    }

    fn touch(&mut self, tenant: usize, at: usize) {
        let (now, place) = (self.now(), self.world.place());
        let client = &mut self.world.tenants[tenant].clients[at];
        client.updated_at = now;
        client.place = place;
    }

    /// Whether the child's first referral would take the child's status at the next save (`oscar.md` 6.3,
    /// step 4).
    pub(super) fn first_referral_waits(&self, tenant: usize, at: usize) -> bool {
        let t = &self.world.tenants[tenant];
        let client = &t.clients[at];
        let first = client.from_referral_id.and_then(|id| t.referral_at(id));
        let open = first.is_some_and(|r| t.referrals[r].referral_status == "Referred");
        open && client.enrolments.is_empty() && client.status != "Referred"
    }

    /// The child's first referral takes the child's status.
    pub(super) fn follow(&mut self, tenant: usize, at: usize) {
        let t = &self.world.tenants[tenant];
        let client = &t.clients[at];
        if let Some(first) = client.from_referral_id.and_then(|id| t.referral_at(id)) {
            let referral = Referral {
                referral_status: client.status.clone(),
                ..t.referrals[first].clone()
            };
            self.save_referral(tenant, first, referral);
        }
    }

    fn save_child(&mut self, tenant: usize, at: usize) {
        self.touch(tenant, at);
        if self.first_referral_waits(tenant, at) {
            self.follow(tenant, at);
        }
    }

    /// Links every unlinked or unsaved referral with the child's global id; `updated_at` stays.
    pub(super) fn link(&mut self, tenant: usize, client_id: i64, saved: bool) {
        let place = self.world.place();
        let t = &mut self.world.tenants[tenant];
        let Some(at) = t.client_at(client_id) else { return };
        let global_id = &t.clients[at].global_id;
        let open = t
            .referrals
            .iter_mut()
            .filter(|r| !r.deleted && !r.saved && r.client_id.is_none() && r.client_global_id == *global_id);
        for (offset, referral) in open.enumerate() {
            referral.client_id = Some(client_id);
            referral.saved = saved;
            referral.place = place.wrapping_add(offset as u64);
        }
    }

    /// A worker loads the notifications: every pending referral of a known child is linked, none saved.
    pub fn view_notifications(&mut self, tenant: &str) -> Result<(), Refused> {
        let t = self.at(tenant)?;
        let live = |c: &&Client| !c.archived;
        let ids: Vec<i64> = self.world.tenants[t]
            .clients
            .iter()
            .filter(live)
            .map(|c| c.id)
            .collect();
        ids.into_iter().for_each(|id| self.link(t, id, false));
        Ok(())
    }

    /// A worker opens the child's page: its pending referrals are linked and marked saved.
    pub fn open_child_page(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        let (t, _) = self.client_at(tenant, client_id)?;
        self.link(t, client_id, true);
        let linked = |r: &&mut Referral| r.client_id == Some(client_id);
        self.world.tenants[t]
            .referrals
            .iter_mut()
            .filter(linked)
            .for_each(|r| r.saved = true);
        Ok(())
    }

    /// The NGO accepts the child. Under [`AcceptRule::Measured`] nothing of it shows until the child's next
    /// save.
    pub fn accept(&mut self, tenant: &str, client_id: i64, workers: bool) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        let place = self.world.place();
        let client = &mut self.world.tenants[t].clients[at];
        client.status = "Accepted".to_owned();
        client.place = place;
        if workers && self.config.accept_rule == AcceptRule::BeforeOctober2025 {
            if client.workers.is_empty() {
                client.workers.push(WORKER);
            }
            self.save_child(t, at);
        }
        Ok(())
    }

    /// The NGO rejects or lets go the child: Exited, without workers, and visible at once.
    pub fn reject(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        let client = &mut self.world.tenants[t].clients[at];
        client.status = "Exited".to_owned();
        client.workers.clear();
        self.save_child(t, at);
        Ok(())
    }

    /// The drop-down on a referral's page; the child moves, its status does not (`lifecycle#80`).
    pub fn hand_decide(&mut self, tenant: &str, referral_id: i64, status: &str) -> Result<(), Refused> {
        let (t, at) = self.referral_at(tenant, referral_id)?;
        if !STATUSES.contains(&status) {
            return Err(Refused(format!("no status {status}")));
        }
        let referral = &self.world.tenants[t].referrals[at];
        let referral = Referral {
            referral_status: status.to_owned(),
            ..referral.clone()
        };
        self.save_referral(t, at, referral);
        Ok(())
    }

    /// Enrols the child in a programme: Active, and a first referral still open stays so for ever.
    pub fn enrol(
        &mut self,
        tenant: &str,
        client_id: i64,
        programme: &str,
        services: &[&str],
    ) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        let date = self.now().date_naive();
        let services = catalogue::named(services.iter().copied());
        let client = &mut self.world.tenants[t].clients[at];
        client.enrolments.push(Enrolment {
            programme: programme.to_owned(),
            date,
            services,
        });
        client.status = "Active".to_owned();
        self.save_child(t, at);
        Ok(())
    }

    /// The child leaves its programmes and is merely Accepted again; the programme items stay.
    pub fn leave_programmes(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        self.world.tenants[t].clients[at].status = "Accepted".to_owned();
        self.save_child(t, at);
        Ok(())
    }

    /// Somebody edits a programme: its children with a referral of ours move (`lifecycle#111`).
    pub fn edit_programme(&mut self, tenant: &str, programme: &str) -> Result<(), Refused> {
        let t = self.at(tenant)?;
        let row = &self.world.tenants[t];
        let enrolled = |at: &usize| {
            let c = &row.clients[*at];
            c.enrolments.iter().any(|e| e.programme == programme) && !row.linked(c.id, SYSTEM).is_empty()
        };
        let moved: Vec<usize> = (0..row.clients.len()).filter(enrolled).collect();
        moved.into_iter().for_each(|at| self.touch(t, at));
        Ok(())
    }

    /// Any other save of the child by a worker.
    pub fn edit_child(
        &mut self,
        tenant: &str,
        client_id: i64,
        edit: impl FnOnce(&mut Client),
    ) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        edit(&mut self.world.tenants[t].clients[at]);
        self.save_child(t, at);
        Ok(())
    }

    /// The NGO refers the child to Primero: linked at once, flag set, consent file attached (`oscar.md` 6.4).
    pub fn refer_to_primero(
        &mut self,
        tenant: &str,
        client_id: i64,
        new: &NgoReferral,
    ) -> Result<i64, Refused> {
        let id = self.refer(tenant, client_id, SYSTEM, new)?;
        let (t, at) = self.referral_at(tenant, id)?;
        let file = format!("/uploads/referral/consent_form/{id}/consent.pdf");
        self.world.tenants[t].referrals[at].consent_form = vec![file];
        Ok(id)
    }

    /// The NGO refers the child to another NGO: sets the same flag, so its shape flips (measured fact 5).
    pub fn refer_to_ngo(
        &mut self,
        tenant: &str,
        client_id: i64,
        to: &str,
        new: &NgoReferral,
    ) -> Result<i64, Refused> {
        let other = self.at(to)?;
        let id = self.refer(tenant, client_id, to, new)?;
        let (t, at) = self.referral_at(tenant, id)?;
        let copy = Referral {
            client_id: None,
            ..self.world.tenants[t].referrals[at].clone()
        };
        self.world.insert_referral(other, copy);
        Ok(id)
    }

    fn refer(&mut self, tenant: &str, client_id: i64, to: &str, new: &NgoReferral) -> Result<i64, Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        let services = catalogue::named(new.services.iter().map(String::as_str));
        if services.is_empty() || blank(Some(&new.reason)) {
            return Err(Refused(
                "a referral needs a known service and a reason".to_owned(),
            ));
        }
        let now = self.now();
        let client = &self.world.tenants[t].clients[at];
        let names = [&client.given_name, &client.family_name].map(|n| n.clone().unwrap_or_default());
        let referral = Referral {
            id: 0,
            slug: client.slug.clone(),
            external_id: None,
            external_id_display: None,
            mosvy_number: None,
            client_global_id: client.global_id.clone(),
            client_name: names.join(" ").trim().to_owned(),
            client_gender: client.gender.clone(),
            client_date_of_birth: client.date_of_birth.clone(),
            village_code: None,
            referred_from: tenant.to_owned(),
            referred_to: to.to_owned(),
            ngo_name: to.to_owned(),
            referral_reason: new.reason.clone(),
            name_of_referee: "Wim Worker".to_owned(),
            referral_phone: "010000002".to_owned(),
            referee_id: Some(WORKER),
            level_of_risk: Some(new.level_of_risk.clone()),
            referral_status: "Referred".to_owned(),
            services,
            consent_form: Vec::new(),
            client_id: Some(client_id),
            saved: false,
            deleted: false,
            created_at: now,
            updated_at: now,
            place: 0,
        };
        let id = self.world.insert_referral(t, referral);
        self.world.tenants[t].clients[at].referred_external = true;
        self.touch(t, at);
        Ok(id)
    }
}
