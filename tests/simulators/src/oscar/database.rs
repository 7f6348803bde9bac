//! What administrators and hands in the database do: archiving, deleting, switching tenants, moving rows.

use super::Sim;
use super::workers::Refused;
use super::world::{Client, IdentityLink, Referral, Tenant};

impl Sim {
    /// Archives a child: gone from half A and from upserts, still in half B; nothing moves (`lifecycle#166`).
    pub fn archive(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        self.alter_client(tenant, client_id, |client| client.archived = true)
    }

    /// Restores an archived child; `updated_at` moves and its deleted referrals come back (`lifecycle#179`).
    pub fn restore(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        let now = self.now();
        self.alter_client(tenant, client_id, |client| {
            client.archived = false;
            client.updated_at = now;
        })?;
        let t = self.at(tenant)?;
        let mine = self.world.tenants[t]
            .referrals
            .iter_mut()
            .filter(|r| r.client_id == Some(client_id));
        mine.for_each(|r| r.deleted = false);
        Ok(())
    }

    /// The model's own destroy: referrals, workers and link rows go, a bare child stays in half B
    /// (`tenants-and-status#50`, `#52`).
    pub fn destroy(&mut self, tenant: &str, client_id: i64) -> Result<(), Refused> {
        self.alter_client(tenant, client_id, |client| {
            client.archived = true;
            client.workers.clear();
        })?;
        let t = self.at(tenant)?;
        let row = &mut self.world.tenants[t];
        row.referrals
            .iter_mut()
            .filter(|r| r.client_id == Some(client_id))
            .for_each(|r| r.deleted = true);
        let tenant_id = row.id;
        self.world
            .links
            .retain(|l| (l.tenant_id, l.client_id) != (tenant_id, client_id));
        Ok(())
    }

    /// Deletes a referral: its items silently leave `services`, nothing moves (`lifecycle#161`).
    pub fn delete_referral(&mut self, tenant: &str, referral_id: i64) -> Result<(), Refused> {
        self.alter_referral(tenant, referral_id, |referral| referral.deleted = true)
    }

    /// Another worker is assigned; nothing moves (`lifecycle#153`).
    pub fn assign_worker(&mut self, tenant: &str, client_id: i64, worker_id: i64) -> Result<(), Refused> {
        self.alter_client(tenant, client_id, |client| client.workers.push(worker_id))
    }

    /// The switch on the settings page that puts a tenant into the pull (`oscar.md` 2.2).
    pub fn set_integrated(&mut self, tenant: &str, integrated: bool) -> Result<(), Refused> {
        self.alter_tenant(tenant, |t| t.integrated = integrated)
    }

    /// An edit of a tenant's own row, settings or workers.
    pub fn alter_tenant(&mut self, tenant: &str, edit: impl FnOnce(&mut Tenant)) -> Result<(), Refused> {
        let named = self.world.tenants.iter_mut().find(|t| t.short_name == tenant);
        edit(named.ok_or_else(|| Refused(format!("no tenant {tenant}")))?);
        Ok(())
    }

    /// An edit of a child's row by hand: no rule, no hook, no `updated_at` but the one you write.
    pub fn alter_client(
        &mut self,
        tenant: &str,
        client_id: i64,
        edit: impl FnOnce(&mut Client),
    ) -> Result<(), Refused> {
        let (t, at) = self.client_at(tenant, client_id)?;
        let place = self.world.place();
        let client = &mut self.world.tenants[t].clients[at];
        edit(client);
        client.place = place;
        Ok(())
    }

    /// An edit of a referral's row by hand.
    pub fn alter_referral(
        &mut self,
        tenant: &str,
        referral_id: i64,
        edit: impl FnOnce(&mut Referral),
    ) -> Result<(), Refused> {
        let (t, at) = self.referral_at(tenant, referral_id)?;
        let place = self.world.place();
        let referral = &mut self.world.tenants[t].referrals[at];
        edit(referral);
        referral.place = place;
        Ok(())
    }

    /// Adds a link row by hand, right or wrong (`update-links#34`).
    pub fn add_link_row(&mut self, global_id: &str, tenant: &str, client_id: i64) -> Result<(), Refused> {
        let t = self.at(tenant)?;
        let (tenant_id, place) = (self.world.tenants[t].id, self.world.place());
        self.world.links.push(IdentityLink {
            global_id: global_id.to_owned(),
            tenant_id,
            client_id,
            place,
        });
        Ok(())
    }

    /// Removes the link rows between a global id and a tenant.
    pub fn remove_link_rows(&mut self, global_id: &str, tenant: &str) -> Result<(), Refused> {
        let t = self.at(tenant)?;
        let tenant_id = self.world.tenants[t].id;
        self.world
            .links
            .retain(|l| (l.global_id.as_str(), l.tenant_id) != (global_id, tenant_id));
        Ok(())
    }

    /// Rewrites a child's link row, which moves it in storage (`update-statuses#62`).
    pub fn rewrite_link_row(&mut self, global_id: &str, tenant: &str) -> Result<(), Refused> {
        let t = self.at(tenant)?;
        let (tenant_id, place) = (self.world.tenants[t].id, self.world.place());
        let mine = |l: &&mut IdentityLink| l.global_id == global_id && l.tenant_id == tenant_id;
        self.world
            .links
            .iter_mut()
            .filter(mine)
            .for_each(|l| l.place = place);
        Ok(())
    }

    /// Moves a tenant's sequences on, as rows since deleted or rolled back would have.
    pub fn advance_ids(&mut self, tenant: &str, clients: i64, referrals: i64) -> Result<(), Refused> {
        self.alter_tenant(tenant, |t| {
            t.last_client_id = t.last_client_id.max(clients);
            t.last_referral_id = t.last_referral_id.max(referrals);
        })
    }
}
