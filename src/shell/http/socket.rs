//! The TCP socket below TLS: every wait on it ends at a deadline, and every byte is counted.

use super::WireCount;
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::NextTimeout;

/// Until when one operation may take, and how long the line may stay silent within it.
#[derive(Clone, Copy)]
pub struct Limits {
    pub deadline: Instant,
    silence: Duration,
}

/// Stands in for "no limit", which this client never configures.
const UNLIMITED: Duration = Duration::from_secs(3600);

impl Limits {
    pub fn starting_now(
        timeout: NextTimeout,
        silence: Option<ureq::unversioned::transport::time::Duration>,
    ) -> Limits {
        let after = if timeout.after.is_not_happening() {
            UNLIMITED
        } else {
            *timeout.after
        };
        Limits {
            deadline: Instant::now() + after.min(UNLIMITED),
            silence: silence.map_or(UNLIMITED, |silence| *silence),
        }
    }

    /// The moment at which one wait on the socket ends.
    fn patience(self) -> Instant {
        self.deadline.min(Instant::now() + self.silence.min(UNLIMITED))
    }
}

/// What is left until then, as a socket timeout, which must not be zero.
fn left(until: Instant) -> io::Result<Option<Duration>> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(Some(left))
    }
}

/// The TCP socket: counts every byte and ends every wait at the deadline.
pub struct Socket {
    pub stream: TcpStream,
    pub limits: Limits,
    pub count: Arc<WireCount>,
    /// Set once both sides have all they asked for.
    pub leaving: Arc<AtomicBool>,
}

/// Both have all they asked for: one packet ends it, where saying goodbye takes four. A connection that breaks in the
/// middle ends as TCP does it, so that the last of what was said still arrives.
impl Drop for Socket {
    fn drop(&mut self) {
        if self.leaving.load(Relaxed) {
            // Best effort: without it three packets more are sent.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Socket {
    /// The same socket without deadline, for the probe, which has made it non-blocking.
    pub fn arrived(&mut self) -> Arrived<'_> {
        Arrived(self)
    }

    fn read_counted(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.stream.read(buffer)?;
        self.count.received_bytes.fetch_add(amount as u64, Relaxed);
        Ok(amount)
    }
}

pub struct Arrived<'a>(&'a mut Socket);

impl Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_counted(buffer)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let until = self.limits.patience();
        loop {
            self.stream.set_read_timeout(left(until)?)?;
            match self.read_counted(buffer) {
                // Linux reports an expired socket timeout as would-block; ask the deadline again.
                Err(error) if waited(&error) => {}
                other => return other,
            }
        }
    }
}

impl Socket {
    fn write_counted(
        &mut self,
        mut write: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let until = self.limits.patience();
        loop {
            self.stream.set_write_timeout(left(until)?)?;
            match write(&mut self.stream) {
                Err(error) if waited(&error) => {}
                Ok(amount) => {
                    self.count.sent_bytes.fetch_add(amount as u64, Relaxed);
                    return Ok(amount);
                }
                other => return other,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_counted(|stream| stream.write(buffer))
    }

    /// TLS hands its records over one by one: together they are one packet.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_counted(|stream| stream.write_vectored(buffers))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn waited(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
