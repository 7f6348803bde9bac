//! The header session: five headers, one week, no rotation (`oscar.md` 1.2, 1.3; `auth.jsonl`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Sim;
use super::config::{Account, MaxDevices};
use super::http::{Incoming, html_error, json_reply, plain_error};
use crate::wire::Reply;

/// Not sliding (`oscar.md` 1.2).
const LIFESPAN_SECONDS: i64 = 7 * 24 * 3600;
/// The library's default, enforced only under [`MaxDevices::EvictOldest`].
const MAX_TOKENS: usize = 10;

/// One signed-in device of an account.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub account: usize,
    pub client: String,
    pub token: String,
    pub expiry: i64,
}

impl Sim {
    /// Routes `/api/v1/admin_auth/...`; `None` for a route that does not exist.
    pub(super) fn admin_auth(&mut self, incoming: &Incoming, action: &str) -> Option<Reply> {
        let failure = |status, text: &str| json_reply(status, &json!({ "success": false, "errors": [text] }));
        Some(match (incoming.request.method.as_str(), action) {
            ("POST", "sign_in") => self.sign_in(incoming),
            ("GET" | "HEAD", "sign_in") => {
                failure(405, "Use POST /sign_in to sign in. GET is not supported.")
            }
            ("GET" | "HEAD", "validate_token") => match self.session(incoming) {
                Some(at) => {
                    let data = account_json(&self.config.accounts[self.sessions[at].account]);
                    self.with_session(at, json_reply(200, &json!({ "success": true, "data": data })))
                }
                None => failure(401, "Invalid login credentials"),
            },
            ("DELETE", "sign_out") => match self.session(incoming) {
                Some(at) => {
                    self.sessions.remove(at);
                    json_reply(200, &json!({ "success": true }))
                }
                None => failure(404, "User was not found or was not logged in."),
            },
            _ => return None,
        })
    }

    fn sign_in(&mut self, incoming: &Incoming) -> Reply {
        let email = incoming.param("email").unwrap_or_default().trim().to_lowercase();
        let password = incoming.param("password").unwrap_or_default();
        let known = |a: &Account| a.email == email && a.password == password;
        let Some(account) = self.config.accounts.iter().position(known) else {
            let text = "Invalid login credentials. Please try again.";
            return json_reply(401, &json!({ "success": false, "errors": [text] }));
        };
        let now = self.now().timestamp();
        self.sessions.retain(|s| s.account != account || s.expiry > now);
        if self.config.max_devices == MaxDevices::EvictOldest {
            while self.sessions.iter().filter(|s| s.account == account).count() >= MAX_TOKENS {
                let mine = self
                    .sessions
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| s.account == account);
                let oldest = mine.min_by_key(|(_, s)| s.expiry).map(|(at, _)| at);
                self.sessions
                    .remove(oldest.expect("ten sessions were just counted"));
            }
        }
        let (client, token) = (self.world.rng.token(), self.world.rng.token());
        self.sessions.push(Session {
            account,
            client,
            token,
            expiry: now + LIFESPAN_SECONDS,
        });
        let data = account_json(&self.config.accounts[account]);
        self.with_session(self.sessions.len() - 1, json_reply(200, &json!({ "data": data })))
    }

    /// The session a request belongs to, by its headers or, badly, its parameters (`auth#20`).
    pub(super) fn session(&self, incoming: &Incoming) -> Option<usize> {
        let given = |name: &str| {
            incoming
                .header(name)
                .map(str::to_owned)
                .or_else(|| incoming.param(name))
        };
        let (token, client, uid) = (given("access-token")?, given("client")?, given("uid")?);
        let now = self.now().timestamp();
        self.sessions.iter().position(|s| {
            s.client == client
                && s.token == token
                && s.expiry > now
                && self.config.accounts[s.account].email == uid
        })
    }

    /// The account behind a request, or the 401 of the protected endpoints.
    pub(super) fn authorise(&self, incoming: &Incoming) -> Result<usize, Reply> {
        self.session(incoming).ok_or_else(|| {
            let text = if self.is_warm("public") {
                "You need to sign in or sign up before continuing.".to_owned()
            } else {
                format!(
                    "translation missing: {}.devise.failure.unauthenticated",
                    self.locale
                )
            };
            json_reply(401, &json!({ "errors": [text] }))
        })
    }

    /// Repeats the five headers, unchanged.
    pub(super) fn with_session(&self, at: usize, mut reply: Reply) -> Reply {
        let session = &self.sessions[at];
        let uid = &self.config.accounts[session.account].email;
        let expiry = session.expiry.to_string();
        let five = [
            ("access-token", session.token.as_str()),
            ("token-type", "Bearer"),
            ("client", &session.client),
            ("expiry", &expiry),
            ("uid", uid),
        ];
        reply
            .headers
            .extend(five.map(|(name, value)| (name.to_owned(), value.to_owned())));
        reply
    }

    /// Tokens stored for an account, and when each expires.
    pub fn stored_tokens(&self, email: &str) -> Vec<DateTime<Utc>> {
        let mine = self
            .sessions
            .iter()
            .filter(|s| self.config.accounts[s.account].email == email);
        mine.filter_map(|s| DateTime::from_timestamp(s.expiry, 0))
            .collect()
    }

    /// Moves the stored expiry of one session, as an edit in the database would (`auth#56`).
    pub fn set_expiry(&mut self, client: &str, expiry: DateTime<Utc>) {
        for session in self.sessions.iter_mut().filter(|s| s.client == client) {
            session.expiry = expiry.timestamp();
        }
    }

    /// The error reply an exception or a missing record becomes (`oscar.md` 8.2).
    pub(super) fn error(&mut self, incoming: &Incoming, status: u16, schema: &str) -> Reply {
        if incoming.wants_plain_errors() {
            return plain_error();
        }
        self.warm.insert(schema.to_owned());
        html_error(status)
    }
}

fn account_json(account: &Account) -> Value {
    json!({
        "id": account.id,
        "email": account.email,
        "token": account.static_token,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "provider": "email",
        "uid": account.email,
        "role": "viewer",
    })
}
