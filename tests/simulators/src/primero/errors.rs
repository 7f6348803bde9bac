//! Replies every endpoint shares: the error bodies of primero.md 7.1 and Rails' headers.

use serde_json::{Value, json};

use super::state::mix;
use crate::wire::Reply;

/// An error that ends a request; `resource` is filled in by [`Refusal::reply`].
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: Option<Value>,
    pub(super) message: Value,
}

impl Refusal {
    fn new(status: u16, detail: Option<Value>, message: impl Into<Value>) -> Refusal {
        Refusal {
            status,
            detail,
            message: message.into(),
        }
    }

    pub(super) fn forbidden() -> Refusal {
        Refusal::new(403, None, "Forbidden")
    }

    pub(super) fn csrf() -> Refusal {
        Refusal::new(403, None, "Can't verify CSRF token authenticity.")
    }

    /// `model` is Primero's class name: `Child` for a case.
    pub(super) fn not_found(model: &str, id: &str) -> Refusal {
        let detail = format!("Couldn't find {model} with 'id'=\"{id}\"");
        Refusal::new(404, Some(detail.into()), "Not Found")
    }

    pub(super) fn no_route() -> Refusal {
        Refusal::new(404, Some("Not Found".into()), "Not Found")
    }

    /// Both uniques of the table give this text (primero.md 2.6).
    pub(super) fn conflict() -> Refusal {
        Refusal::new(409, None, "Conflict: A record with this id already exists")
    }

    pub(super) fn schema(pointers: Vec<String>) -> Refusal {
        Refusal::new(422, Some(pointers.into()), "Invalid Record JSON")
    }

    pub(super) fn model(field: &str, message: &str) -> Refusal {
        Refusal::new(422, Some(field.into()), json!([message]))
    }

    pub(super) fn missing_data() -> Refusal {
        Refusal::new(
            422,
            None,
            "param is missing or the value is empty or invalid: data",
        )
    }

    /// Anything the application does not rescue; the message is Ruby's.
    pub(super) fn internal(message: &str) -> Refusal {
        Refusal::new(500, None, message)
    }

    pub(super) fn locked() -> Refusal {
        Refusal::new(503, Some("Retry-After: 60".into()), "Service Unavailable")
    }

    pub(super) fn reply(self, resource: &str) -> Reply {
        let mut error = json!({"status": self.status, "resource": resource, "message": self.message});
        if let Some(detail) = self.detail {
            error["detail"] = detail;
        }
        let reply = Reply::json(self.status, &json!({ "errors": [error] }))
            .with_header("Cache-Control", "no-cache")
            .with_header("X-Content-Type-Options", "nosniff");
        if self.status == 503 {
            reply.with_header("Retry-After", "60")
        } else {
            reply
        }
    }
}

/// 401, whose body has another shape and whose challenge is always Bearer (primero.md 1.4).
pub(super) fn unauthorized(text: &str) -> Reply {
    Reply::json(401, &json!({ "error": text }))
        .with_header("Cache-Control", "no-cache")
        .with_header("WWW-Authenticate", "Bearer realm=\"Primero\" charset=\"UTF8\"")
}

/// 200 with Rails' weak ETag.
pub(super) fn ok(body: &Value) -> Reply {
    let reply = Reply::json(200, body);
    let etag = etag(&reply.body);
    reply
        .with_header("ETag", &etag)
        .with_header("Cache-Control", "max-age=0, private, must-revalidate")
        .with_header("X-Content-Type-Options", "nosniff")
}

/// 204 of a create with the client's id, and of health checks.
pub(super) fn no_content() -> Reply {
    Reply::empty(204).with_header("Cache-Control", "no-cache")
}

/// The empty HTML answer of paths and bodies the application never sees.
pub(super) fn outside(status: u16) -> Reply {
    Reply::empty(status).with_header("Content-Type", "text/html; charset=utf-8")
}

fn etag(body: &[u8]) -> String {
    let fold = |start: u64| body.iter().fold(start, |hash, byte| mix(hash ^ u64::from(*byte)));
    format!("W/\"{:016x}{:016x}\"", fold(1), fold(2))
}
