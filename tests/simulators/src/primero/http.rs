//! From a request to an endpoint, with what stands in front of all of them.

use serde_json::{Value, json};

use super::auth::{Identity, Visit};
use super::errors::{Refusal, no_content, ok, outside};
use super::state::{Caller, Sim};
use crate::wire::{Reply, Request};

/// nginx's `large_client_header_buffers` of the standard set-up (primero.md 7.4).
const NGINX_LINE: usize = 1024;
const NGINX_BODY: usize = 50 << 20;
const NGINX_UNWANTED: [&str; 5] = ["wget", "LWP::Simple", "msnbot", "scrapbot", "BBBike"];

/// A parsed JSON body, or why there is none.
pub(super) enum Body {
    Json(Value),
    /// No body, or not labelled as JSON: Rails sees no parameters.
    Nothing,
    Malformed,
}

impl Sim {
    /// Answer one request as Primero would, at [`Sim::now`].
    pub fn handle(&mut self, request: &Request) -> Reply {
        if request.path.starts_with("/sim/") {
            return self.hook(request);
        }
        if let Some(reply) = self.nginx(request) {
            return reply;
        }
        if request.method == "HEAD" {
            // Rails answers it as a GET; the wire leaves out the body.
            return self.handle(&Request {
                method: "GET".to_string(),
                ..request.clone()
            });
        }
        if request.path == "/health" || request.path.starts_with("/health/") {
            return self.health(&request.path);
        }
        if !request.path.starts_with("/api/v2/") {
            return outside(404);
        }
        let reply = if self.switches.config_lock {
            Refusal::locked().reply(&request.path)
        } else if self.switches.database_down {
            Refusal::internal("connection to server at \"db\", port 5432 failed: Connection refused")
                .reply(&request.path)
        } else {
            match request.path.as_str() {
                "/api/v2/tokens" => self.tokens(request),
                "/api/v2/primero" if request.method == "GET" => self.public_settings(request),
                _ => self.authenticated(request),
            }
        };
        not_modified(request, reply)
    }

    fn nginx(&self, request: &Request) -> Option<Reply> {
        if self.switches.nginx_busy {
            return Some(Reply::html(503, "<h1>503 Service Temporarily Unavailable</h1>"));
        }
        if !self.switches.nginx {
            return None;
        }
        let line = request.method.len() + request.path.len() + request.query.len() + "  ? HTTP/1.1".len();
        let agent = request.header("user-agent").unwrap_or_default();
        if !matches!(
            request.method.as_str(),
            "GET" | "PUT" | "POST" | "PATCH" | "DELETE"
        ) {
            Some(Reply::empty(444))
        } else if line > NGINX_LINE {
            Some(Reply::html(414, "<h1>414 Request-URI Too Large</h1>"))
        } else if request
            .headers
            .iter()
            .any(|(name, value)| name.len() + value.len() + 2 > NGINX_LINE)
        {
            Some(Reply::html(
                400,
                "<h1>400 Request Header Or Cookie Too Large</h1>",
            ))
        } else if request.body.len() > NGINX_BODY {
            Some(Reply::html(413, "<h1>413 Request Entity Too Large</h1>"))
        } else if NGINX_UNWANTED.iter().any(|unwanted| agent.contains(unwanted)) {
            Some(Reply::html(403, "<h1>403 Forbidden</h1>"))
        } else {
            None
        }
    }

    /// `/health/api` alone tells of a configuration lock (primero-measured.md, "Health").
    fn health(&self, path: &str) -> Reply {
        let well = match path {
            "/health" | "/health/database" => !self.switches.database_down,
            "/health/server" | "/health/solr" => true,
            "/health/api" => !self.switches.config_lock && !self.switches.database_down,
            _ => false,
        };
        if well {
            return no_content();
        }
        let reply = Reply::empty(503)
            .with_header("Content-Type", "application/json")
            .with_header("Cache-Control", "no-cache");
        if path == "/health" {
            reply
        } else {
            reply.with_header("Retry-After", "60")
        }
    }

    fn authenticated(&mut self, request: &Request) -> Reply {
        let segments: Vec<&str> = request.path["/api/v2/".len()..].split('/').collect();
        if !is_route(&segments) {
            return outside(404);
        }
        let (identity, mut visit) = self.identify(request);
        let caller = match identity {
            Identity::Known(caller) => caller,
            Identity::Refused(reply) => return reply,
        };
        let reply = match self.check_csrf(request, &visit) {
            Ok(()) => self.route(request, &segments, &caller),
            Err(refusal) => Err(refusal),
        }
        .unwrap_or_else(|refusal| refusal.reply(&request.path));
        self.finish(reply, request, &mut visit)
    }

