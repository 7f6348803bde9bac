//! The wire both simulators stand on: an HTTPS server whose every fault is a switch.
//!
//! A simulator is a pure-ish function from [`Request`] to [`Reply`]; this module owns sockets, TLS, framing,
//! gzip, latency and faults, so that a fault means the same thing for both peers.

use std::time::Duration;

mod ca;
pub mod client;
mod conn;
mod faults;
pub(crate) mod listener;
mod server;

pub use ca::{Identity, TestCa};
pub use faults::Faults;
pub use server::{Counters, Handler, LoggedRequest, Options, Server};

/// One request as it arrived, body complete.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path without the query string, percent-encoding untouched.
    pub path: String,
    /// Raw query string without `?`; empty if none.
    pub query: String,
    /// Header names lower-cased, in order of arrival.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What a simulator answers. `wire` adds `Date` and `Content-Length`, and gzip when asked for.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What goes wrong on the wire for one matching request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Close before the simulator sees the request: nothing happened.
    DropBefore,
    /// Let the simulator act, then close without a byte of answer: it happened, nobody was told.
    DropAfter,
    /// Act, send the head and this many bytes of the body, then close.
    TruncateBody(usize),
    /// Act, then send the body one byte per interval.
    Trickle(Duration),
    /// Wait before acting.
    DelayBefore(Duration),
    /// Act, then wait before answering.
    DelayAfter(Duration),
    /// Do not act; answer this instead (HTML 502, 429 with Retry-After, a captive portal, ...).
    Answer(Reply),
    /// Act, but answer this instead of the truth.
    AnswerAfter(Reply),
}

/// When a [`Fault`] strikes.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// Method to match, or `None` for any.
    pub method: Option<String>,
    /// The path must contain this.
    pub path_contains: String,
    /// Let this many matching requests pass first.
    pub skip: u32,
    /// Strike at most this many times; `None` for always.
    pub times: Option<u32>,
    pub fault: Fault,
}

impl Request {
    /// A request without headers or body, for driving a simulator in process. `target` may carry a query.
    pub fn new(method: &str, target: &str) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Request {
            method: method.to_string(),
            path: path.to_string(),
            query: query.to_string(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same request with one more header; the name is lower-cased as the wire does.
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_ascii_lowercase(), value.to_string()));
        self
    }

    /// The same request with a JSON body and its content type.
    pub fn with_json(self, body: &serde_json::Value) -> Request {
        let mut request = self.with_header("content-type", "application/json");
        request.body = body.to_string().into_bytes();
        request
    }

    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as JSON, or `None` if it is not JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Query parameters in order, names and values percent-decoded with `+` read as a space, as Rack does.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        self.query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (percent_decode(name, true), percent_decode(value, true))
            })
            .collect()
    }

    /// User and password of an `Authorization: Basic` header.
    pub fn basic_auth(&self) -> Option<(String, String)> {
        use base64::Engine as _;
        let (scheme, rest) = self.header("authorization")?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(rest.trim())
            .ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_string(), password.to_string()))
    }
}

impl Reply {
    /// Status and no body.
    pub fn empty(status: u16) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A JSON body with the content type Rails gives it.
    pub fn json(status: u16, body: &serde_json::Value) -> Reply {
        Reply::empty(status)
            .with_header("Content-Type", "application/json; charset=utf-8")
            .with_body(body.to_string().into_bytes())
    }

    /// A plain-text body.
    pub fn text(status: u16, body: &str) -> Reply {
        Reply::empty(status)
            .with_header("Content-Type", "text/plain")
            .with_body(body.as_bytes().to_vec())
    }

    /// An HTML body, as proxies and captive portals answer.
    pub fn html(status: u16, body: &str) -> Reply {
        Reply::empty(status)
            .with_header("Content-Type", "text/html")
            .with_body(body.as_bytes().to_vec())
    }

    /// The same reply with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The same reply with this body.
    pub fn with_body(mut self, body: Vec<u8>) -> Reply {
        self.body = body;
        self
    }

    /// The words after the status on the wire.
    fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            201 => "Created",
            204 => "No Content",
            301 => "Moved Permanently",
            302 => "Found",
            304 => "Not Modified",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            406 => "Not Acceptable",
            409 => "Conflict",
            413 => "Request Entity Too Large",
            414 => "Request-URI Too Large",
            422 => "Unprocessable Content",
            429 => "Too Many Requests",
            500 => "Internal Server Error",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Unknown",
        }
    }

    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The body as JSON, or `None` if it is not JSON.
    pub fn json_body(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl FaultRule {
    /// A rule for one method and path fragment which strikes every time; the methods below narrow it.
    pub fn on(method: &str, path_contains: &str, fault: Fault) -> FaultRule {
        FaultRule {
            method: Some(method.to_string()),
            path_contains: path_contains.to_string(),
            skip: 0,
            times: None,
            fault,
        }
    }

    /// A rule for every request of any method, hooks under `/sim/` excepted.
    pub fn always(fault: Fault) -> FaultRule {
        FaultRule {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: None,
            fault,
        }
    }

    /// Let this many matching requests pass first.
    pub fn skip(mut self, count: u32) -> FaultRule {
        self.skip = count;
        self
    }

    /// Strike at most this many times.
    pub fn times(mut self, count: u32) -> FaultRule {
        self.times = Some(count);
        self
    }
}

/// Undo `%XX`, and `+` for a space where the text is a query. Broken escapes stay as they are.
pub fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(if bytes[i] == b'+' && plus_is_space {
                    b' '
                } else {
                    bytes[i]
                });
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
