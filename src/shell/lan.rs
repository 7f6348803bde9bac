//! The LAN listener: TLS, tokens and limits in front of [`Surface`], and the case worker's page beside it.
//!
//! **Promise.** Whatever comes in over the office's network, the gateway goes on: what one client can make it hold or
//! do is bounded, and so is what all of them can.
//!
//! | bound | at it |
//! |---|---|
//! | [`CONNECTIONS_MAX`] connections, [`CONNECTIONS_EACH_MAX`] from one address | 503, 429 on each request, and the line is closed |
//! | [`WAITING_MAX`] more that hear so | closed without a word |
//! | [`HANDSHAKE_WITHIN`] for the TLS handshake | closed |
//! | [`IDLE_MAX`] between two requests | closed |
//! | [`HEAD_WITHIN`] for a request's head, [`EXCHANGE_MAX`] from its first byte to the answer's last | closed |
//! | 30 s and 256 KiB for a body, 2 MB for all bodies at once | 408, 413, 503 |
//! | [`HEAD_BYTES_MAX`] for a head | 431 |
//! | requests of an address and of a station (`door.rs`) | 429 with `retry-after` |
//!
//! An address is one IPv4 address or one IPv6 network of 64 bits. If the address to listen on is not there yet, or
//! taken, the gateway works on without the listener, says so in `status`, and tries again every [`BIND_EVERY`].

pub mod certificate;
pub(in crate::shell) mod der;
mod door;
mod page;
mod plain;

use super::clock::Clock;
use super::log;
use super::parts::{Parts, StartError};
use super::surface::Surface;
use crate::config::Config;
use certificate::OwnCertificate;
use door::{Client, Crowded, Doorway};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections served at once: the 200 stations of the largest office, and some that reconnect.
pub const CONNECTIONS_MAX: usize = 256;
/// Of these from one address: browsers open six, and an access point may stand for some telephones.
pub const CONNECTIONS_EACH_MAX: usize = 32;
/// Connections beyond that, told so and closed.
pub const WAITING_MAX: usize = 16;
/// A handshake takes two round trips on a network of one building.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A line costs little, and a station that sends now and then keeps its own.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// A head is one packet: who takes longer sends a byte at a time.
pub const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Head, body, commit, and an answer that somebody reads.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(90);
/// hyper's least, and what it reads at a time: a token and a key are some hundred bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
pub const BIND_EVERY: Duration = Duration::from_secs(10);
const RENEWAL_LOOK: Duration = Duration::from_secs(3600);

const NO_PANIC: &str = "nobody panics with the listener's state in hand";

/// Where an exchange stands: asked and not answered, answered with room for more, answered for the last time.
const ASKED: u8 = 0;
const ANSWERED: u8 = 1;
const LAST: u8 = 2;

/// A client's line after its handshake.
type Line = TlsStream<TcpStream>;

/// The listener, shared by its connections and by `status`.
pub struct Lan {
    listen: SocketAddr,
    certificate: Arc<OwnCertificate>,
    clock: Clock,
    door: Doorway,
    /// The address bound, or why there is none.
    bound: Mutex<Result<SocketAddr, String>>,
}

impl Lan {
    /// Gets everything ready but the socket; nothing if the configuration switches the listener off.
    pub fn open(config: &Config, parts: &Parts, surface: &Surface) -> Result<Option<Arc<Lan>>, StartError> {
        let Some(lan) = &config.lan else {
            return Ok(None);
        };
        let wall = parts.clock.now().wall;
        let certificate = OwnCertificate::open(config, lan, wall).map_err(|error| {
            StartError::Setting(format!("the LAN listener's certificate cannot be made: {error}"))
        })?;
        Ok(Some(Arc::new(Lan {
            listen: lan.listen,
            certificate: Arc::new(certificate),
            clock: parts.clock.clone(),
            door: Doorway::new(surface.clone()),
            bound: Mutex::new(Err("starting".to_owned())),
        })))
    }

    /// As `status` shows it.
    pub fn json(&self) -> Value {
        let mut shown = self.certificate.shown().json();
        match &*self.bound.lock().expect(NO_PANIC) {
            Ok(address) => {
                shown["state"] = json!("on");
                shown["listen"] = json!(address.to_string());
            }
            Err(why) => {
                shown["state"] = json!("waiting");
                shown["listen"] = json!(self.listen.to_string());
                shown["advice"] = json!(why);
            }
        }
        shown["stations"] = json!(self.door.stations());
        shown["connections"] = json!(self.door.connections());
        shown
    }

