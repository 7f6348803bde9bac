//! The listening half: accept, hand each connection to a thread, stop all of it promptly on drop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
    address: SocketAddr,
    accept: Option<JoinHandle<()>>,
}

/// What the accept thread, the connection threads and the handle have in common.
pub(super) struct Shared {
    pub(super) handler: Handler,
    pub(super) faults: Arc<Faults>,
    pub(super) body_limit: usize,
    pub(super) gzip: AtomicBool,
    pub(super) date_skew: AtomicI64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) handshakes_full: AtomicU64,
    pub(super) handshakes_resumed: AtomicU64,
    connections: AtomicU64,
    down: AtomicBool,
    log: Mutex<VecDeque<LoggedRequest>>,
    requests: Mutex<BTreeMap<(String, String), u64>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
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
        let listener = TcpListener::bind(listen).expect("the simulator's listen address is free");
        let address = listener.local_addr().expect("a bound listener has an address");
        let tls = identity.server_config(options.p384_only);
        let shared = Arc::new(Shared {
            handler,
            faults: Arc::new(Faults::default()),
            body_limit: options.body_limit,
            gzip: AtomicBool::new(options.gzip),
            date_skew: AtomicI64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            handshakes_full: AtomicU64::new(0),
            handshakes_resumed: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            down: AtomicBool::new(false),
            log: Mutex::default(),
            requests: Mutex::default(),
            open: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        });
        let for_accept = shared.clone();
        let accept = std::thread::spawn(move || accept_loop(&listener, &for_accept, &tls));
        Server {
            shared,
            address,
            accept: Some(accept),
        }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The fault rules; see [`super::FaultRule`].
    pub fn faults(&self) -> Arc<Faults> {
        self.shared.faults.clone()
    }

    /// Link down: open connections are cut and new ones are closed at accept, until set up again.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Relaxed);
        if down {
            self.close_connections();
        }
    }

    /// Cut every open connection, as an idle timeout or a proxy restart does.
    pub fn close_connections(&self) {
        for stream in self
            .shared
            .open
            .lock()
            .expect("open connections lock is never poisoned")
            .values()
        {
            // Already gone is as good as closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
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
            connections: self.shared.connections.load(Relaxed),
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

impl Drop for Server {
    fn drop(&mut self) {
        *self
            .shared
            .stopping
            .lock()
            .expect("stop flag lock is never poisoned") = true;
        self.shared.stopped.notify_all();
        self.close_connections();
        // A connection of our own wakes the blocking accept, which then sees the flag.
        let port = self.address.port();
        let _ = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1));
        if let Some(accept) = self.accept.take() {
            // A panic in there was already printed; dropping must not add a second one.
            let _ = accept.join();
        }
    }
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.lock().expect("stop flag lock is never poisoned")
    }

    /// Sleep, but wake at once when the server is dropped: `Break` says that it was, and that whatever waited
    /// must not happen any more.
    #[must_use]
    pub(super) fn pause(&self, time: Duration) -> ControlFlow<()> {
        let end = Instant::now() + time;
        let mut stopping = self.stopping.lock().expect("stop flag lock is never poisoned");
        while !*stopping {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            stopping = self
                .stopped
                .wait_timeout(stopping, left)
                .expect("stop flag lock is never poisoned")
                .0;
        }
        ControlFlow::Break(())
    }

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

fn accept_loop(listener: &TcpListener, shared: &Arc<Shared>, tls: &Arc<rustls::ServerConfig>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors or an aborted handshake: neither ends the server.
            if shared.pause(Duration::from_millis(10)).is_break() {
                break;
            }
            continue;
        };
        if shared.is_stopping() {
            break;
        }
        if shared.down.load(Relaxed) {
            continue;
        }
        let number = shared.connections.fetch_add(1, Relaxed);
        let Ok(for_closing) = stream.try_clone() else {
            continue;
        };
        shared
            .open
            .lock()
            .expect("open connections lock is never poisoned")
            .insert(number, for_closing);
        // The link may have gone down, or the server been dropped, between the checks above and the insert.
        if shared.down.load(Relaxed) || shared.is_stopping() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let (shared, tls) = (shared.clone(), tls.clone());
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            conn::serve(stream, tls, &shared);
            shared
                .open
                .lock()
                .expect("open connections lock is never poisoned")
                .remove(&number);
        }));
    }
    for thread in threads {
        // A handler's panic was already printed and cost only its own connection.
        let _ = thread.join();
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
