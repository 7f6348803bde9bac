//! Primero v2 over HTTP: typed calls to requests, answers to typed replies. Pure.
//!
//! Basic authentication on every request: no cookie, no session to lose, no CSRF (primero.md §1.1). Only the fields
//! the talks look at are asked for. Every refusal is reduced to field names: Primero's messages may repeat content.

use crate::core::ask::{CaseView, Fields, PrimeroCall, PrimeroReply, Recipient, ReferralView};
use crate::core::cursor::stamp_ms;
use crate::core::event::{Decision, Private};
use crate::core::exchange::{Answer, Method, Request};
use crate::core::fields::Site;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

mod list;

pub use list::{Metadata, read_cases};

/// Longest list of refused field names kept, in bytes.
const NAMES_BYTES_MAX: usize = 120;

/// Speaks to one Primero server as one user.
pub struct Primero {
    user_name: String,
    authorization: String,
    credentials: (String, String),
}

impl Primero {
    pub fn new(user_name: &str, password: &str) -> Primero {
        Primero {
            user_name: user_name.to_owned(),
            authorization: format!("Basic {}", STANDARD.encode(format!("{user_name}:{password}"))),
            credentials: (user_name.to_owned(), password.to_owned()),
        }
    }

    /// A list read as it arrives; with the mark of what is known already, an unchanged one costs no body.
    pub fn get(&self, target: String, etag: Option<&str>) -> Request {
        let mut headers = vec![
            ("authorization", self.authorization.clone()),
            ("accept", "application/json".to_owned()),
        ];
        headers.extend(etag.map(|etag| ("if-none-match", etag.to_owned())));
        Request {
            method: Method::Get,
            target,
            headers,
            body: None,
        }
    }

    /// Logs in beside the Basic credentials: the one answer that says which number this user has (primero.md §1.2).
    pub fn log_in(&self) -> Request {
        let (name, password) = &self.credentials;
        let body = json!({ "user": { "user_name": name, "password": password } });
        let mut request = self.get("/api/v2/tokens".to_owned(), None);
        request
            .headers
            .push(("content-type", "application/json".to_owned()));
        Request {
            method: Method::Post,
            body: Some(body.to_string().into_bytes()),
            ..request
        }
    }

    /// Whom it speaks as.
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// The request for a call.
    pub fn encode(&self, call: &PrimeroCall, site: &Site) -> Request {
        let (method, target, body) = line_and_body(call, &site.case_columns().join(","));
        let mut headers = vec![
            ("authorization", self.authorization.clone()),
            ("accept", "application/json".to_owned()),
        ];
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        Request {
            method,
            target,
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
        }
    }

    /// The meaning of an answer to a call, or nothing if only the policy table can judge it.
    pub fn decode(&self, call: &PrimeroCall, answer: &Answer) -> Option<PrimeroReply> {
        let status = answer.head.status;
        if matches!(call, PrimeroCall::Health) {
            return (status == 204).then_some(PrimeroReply::Healthy);
        }
        match (call, status) {
            (PrimeroCall::CreateCase { .. }, 204) => return Some(PrimeroReply::Created),
            (PrimeroCall::CreateCase { .. }, 409) => return Some(PrimeroReply::Exists),
            (_, 403) if answer.head.json => return Some(PrimeroReply::Forbidden),
            (_, 404) if answer.head.json => return Some(PrimeroReply::NotFound),
            (_, 200 | 422) if answer.head.json => {}
            _ => return None,
        }
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        if status == 422 {
            return Some(refusal(&body));
        }
        let data = body.get("data")?;
        match call {
            PrimeroCall::FindCase(_) => {
                let total = body.pointer("/metadata/total")?.as_u64()?;
                let rows: Option<Vec<CaseView>> = data.as_array()?.iter().map(case).collect();
                Some(PrimeroReply::Cases { total, rows: rows? })
            }
            PrimeroCall::ReadCase { id }
            | PrimeroCall::CreateCase { id, .. }
            | PrimeroCall::PatchCase { id, .. } => {
                case(data).filter(|view| view.id == *id).map(PrimeroReply::Case)
            }
            PrimeroCall::ListReferrals { .. } => {
                let list: Option<Vec<ReferralView>> = data.as_array()?.iter().map(referral).collect();
                list.map(PrimeroReply::Referrals)
            }
            PrimeroCall::CreateReferral { .. } => referral(data).map(PrimeroReply::Referral),
            PrimeroCall::DecideReferral { referral: id, .. }
            | PrimeroCall::RevokeReferral { referral: id, .. } => referral(data)
                .filter(|view| view.id == *id)
                .map(PrimeroReply::Referral),
            PrimeroCall::Health => None,
        }
    }
}

