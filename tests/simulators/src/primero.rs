//! A Primero v2 server as its clients meet it, traps included: `primero.md` as corrected by
//! `primero-measured.md`.
//!
//! [`Sim`] is the application: a request in, a reply out, no sockets, its clock and dice settable.
//! [`Primero`] serves one over HTTPS. The proof that it behaves like the real thing is the replay of the
//! recorded exchanges in `tests/replay_primero.rs`; what is known to differ stands in
//! `recorded/DIFFERENCES.md`.
//!
//! Not simulated: attachments, transfers and assigns, identity-provider logins, `record_action`,
//! `/sync`. Webhook payloads are made ([`Sim::due_webhooks`]) but not sent.

mod auth;
mod cases;
mod config;
mod errors;
mod fields;
mod filters;
mod forms;
mod hooks;
mod http;
mod list;
mod merge;
mod presets;
mod referral_views;
mod referrals;
mod save;
mod state;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use config::{BUILT_IN_MODULES, Config, Field, Kind, MODULE, Role, Scope, User};
pub use hooks::Refused;
pub use state::{Sim, Switches};

use crate::wire::{Handler, Identity, Options, Server, TestCa};

/// A [`Sim`] behind an HTTPS server; dropping it stops the server.
pub struct Primero {
    sim: Arc<Mutex<Sim>>,
    server: Server,
}

impl Primero {
    /// Serve a fresh installation at this address; port 0 picks a free one.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start(ca: &TestCa, listen: &str, config: Config) -> Primero {
        Primero::start_with(
            &ca.localhost(),
            listen,
            config,
            Options {
                gzip: true,
                ..Options::default()
            },
        )
    }

    /// As [`Primero::start`], with a certificate and wire options of your choice.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start_with(identity: &Identity, listen: &str, config: Config, options: Options) -> Primero {
        let sim = Arc::new(Mutex::new(Sim::new(config)));
        let served = sim.clone();
        let handler: Handler = Arc::new(move |request| {
            served
                .lock()
                .expect("Primero's lock is never poisoned")
                .handle(request)
        });
        Primero {
            sim,
            server: Server::start_with(listen, identity, options, handler),
        }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The wire: faults, counters, log, link down.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The application itself, for every hook there is. Requests, and the methods below,
    /// wait while the guard is held: keep it for one statement.
    pub fn sim(&self) -> MutexGuard<'_, Sim> {
        self.sim.lock().expect("Primero's lock is never poisoned")
    }

    /// Stop the application's clock at this instant; the `Date` header follows.
    pub fn set_now(&self, now: DateTime<Utc>) {
        let skew = now - DateTime::<Utc>::from(std::time::SystemTime::now());
        self.server.set_date_skew(skew.num_seconds());
        self.sim().set_now(now);
    }

    /// The recipient accepts a referral (the sender, if it is remote). Look at `status` in the result.
    ///
    /// # Errors
    /// The application's refusal; so for the hooks below.
    pub fn accept_referral(&self, referral: &str) -> Result<Value, Refused> {
        self.sim().decide_referral(referral, "accepted", "")
    }

    /// The recipient rejects a referral.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn reject_referral(&self, referral: &str, reason: &str) -> Result<Value, Refused> {
        self.sim().decide_referral(referral, "rejected", reason)
    }

    /// The recipient finishes an accepted referral.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn finish_referral(&self, referral: &str, note: &str) -> Result<Value, Refused> {
        self.sim().decide_referral(referral, "done", note)
    }

    /// The sender's side revokes a referral.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn revoke_referral(&self, user: &str, referral: &str) -> Result<Value, Refused> {
        self.sim().decide_referral_as(user, referral, "revoked", "")
    }

    /// A worker enters a case; returns its id.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn create_case(&self, user: &str, data: Value) -> Result<String, Refused> {
        self.sim().create_case_as(user, data)
    }

    /// A worker edits a case.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn edit_case(&self, user: &str, id: &str, data: &Value) -> Result<Value, Refused> {
        self.sim().edit_case_as(user, id, data)
    }

    /// A worker refers a case; returns the referral.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn refer(&self, user: &str, case: &str, data: &Value) -> Result<Value, Refused> {
        self.sim().refer_as(user, case, data)
    }

    /// Both consent boxes are unticked.
    ///
    /// # Errors
    /// The application's refusal.
    pub fn withdraw_consent(&self, case: &str) -> Result<Value, Refused> {
        self.sim().withdraw_consent(case)
    }

    /// A configuration update begins or ends: 503 meanwhile.
    pub fn set_config_lock(&self, on: bool) {
        self.sim().switches().config_lock = on;
    }

    /// Everything stored of all cases, by id.
    pub fn cases(&self) -> Vec<Value> {
        self.sim().cases()
    }

    /// Everything stored of one case.
    pub fn case(&self, id: &str) -> Option<Value> {
        self.sim().case(id)
    }

    /// All referrals, in order of creation.
    pub fn referrals(&self) -> Vec<Value> {
        self.sim().referrals()
    }

    /// True counts: cases, referrals, services per case, referrals per service.
    pub fn ledger(&self) -> Value {
        self.sim().ledger()
    }
}
