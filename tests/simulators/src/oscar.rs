//! OSCaR as `oscar.md` and, where they differ, `oscar-measured.md` describe it, traps included.
//!
//! [`Sim`] is the server without sockets: a request in, a reply out, on a clock and a seed the test owns, so
//! that thousands of runs stay fast and repeatable. Workers act through its methods (or by HTTP under
//! `/sim/`, which the real OSCaR does not have). [`Oscar`] puts it behind HTTPS. Not here: NGO users' own
//! API, web pages, job queues, timing; wire faults belong to [`crate::wire`].

mod auth;
pub mod catalogue;
pub mod config;
mod console;
mod database;
mod http;
mod ledger;
mod links;
mod pull;
mod register;
mod running;
mod since;
mod small;
mod statuses;
mod upsert;
mod validate;
mod workers;
mod world;

use std::collections::BTreeSet;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

pub use config::{AcceptRule, Account, Config, Gazetteer, MaxDevices, Office, StorageOrder, TenantConfig};
pub use ledger::{ClientRow, ReferralRow};
pub use register::{Child, Form};
pub use running::Oscar;
pub use workers::{NgoReferral, Refused};
pub use world::{Client, Enrolment, IdentityLink, Referral, Tenant, Worker};

use crate::wire::{Reply, Request};
use auth::Session;
use http::{Halt, Incoming, bad_request, not_modified, plain_error};
use world::World;

/// One OSCaR: its database, its process and its clock.
#[derive(Debug)]
pub struct Sim {
    /// Switches may be turned at any time; tenants and seed are read at birth only.
    pub config: Config,
    world: World,
    sessions: Vec<Session>,
    now: Option<DateTime<Utc>>,
    locale: String,
    /// Schemas for which this process has shown a web page, so that texts are real there (measured fact 9).
    warm: BTreeSet<String>,
}

impl Sim {
    /// An empty database of these tenants.
    pub fn new(config: Config) -> Self {
        let world = World::new(&config);
        let warm = BTreeSet::new();
        Self {
            config,
            world,
            sessions: Vec::new(),
            now: None,
            locale: "en".to_owned(),
            warm,
        }
    }

    /// Stops the clock at `now`; until first called it is the machine's.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.now = Some(now);
    }

    /// The server's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.now.unwrap_or_else(|| SystemTime::now().into())
    }

    /// A fresh server process: texts and locale are forgotten, the database is not (measured fact 9).
    pub fn restart_process(&mut self) {
        self.warm.clear();
        self.locale = "en".to_owned();
    }

    fn is_warm(&self, schema: &str) -> bool {
        !self.config.cold_start || self.warm.contains(schema)
    }

    /// Answers one request.
    pub fn handle(&mut self, request: &Request) -> Reply {
        if request.path.starts_with("/sim/") {
            return self.console(request);
        }
        let Some(incoming) = Incoming::parse(request) else {
            return bad_request();
        };
        let mut reply = match self.schema_of_host(&incoming) {
            // An exception inside the middleware: no page, whatever Accept says (`oscar-measured.md` 1.4).
            None => plain_error(),
            Some(schema) => self.dispatch(&incoming, &schema),
        };
        let read = matches!(request.method.as_str(), "GET" | "HEAD");
        let tag = reply.header("etag");
        if read && reply.status == 200 && tag.is_some() && tag == incoming.header("if-none-match") {
            reply = not_modified(reply);
        }
        if request.method == "HEAD" {
            reply.body.clear();
        }
        // A cookie nearly always comes and is worth nothing (`oscar.md` 1.2).
        let cookie = format!(
            "_cif-web_session-production={}; path=/; HttpOnly",
            self.world.rng.hex(32)
        );
        if reply.header("vary").is_some() {
            reply.headers.push(("Set-Cookie".to_owned(), cookie));
        }
        reply
    }

    /// The schema the host selects; `None` for an unknown label (`oscar.md` 1.4).
    fn schema_of_host(&self, incoming: &Incoming) -> Option<String> {
        let host = incoming.header("host").unwrap_or("localhost");
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let labels: Vec<&str> = name.split('.').collect();
        let bare =
            labels.len() < 3 || name.starts_with('[') || labels.iter().all(|l| l.parse::<u8>().is_ok());
        if bare || self.config.excluded_labels.iter().any(|l| l == labels[0]) {
            return Some("public".to_owned());
        }
        self.world.tenant(labels[0]).map(|_| labels[0].to_owned())
    }

    fn dispatch(&mut self, incoming: &Incoming, schema: &str) -> Reply {
        match incoming.query("locale") {
            Some(locale) => self.locale = locale.to_owned(),
            None if !self.config.sticky_locale => self.locale = "en".to_owned(),
            None => {}
        }
        if let Some(action) = incoming.path.strip_prefix("/api/v1/admin_auth/") {
            let reply = self.admin_auth(incoming, action);
            return reply.unwrap_or_else(|| self.error(incoming, 404, schema));
        }
        match self.route(incoming, schema) {
            Ok(reply) => reply,
            Err(Halt::Crash(schema)) => self.error(incoming, 500, &schema),
            Err(Halt::NotFound(schema)) => self.error(incoming, 404, &schema),
        }
    }

    /// `/api/v1/organizations...` (`oscar.md` 1.1).
    fn route(&mut self, incoming: &Incoming, schema: &str) -> Result<Reply, Halt> {
        let no_route = || Halt::NotFound(schema.to_owned());
        let path = incoming
            .path
            .strip_prefix("/api/v1/organizations")
            .ok_or_else(no_route)?;
        let method = match incoming.request.method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        let protected = matches!(
            (method, path),
            ("GET", "/clients") | ("POST", "/clients/upsert") | ("PUT", "/clients/update_links")
        );
        let open = matches!(
            (method, path),
            ("PUT", "/referrals/update_statuses")
                | ("GET", "/clients/check_duplication" | "/listing" | "")
                | ("POST" | "PUT" | "DELETE", "")
        ) || (method == "GET" && path.starts_with("/transactions/"));
        if !protected && !open {
            return Err(no_route());
        }
        let session = if protected || self.config.require_auth_everywhere {
            match self.authorise(incoming) {
                Ok(session) => Some(session),
                Err(reply) => return Ok(reply),
            }
        } else {
            None
        };
        let reply = match (method, path, session) {
            ("GET", "/clients", Some(at)) => self.pull(incoming, self.sessions[at].account)?,
            ("POST", "/clients/upsert", Some(at)) => self.upsert(incoming, self.sessions[at].account)?,
            ("PUT", "/clients/update_links", _) => self.update_links(incoming)?,
            ("PUT", "/referrals/update_statuses", _) => self.update_statuses(incoming)?,
            _ => self.small(incoming, method, path)?,
        };
        // Only the endpoints that resolved the token repeat it (`oscar-measured.md` 1.2).
        Ok(match session {
            Some(at) if protected => self.with_session(at, reply),
            _ => reply,
        })
    }
}
