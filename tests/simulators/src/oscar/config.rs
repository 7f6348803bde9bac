//! What a simulated OSCaR is told at its birth: tenants, accounts and the switches between server variants.

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};

/// Everything [`Sim`](super::Sim) is made from. Plain data: edit the fields you care about.
#[derive(Clone, Debug)]
pub struct Config {
    pub accounts: Vec<Account>,
    pub tenants: Vec<TenantConfig>,
    /// Seeds tokens, ULIDs, slugs and (see [`StorageOrder::Seeded`]) whatever the database leaves unordered.
    pub seed: u64,
    pub storage_order: StorageOrder,
    /// Tokens per account: the locked library never evicts, other versions do (`oscar.md` 1.2).
    pub max_devices: MaxDevices,
    /// On: the endpoints that are open as published ask for a token too (`oscar.md` 10).
    pub require_auth_everywhere: bool,
    /// On: the code as published, which cannot save a referral from these endpoints (measured fact 1).
    pub strict_current_user: bool,
    /// When an acceptance becomes visible (measured fact 2).
    pub accept_rule: AcceptRule,
    /// A request's `?locale=` stays with the process until the next one (`oscar.md` 8.3).
    pub sticky_locale: bool,
    /// On: the process has shown no web page yet, so its texts are "translation missing" (measured fact 9).
    pub cold_start: bool,
    /// Zone for a `since_date` without offset (`oscar.md` 2.3).
    pub server_zone: FixedOffset,
    pub gazetteer: Gazetteer,
    /// First host labels that select no tenant (`oscar.md` 1.4).
    pub excluded_labels: Vec<String>,
}

/// An AdminUser of the public schema (`oscar.md` 1.2).
#[derive(Clone, Debug)]
pub struct Account {
    pub id: i64,
    pub email: String,
    pub password: String,
    pub first_name: String,
    pub last_name: String,
    /// The static HTTP token that sign_in leaks in its body.
    pub static_token: Option<String>,
    /// Name of the ExternalSystem row whose token is this e-mail; `None`: misconfigured (`oscar.md` 1.4).
    pub external_system: Option<String>,
}

/// One NGO: one schema.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    pub id: i64,
    pub short_name: String,
    pub full_name: String,
    pub integrated: bool,
    pub office: Office,
    /// Shown by GET organizations (the `shared` tenant is not).
    pub listed: bool,
    pub created_at: DateTime<Utc>,
}

/// What a tenant's settings row says about its office (`oscar.md` 2.5, last keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Office {
    Commune(String),
    District(String),
    /// Poison: a child in shape A crashes the whole pull; shape B prints this text (`pull#67`).
    ProvinceOnly(String),
    /// No settings row: any selected child of the tenant crashes the pull (`pull#72`).
    NoSettings,
}

/// How rows without ORDER BY come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageOrder {
    /// Inserted last, comes last; a rewritten row moves to the end. What a fresh database does.
    Insertion,
    /// Each write draws a new place from the seed: any order the database could take.
    Seeded,
}

/// How many tokens an account may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxDevices {
    /// Tokens pile up until they expire.
    Never,
    /// Ten tokens; an eleventh sign-in drops the one that expires first.
    EvictOldest,
}

/// When an acceptance is a save of the child (measured fact 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptRule {
    /// Child Accepted by a raw write; `updated_at`, workers and referral wait for the next save of the child.
    Measured,
    /// Before 22 October 2025: with workers given, an acceptance is a save and the referral follows at once.
    BeforeOctober2025,
}

/// Which location codes the address tables hold.
#[derive(Clone, Debug)]
pub enum Gazetteer {
    /// Every all-digit code in provinces 01 to 25.
    Cambodia,
    /// Only these villages and the levels above them.
    Villages(Vec<String>),
}

