//! The HTTPS client: one peer, one kept-alive connection, every failure with the phase it happened in.
//!
//! ureq speaks HTTP/1.1; connection, TLS and name lookup are ours ([`connection`]). Nothing here retries, follows a
//! redirect, keeps a cookie or reads the environment for a proxy: what the caller asks for happens once or not at
//! all. A `POST` whose answer is lost ends as [`Phase::Sent`], and ureq 3 has no resend (its `run` loop goes round
//! for redirects only), so the caller alone decides.
//!
//! To keep that doubt rare, an idle connection is probed before it is used again and thrown away after
//! [`IDLE_MAX`]: well before servers tire of it (puma 20 s, nginx 75 s).

mod address;
mod connection;
mod head;
mod names;
mod socket;
mod unsent;

use super::clock;
pub use super::count::WireCount;
pub use address::AddressError;

use crate::core::exchange::{Answer, AnswerHead, Failure, Method, Phase, Request, Wire};
use connection::Opener;
pub(crate) use connection::connect;
use names::Later;
use rustls::ClientConfig;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use unsent::Unsent;
use ureq::http;

/// Longest decoded body [`Wire::exchange`] collects. The largest recorded answer read whole is two orders smaller.
pub const BODY_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Longest decoded body [`Wire::stream`] lets through: only a server gone wrong sends more.
pub const STREAM_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How long a connection may lie unused and still be trusted with a request.
pub const IDLE_MAX: Duration = Duration::from_secs(5);
/// Longest head of an answer. Peers send about 1 KiB.
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// ureq's buffers: the input must hold a whole head, the output one write.
const INPUT_BUFFER_BYTES: usize = 32 * 1024;
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;
/// How much is read after a stream's reader has had enough, so that the end of the body is seen and the connection
/// can be kept: a reader of JSON stops at the last bracket.
const TAIL_MAX_BYTES: u64 = 1024;
const USER_AGENT: &str = concat!("referral-gateway/", env!("CARGO_PKG_VERSION"));

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup; then, again, TCP and TLS together.
    pub connect: Duration,
    /// Silence on the line while a request or an answer is under way.
    pub read: Duration,
    /// One whole exchange, from name lookup to the last byte.
    pub exchange: Duration,
    /// The same for an answer that is read as it arrives.
    pub stream: Duration,
}

/// The client of one peer. Lives on that peer's thread; dropping it closes the connection.
pub struct HttpsClient {
    agent: ureq::Agent,
    opener: Opener,
    /// Scheme, host, port and path prefix, without a slash at the end.
    base: String,
    timeouts: Timeouts,
    count: Arc<WireCount>,
}

impl fmt::Debug for HttpsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpsClient")
    }
}

impl HttpsClient {
    pub fn new(
        address: &str,
        tls: Arc<ClientConfig>,
        timeouts: Timeouts,
        count: Arc<WireCount>,
    ) -> Result<HttpsClient, AddressError> {
        HttpsClient::by(None, address, tls, timeouts, count)
    }

    /// The same, by this interface only. Names are still looked up the way the system looks them up.
    pub fn by(
        interface: Option<String>,
        address: &str,
        tls: Arc<ClientConfig>,
        timeouts: Timeouts,
        count: Arc<WireCount>,
    ) -> Result<HttpsClient, AddressError> {
        let (base, host) = address::parse(address)?;
        let config = ureq::Agent::config_builder()
            .https_only(true)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .max_response_header_size(HEAD_MAX_BYTES)
            .input_buffer_size(INPUT_BUFFER_BYTES)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .timeout_connect(Some(timeouts.connect))
            .timeout_per_read(Some(timeouts.read))
            .timeout_per_write(Some(timeouts.read))
            .build();
        let opener = Opener {
            tls,
            host,
            interface,
            count: Arc::clone(&count),
            whereabouts: Arc::default(),
            leaving: Arc::default(),
        };
        Ok(HttpsClient {
            agent: ureq::Agent::with_parts(config, opener.clone(), Later),
            opener,
            base,
            timeouts,
            count,
        })
    }

    /// Sends one request and waits for the head of its answer.
    fn send(&self, request: &Request, overall: Duration) -> Result<(AnswerHead, ureq::Body), Failure> {
        let bare = self.bare(request);
        let outcome = match request.method {
            Method::Get | Method::Delete => self.run(bare, overall),
            Method::Post | Method::Put | Method::Patch => self.run(
                bare.map(|()| request.body.as_deref().unwrap_or_default()),
                overall,
            ),
        };
        let outcome = outcome.map_err(|error| failure_before_head(&error));
        if outcome
            .as_ref()
            .map_or_else(|failure| failure.phase == Phase::Sent, |_| true)
        {
            self.count.requests.fetch_add(1, Relaxed);
        }
        let (parts, body) = outcome?.into_parts();
        let head = head::read(parts.status.as_u16(), &parts.headers);
        if let Some(date) = head.date {
            self.count.told.store(clock::at_start(date), Relaxed);
        }
        Ok((head, body))
    }

