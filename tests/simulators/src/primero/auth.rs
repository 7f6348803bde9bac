//! Logging in: Basic, sessions, CSRF, the lock and the throttle (primero.md 1 as corrected by measurement).

use chrono::TimeDelta;
use serde_json::json;

use super::errors::{Refusal, ok, outside, unauthorized};
use super::state::{Caller, Session, Sim, mix, timestamp};
use crate::wire::{Reply, Request};

/// Consecutive failures that lock an account, and for how long.
const LOCK_AFTER: u32 = 6;
const LOCK_MINUTES: i64 = 30;
/// POST /tokens per user name and minute.
const LOGINS_PER_MINUTE: u32 = 6;
/// Inactivity that ends a session.
const SESSION_MINUTES: i64 = 60;

const NOT_SIGNED_IN: &str = "You need to sign in or sign up before continuing.";
const BAD_CREDENTIALS: &str = "Invalid user name or password.";
const NOT_ACTIVE: &str = "Your account is not activated yet.";

/// How a request stands with regard to cookies.
pub(super) struct Visit {
    /// The session the answer's cookies belong to; `None` for Basic, which neither reads nor makes one.
    pub(super) session: Option<String>,
}

/// Who asks, or the 401 in their place.
pub(super) enum Identity {
    Known(Box<Caller>),
    Refused(Reply),
}

impl Sim {
    /// Find the caller: a live session first, then Basic (primero-measured.md, fact 2).
    pub(super) fn identify(&mut self, request: &Request) -> (Identity, Visit) {
        let cookie = cookie(request, "_app_session");
        match cookie.as_deref().and_then(|id| self.session_user(id)) {
            Some(Ok(name)) => {
                let visit = Visit { session: cookie };
                return match self.caller(&name) {
                    Some(caller) => (Identity::Known(Box::new(caller)), visit),
                    None => (Identity::Refused(unauthorized(NOT_SIGNED_IN)), visit),
                };
            }
            Some(Err(())) if request.basic_auth().is_none() => {
                let text = "Your session expired. Please sign in again to continue.";
                return (Identity::Refused(unauthorized(text)), Visit { session: cookie });
            }
            _ => {}
        }
        let visit = Visit { session: None };
        let identity = match request.basic_auth() {
            Some((name, password)) => match self.check_password(&name, &password) {
                Ok(()) => match self.caller(&name) {
                    Some(caller) => Identity::Known(Box::new(caller)),
                    None => Identity::Refused(unauthorized(BAD_CREDENTIALS)),
                },
                Err(text) => {
                    let mut reply = unauthorized(text);
                    // The one Basic answer with a cookie (auth#23).
                    if text == NOT_ACTIVE && is_https(request) {
                        let session = self.new_session();
                        reply = reply.with_header("Set-Cookie", &self.session_cookie(&session));
                    }
                    Identity::Refused(reply)
                }
            },
            None => {
                let mut reply = unauthorized(NOT_SIGNED_IN);
                if let Some(id) = cookie.filter(|_| is_https(request)) {
                    // A dead session's cookie is replaced, without a CSRF token.
                    let session = if self.sessions.contains_key(&id) {
                        id
                    } else {
                        self.new_session()
                    };
                    reply = reply.with_header("Set-Cookie", &self.session_cookie(&session));
                }
                Identity::Refused(reply)
            }
        };
        (identity, visit)
    }

    /// The user of a live session; `Some(Err)` if it ran out, `None` if nobody is logged in there.
    fn session_user(&mut self, id: &str) -> Option<Result<String, ()>> {
        let now = self.now();
        let session = self.sessions.get_mut(id)?;
        let name = session.user.clone()?;
        if now - session.seen >= TimeDelta::minutes(SESSION_MINUTES) {
            session.user = None;
            return Some(Err(()));
        }
        session.seen = now;
        Some(Ok(name))
    }

