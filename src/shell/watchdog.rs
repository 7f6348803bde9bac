//! The line to systemd: ready, status, stopping, and a watchdog that is petted only while the gateway gets on.
//!
//! A pet goes out when all three are true: the main loop runs (it sends it), the store's thread answers, and a session
//! under way has moved a byte or a commit within [`patience`]. Otherwise nothing is sent; after `WatchdogSec` systemd
//! ends the program and starts it anew, and the store recovers what was in hand. Outside systemd nothing happens here.
//!
//! Protocol: sd_notify(3), datagrams of `KEY=VALUE` lines to `$NOTIFY_SOCKET` (a path, or an abstract name after `@`).

use super::log;
use super::parts::{Parts, wire_bytes};
use crate::config::{Config, LinkSettings};
use crate::core::time::Mono;
use crate::core::watch::Watch;
use crate::store::{Store, StoreError};
use std::env;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long the store may take over one commit: a worn card can stall for tens of seconds.
const STORE_PATIENCE: Duration = Duration::from_secs(120);
/// Added to the longest silence that configuration allows on a line.
const SESSION_GRACE: Duration = Duration::from_secs(180);

/// A manager that does not read holds nothing up for longer.
const SAY_MAX: Duration = Duration::from_millis(200);

/// The connection to the service manager, if there is one.
#[derive(Debug)]
struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// A socket's name as systemd writes it. Anything unusable there is reported once and then left alone.
    fn to(name: Option<OsString>) -> Notifier {
        let Some(name) = name else {
            return Notifier(None);
        };
        let bytes = name.as_encoded_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
            None => SocketAddr::from_pathname(&name),
        };
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(SAY_MAX))?;
            Ok(socket)
        });
        match address.and_then(|address| Ok((socket?, address))) {
            Ok(line) => Notifier(Some(line)),
            Err(error) => {
                log::warn(format_args!("NOTIFY_SOCKET cannot be used: {error}"));
                Notifier(None)
            }
        }
    }

    /// A manager that does not listen is its own affair.
    fn say(&self, words: &str) {
        if let Some((socket, address)) = &self.0 {
            let _ = socket.send_to_addr(words.as_bytes(), address);
        }
    }
}

/// Petting, tied to progress.
pub struct Watchdog {
    notifier: Notifier,
    /// How often to pet; nothing if nobody watches.
    every: Option<Duration>,
    session: Watch,
    store: Watch,
    asked: u64,
    answered: Arc<AtomicU64>,
    barking: bool,
}

/// The longest a session may show no sign: a lookup, a connection and a silence, as long as configured.
fn patience(link: &LinkSettings) -> Duration {
    link.connect_timeout * 2 + link.read_timeout + SESSION_GRACE
}

impl Watchdog {
    /// As the environment and the configuration say.
    pub fn new(config: &Config, now: Mono) -> Watchdog {
        let variable = |name| env::var(name).ok();
        let every = period(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        let session = patience(&config.primero.link).max(patience(&config.oscar.link));
        Watchdog::reporting_to(env::var_os("NOTIFY_SOCKET"), every, session, now)
    }

    /// Pets at this socket this often, unless a session shows no sign for longer than `session`.
    pub fn reporting_to(
        socket: Option<OsString>,
        every: Option<Duration>,
        session: Duration,
        now: Mono,
    ) -> Watchdog {
        Watchdog {
            notifier: Notifier::to(socket),
            every,
            session: Watch::new(session, now),
            store: Watch::new(STORE_PATIENCE, now),
            asked: 0,
            answered: Arc::default(),
            barking: false,
        }
    }

    /// How often [`Watchdog::look`] wants to be called; an hour if nobody watches.
    pub fn every(&self) -> Duration {
        self.every.unwrap_or(Duration::from_secs(3600))
    }

    /// For example `READY=1`.
    pub fn say(&self, words: &str) {
        self.notifier.say(words);
    }

    /// Pets if everything gets on. The session's thread may have a session or a purge in hand.
    pub fn look(&mut self, parts: &Parts, running: bool, purging: bool, now: Mono) {
        if self.every.is_none() {
            return;
        }
        let answered = self.answered.load(Relaxed);
        let store_alive = self.store.alive(answered < self.asked, answered, now);
        if answered == self.asked && self.ask(&parts.store) {
            self.asked += 1;
        }
        // A session that hangs must not look alive because an event came in: only its own line counts.
        let progress = if running {
            wire_bytes(&parts.primero_count) + wire_bytes(&parts.oscar_count)
        } else {
            parts.store.figures().commits
        };
        let session_alive = self.session.alive(running || purging, progress, now);
        let alive = store_alive && session_alive && parts.store.failure().is_none();
        if alive {
            self.notifier.say("WATCHDOG=1");
        } else if !self.barking {
            let who = if session_alive { "store" } else { "session" };
            log::warn(format_args!(
                "the {who} does not get on; waiting for systemd to restart the gateway"
            ));
        }
        self.barking = !alive;
    }

    /// A transaction that changes nothing: no commit, no byte to the card, but the thread has to answer.
    fn ask(&self, store: &Store) -> bool {
        let answered = Arc::clone(&self.answered);
        let reply = move |_: Result<(), StoreError>| {
            answered.fetch_add(1, Relaxed);
        };
        // Too many writers waiting is life enough; it is asked again next time.
        store.submit(|_| Ok::<(), StoreError>(()), reply).is_ok()
    }
}

/// A third of the time systemd gives us, if it watches this very process.
fn period(usec: Option<String>, pid: Option<String>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let usec: u64 = usec.filter(|_| ours)?.parse().ok()?;
    Some(Duration::from_micros(usec / 3)).filter(|every| !every.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_for_the_process_it_names() {
        let own = std::process::id().to_string();
        let period = |usec: &str, pid: Option<&str>| period(Some(usec.to_owned()), pid.map(str::to_owned));
        let ten = Some(Duration::from_secs(10));
        assert_eq!(period("30000000", Some(&own)), ten);
        assert_eq!(period("30000000", None), ten);
        assert_eq!(period("30000000", Some("1")), None, "another process is watched");
        assert_eq!(period("soon", None), None);
    }
}
