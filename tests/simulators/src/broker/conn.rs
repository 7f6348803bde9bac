//! One connection: TLS, keep-alive, packets in, packets out.
//!
//! A client may be sent something at any moment, so each connection has two threads: this one reads, another
//! writes what the hub put into the client's queue. They share the TLS state, never for longer than it takes
//! to encrypt or decrypt what is at hand; only the writer touches the sending half of the socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use super::Options;
use super::hub::{Hub, OUTBOX_MAX, Session};
use super::packet::{self, BAD_CLIENT_ID, Connect, NOT_AUTHORISED, PINGRESP, Packet, WRONG_VERSION};
use crate::wire::listener::Gate;

/// A client that has not got as far as CONNECT by then never will.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A client that takes nothing for so long is lost.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// What every connection needs.
pub(super) struct Door {
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) options: Options,
    pub(super) hub: Arc<Hub>,
    pub(super) gate: Arc<Gate>,
}

/// A connection's TLS state and socket.
struct Link<'a> {
    tls: Mutex<ServerConnection>,
    socket: &'a TcpStream,
}

/// The reading half.
struct Incoming<'a> {
    link: &'a Link<'a>,
    /// Wakes the writer: reading can make TLS want to send something.
    outbox: SyncSender<Vec<u8>>,
    buffer: Vec<u8>,
    packet_bytes_max: usize,
    /// The client sent its last byte.
    ended: bool,
}

impl Door {
    /// Serve one connection until either side is done with it.
    pub(super) fn serve(&self, socket: &TcpStream) {
        // The far side may vanish at any point; the hub was told what that means.
        let _ = self.try_serve(socket);
        let _ = socket.shutdown(Shutdown::Both);
    }

    fn try_serve(&self, mut socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_WITHIN))?;
        socket.set_read_timeout(Some(CONNECT_WITHIN))?;
        let mut tls = ServerConnection::new(self.tls.clone()).map_err(io::Error::other)?;
        // Packets are bounded before they come here.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let link = Link {
            tls: Mutex::new(tls),
            socket,
        };
        let (outbox, queue) = sync_channel(OUTBOX_MAX);
        thread::scope(|threads| {
            threads.spawn(|| link.write_all_of(queue));
            let incoming = Incoming {
                link: &link,
                outbox,
                buffer: Vec::new(),
                packet_bytes_max: self.options.packet_bytes_max,
                ended: false,
            };
            let outcome = self.converse(incoming);
            if outcome.is_err() {
                // What is still queued is for nobody: let the writer notice at once.
                let _ = socket.shutdown(Shutdown::Both);
            }
            outcome
        })
    }

    /// `Ok` closes the connection after what is queued has been sent, an error at once.
    fn converse(&self, mut incoming: Incoming<'_>) -> io::Result<()> {
        let connect = match incoming.next(Some(CONNECT_WITHIN))? {
            Packet::Connect(connect) => connect,
            Packet::ForeignConnect => return incoming.answer(packet::connack(WRONG_VERSION)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if let Some(code) = self.refuses(&connect) {
            return incoming.answer(packet::connack(code));
        }
        let patience = match connect.keep_alive {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.into()) * 3 / 2),
        };
        let number = self.hub.join(Session::new(
            connect.client_id,
            connect.will,
            incoming.outbox.clone(),
            incoming.link.socket.try_clone()?,
        ));
        let outcome = self.attend(number, &mut incoming, patience);
        // A broker that is stopped has lost nobody.
        self.hub.leave(number, outcome.is_ok() || self.gate.is_stopping());
        outcome
    }

    fn refuses(&self, connect: &Connect) -> Option<u8> {
        if connect.client_id.is_empty() && !connect.clean_session {
            return Some(BAD_CLIENT_ID);
        }
        let (user, password) = self.options.login.as_ref()?;
        let known =
            connect.user.as_ref() == Some(user) && connect.password.as_deref() == Some(password.as_bytes());
        (!known).then_some(NOT_AUTHORISED)
    }

    /// Serve a client that was let in; `Ok` if it said goodbye.
    fn attend(&self, number: u64, incoming: &mut Incoming<'_>, patience: Option<Duration>) -> io::Result<()> {
        loop {
            match incoming.next(patience)? {
                Packet::Publish(message, id) => {
                    if !self.hub.has_room_for(&message) {
                        return Err(io::ErrorKind::QuotaExceeded.into());
                    }
                    self.hub.publish(message);
                    if let Some(id) = id {
                        incoming.answer(packet::puback(id))?;
                    }
                }
                Packet::PubAck(id) => self.hub.acknowledged(number, id),
                Packet::Subscribe(id, filters) => self.hub.subscribe(number, id, filters),
                Packet::Unsubscribe(id, filters) => self.hub.unsubscribe(number, id, &filters),
                Packet::PingReq => incoming.answer(PINGRESP.to_vec())?,
                Packet::Disconnect => return Ok(()),
                Packet::Connect(_) | Packet::ForeignConnect => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
    }
}

impl Incoming<'_> {
    /// Queue an answer; waits while the queue is full, which holds up this client alone.
    fn answer(&self, packet: Vec<u8>) -> io::Result<()> {
        self.outbox
            .send(packet)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The next packet, whole within this time.
    fn next(&mut self, within: Option<Duration>) -> io::Result<Packet> {
        let end = within.map(|time| Instant::now() + time);
        // Whatever came along with the end of the handshake is inside TLS already.
        self.decrypt(&[])?;
        loop {
            match packet::take(&mut self.buffer, self.packet_bytes_max) {
                Ok(Some(packet)) => return Ok(packet),
                Ok(None) => self.fill(end)?,
                Err(packet::Malformed) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    fn fill(&mut self, end: Option<Instant>) -> io::Result<()> {
        if self.ended {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut socket = self.link.socket;
        socket.set_read_timeout(left)?;
        let mut piece = [0; 16 * 1024];
        let count = match socket.read(&mut piece) {
            // A signal of the test's own, not the client's doing.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        };
        self.ended = count == 0;
        self.decrypt(&piece[..count])
    }

    fn decrypt(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut tls = self.link.lock();
        loop {
            if !bytes.is_empty() {
                tls.read_tls(&mut bytes)?;
            }
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = self.buffer.len();
            self.buffer.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.buffer[start..])?;
            self.ended |= state.peer_has_closed();
            if bytes.is_empty() || self.ended {
                break;
            }
        }
        if tls.wants_write() {
            // If there is no room, the writer is awake.
            let _ = self.outbox.try_send(Vec::new());
        }
        Ok(())
    }
}

impl Link<'_> {
    fn lock(&self) -> MutexGuard<'_, ServerConnection> {
        self.tls.lock().expect("a connection's lock is never poisoned")
    }

    /// The writing thread: ends when the connection does, or when nobody can queue any more.
    fn write_all_of(&self, queue: Receiver<Vec<u8>>) {
        let write_each = || {
            for packet in queue {
                self.lock().writer().write_all(&packet)?;
                self.flush()?;
            }
            self.lock().send_close_notify();
            self.flush()
        };
        let outcome: io::Result<()> = write_each();
        if outcome.is_err() {
            // The reader learns it from the socket.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }

    fn flush(&self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut tls = self.lock();
        while tls.wants_write() {
            tls.write_tls(&mut bytes)?;
        }
        drop(tls);
        let mut socket = self.socket;
        socket.write_all(&bytes)
    }
}
