//! What a running Primero remembers, its clock and its dice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::config::{Config, Role, Scope, User};

/// The JSON data of a case.
pub type Data = Map<String, Value>;

/// Primero in process: hand it a request, get its reply. See [`Sim::handle`]. A clone is a second world with
/// the same past.
#[derive(Clone)]
pub struct Sim {
    pub(super) config: Config,
    pub(super) cases: BTreeMap<String, Case>,
    pub(super) referrals: Vec<Referral>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) logins: BTreeMap<String, Logins>,
    /// rack-attack's counts of POST /tokens: (user name, minute) -> requests. In memory: gone on restart.
    pub(super) throttle: BTreeMap<(String, i64), u32>,
    /// Cases saved since the webhook job last ran.
    pub(super) touched: BTreeSet<String>,
    /// Quirks and faults of the installation.
    pub switches: Switches,
    now: Option<DateTime<Utc>>,
    dice: u64,
}

/// What an installation, its load and its proxy may add; all off in [`Switches::default`].
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// A configuration is being applied: the API answers 503, logins included (primero.md 7.2).
    pub config_lock: bool,
    /// A PATCH starting this soon after another write of the same case began works from the state before that
    /// write, and so undoes it (primero-measured.md, fact 12).
    pub race_window: TimeDelta,
    /// Lists show a write only this long after its `last_updated_at` (primero-measured.md, fact 7). A GET of
    /// the case shows it at once, as it does after the writer's answer.
    pub commit_delay: TimeDelta,
    /// On top of that, lag of a search index (primero.md 2.3).
    pub index_lag: TimeDelta,
    /// The standard nginx in front: 1 kB request line (414) and headers (400), 444 on HEAD, 403 for some user
    /// agents, 50 MB bodies (primero.md 7.4).
    pub nginx: bool,
    /// nginx's rate limit strikes every request: 503 as HTML, without `Retry-After`.
    pub nginx_busy: bool,
    /// The database is gone: the API answers 500 with the driver's message, `/health` 503.
    pub database_down: bool,
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) data: Data,
    pub(super) alerts: Vec<Alert>,
    /// What lists still show, and until when; `None` inside if the case is not listed yet.
    pub(super) stale: Option<(DateTime<Utc>, Option<Data>)>,
    /// State before the write that began then, for the lost-update race.
    pub(super) before_last_write: Option<(DateTime<Utc>, Data)>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) kind: &'static str,
    pub(super) referral: Option<String>,
}

/// A row of `transitions` of type Referral (primero.md 3.2).
#[derive(Clone, Default)]
pub(super) struct Referral {
    pub(super) id: String,
    pub(super) case: String,
    pub(super) status: &'static str,
    pub(super) remote: bool,
    pub(super) by: String,
    pub(super) to: Option<String>,
    pub(super) consent_overridden: bool,
    pub(super) allow_case_creation: bool,
    pub(super) responded_at: Option<String>,
    /// Keys shown as they are: `notes`, `service`, `service_record_id`, `created_at`, `record_owned_by`, ...
    pub(super) shown: Data,
}

impl Referral {
    pub(super) fn is_live(&self) -> bool {
        matches!(self.status, "in_progress" | "accepted")
    }

    pub(super) fn service(&self) -> Option<&str> {
        self.shown.get("service_record_id").and_then(Value::as_str)
    }
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) user: Option<String>,
    pub(super) secret: u64,
    pub(super) seen: DateTime<Utc>,
}

#[derive(Clone, Default)]
pub(super) struct Logins {
    pub(super) failures: u32,
    pub(super) locked_at: Option<DateTime<Utc>>,
}

/// Who asks, resolved once per request.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) role: Role,
}

impl Sim {
    /// An administrator changes the configuration.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// An empty installation of this configuration, on real time.
    pub fn new(config: Config) -> Sim {
        let dice = config.seed;
        Sim {
            config,
            cases: BTreeMap::new(),
            referrals: Vec::new(),
            sessions: BTreeMap::new(),
            logins: BTreeMap::new(),
            throttle: BTreeMap::new(),
            touched: BTreeSet::new(),
            switches: Switches::default(),
            now: None,
            dice,
        }
    }

    /// Stop the clock at this instant (it then moves only by further calls).
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.now = Some(now);
    }

    /// Move a stopped clock; on real time this stops it first.
    pub fn advance(&mut self, by: TimeDelta) {
        self.now = Some(self.now() + by);
    }

    /// The installation's time, in milliseconds as Primero stores it.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
            .unwrap_or_else(|| DateTime::<Utc>::from(SystemTime::now()))
            .trunc_subsecs(3)
    }

    /// What a restart of the server forgets: the login throttle. Sessions and locks are in the database.
    pub fn restart(&mut self) {
        self.throttle.clear();
    }

    pub(super) fn stamp(&self) -> String {
        timestamp(self.now())
    }

    /// SplitMix64: small, seeded, good enough for ids and ties.
    pub(super) fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.dice)
    }

    /// A version 4 UUID, lower case.
    pub(super) fn uuid(&mut self) -> String {
        let (a, b) = (self.roll(), self.roll());
        let (c, d) = ((a >> 16) & 0xffff, 0x4000 | (a & 0x0fff));
        let (e, f) = (0x8000 | ((b >> 48) & 0x3fff), b & 0xffff_ffff_ffff);
        format!("{:08x}-{c:04x}-{d:04x}-{e:04x}-{f:012x}", a >> 32)
    }

    /// The caller of this name, if there is such a user with a role.
    pub(super) fn caller(&self, name: &str) -> Option<Caller> {
        let user = self.config.user(name)?.clone();
        let role = self.config.role_of(&user)?.clone();
        Some(Caller { user, role })
    }

    /// Whether the case is in the caller's scope: judged by the users associated with it, not only by its
    /// owner (primero.md 6).
    pub(super) fn in_scope(&self, caller: &Caller, data: &Data) -> bool {
        let names: BTreeSet<&str> = strings(data.get("associated_user_names")).collect();
        let associated = |wanted: &dyn Fn(&User) -> bool| {
            names.iter().filter_map(|name| self.config.user(name)).any(wanted)
        };
        let own = names.contains(caller.user.user_name.as_str());
        match caller.role.scope {
            Scope::All => true,
            Scope::Own => own,
            Scope::Group if caller.user.groups.is_empty() => own,
            Scope::Group => associated(&|user| user.groups.iter().any(|g| caller.user.groups.contains(g))),
            Scope::Agency => associated(&|user| user.agency == caller.user.agency),
        }
    }
}

/// `2026-03-04T05:06:07.123Z`
pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The strings of an array value; nothing for anything else.
pub(super) fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The text of a key, if it is text.
pub(super) fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key).and_then(Value::as_str)
}

/// SplitMix64's output function, also the hash behind CSRF tokens.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