    /// A session's answer carries its cookies again, with a later expiry; Basic's carries none.
    fn finish(&mut self, reply: Reply, request: &Request, visit: &mut Visit) -> Reply {
        if visit.session.is_some() {
            self.with_cookies(reply, request, visit)
        } else {
            reply
        }
    }

    pub(super) fn route(
        &mut self,
        request: &Request,
        segments: &[&str],
        caller: &Caller,
    ) -> Result<Reply, Refusal> {
        let body = body_of(request);
        if matches!(body, Body::Malformed) {
            return Err(Refusal::internal(
                "Error occurred while parsing request parameters",
            ));
        }
        let data = match &body {
            Body::Json(json) => json.get("data"),
            _ => None,
        };
        match (request.method.as_str(), segments) {
            ("GET", ["cases"]) => self.list_cases(request, caller),
            ("GET", ["cases.json"]) => Err(Refusal::internal("undefined method `parent_form' for nil")),
            ("POST", ["cases"]) => self.create_case(data, caller),
            ("POST", ["cases", "referrals"]) => self.create_referrals_in_bulk(data, caller),
            ("GET", ["cases", id]) => self.show_case(id, request, caller),
            ("PATCH" | "PUT", ["cases", id]) => self.update_case(id, data, caller),
            ("DELETE", ["cases", id]) => self.disable_case(id, caller),
            ("GET", ["cases", id, "referrals" | "transitions"]) => self.list_referrals(id, caller),
            ("POST", ["cases", id, "referrals"]) => self.create_referral(id, data, caller),
            ("PATCH" | "PUT", ["cases", id, "referrals", referral]) => {
                self.update_referral(id, referral, data, caller)
            }
            ("DELETE", ["cases", id, "referrals", referral]) => self.revoke(id, referral, caller),
            ("POST", ["cases", id, "flags"]) => self.flag_case(id, data, caller),
            ("GET", ["users", "refer-to"]) => Ok(self.recipients(request, caller)),
            ("GET", ["users", id]) => self.user(id, request, caller),
            ("GET", ["forms"]) => Ok(self.forms(request)),
            ("GET", ["lookups"]) => Ok(self.lookups(request)),
            ("GET", ["agencies"]) => Ok(self.agencies()),
            ("GET", ["system_settings"]) => Ok(self.system_settings()),
            ("GET", ["cases", _, "record_history"]) => Err(Refusal::forbidden()),
            _ => Err(Refusal::no_route()),
        }
    }

    fn agencies(&self) -> Reply {
        let agencies: Vec<Value> = self
            .config
            .agencies
            .iter()
            .map(|id| json!({"unique_id": id, "name": {"en": id}, "disabled": false}))
            .collect();
        ok(&json!({"metadata": {"total": agencies.len(), "per": 1000, "page": 1}, "data": agencies}))
    }

    fn system_settings(&self) -> Reply {
        ok(&json!({"data": {
            "primero_version": "2.15.2.1",
            "config_update_lock": self.switches.config_lock,
            "locale": "en",
            "default_locale": "en",
            "base_language": "en",
            "changes_field_to_form": {
                "notes_section": "notes",
                "incident_details": "incident_details_container",
                "services_section": "services",
            },
        }}))
    }
}

/// Paths Rails routes; anything else is an empty HTML 404, whoever asks (`auth#73`, `auth#76`).
fn is_route(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["cases" | "cases.json" | "forms" | "lookups" | "agencies" | "system_settings"]
            | ["users", _]
            | ["cases", _]
            | [
                "cases",
                _,
                "referrals" | "transitions" | "flags" | "record_history"
            ]
            | ["cases", _, "referrals", _]
    )
}

fn body_of(request: &Request) -> Body {
    let is_json = request
        .header("content-type")
        .is_some_and(|value| value.starts_with("application/json"));
    if !is_json || request.body.is_empty() {
        return Body::Nothing;
    }
    match request.json() {
        Some(json) => Body::Json(json),
        None => Body::Malformed,
    }
}

/// Conditional GET as Rack does it.
fn not_modified(request: &Request, reply: Reply) -> Reply {
    let matches = request.method == "GET"
        && reply.status == 200
        && reply
            .header("etag")
            .is_some_and(|etag| request.header("if-none-match") == Some(etag));
    if !matches {
        return reply;
    }
    let mut headers = reply.headers;
    headers.retain(|(name, _)| name != "Content-Type");
    Reply {
        status: 304,
        headers,
        body: Vec::new(),
    }
}