    /// Serves until the runtime ends.
    pub async fn serve(self: Arc<Lan>) {
        let acceptor = TlsAcceptor::from(Arc::new(self.tls()));
        let listener = self.bind().await;
        let mut renewal = interval(RENEWAL_LOOK);
        loop {
            tokio::select! {
                _ = renewal.tick() => self.certificate.renew_if_due(self.clock.now().wall),
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.receive(&acceptor, stream, address),
                    // Out of descriptors: others will finish.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    fn tls(&self) -> ServerConfig {
        let certificate: Arc<OwnCertificate> = Arc::clone(&self.certificate);
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .expect("ring implements TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // On one building's network a handshake costs less than the memory of 200 sessions.
        tls.session_storage = Arc::new(NoServerSessionStorage {});
        tls.send_tls13_tickets = 0;
        tls
    }

    /// An address may come with its network, a minute after the start.
    async fn bind(&self) -> TcpListener {
        loop {
            let bound = TcpListener::bind(self.listen)
                .await
                .and_then(|listener| Ok((listener.local_addr()?, listener)));
            match bound {
                Ok((address, listener)) => {
                    log::info(format_args!("lan: listening on {address}"));
                    *self.bound.lock().expect(NO_PANIC) = Ok(address);
                    return listener;
                }
                Err(error) => {
                    let why = format!("cannot listen on {}: {error}; trying again", self.listen);
                    let before =
                        std::mem::replace(&mut *self.bound.lock().expect(NO_PANIC), Err(why.clone()));
                    if before != Err(why.clone()) {
                        log::warn(format_args!("lan: {why}"));
                    }
                }
            }
            sleep(BIND_EVERY).await;
        }
    }

    /// Gives a connection its place, or lets it go.
    fn receive(self: &Arc<Lan>, acceptor: &TlsAcceptor, stream: TcpStream, address: SocketAddr) {
        let client = Client::of(address.ip());
        let Some(place) = self.door.enter(client) else {
            return;
        };
        let (lan, acceptor) = (Arc::clone(self), acceptor.clone());
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair. Boxed, here and below, so that a line that waits
            // does not hold the room for what it may do.
            if let Some(tls) = Box::pin(lan.greet(acceptor, stream)).await {
                lan.converse(client, place.crowded(), tls).await;
            }
            lan.door.leave(client, place);
        });
    }

    /// The handshake. Somebody who speaks HTTP without TLS is shown the way.
    async fn greet(&self, acceptor: TlsAcceptor, stream: TcpStream) -> Option<Line> {
        let greeting = async {
            // Answers are small and complete: nothing is gained by holding them back.
            stream.set_nodelay(true).ok()?;
            if plain::is_http(&stream).await {
                plain::redirect(stream).await;
                return None;
            }
            acceptor.accept(stream).await.ok()
        };
        timeout(HANDSHAKE_WITHIN, greeting).await.ok()?
    }

    /// Answers requests until the client has no more, or must go.
    ///
    /// Each request gets an HTTP connection of its own on the same line: between two requests nothing is held but the
    /// TLS session, a third of the memory. [`TcpStream::peek`] waits without taking anything.
    async fn converse(&self, client: Client, crowded: Option<Crowded>, mut line: Line) {
        while awaited(&mut line).await {
            match Box::pin(self.exchange(client, crowded, line)).await {
                Some((again, true)) => line = again,
                Some((mut last, false)) => {
                    // Whoever does not wait for the end does not need it.
                    let _ = timeout(HEAD_WITHIN, last.shutdown()).await;
                    return;
                }
                None => return,
            }
        }
    }

    /// One request; the line, and whether another may follow on it.
    async fn exchange(&self, client: Client, crowded: Option<Crowded>, line: Line) -> Option<(Line, bool)> {
        let step = AtomicU8::new(ASKED);
        let service = service_fn(|request| {
            step.store(ASKED, Relaxed);
            let step = &step;
            // Boxed, because the connection is polled where it lies.
            Box::pin(async move {
                let now = self.clock.now().mono;
                let (response, more) = self.door.answer(client, crowded, now, request).await;
                step.store(if more { ANSWERED } else { LAST }, Relaxed);
                Ok::<_, Infallible>(response)
            })
        });
        let mut connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(line), service);
        let exchange = poll_fn(|context| {
            let polled = connection.poll_without_shutdown(context);
            // The answer's head has been written by now: ended here, the connection leaves the line open.
            if polled.is_pending() && step.load(Relaxed) == ANSWERED {
                Pin::new(&mut connection).graceful_shutdown();
                return connection.poll_without_shutdown(context);
            }
            polled
        });
        timeout(EXCHANGE_MAX, exchange).await.ok()?.ok()?;
        let parts = connection.into_parts();
        // What came behind the request was taken off the line and cannot be put back.
        let more = step.load(Relaxed) == ANSWERED && parts.read_buf.is_empty();
        Some((parts.io.into_inner(), more))
    }
}

/// Whether the client has something to say within [`IDLE_MAX`].
async fn awaited(line: &mut Line) -> bool {
    let (tcp, session) = line.get_mut();
    if session
        .process_new_packets()
        .is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    {
        return true;
    }
    matches!(timeout(IDLE_MAX, tcp.peek(&mut [0])).await, Ok(Ok(1)))
}
