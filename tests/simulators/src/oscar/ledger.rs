//! The truth, for tests only: what is really in the database, whoever was told what (`oscar.md` 10, last
//! item).

use std::collections::BTreeSet;

use super::Sim;
use super::catalogue::CATALOGUE;
use super::world::{Client, IdentityLink, Referral, Tenant};

/// A referral as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferralRow {
    pub tenant: String,
    pub id: i64,
    pub external_id: Option<String>,
    pub global_id: String,
    /// The child it is linked to; `None` while it is pending.
    pub client_id: Option<i64>,
    pub status: String,
    pub reason: String,
    /// Names, one per catalogue row: a doubled name comes twice.
    pub services: Vec<String>,
    pub saved: bool,
    pub level_of_risk: Option<String>,
    pub client_name: String,
    pub referred_from: String,
    pub referred_to: String,
    pub deleted: bool,
    /// Every column.
    pub row: Referral,
}

/// A child as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    pub tenant: String,
    pub client: Client,
}

impl Sim {
    /// All referrals of all tenants, deleted ones included, by tenant and id.
    pub fn referrals(&self) -> Vec<ReferralRow> {
        let of = |t: &Tenant| {
            let mut rows: Vec<ReferralRow> = t.referrals.iter().map(|r| row(&t.short_name, r)).collect();
            rows.sort_by_key(|r| r.id);
            rows
        };
        self.world.tenants.iter().flat_map(of).collect()
    }

    /// All children of all tenants, archived ones included, by tenant and id.
    pub fn clients(&self) -> Vec<ClientRow> {
        let of = |t: &Tenant| {
            let mut rows: Vec<ClientRow> = t
                .clients
                .iter()
                .map(|c| ClientRow {
                    tenant: t.short_name.clone(),
                    client: c.clone(),
                })
                .collect();
            rows.sort_by_key(|r| r.client.id);
            rows
        };
        self.world.tenants.iter().flat_map(of).collect()
    }

    /// One child.
    pub fn client(&self, tenant: &str, client_id: i64) -> Option<&Client> {
        let (t, at) = self.client_at(tenant, client_id).ok()?;
        Some(&self.world.tenants[t].clients[at])
    }

    /// The child of this global id at this tenant, archived or not.
    pub fn client_of(&self, tenant: &str, global_id: &str) -> Option<&Client> {
        let t = self.world.tenant(tenant)?;
        self.world.tenants[t]
            .clients
            .iter()
            .find(|c| c.global_id == global_id)
    }

    /// One referral, unless deleted.
    pub fn referral(&self, tenant: &str, referral_id: i64) -> Option<&Referral> {
        let (t, at) = self.referral_at(tenant, referral_id).ok()?;
        Some(&self.world.tenants[t].referrals[at])
    }

    /// How many referrals a tenant really holds for a Primero case: more than asked for is a duplicate.
    pub fn count_by_external_id(&self, tenant: &str, external_id: &str) -> usize {
        self.count(tenant, |r| r.external_id.as_deref() == Some(external_id))
    }

    /// How many referrals a tenant really holds whose reason contains a tag such as `[GW-7F3K2]`.
    pub fn count_by_tag(&self, tenant: &str, tag: &str) -> usize {
        self.count(tenant, |r| r.referral_reason.contains(tag))
    }

    fn count(&self, tenant: &str, wanted: impl Fn(&Referral) -> bool) -> usize {
        let t = self.world.tenants.iter().filter(|t| t.short_name == tenant);
        t.flat_map(|t| &t.referrals)
            .filter(|r| !r.deleted && wanted(r))
            .count()
    }

    /// Every identity row, orphans included.
    pub fn identities(&self) -> &BTreeSet<String> {
        &self.world.identities
    }

    /// Identities no child and no referral uses (`oscar.md` 3.4, "orphan identity").
    pub fn orphan_identities(&self) -> Vec<String> {
        let used = |id: &&String| {
            let mut tenants = self.world.tenants.iter();
            !tenants.any(|t| {
                t.clients.iter().any(|c| c.global_id == **id)
                    || t.referrals.iter().any(|r| r.client_global_id == **id)
            })
        };
        self.world.identities.iter().filter(used).cloned().collect()
    }

    /// Link rows in storage order.
    pub fn link_rows(&self) -> Vec<IdentityLink> {
        let mut rows = self.world.links.clone();
        rows.sort_by_key(|l| l.place);
        rows
    }

    /// Global ids with an audit link to the external system.
    pub fn system_links(&self) -> &BTreeSet<String> {
        &self.world.system_links
    }
}

fn row(tenant: &str, referral: &Referral) -> ReferralRow {
    ReferralRow {
        tenant: tenant.to_owned(),
        id: referral.id,
        external_id: referral.external_id.clone(),
        global_id: referral.client_global_id.clone(),
        client_id: referral.client_id,
        status: referral.referral_status.clone(),
        reason: referral.referral_reason.clone(),
        services: referral
            .services
            .iter()
            .map(|&at| CATALOGUE[at].name.to_owned())
            .collect(),
        saved: referral.saved,
        level_of_risk: referral.level_of_risk.clone(),
        client_name: referral.client_name.clone(),
        referred_from: referral.referred_from.clone(),
        referred_to: referral.referred_to.clone(),
        deleted: referral.deleted,
        row: referral.clone(),
    }
}