impl Gazetteer {
    pub(super) fn knows(&self, code: &str) -> bool {
        match self {
            Self::Villages(list) => list.iter().any(|village| village.starts_with(code)),
            Self::Cambodia => {
                code.bytes().all(|b| b.is_ascii_digit())
                    && code
                        .get(..2)
                        .and_then(|p| p.parse::<u8>().ok())
                        .is_some_and(|p| (1..=25).contains(&p))
            }
        }
    }
}

/// The name most of OSCaR takes for granted (`oscar.md` 6.1).
pub const SYSTEM: &str = "MoSVY External System";

impl Config {
    /// A working country: one gateway account, tenants cif, gpc, tpo, eao and goh integrated, sk not.
    pub fn default_for(email: &str, password: &str) -> Self {
        let tenant = |(at, name): (usize, &&str)| TenantConfig {
            id: at as i64 + 2,
            short_name: (*name).to_owned(),
            full_name: format!("NGO {}", name.to_uppercase()),
            integrated: *name != "sk",
            office: Office::Commune("120611".to_owned()),
            listed: true,
            created_at: start_of(2024),
        };
        Self {
            accounts: vec![account(1, &email.to_lowercase(), password, Some(SYSTEM))],
            tenants: ["cif", "gpc", "tpo", "eao", "goh", "sk"]
                .iter()
                .enumerate()
                .map(tenant)
                .collect(),
            seed: 0,
            storage_order: StorageOrder::Seeded,
            max_devices: MaxDevices::Never,
            require_auth_everywhere: false,
            strict_current_user: false,
            accept_rule: AcceptRule::Measured,
            sticky_locale: true,
            cold_start: false,
            server_zone: FixedOffset::east_opt(0).expect("zero is a valid offset"),
            gazetteer: Gazetteer::Cambodia,
            excluded_labels: ["www", "start", "interoperability", "oscar"]
                .map(str::to_owned)
                .into(),
        }
    }

    /// The server behind `oscar-recorded/` (`oscar-measured.md`, "Tenants").
    pub fn recorded() -> Self {
        let tenant = |id, short: &str, full: &str, integrated, office| TenantConfig {
            id,
            short_name: short.to_owned(),
            full_name: full.to_owned(),
            integrated,
            office,
            listed: short != "shared",
            created_at: start_of(2026),
        };
        let mut gateway = account(1, "gateway@example.org", "Loopback-Pass-1", Some(SYSTEM));
        gateway.first_name = "Gate".to_owned();
        gateway.last_name = "Way".to_owned();
        gateway.static_token = Some("STATIC-HTTP-TOKEN".to_owned());
        let mut other = account(2, "other@example.org", "Loopback-Pass-2", None);
        other.first_name = "Other".to_owned();
        other.last_name = "Admin".to_owned();
        let district = || Office::District("0106".to_owned());
        Self {
            accounts: vec![gateway, other],
            tenants: vec![
                tenant(1, "shared", "Shared", false, Office::NoSettings),
                tenant(
                    2,
                    "cif",
                    "Test NGO One",
                    true,
                    Office::Commune("010608".to_owned()),
                ),
                tenant(3, "ngotwo", "Test NGO Two", true, district()),
                tenant(4, "ngothree", "Test NGO Three", false, district()),
                tenant(
                    5,
                    "provonly",
                    "Test NGO Four",
                    false,
                    Office::ProvinceOnly("0106".to_owned()),
                ),
            ],
            storage_order: StorageOrder::Insertion,
            gazetteer: Gazetteer::Villages(vec!["01060805".to_owned(), "10060805".to_owned()]),
            excluded_labels: ["www", "start", "interoperability"].map(str::to_owned).into(),
            ..Self::default_for("", "")
        }
    }
}

fn account(id: i64, email: &str, password: &str, system: Option<&str>) -> Account {
    Account {
        id,
        email: email.to_owned(),
        password: password.to_owned(),
        first_name: "External".to_owned(),
        last_name: "User".to_owned(),
        static_token: None,
        external_system: system.map(str::to_owned),
    }
}

fn start_of(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 1, 1)
        .and_then(|d| d.and_hms_opt(0, 0, 0))
        .expect("1 January exists")
        .and_utc()
}