    /// Devise's check with its lock: the answer never tells a wrong password from a locked account.
    fn check_password(&mut self, name: &str, password: &str) -> Result<(), &'static str> {
        let now = self.now();
        let Some(user) = self.config.user(name) else {
            return Err(BAD_CREDENTIALS);
        };
        let (right, disabled) = (user.password == password, user.disabled);
        let logins = self.logins.entry(name.to_string()).or_default();
        if logins
            .locked_at
            .is_some_and(|at| now - at >= TimeDelta::minutes(LOCK_MINUTES))
        {
            logins.locked_at = None;
            logins.failures = 0;
        }
        if logins.locked_at.is_some() {
            return Err(BAD_CREDENTIALS);
        }
        if !right {
            logins.failures += 1;
            if logins.failures >= LOCK_AFTER {
                logins.locked_at = Some(now);
            }
            return Err(BAD_CREDENTIALS);
        }
        logins.failures = 0;
        if disabled { Err(NOT_ACTIVE) } else { Ok(()) }
    }

    /// CSRF holds for every write that does not stand on Basic alone.
    pub(super) fn check_csrf(&self, request: &Request, visit: &Visit) -> Result<(), Refusal> {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        let basic_only = visit.session.is_none() && request.basic_auth().is_some();
        if reads || basic_only {
            return Ok(());
        }
        let id = visit.session.clone().or_else(|| cookie(request, "_app_session"));
        let session = id.and_then(|id| self.sessions.get(&id));
        let token = request.header("x-csrf-token");
        match (session, token) {
            (Some(session), Some(token)) if token_fits(token, session.secret) => Ok(()),
            _ => Err(Refusal::csrf()),
        }
    }

    /// POST, DELETE (and the missing GET) of /api/v2/tokens.
    pub(super) fn tokens(&mut self, request: &Request) -> Reply {
        if let Some(reply) = self.throttled(request) {
            return reply;
        }
        if request.method == "POST" && request.json().is_none() {
            return outside(400);
        }
        let cookie = cookie(request, "_app_session");
        let known = cookie.filter(|id| self.sessions.contains_key(id));
        let mut visit = Visit { session: known };
        if !matches!(request.method.as_str(), "POST" | "DELETE") {
            let reply = Refusal::no_route().reply(&request.path);
            return self.with_cookies(reply, request, &mut visit);
        }
        let reply = match self.check_csrf(request, &visit) {
            Err(refusal) => refusal.reply(&request.path),
            Ok(()) if request.method == "DELETE" => self.log_out(request, &visit),
            Ok(()) => self.log_in(request, &mut visit),
        };
        self.with_cookies(reply, request, &mut visit)
    }

    fn log_in(&mut self, request: &Request, visit: &mut Visit) -> Reply {
        let body = request.json().unwrap_or_default();
        let user = &body["user"];
        let (Some(name), Some(password)) = (user["user_name"].as_str(), user["password"].as_str()) else {
            return unauthorized(NOT_SIGNED_IN);
        };
        if let Err(text) = self.check_password(name, password) {
            return unauthorized(text);
        }
        let Some(caller) = self.caller(name) else {
            return unauthorized(BAD_CREDENTIALS);
        };
        self.end_sessions_of(name);
        // A login moves to a fresh session with a fresh secret, so older tokens no longer fit.
        if let Some(old) = visit.session.take() {
            self.sessions.remove(&old);
        }
        let id = self.new_session();
        if let Some(session) = self.sessions.get_mut(&id) {
            session.user = Some(name.to_string());
        }
        visit.session = Some(id);
        ok(&json!({
            "id": caller.user.id,
            "user_name": name,
            "group_permission": caller.role.scope.name(),
        }))
    }

    fn log_out(&mut self, request: &Request, visit: &Visit) -> Reply {
        let named = visit
            .session
            .as_ref()
            .and_then(|id| self.sessions.get(id))
            .and_then(|s| s.user.clone());
        if let Some(name) = named.or_else(|| request.basic_auth().map(|(name, _)| name)) {
            self.end_sessions_of(&name);
        }
        ok(&json!({}))
    }

    /// Last login wins (primero.md 1.3).
    fn end_sessions_of(&mut self, name: &str) {
        for session in self
            .sessions
            .values_mut()
            .filter(|s| s.user.as_deref() == Some(name))
        {
            session.user = None;
        }
    }

    /// rack-attack: the seventh POST for one name within a minute of the clock.
    fn throttled(&mut self, request: &Request) -> Option<Reply> {
        if request.method != "POST" {
            return None;
        }
        let name = request.json()?["user"]["user_name"]
            .as_str()?
            .trim()
            .to_lowercase();
        let minute = self.now().timestamp().div_euclid(60);
        self.throttle.retain(|(_, counted), _| *counted == minute);
        let count = self.throttle.entry((name, minute)).or_default();
        *count += 1;
        let reply = Reply::text(429, "Retry later\n").with_header("Cache-Control", "no-cache");
        (*count > LOGINS_PER_MINUTE).then_some(reply)
    }

    fn new_session(&mut self) -> String {
        let id = format!("{:016x}{:016x}", self.roll(), self.roll());
        let session = Session {
            user: None,
            secret: self.roll(),
            seen: self.now(),
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    fn session_cookie(&self, id: &str) -> String {
        let expires = (self.now() + TimeDelta::minutes(SESSION_MINUTES)).format("%a, %d %b %Y %H:%M:%S GMT");
        format!("_app_session={id}; path=/; expires={expires}; secure; httponly; samesite=lax")
    }

    /// Add both cookies, making a session if there is none; over plain HTTP none are set.
    pub(super) fn with_cookies(&mut self, reply: Reply, request: &Request, visit: &mut Visit) -> Reply {
        if !is_https(request) {
            return reply;
        }
        let id = match visit.session.take() {
            Some(id) if self.sessions.contains_key(&id) => id,
            _ => self.new_session(),
        };
        let salt = self.roll();
        let secret = self.sessions.get(&id).map_or(0, |session| session.secret);
        let token = format!("{salt:016x}{:016x}", mix(secret ^ salt));
        let reply = reply
            .with_header(
                "Set-Cookie",
                &format!("CSRF-TOKEN={token}; path=/; secure; samesite=strict"),
            )
            .with_header("Set-Cookie", &self.session_cookie(&id));
        visit.session = Some(id);
        reply
    }

    /// GET /api/v2/primero, the public start of a session login.
    pub(super) fn public_settings(&mut self, request: &Request) -> Reply {
        let known = cookie(request, "_app_session").filter(|id| self.sessions.contains_key(id));
        let agency = self.config.agencies.first().cloned().unwrap_or_default();
        let logo = |kind: &str| {
            format!(
                "/rails/active_storage/blobs/redirect/{}/{agency}-{kind}.png",
                agency.len()
            )
        };
        let agencies = json!([{
            "unique_id": agency, "name": agency, "logo_full": logo("full"), "logo_icon": logo("icon"),
        }]);
        let reply = ok(&json!({"data": {
            "sandbox_ui": false, "config_ui": "full", "allow_self_registration": false,
            "locales": ["en", "fr", "ar"], "webpush_enabled": false, "agencies": agencies,
            "agencies_logo_options": [], "registration_streams": [],
            "registration_streams_link_labels": {}, "registration_streams_consent_text": {},
        }}));
        self.with_cookies(reply, request, &mut Visit { session: known })
    }

    /// When this user's lock ends, if it is locked; for tests.
    pub fn locked_until(&self, user_name: &str) -> Option<String> {
        let locked = self.logins.get(user_name)?.locked_at?;
        Some(timestamp(locked + TimeDelta::minutes(LOCK_MINUTES)))
    }
}

fn token_fits(token: &str, secret: u64) -> bool {
    let part = |range| token.get(range).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    match (token.len(), part(0..16), part(16..32)) {
        (32, Some(salt), Some(hash)) => mix(secret ^ salt) == hash,
        _ => false,
    }
}

/// TLS ends in front of Rails; only an explicit `X-Forwarded-Proto: http` makes a request plain.
fn is_https(request: &Request) -> bool {
    request.header("x-forwarded-proto") != Some("http")
}

fn cookie(request: &Request, name: &str) -> Option<String> {
    request
        .header("cookie")?
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_string())
}
