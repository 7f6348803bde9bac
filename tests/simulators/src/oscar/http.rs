//! Requests as Rails sees them and replies as it words them (`oscar.md` 8, measured fact 9).

use serde_json::{Map, Value, json};

use crate::wire::{Reply, Request, percent_decode};

/// Why an action stopped without a reply of its own.
#[derive(Debug)]
pub(super) enum Halt {
    /// An exception while this schema was selected: 500.
    Crash(String),
    /// A record the action insisted on: 404, unless the caller accepts only JSON.
    NotFound(String),
}

/// A request with its path normalised and its parameters parsed.
pub(super) struct Incoming<'a> {
    pub request: &'a Request,
    /// Without trailing slash and format suffix; both are harmless (`pull#40..42`).
    pub path: String,
    pub query: Vec<(String, String)>,
    /// The body's parameters; `{}` when there is none or it is no object.
    pub body: Map<String, Value>,
    suffix: bool,
}

impl<'a> Incoming<'a> {
    /// `None` for a malformed JSON body, which is refused before anything else looks at the request.
    pub fn parse(request: &'a Request) -> Option<Self> {
        let trimmed = request.path.trim_end_matches('/');
        let stem = trimmed
            .strip_suffix(".json")
            .or_else(|| trimmed.strip_suffix(".xml"));
        let mut incoming = Self {
            request,
            path: stem.unwrap_or(trimmed).to_owned(),
            query: pairs(&request.query),
            body: Map::new(),
            suffix: stem.is_some(),
        };
        let kind = incoming.header("content-type").unwrap_or_default().to_owned();
        if kind.starts_with("application/json") && !request.body.is_empty() {
            if let Value::Object(body) = serde_json::from_slice(&request.body).ok()? {
                incoming.body = body;
            }
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            let form = pairs(&String::from_utf8_lossy(&request.body));
            incoming.body = form
                .into_iter()
                .map(|(key, value)| (key, Value::String(value)))
                .collect();
        }
        Some(incoming)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A scalar from the query or the body.
    pub fn param(&self, name: &str) -> Option<String> {
        self.query(name)
            .map(str::to_owned)
            .or_else(|| text(self.body.get(name)))
    }

    /// Whether errors come as two lines of text: exactly one JSON or XML type in Accept, or a format in the
    /// path.
    pub fn wants_plain_errors(&self) -> bool {
        let accept = self.header("accept").unwrap_or("*/*");
        let kind = accept.split(';').next().unwrap_or_default().trim();
        let one =
            !accept.contains(',') && ["application/json", "application/xml", "text/xml"].contains(&kind);
        one || self.suffix
    }
}

/// A scalar parameter as a text column takes it; objects and arrays are dropped by the permit list.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Ruby's `blank?` on text.
pub(super) fn blank(text: Option<&str>) -> bool {
    text.is_none_or(|t| t.trim().is_empty())
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let split = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(key, true), percent_decode(value, true))
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(split)
        .collect()
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A JSON reply; 200 carries a weak ETag of its content, everything else must not be cached.
pub(super) fn json_reply(status: u16, body: &Value) -> Reply {
    let body = body.to_string().into_bytes();
    let mut headers = frame_headers();
    headers.push(header("Content-Type", "application/json; charset=utf-8"));
    headers.push(header("Vary", "Origin"));
    if status == 200 {
        headers.push(header("ETag", &format!("W/\"{:032x}\"", fnv(&body))));
        headers.push(header("Cache-Control", "max-age=0, private, must-revalidate"));
    } else {
        headers.push(header("Cache-Control", "no-cache"));
    }
    Reply {
        status,
        headers,
        body,
    }
}

/// FNV-1a, 128 bits: the ETag must depend on the content and on nothing else (`pull#53`).
fn fnv(bytes: &[u8]) -> u128 {
    let step =
        |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b);
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, step)
}

fn frame_headers() -> Vec<(String, String)> {
    vec![
        header("X-Frame-Options", "SAMEORIGIN"),
        header("X-XSS-Protection", "1; mode=block"),
        header("X-Content-Type-Options", "nosniff"),
    ]
}

/// 304 to a matching If-None-Match: no body, no type, but the session headers stay (`pull#52`).
pub(super) fn not_modified(mut reply: Reply) -> Reply {
    reply.status = 304;
    reply.headers.retain(|(name, _)| name != "Content-Type");
    reply.body.clear();
    reply
}

pub(super) fn bad_request() -> Reply {
    Reply {
        status: 400,
        headers: vec![header("Content-Type", "text/html; charset=utf-8")],
        body: Vec::new(),
    }
}

/// The two-line text every exception becomes when no HTML page is wanted (`oscar.md` 8.2).
pub(super) fn plain_error() -> Reply {
    let text = concat!(
        "500 Internal Server Error\n",
        "If you are the administrator of this website, then please read this web application's log file ",
        "and/or the web server's log file to find out what went wrong.",
    );
    Reply {
        status: 500,
        headers: vec![header("Content-Type", "text/plain")],
        body: text.into(),
    }
}

/// The HTML page for people (`oscar.md` 8.2); about as long as the real one.
pub(super) fn html_error(status: u16) -> Reply {
    let title = if status == 404 {
        "Error 404 (Not Found)"
    } else {
        "Error 500 (Internal Error)"
    };
    let filler =
        "<p>We are sorry for the inconvenience. Please try again later or contact us.</p>\n".repeat(20);
    let page = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n</head>\n<body>\n\
         <h1>{title}</h1>\n{filler}</body>\n</html>\n"
    );
    let mut headers = frame_headers();
    headers.push(header("Content-Type", "text/html; charset=utf-8"));
    Reply {
        status,
        headers,
        body: page.into_bytes(),
    }
}

/// The fixed English sentences of sections 3 and 4.
pub(super) const SAVED: &str = "Record saved.";
pub(super) const RECORD_ERROR: &str = "Record error. Please check OSCaR logs for details.";

pub(super) fn message(status: u16, text: &str) -> Reply {
    json_reply(status, &json!({ "message": text }))
}
