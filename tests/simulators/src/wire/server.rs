//! The HTTPS server: its handle, its options and what it remembers.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::listener::{Gate, Listener};
use super::{Faults, Identity, Reply, Request, TestCa, conn};

/// A simulator: what it does with one request.
pub type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// The log keeps this many requests, enough for any one test; the oldest go first.
const LOG_LIMIT: usize = 20_000;

/// What a server does beside faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Compress answers for clients that say `Accept-Encoding: gzip`. Primero does, OSCaR does not.
    pub gzip: bool,
    /// Offer secp384r1 alone, as Primero's nginx does.
    pub p384_only: bool,
    /// Larger request bodies are answered 413 and the connection is closed.
    pub body_limit: usize,
}

impl Default for Options {
    /// No gzip, all curves, nginx's 50 MB.
    fn default() -> Self {
        Options {
            gzip: false,
            p384_only: false,
            body_limit: 50 << 20,
        }
    }
}

/// One request as a test may want to see it afterwards.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    /// What the simulator (or a fault in its place) decided, whether or not the client got to see it;
    /// 0 if the connection was dropped before the simulator saw the request.
    pub status: u16,
    pub body: Vec<u8>,
    /// The wire did not carry the simulator's own answer whole and at once.
    pub faulted: bool,
}

/// Traffic so far. Bytes are those on the socket, TLS included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connections: u64,
    pub handshakes_full: u64,
    pub handshakes_resumed: u64,
    /// Requests per method and path, ids in the path replaced by `:id`.
    pub requests: BTreeMap<(String, String), u64>,
}

/// A running HTTPS server; dropping it stops it and closes every connection.
pub struct Server {
    shared: Arc<Shared>,
    listener: Listener,
}

/// What the accept thread, the connection threads and the handle have in common.
pub(super) struct Shared {
    pub(super) gate: Arc<Gate>,
    pub(super) handler: Handler,
    pub(super) faults: Arc<Faults>,
    pub(super) body_limit: usize,
    pub(super) gzip: AtomicBool,
    pub(super) date_skew: AtomicI64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) handshakes_full: AtomicU64,
    pub(super) handshakes_resumed: AtomicU64,
    log: Mutex<VecDeque<LoggedRequest>>,
    requests: Mutex<BTreeMap<(String, String), u64>>,
}

impl Server {
    /// Serve `localhost` and `127.0.0.1` with a certificate of this authority. Port 0 picks a free port.
    ///
    /// # Panics
    /// If the address cannot be bound: a test has no use for a simulator that does not listen.
    pub fn start(listen: &str, ca: &TestCa, handler: Handler) -> Server {
        Server::start_with(listen, &ca.localhost(), Options::default(), handler)
    }

    /// As [`Server::start`], with a certificate of your choice (expired, wrong name, ...) and options.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start_with(listen: &str, identity: &Identity, options: Options, handler: Handler) -> Server {
        let tls = identity.server_config(options.p384_only);
        let shared = Arc::new(Shared {
            gate: Arc::default(),
            handler,
            faults: Arc::new(Faults::default()),
            body_limit: options.body_limit,
            gzip: AtomicBool::new(options.gzip),
            date_skew: AtomicI64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            handshakes_full: AtomicU64::new(0),
            handshakes_resumed: AtomicU64::new(0),
            log: Mutex::default(),
            requests: Mutex::default(),
        });
        let for_serving = shared.clone();
        let listener = Listener::start(listen, shared.gate.clone(), move |socket| {
            conn::serve(socket, tls.clone(), &for_serving);
        });
        Server { shared, listener }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.listener.address().port())
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The fault rules; see [`super::FaultRule`].
    pub fn faults(&self) -> Arc<Faults> {
        self.shared.faults.clone()
    }

    /// Link down: open connections are cut and new ones are closed at accept, until set up again.
    pub fn set_down(&self, down: bool) {
        self.shared.gate.set_down(down);
    }

    /// End every idle connection as an idle timeout does, with TLS's own goodbye.
    pub fn end_connections(&self) {
        self.shared.gate.end_connections();
    }

    /// Cut every open connection, as a line or a proxy does that goes down.
    pub fn close_connections(&self) {
        self.shared.gate.close_connections();
    }

    /// Let the `Date` header be this many seconds ahead of (or behind) the machine's clock.
    pub fn set_date_skew(&self, seconds: i64) {
        self.shared.date_skew.store(seconds, Relaxed);
    }

    /// Allow or forbid gzip answers.
    pub fn set_gzip(&self, allowed: bool) {
        self.shared.gzip.store(allowed, Relaxed);
    }

    /// Every request so far, test hooks under `/sim/` excepted.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.shared
            .log
            .lock()
            .expect("request log lock is never poisoned")
            .iter()
            .cloned()
            .collect()
    }

    /// Forget the log, not the counters.
    pub fn clear_log(&self) {
        self.shared
            .log
            .lock()
            .expect("request log lock is never poisoned")
            .clear();
    }

    /// Traffic so far.
    pub fn counters(&self) -> Counters {
        Counters {
            bytes_in: self.shared.bytes_in.load(Relaxed),
            bytes_out: self.shared.bytes_out.load(Relaxed),
            connections: self.shared.gate.connections(),
            handshakes_full: self.shared.handshakes_full.load(Relaxed),
            handshakes_resumed: self.shared.handshakes_resumed.load(Relaxed),
            requests: self
                .shared
                .requests
                .lock()
                .expect("request counts lock is never poisoned")
                .clone(),
        }
    }
}

impl Shared {
    pub(super) fn record(&self, request: &Request, status: u16, faulted: bool) {
        if request.path.starts_with("/sim/") {
            return;
        }
        let key = (request.method.clone(), collapse_ids(&request.path));
        *self
            .requests
            .lock()
            .expect("request counts lock is never poisoned")
            .entry(key)
            .or_default() += 1;
        let mut log = self.log.lock().expect("request log lock is never poisoned");
        if log.len() == LOG_LIMIT {
            log.pop_front();
        }
        log.push_back(LoggedRequest {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            status,
            body: request.body.clone(),
            faulted,
        });
    }
}

/// `/api/v2/cases/<uuid>/referrals` and `/api/v1/x/17` as one line each in the counters.
fn collapse_ids(path: &str) -> String {
    let is_id = |part: &str| {
        part.len() >= 32 && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
            || !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())
    };
    path.split('/')
        .map(|part| if is_id(part) { ":id" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}
