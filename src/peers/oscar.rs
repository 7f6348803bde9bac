//! OSCaR's API over HTTP: typed calls to requests, answers to typed replies, and the pull read as it arrives. Pure.
//!
//! The session is three headers, good for a week (oscar.md §1.2); they are sent on every call, also where OSCaR would
//! not ask. `Accept` is exactly JSON, so that an error is two lines of text and not a page. Nothing is decided by a
//! text: texts are localised and depend on the server process's past (oscar-measured.md fact 9).

use super::primero::{escape, safe_names};
use crate::core::ask::{OscarCall, OscarReply};
use crate::core::event::Decision;
use crate::core::exchange::{Answer, AnswerHead, Method, Request};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod elements;

pub use elements::{ELEMENT_BYTES_MAX, PullRead, read_pull};

/// Sign in again when less than this is left of a session, by the server's clock, in seconds.
pub const RENEW_BEFORE_S: i64 = 24 * 3600;

/// A session as it is kept (sealed) between runs: one per gateway, signed in anew only when it ends or is refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub access_token: String,
    pub client: String,
    pub uid: String,
    pub expiry: i64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<session>")
    }
}

impl Session {
    /// The session in an answer's headers, if it carries one.
    pub fn of(head: &AnswerHead) -> Option<Session> {
        let s = head.session.clone()?;
        Some(Session {
            access_token: s.access_token,
            client: s.client,
            uid: s.uid,
            expiry: s.expiry,
        })
    }

    /// Whether the session is about to end, going by the server's own clock.
    pub fn ending(&self, server_date: i64) -> bool {
        self.expiry - server_date < RENEW_BEFORE_S
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("access-token", self.access_token.clone()),
            ("client", self.client.clone()),
            ("uid", self.uid.clone()),
            ("accept", "application/json".to_owned()),
        ]
    }
}

/// Asks for a session. The answer's body holds a secret of the server: it is never read (oscar.md §1.1).
pub fn sign_in(email: &str, password: &str) -> Request {
    let body = json!({ "email": email, "password": password });
    Request {
        method: Method::Post,
        target: "/api/v1/admin_auth/sign_in".to_owned(),
        headers: json_headers(vec![("accept", "application/json".to_owned())]),
        body: Some(body.to_string().into_bytes()),
    }
}

fn json_headers(mut headers: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    headers.push(("content-type", "application/json".to_owned()));
    headers
}

/// Asks for everything changed since a moment of the server's clock. Always with `Z`: a local offset loses records,
/// a blank value is a full dump of all tenants (oscar.md §2.3).
///
/// With `until` it asks for the children *created* in between, which all come in the second shape (oscar.md §2.4).
pub fn pull(session: &Session, since: i64, until: Option<i64>, etag: Option<&str>) -> Option<Request> {
    let text = |unix: i64| {
        let time = DateTime::from_timestamp(unix, 0)?;
        Some(escape(&time.format("%Y-%m-%dT%H:%M:%SZ").to_string()))
    };
    let mut headers = session.headers();
    headers.extend(etag.map(|etag| ("if-none-match", etag.to_owned())));
    let mut target = format!("/api/v1/organizations/clients?since_date={}", text(since)?);
    if let Some(until) = until {
        target.push_str("&end_date=");
        target.push_str(&text(until)?);
    }
    Some(Request {
        method: Method::Get,
        target,
        headers,
        body: None,
    })
}

/// The request for a call.
pub fn encode(call: &OscarCall, session: &Session) -> Request {
    let (method, target, body) = match call {
        OscarCall::Push(push) => (
            Method::Post,
            "/api/v1/organizations/clients/upsert",
            json!({ "organization": push }),
        ),
        OscarCall::Decide {
            global_id,
            referral,
            decision,
        } => {
            let status = match decision {
                Decision::Accepted => "Accepted",
                Decision::Rejected => "Exited",
            };
            let item =
                json!({ "client_global_id": global_id, "referral_id": referral, "referral_status": status });
            (
                Method::Put,
                "/api/v1/organizations/referrals/update_statuses",
                json!({ "data": [item] }),
            )
        }
        OscarCall::Link {
            global_id,
            external_id,
            external_id_display,
        } => {
            let item = json!({ "global_id": global_id, "external_id": external_id,
                "external_id_display": external_id_display });
            (
                Method::Put,
                "/api/v1/organizations/clients/update_links",
                json!({ "data": [item] }),
            )
        }
    };
    Request {
        method,
        target: target.to_owned(),
        headers: json_headers(session.headers()),
        body: Some(body.to_string().into_bytes()),
    }
}

/// The meaning of an answer to a call, or nothing if only the policy table can judge it (oscar.md §3.4, §8.6).
pub fn decode(call: &OscarCall, answer: &Answer) -> Option<OscarReply> {
    let body = || serde_json::from_slice::<Value>(&answer.body).ok();
    match (call, answer.head.status) {
        (_, 200) if answer.head.json => body()?.get("message")?.is_string().then_some(OscarReply::Saved),
        (OscarCall::Push(_), 422) if answer.head.json => Some(push_refusal(&body()?)),
        // A 404 is not OSCaR's: with this `Accept` it says 500 even for a path it does not know (oscar.md §8.2).
        (OscarCall::Push(_), 400 | 413) => {
            Some(OscarReply::Refused(format!("status-{}", answer.head.status)))
        }
        (OscarCall::Decide { .. } | OscarCall::Link { .. }, 400 | 404 | 422) => {
            Some(OscarReply::Refused(format!("status-{}", answer.head.status)))
        }
        _ => None,
    }
}

/// Fields of the child rather than of the referral: their refusal comes after the referral was stored (A2).
const CHILD_FIELDS: [&str; 5] = [
    "gender",
    "user_ids",
    "received_by_id",
    "initial_referral_date",
    "referral_source_category_id",
];

fn push_refusal(body: &Value) -> OscarReply {
    match body.get("message") {
        // B3 alone carries `errors` beside its message (oscar.md §3.4).
        Some(Value::String(_)) if body.get("errors").is_some() => OscarReply::ChildKnown,
        Some(Value::Object(fields)) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            let referral = [
                "services",
                "level_of_risk",
                "name_of_referee",
                "referral_phone",
                "client_name",
            ];
            let refused = names.iter().any(|name| referral.contains(name));
            let child = names.iter().any(|name| CHILD_FIELDS.contains(name));
            // Unknown fields: better doubt than a second copy.
            if refused && !child {
                OscarReply::Refused(safe_names(&names))
            } else {
                OscarReply::HalfRefused(safe_names(&names))
            }
        }
        // U0, before anything is looked at: it names no record (`external_id` is echoed only later in the tree).
        Some(Value::String(_)) if body.get("external_id").is_none() => {
            OscarReply::Refused("organization".to_owned())
        }
        _ => OscarReply::HalfRefused("referral_status".to_owned()),
    }
}
