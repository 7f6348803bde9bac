//! The rows: tenants with their children and referrals, and the public tables that span tenants (`oscar.md`
//! 6).

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use super::config::{Config, Office, StorageOrder, TenantConfig};

/// A case worker of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    pub id: i64,
    pub name: String,
    pub mobile: String,
}

/// A child at one NGO (`oscar.md` 6.2). Text columns keep the difference between NULL and ''.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub id: i64,
    pub slug: String,
    pub global_id: String,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub local_given_name: Option<String>,
    pub local_family_name: Option<String>,
    pub gender: Option<String>,
    /// Text, since five-digit years are stored too (`known-child#67`).
    pub date_of_birth: Option<String>,
    pub status: String,
    pub external_id: Option<String>,
    pub external_id_display: Option<String>,
    pub mosvy_number: Option<String>,
    pub reason_for_referral: Option<String>,
    pub relevant_referral_information: Option<String>,
    /// Codes of province, district, commune, village.
    pub address: [Option<String>; 4],
    pub external_case_worker_name: Option<String>,
    pub external_case_worker_id: Option<String>,
    pub synced_date: Option<NaiveDate>,
    pub referred_external: bool,
    pub from_referral_id: Option<i64>,
    /// Ids of the tenant's workers, in order of assignment.
    pub workers: Vec<i64>,
    pub referee_id: Option<i64>,
    pub received_by_id: Option<i64>,
    pub initial_referral_date: Option<NaiveDate>,
    pub referral_source_category_id: Option<i64>,
    pub enrolments: Vec<Enrolment>,
    pub archived: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub(super) place: u64,
}

/// A programme the child was ever enrolled in (`oscar.md` 2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    pub programme: String,
    pub date: NaiveDate,
    /// Indices into [`CATALOGUE`](super::catalogue::CATALOGUE).
    pub services: Vec<usize>,
}

/// A referral row of one tenant, pushed by Primero or made by the NGO (`oscar.md` 3.2, 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    pub id: i64,
    pub slug: String,
    pub external_id: Option<String>,
    pub external_id_display: Option<String>,
    pub mosvy_number: Option<String>,
    pub client_global_id: String,
    pub client_name: String,
    pub client_gender: Option<String>,
    pub client_date_of_birth: Option<String>,
    pub village_code: Option<String>,
    pub referred_from: String,
    pub referred_to: String,
    pub ngo_name: String,
    pub referral_reason: String,
    pub name_of_referee: String,
    pub referral_phone: String,
    pub referee_id: Option<i64>,
    pub level_of_risk: Option<String>,
    pub referral_status: String,
    /// Indices into [`CATALOGUE`](super::catalogue::CATALOGUE).
    pub services: Vec<usize>,
    pub consent_form: Vec<String>,
    /// The child it is linked to; a push is born without one and is invisible until then.
    pub client_id: Option<i64>,
    pub saved: bool,
    pub deleted: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub(super) place: u64,
}

/// One NGO and its schema.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: i64,
    pub short_name: String,
    pub full_name: String,
    pub integrated: bool,
    pub deleted: bool,
    /// False: an organisation row whose schema was never made; integrated, it breaks every pull (`pull#74`).
    pub schema_exists: bool,
    pub office: Office,
    pub workers: Vec<Worker>,
    pub(super) listed: bool,
    pub(super) created_at: DateTime<Utc>,
    pub(super) clients: Vec<Client>,
    pub(super) referrals: Vec<Referral>,
    pub(super) last_client_id: i64,
    pub(super) last_referral_id: i64,
}

impl Tenant {
    pub(super) fn new(config: &TenantConfig) -> Self {
        let worker = |id, name: &str, mobile: &str| Worker {
            id,
            name: name.to_owned(),
            mobile: mobile.to_owned(),
        };
        Self {
            id: config.id,
            short_name: config.short_name.clone(),
            full_name: config.full_name.clone(),
            integrated: config.integrated,
            deleted: false,
            schema_exists: true,
            office: config.office.clone(),
            workers: vec![
                worker(1, "Ann Admin", "010000001"),
                worker(2, "Wim Worker", "010000002"),
            ],
            listed: config.listed,
            created_at: config.created_at,
            clients: Vec::new(),
            referrals: Vec::new(),
            last_client_id: 0,
            last_referral_id: 0,
        }
    }

    pub(super) fn client_at(&self, id: i64) -> Option<usize> {
        self.clients.iter().position(|c| c.id == id)
    }

    /// The default scope: archived children do not exist.
    pub(super) fn live_client(&self, global_id: &str) -> Option<usize> {
        self.clients
            .iter()
            .position(|c| !c.archived && c.global_id == global_id)
    }

