//! The wire both simulators stand on: an HTTPS server whose every fault is a switch.
//!
//! A simulator is a pure-ish function from [`Request`] to [`Reply`]; this module owns sockets, TLS, framing,
//! gzip, ETag-free framing, latency and faults, so that a fault means the same thing for both peers.

use std::time::Duration;

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

/// What a simulator answers. `wire` adds `Date`, `Content-Length` or chunked framing, and gzip when asked for.
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
