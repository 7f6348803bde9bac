//! The connection below ureq: TCP and TLS in one transport, with the handshake done inside `connect`.
//!
//! Two promises. A failure marked [`super::unsent::Unsent`] happened before the first byte of a request was handed over, so the
//! peer provably did nothing; whatever is not marked counts as sent. And a pooled connection the server has closed
//! is recognised before it is used again: the probe reads what lies in the socket through TLS, so that a late
//! session ticket does not look like an end and a close alert does not look like life.

use super::WireCount;
use super::names::Whereabouts;
use super::socket::{Limits, Socket};
use super::unsent::unsent;
use crate::core::exchange::Phase;
use crate::shell::tls::{Refusal, handshake_step};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Opens connections to the one peer of a client.
#[derive(Clone)]
pub struct Opener {
    pub tls: Arc<ClientConfig>,
    pub host: ServerName<'static>,
    /// The only interface to go out by, if one is prescribed.
    pub interface: Option<String>,
    pub count: Arc<WireCount>,
    pub whereabouts: Arc<Whereabouts>,
    /// Set once the connections in the pool, idle all of them, are to go.
    pub leaving: Arc<AtomicBool>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

impl Connector for Opener {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _chained: Option<()>,
    ) -> Result<Option<Connection>, ureq::Error> {
        let open = |addresses: &[SocketAddr]| self.open(addresses, details);
        self.whereabouts.reach(details, open).map(Some)
    }
}

impl Opener {
    fn open(&self, addresses: &[SocketAddr], details: &ConnectionDetails) -> Result<Connection, ureq::Error> {
        let limits = Limits::starting_now(details.timeout, None);
        let stream = reach(addresses, self.interface.as_deref(), limits.deadline)?;
        let config = details.config;
        let mut connection = Connection {
            socket: Socket {
                stream,
                limits,
                count: Arc::clone(&self.count),
                leaving: Arc::clone(&self.leaving),
            },
            tls: ClientConnection::new(Arc::clone(&self.tls), self.host.clone())
                .map_err(|_| unsent(Phase::Tls, false))?,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        };
        connection.shake_hands()?;
        Ok(connection)
    }
}

/// Tries the addresses in turn, each with its share of what is left of the time.
fn reach(
    addresses: &[SocketAddr],
    interface: Option<&str>,
    deadline: Instant,
) -> Result<TcpStream, ureq::Error> {
    let (mut phase, mut timed_out) = (Phase::Connect, true);
    for (done, address) in addresses.iter().enumerate() {
        let waiting = u32::try_from(addresses.len() - done).unwrap_or(u32::MAX);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(unsent(Phase::Connect, true));
        }
        // The floor keeps a long list of dead addresses from starving the last one entirely.
        let share = (left / waiting).max(Duration::from_millis(50));
        match connect(*address, interface, share) {
            Ok(stream) => {
                // Best effort: without it only latency suffers.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => {
                timed_out = error.kind() == io::ErrorKind::TimedOut;
                // One address that refuses says more than others that lead nowhere.
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    phase = Phase::Refused;
                }
            }
        }
    }
    Err(unsent(phase, timed_out && phase == Phase::Connect))
}

/// One TCP connection, by the prescribed interface only. An interface that is not there fails as one without a way
/// out does.
pub(crate) fn connect(
    address: SocketAddr,
    interface: Option<&str>,
    within: Duration,
) -> io::Result<TcpStream> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if interface.is_some() {
        socket.bind_device(interface.map(str::as_bytes))?;
    }
    speak_first(&socket);
    socket.connect_timeout(&SockAddr::from(address), within)?;
    speak_first(&socket);
    Ok(socket.into())
}

/// We have the next word, in TLS's handshake as in HTTP: the kernel need not acknowledge in a packet of its own what our
/// word will in a moment. It forgets so when the connection is made.
fn speak_first(socket: &RawSocket) {
    // Best effort: without it two packets more are sent.
    let _ = socket.set_tcp_quickack(false);
}

/// One TLS connection as ureq's transport.
pub struct Connection {
    socket: Socket,
    tls: ClientConnection,
    buffers: LazyBuffers,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    fn shake_hands(&mut self) -> Result<(), ureq::Error> {
        while self.tls.is_handshaking() {
            let stepped = handshake_step(&mut self.tls, &mut self.socket);
            stepped.map_err(|error| {
                let phase = match Refusal::of(&error) {
                    Refusal::Dates => Phase::CertificateDates,
                    Refusal::Certificate => Phase::Certificate,
                    Refusal::OtherName => Phase::OtherName,
                    Refusal::Line => Phase::Connect,
                    Refusal::Other => Phase::Tls,
                };
                unsent(phase, error.kind() == io::ErrorKind::TimedOut)
            })?;
        }
        self.socket.count.handshakes.fetch_add(1, Relaxed);
        if self.tls.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.socket.count.resumed.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Reads whatever has arrived without waiting; true if the server neither closed nor said anything unasked.
    fn quiet(&mut self) -> io::Result<bool> {
        loop {
            // First what came along with the last answer and was read then.
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            if state.peer_has_closed() || state.plaintext_bytes_to_read() > 0 {
                return Ok(false);
            }
            match self.tls.read_tls(&mut self.socket.arrived()) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.socket.limits = Limits::starting_now(timeout, timeout.per_write);
        let mut output = &self.buffers.output()[..amount];
        while !output.is_empty() {
            let taken = self.tls.writer().write(output).map_err(broken)?;
            output = &output[taken..];
            // With it goes what the handshake has left.
            while self.tls.wants_write() {
                if self.tls.write_tls(&mut self.socket).map_err(broken)? == 0 {
                    return Err(broken(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.socket.limits = Limits::starting_now(timeout, timeout.per_read);
        let room = self.buffers.input_append_buf();
        let amount = rustls::Stream::new(&mut self.tls, &mut self.socket)
            .read(room)
            .map_err(broken)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        if self.socket.stream.set_nonblocking(true).is_err() {
            return false;
        }
        let quiet = self.quiet().unwrap_or(false);
        self.socket.stream.set_nonblocking(false).is_ok() && quiet
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// ureq takes some kinds of I/O error at the end of a body for its regular end. Under TLS the regular end is a
/// close alert; an end without one may be a cut, so it must not look like any of those kinds.
fn broken(error: io::Error) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::PerCall),
        _ => ureq::Error::Io(io::Error::new(io::ErrorKind::BrokenPipe, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::http::unsent::Unsent;
    use std::net::TcpListener;

    /// No test is ever given this port by the system.
    const DEAD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    #[test]
    fn a_dead_address_does_not_hide_a_live_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let live = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let stream = reach(&[DEAD, DEAD, live], None, deadline).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
    }

    #[test]
    fn no_address_is_tried_after_the_deadline() {
        let error = reach(&[DEAD], None, Instant::now()).unwrap_err();
        let ureq::Error::Other(inner) = error else {
            panic!("{error}")
        };
        let marked = inner.downcast_ref::<Unsent>().unwrap();
        assert_eq!(
            *marked,
            Unsent {
                phase: Phase::Connect,
                timed_out: true
            }
        );
    }
}