    pub(super) fn referral_at(&self, id: i64) -> Option<usize> {
        self.referrals.iter().position(|r| r.id == id && !r.deleted)
    }

    /// Live referrals of `system` linked to a child, in storage order.
    pub(super) fn linked(&self, client_id: i64, system: &str) -> Vec<&Referral> {
        let ours = |r: &&Referral| !r.deleted && r.client_id == Some(client_id) && r.ngo_name == system;
        let mut found: Vec<&Referral> = self.referrals.iter().filter(ours).collect();
        found.sort_by_key(|r| r.place);
        found
    }
}

/// (global id, tenant, child): written when a child is created (`oscar.md` 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityLink {
    pub global_id: String,
    pub tenant_id: i64,
    pub client_id: i64,
    pub(super) place: u64,
}

/// The whole database.
#[derive(Debug)]
pub(super) struct World {
    pub tenants: Vec<Tenant>,
    pub identities: BTreeSet<String>,
    pub links: Vec<IdentityLink>,
    /// Global ids with an audit link to the external system.
    pub system_links: BTreeSet<String>,
    order: StorageOrder,
    last_place: u64,
    pub rng: Rng,
}

impl World {
    pub fn new(config: &Config) -> Self {
        Self {
            tenants: config.tenants.iter().map(Tenant::new).collect(),
            identities: BTreeSet::new(),
            links: Vec::new(),
            system_links: BTreeSet::new(),
            order: config.storage_order,
            last_place: 0,
            rng: Rng(config.seed),
        }
    }

    /// Where a row just written lies in storage.
    pub fn place(&mut self) -> u64 {
        self.last_place += 1;
        match self.order {
            StorageOrder::Insertion => self.last_place,
            StorageOrder::Seeded => self.rng.next(),
        }
    }

    /// The tenant whose schema has this exact name (capitals are another name, `push#72`).
    pub fn tenant(&self, short_name: &str) -> Option<usize> {
        self.tenants
            .iter()
            .position(|t| t.short_name == short_name && t.schema_exists)
    }

    /// Link rows of a child in storage order.
    pub fn links_of(&self, global_id: &str) -> Vec<&IdentityLink> {
        let mut found: Vec<_> = self.links.iter().filter(|l| l.global_id == global_id).collect();
        found.sort_by_key(|l| l.place);
        found
    }

    /// A fresh identity row; nothing cleans it up when the rest of the request fails (`push#27`).
    pub fn new_identity(&mut self, now: DateTime<Utc>) -> String {
        let ulid = self.rng.ulid(now);
        self.identities.insert(ulid.clone());
        ulid
    }

    pub fn insert_referral(&mut self, tenant: usize, mut referral: Referral) -> i64 {
        let place = self.place();
        let t = &mut self.tenants[tenant];
        t.last_referral_id += 1;
        referral.id = t.last_referral_id;
        referral.place = place;
        t.referrals.push(referral);
        t.last_referral_id
    }

    /// Inserts a child with its identity, link row and audit link.
    pub fn insert_client(&mut self, tenant: usize, mut client: Client) -> i64 {
        let place = self.place();
        let id = self.tenants[tenant].last_client_id + 1;
        client.id = id;
        client.place = place;
        client.slug = format!("{}-{id}", self.rng.letters(4));
        self.identities.insert(client.global_id.clone());
        self.system_links.insert(client.global_id.clone());
        let link_place = self.place();
        let t = &mut self.tenants[tenant];
        self.links.push(IdentityLink {
            global_id: client.global_id.clone(),
            tenant_id: t.id,
            client_id: id,
            place: link_place,
        });
        t.last_client_id = id;
        t.clients.push(client);
        id
    }
}

/// SplitMix64: ten lines, and the same everywhere for ever, which a replayable seed needs.
#[derive(Clone, Debug)]
pub(super) struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count)
            .map(|_| char::from(alphabet[(self.next() % alphabet.len() as u64) as usize]))
            .collect()
    }

    pub fn letters(&mut self, count: usize) -> String {
        self.pick(b"abcdefghijklmnopqrstuvwxyz", count)
    }

    /// 22 url-safe characters, as tokens and client ids are (`oscar.md` 1.2).
    pub fn token(&mut self) -> String {
        self.pick(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            22,
        )
    }

    pub fn hex(&mut self, count: usize) -> String {
        self.pick(b"0123456789abcdef", count)
    }

    fn ulid(&mut self, now: DateTime<Utc>) -> String {
        const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let ms = now.timestamp_millis().unsigned_abs();
        let time = (0..10)
            .rev()
            .map(|at| char::from(CROCKFORD[((ms >> (5 * at)) & 31) as usize]))
            .collect::<String>();
        time + &self.pick(CROCKFORD, 16)
    }
}
