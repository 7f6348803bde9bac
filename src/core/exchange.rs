//! One request to a peer and what became of it, without sockets: what codecs make and the transport carries.

use std::io::Read;

/// HTTP methods the two peers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A request without its host. `Debug` shows method and path only: bodies and headers hold names and secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Path with query, already percent-encoded; begins with `/`. Never holds personal data.
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or nothing.
    pub body: Option<Vec<u8>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {path}", self.method.word())
    }
}

/// The head of an answer: what both codecs may look at.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AnswerHead {
    pub status: u16,
    /// The body calls itself JSON.
    pub json: bool,
    /// The server's clock, Unix seconds, from `Date`.
    pub date: Option<i64>,
    /// Whole seconds to wait, from `Retry-After` (an HTTP date there counts as absent).
    pub retry_after_s: Option<u64>,
    pub etag: Option<String>,
    /// OSCaR's session headers when the answer repeats or issues them (oscar.md §1.2).
    pub session: Option<SessionHeaders>,
}

/// OSCaR's session as it travels in headers. Secret: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionHeaders {
    pub access_token: String,
    pub client: String,
    pub uid: String,
    /// Unix seconds.
    pub expiry: i64,
}

impl std::fmt::Debug for SessionHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<session>")
    }
}

/// A whole answer, body within the transport's cap. `Debug` shows the head only.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub head: AnswerHead,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answer {} ({} bytes)", self.head.status, self.body.len())
    }
}

/// How far a failed exchange had got. Everything before [`Phase::Sent`] provably did nothing at the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The host name did not resolve.
    Resolve,
    /// No connection: unreachable, timed out, or broken off before TLS stood.
    Connect,
    /// The host is there and takes no connection.
    Refused,
    /// Somebody answered with a certificate that is good, but for another name.
    OtherName,
    /// No TLS session; the peer's certificate was not accepted.
    Certificate,
    /// No TLS session: the certificate is not valid *yet or any more* by this box's clock.
    CertificateDates,
    /// No TLS session for another reason.
    Tls,
    /// The first byte of the request was handed to the connection; what happened after is unknown.
    Sent,
    /// The head of the answer arrived, the body did not arrive whole.
    Body,
}

/// An exchange without a usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub phase: Phase,
    /// It was the clock that ended it.
    pub timed_out: bool,
    /// Status of the answer whose body broke off.
    pub status: Option<u16>,
}

/// What carries requests: the real HTTPS client of the shell, or a simulated link in tests.
pub trait Wire {
    /// One exchange; the body of the answer is collected up to the transport's cap.
    fn exchange(&mut self, request: &Request) -> Result<Answer, Failure>;

    /// One exchange whose body is read as it arrives: for answers that may be larger than memory should be.
    fn stream(
        &mut self,
        request: &Request,
        read: &mut dyn FnMut(&AnswerHead, &mut dyn Read),
    ) -> Result<AnswerHead, Failure>;

    /// Nothing is going to be asked for a while: what is open may go.
    fn hang_up(&mut self) {}
}