    fn run(
        &self,
        request: http::Request<impl ureq::AsSendBody>,
        overall: Duration,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        self.agent.run(
            self.agent
                .configure_request(request)
                .timeout_global(Some(overall))
                .build(),
        )
    }

    /// The request as the http crate has it, without its body.
    fn bare(&self, request: &Request) -> http::Request<()> {
        let bodiless = matches!(request.method, Method::Get | Method::Delete);
        assert!(
            !(bodiless && request.body.is_some()),
            "GET and DELETE carry no body"
        );
        let mut builder = http::Request::builder()
            .method(request.method.word())
            .uri(format!("{}{}", self.base, request.target));
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let typed = request
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if request.body.is_some() && !typed {
            builder = builder.header("content-type", "application/json");
        }
        builder.body(()).expect("codecs encode targets and header values")
    }
}

impl Wire for HttpsClient {
    fn exchange(&mut self, request: &Request) -> Result<Answer, Failure> {
        let (head, mut body) = self.send(request, self.timeouts.exchange)?;
        let mut collected = Vec::new();
        if head::bodiless(head.status) {
            return Ok(Answer {
                head,
                body: collected,
            });
        }
        let mut reader = Watched::new(body.as_reader(), BODY_MAX_BYTES);
        // The error itself carries nothing the caller could use beyond what `Watched` kept.
        let _ = reader.read_to_end(&mut collected);
        match reader.broken {
            None => Ok(Answer {
                head,
                body: collected,
            }),
            Some(timed_out) => Err(Failure {
                phase: Phase::Body,
                timed_out,
                status: Some(head.status),
            }),
        }
    }

    /// A failure of the body is reported even if `read` swallowed it; what `read` made of the part it saw is then
    /// to be thrown away. A reader that stops before the end by its own choice gets its head back.
    fn stream(
        &mut self,
        request: &Request,
        read: &mut dyn FnMut(&AnswerHead, &mut dyn Read),
    ) -> Result<AnswerHead, Failure> {
        let (head, mut body) = self.send(request, self.timeouts.stream)?;
        if head::bodiless(head.status) {
            read(&head, &mut io::empty());
            return Ok(head);
        }
        let mut reader = Watched::new(body.as_reader(), STREAM_MAX_BYTES);
        read(&head, &mut reader);
        if reader.broken.is_none() {
            let _ = io::copy(&mut (&mut reader).take(TAIL_MAX_BYTES), &mut io::sink());
        }
        match reader.broken {
            None => Ok(head),
            Some(timed_out) => Err(Failure {
                phase: Phase::Body,
                timed_out,
                status: Some(head.status),
            }),
        }
    }

    /// Ends the idle connection; the next request opens another, which TLS resumes.
    fn hang_up(&mut self) {
        self.opener.leaving.store(true, Relaxed);
        self.opener.leaving = Arc::default();
        let config = self.agent.config().clone();
        self.agent = ureq::Agent::with_parts(config, self.opener.clone(), Later);
    }
}

/// A body that remembers how it broke off, and breaks off at its cap.
struct Watched<R> {
    inner: R,
    room: u64,
    /// Set once the body has failed: was it the clock?
    broken: Option<bool>,
}

impl<R: Read> Watched<R> {
    fn new(inner: R, room: u64) -> Watched<R> {
        Watched {
            inner,
            room,
            broken: None,
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = match self.broken {
            Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
            None => self.inner.read(buffer),
        };
        match outcome {
            Ok(amount) if amount as u64 > self.room => {
                self.broken = Some(false);
                Err(io::ErrorKind::FileTooLarge.into())
            }
            Ok(amount) => {
                self.room -= amount as u64;
                Ok(amount)
            }
            Err(error) => {
                let timed_out = matches!(
                    &error.get_ref().and_then(|inner| inner.downcast_ref()),
                    Some(ureq::Error::Timeout(_))
                );
                self.broken.get_or_insert(timed_out);
                Err(error)
            }
        }
    }
}

/// Only what our own connector or resolver marked is known not to have been sent; all else is in doubt.
fn failure_before_head(error: &ureq::Error) -> Failure {
    let (phase, timed_out) = match error {
        ureq::Error::Other(inner) => match inner.downcast_ref::<Unsent>() {
            Some(unsent) => (unsent.phase, unsent.timed_out),
            None => (Phase::Sent, false),
        },
        // ureq has many other errors and may gain more.
        other => (Phase::Sent, matches!(other, ureq::Error::Timeout(_))),
    };
    Failure {
        phase,
        timed_out,
        status: None,
    }
}
