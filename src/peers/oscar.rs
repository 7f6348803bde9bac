//! OSCaR's API over HTTP: typed calls to requests, answers to typed replies, and the pull read as it arrives. Pure.
//!
//! The session is three headers, good for a week (oscar.md §1.2); they are sent on every call, also where OSCaR would
//! not ask. `Accept` is exactly JSON, so that an error is two lines of text and not a page. Nothing is decided by a
//! text: texts are localised and depend on the server process's past (oscar-measured.md fact 9).

use super::primero::{escape, safe_names};
use crate::core::ask::{OscarCall, OscarReply};
use crate::core::event::{Decision, Private};
use crate::core::exchange::{Answer, AnswerHead, Method, Request};
use crate::core::link::Known;
use crate::core::sighting::{Element, Item};
use chrono::DateTime;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Read;

/// Sign in again when less than this is left of a session, by the server's clock, in seconds.
pub const RENEW_BEFORE_S: i64 = 24 * 3600;
/// Largest single element of a pull that is read, in bytes of compact JSON; a larger one is counted as unreadable.
pub const ELEMENT_BYTES_MAX: usize = 512 * 1024;

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
pub fn pull(session: &Session, since: i64, etag: Option<&str>) -> Option<Request> {
    let since = DateTime::from_timestamp(since, 0)?
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let mut headers = session.headers();
    headers.extend(etag.map(|etag| ("if-none-match", etag.to_owned())));
    let target = format!("/api/v1/organizations/clients?since_date={}", escape(&since));
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
        (OscarCall::Decide { .. }, 400 | 404 | 422) => {
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

/// How reading a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PullRead {
    /// Elements read, wanted or not.
    pub elements: u64,
    /// Elements without the keys every element has: skipped.
    pub unreadable: u64,
    /// The answer was whole and of the right shape.
    pub whole: bool,
}

/// Reads a pull's body element by element, so that memory holds one child at a time. `digest` hashes an element's
/// canonical text; `each` is given every readable element.
pub fn read_pull(
    body: &mut dyn Read,
    digest: &dyn Fn(&[u8]) -> [u8; 32],
    each: &mut dyn FnMut(Element),
) -> PullRead {
    let mut read = PullRead::default();
    let mut reader = serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(8 * 1024, body));
    let seed = Top {
        each,
        digest,
        read: &mut read,
    };
    let whole = seed.deserialize(&mut reader).unwrap_or(false) && reader.end().is_ok();
    read.whole = whole;
    read
}

struct Top<'a> {
    each: &'a mut dyn FnMut(Element),
    digest: &'a dyn Fn(&[u8]) -> [u8; 32],
    read: &'a mut PullRead,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with a data array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "data" {
                map.next_value_seed(&mut self)?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The array itself.
impl<'de> DeserializeSeed<'de> for &mut Top<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Rows(self))
    }
}

struct Rows<'b, 'a>(&'b mut Top<'a>);

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of children")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let top = self.0;
        while let Some(value) = seq.next_element::<Value>()? {
            top.read.elements += 1;
            match element(&value, top.digest) {
                Some(element) => (top.each)(element),
                None => top.read.unreadable += 1,
            }
        }
        Ok(())
    }
}

/// One element in either of its two shapes: every key but two may be missing, null or blank (oscar.md §2.5).
fn element(value: &Value, digest: &dyn Fn(&[u8]) -> [u8; 32]) -> Option<Element> {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let private = |name: &str| Private(text(name).unwrap_or_default().to_owned());
    let canonical = serde_json::to_vec(value)
        .ok()
        .filter(|bytes| bytes.len() <= ELEMENT_BYTES_MAX)?;
    let mut items: Vec<Item> = Vec::new();
    for entry in value
        .get("services")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let item = Item {
            number: match entry.get("referral_id").and_then(Value::as_i64) {
                Some(number) => number,
                // A programme the child is enrolled in, not a referral (oscar.md §2.7).
                None => continue,
            },
            service: entry
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            status: entry
                .get("referral_status")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Some(Element {
        organization: text("organization_name")?.to_owned(),
        global_id: text("global_id")?.to_owned(),
        external_id: text("external_id").map(str::to_owned),
        slug: text("slug").unwrap_or_default().to_owned(),
        known: Known {
            given_name: private("given_name"),
            family_name: private("family_name"),
            gender: private("gender"),
            date_of_birth: private("date_of_birth"),
            location_code: private("location_current_village_code"),
            mosvy_number: private("mosvy_number"),
        },
        items,
        digest: digest(&canonical),
    })
}