/// Method, target and body of a call; `columns` are the case fields worth reading.
fn line_and_body(call: &PrimeroCall, columns: &str) -> (Method, String, Option<Value>) {
    let at_case = |case: &str| format!("/api/v2/cases/{}", escape(case));
    let at_referral =
        |case: &str, referral: &str| format!("{}/referrals/{}", at_case(case), escape(referral));
    let wrapped = |data: Value| Some(json!({ "data": data }));
    match call {
        PrimeroCall::Health => (Method::Get, "/health/api".to_owned(), None),
        PrimeroCall::FindCase(query) => {
            let filter = format!("{}={}", query.field, escape(&query.value.0));
            // Two rows are enough to know that one was not the only one.
            let target = format!("/api/v2/cases?{filter}&per=2&fields={columns}");
            (Method::Get, target, None)
        }
        PrimeroCall::ReadCase { id } => (Method::Get, format!("{}?fields={columns}", at_case(id)), None),
        PrimeroCall::CreateCase { id, fields } => {
            let mut data = fields.0.clone();
            data.insert("id".to_owned(), json!(id));
            (
                Method::Post,
                "/api/v2/cases".to_owned(),
                wrapped(Value::Object(data)),
            )
        }
        PrimeroCall::PatchCase { id, fields } => (Method::Patch, at_case(id), wrapped(json!(fields.0))),
        PrimeroCall::ListReferrals { case } => (Method::Get, format!("{}/referrals", at_case(case)), None),
        PrimeroCall::CreateReferral {
            case,
            to_user,
            service_type,
            service,
            notes,
        } => {
            let data = json!({ "transitioned_to": to_user, "service": service_type,
                "service_record_id": service, "notes": notes.0 });
            (
                Method::Post,
                format!("{}/referrals", at_case(case)),
                wrapped(data),
            )
        }
        PrimeroCall::DecideReferral {
            case,
            referral,
            decision,
        } => {
            let status = match decision {
                Decision::Accepted => "accepted",
                Decision::Rejected => "rejected",
            };
            (
                Method::Patch,
                at_referral(case, referral),
                wrapped(json!({ "status": status })),
            )
        }
        PrimeroCall::RevokeReferral { case, referral } => (Method::Delete, at_referral(case, referral), None),
    }
}

fn case(data: &Value) -> Option<CaseView> {
    let fields: &Fields = data.as_object()?;
    let id = fields.get("id")?.as_str()?.to_owned();
    Some(CaseView {
        id,
        fields: Private(fields.clone()),
    })
}

fn referral(data: &Value) -> Option<ReferralView> {
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(ReferralView {
        id: text("id")?,
        status: text("status")?,
        service: text("service_record_id"),
        to: match (data.get("remote"), text("transitioned_to")) {
            (Some(Value::Bool(true)), _) => {
                Recipient::Remote(text("transitioned_to_agency").unwrap_or_default())
            }
            (_, Some(user)) => Recipient::User(user),
            (_, None) => Recipient::Nobody,
        },
        by_user: text("transitioned_by"),
        notes: Private(text("notes")),
        created_ms: text("created_at").as_deref().and_then(stamp_ms),
        case_stamp: data
            .pointer("/record/last_updated_at")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

/// A 422: `detail` is a field, a list of JSON pointers, or the two keys of the referral checks
/// (primero-measured.md, "Errors at a glance").
fn refusal(body: &Value) -> PrimeroReply {
    let details: Vec<&Value> = body
        .pointer("/errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for detail in details.iter().filter_map(|error| error.get("detail")) {
        match detail {
            Value::String(text) => names.push(text),
            Value::Array(list) => names.extend(list.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    if names.contains(&"consent") {
        return PrimeroReply::ConsentRefused;
    }
    if names.contains(&"transitioned_to") {
        return PrimeroReply::RecipientRefused;
    }
    PrimeroReply::Refused(safe_names(&names))
}

/// Field names and pointers only: letters, digits, `_`, `/`, `-`; anything else may be content.
pub(super) fn safe_names(names: &[&str]) -> String {
    let safe = |name: &&&str| {
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_/-".contains(&b))
    };
    let mut out = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for name in names.iter().filter(safe) {
        if !seen.contains(name) && out.len() + name.len() < NAMES_BYTES_MAX {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(name);
            seen.push(name);
        }
    }
    out
}

/// What needs no escape in a path or query (RFC 3986 "unreserved").
const KEPT: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes everything but unreserved characters.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}
