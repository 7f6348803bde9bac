//! The MQTT link: tells the central desk how this gateway is doing, and never holds anything else up.
//!
//! Callers `put` payloads into bounded slots ([`slots`]) and go on; one task on the runtime carries them to the
//! broker, QoS 1, each clean only once its acknowledgement came. Every connection is a new MQTT
//! client without memory: after CONNACK the birth and everything retained is published again, so a broker that lost
//! its store is whole again within seconds, and nothing stale is replayed. What is said once waits in a bounded line
//! meanwhile. A broker that is dead, absent, half-open or refusing costs one attempt per pause ([`pause`]) and the
//! bytes of that attempt, nothing else.
//!
//! A clean stop, or the beginning of a planned silence, publishes a last word, waits for its acknowledgement and
//! disconnects, so the will does not fire. Any other end lets the broker publish the will, which bears the number of
//! its connection, as the birth does.

mod connection;
mod counted;
mod listener;
mod pause;
mod probe;
mod publication;
mod slots;

pub use listener::{Heard, listen};
pub use pause::Pause;
pub use probe::{Probed, Rights, probe};
pub use publication::{Publication, PutError, TOPIC_MAX_BYTES};
pub use slots::{ONCE_MAX, TOPICS_MAX};

use super::count::WireCount;
use crate::core::status::Presence;
use connection::Ended;
use rustls::ClientConfig;
use slots::Slots;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How a client gets in at the broker.
pub struct Account {
    pub broker: Broker,
    pub client_id: String,
    pub user_name: Option<String>,
    pub password: Option<String>,
    pub tls: Arc<ClientConfig>,
    /// How often the line is tested. A dead one is noticed within twice this; the broker tells of us after 1.5 times.
    pub keep_alive: Duration,
    /// From name lookup to the broker's welcome.
    pub connect_timeout: Duration,
    /// The only interface to go out by, if one is prescribed.
    pub interface: Option<String>,
}

/// Everything a link needs to know.
pub struct MqttSettings {
    pub account: Account,
    /// What is said of us on the status topic, given the number of the connection, counted from one: the birth
    /// ([`Presence::Online`]) first on every connection, the will ([`Presence::Lost`]) left with the broker.
    pub status: Box<dyn Fn(Presence, u32) -> Publication + Send + Sync>,
    /// The one topic we listen to.
    pub ear: Option<Ear>,
    /// Spreads the attempts of a fleet apart.
    pub seed: u64,
    pub count: Arc<WireCount>,
}

/// Takes what was said.
pub type Hearing = dyn Fn(&[u8]) + Send + Sync;

/// A topic and who hears what is said there. `heard` runs on the link's task and must not block.
pub struct Ear {
    pub topic: String,
    pub heard: Box<Hearing>,
}

/// Where the broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
}

/// Why an address is not a broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerError {
    /// Another scheme than mqtts. There is no switch for it.
    NotMqtts,
    /// User name or password inside the URL.
    Credentials,
    /// Not of the form `mqtts://host[:port]`.
    Malformed,
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BrokerError::NotMqtts => {
                "the broker's address must begin with mqtts://; plain mqtt is not supported"
            }
            BrokerError::Credentials => {
                "the broker's address holds a user name or password; move it to its own setting"
            }
            BrokerError::Malformed => "not a broker's address; write mqtts://host or mqtts://host:port",
        })
    }
}

impl std::error::Error for BrokerError {}

impl Broker {
    pub fn parse(url: &str) -> Result<Broker, BrokerError> {
        let rest = url.strip_prefix("mqtts://").ok_or(match url.split_once("://") {
            Some(_) => BrokerError::NotMqtts,
            None => BrokerError::Malformed,
        })?;
        if rest.contains('@') {
            return Err(BrokerError::Credentials);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.split_once(':').unwrap_or((rest, "8883"));
        let port = port.parse().map_err(|_| BrokerError::Malformed)?;
        // The name the certificate must bear; what is no such name (a path, say) is no address either.
        rustls::pki_types::ServerName::try_from(host).map_err(|_| BrokerError::Malformed)?;
        Ok(Broker {
            host: host.to_owned(),
            port,
        })
    }
}

/// How the link stands; while it is tried again, how the last attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttState {
    /// Not configured, or stopped.
    Off,
    /// First attempt under way.
    Connecting,
    Online,
    /// No TCP connection, or no answer in time.
    Unreachable,
    /// The broker's certificate is not accepted.
    Certificate,
    /// The broker's certificate is not valid by this box's clock.
    CertificateDates,
    /// No TLS for another reason.
    Tls,
    /// The broker does not accept our user name, password or certificate.
    Refused,
    /// The broker answers, but not as one that wants us: busy, other protocol, client id taken.
    Rejected,
    /// The connection was there and broke.
    Lost,
    /// Disconnected on purpose, until [`MqttLink::wake`].
    Sleeping,
}

impl MqttState {
    /// The word shown in `status`.
    pub fn word(self) -> &'static str {
        match self {
            MqttState::Off => "off",
            MqttState::Connecting => "connecting",
            MqttState::Online => "online",
            MqttState::Unreachable => "unreachable",
            MqttState::Certificate => "certificate",
            MqttState::CertificateDates => "certificate_dates",
            MqttState::Tls => "tls",
            MqttState::Refused => "refused",
            MqttState::Rejected => "rejected",
            MqttState::Lost => "lost",
            MqttState::Sleeping => "sleeping",
        }
    }
}

/// What callers and the task share. The lock is held for a copy of at most one payload, never across an await.
struct Shared {
    table: Mutex<Table>,
    /// Something was put, or the end was asked for.
    changed: Notify,
}

struct Table {
    slots: Slots,
    state: MqttState,
    /// Made since the start.
    connections: u32,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nobody panics while holding the table")
    }
}

/// The handle. Dropping it without [`MqttLink::stop`] ends the task, and the will fires.
pub struct MqttLink {
    shared: Arc<Shared>,
    settings: Arc<MqttSettings>,
    task: JoinHandle<()>,
}

impl fmt::Debug for MqttLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MqttLink {}", self.state().word())
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MqttLink {
    /// Starts the link's task on the current tokio runtime. Returns at once, whatever the broker does.
    pub fn spawn(settings: MqttSettings) -> MqttLink {
        let table = Mutex::new(Table {
            slots: Slots::new((settings.status)(Presence::Online, 1)),
            state: MqttState::Connecting,
            connections: 0,
        });
        let shared = Arc::new(Shared {
            table,
            changed: Notify::new(),
        });
        let settings = Arc::new(settings);
        let task = tokio::spawn(run(Arc::clone(&shared), Arc::clone(&settings)));
        MqttLink {
            shared,
            settings,
            task,
        }
    }

    /// Says something retained on a topic, from any thread, without waiting: replaces what was there, is said again on
    /// every connection, and an empty payload clears the topic and forgets it.
    pub fn put(&self, topic: &str, payload: &[u8]) -> Result<(), PutError> {
        let content = Publication::new(topic, payload)?;
        self.shared.table().slots.put(content)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Says something once, from any thread, without waiting. While the broker is away the newest [`ONCE_MAX`] are
    /// kept in order; a connection that breaks in the middle may say a few twice.
    pub fn tell(&self, topic: &str, payload: &[u8]) -> Result<(), PutError> {
        let content = Publication::new(topic, payload)?;
        self.shared.table().slots.tell(&content);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// How many of the things said once were dropped because the broker was away too long.
    pub fn dropped(&self) -> u64 {
        self.shared.table().slots.dropped()
    }

    pub fn state(&self) -> MqttState {
        self.shared.table().state
    }

    /// The number of the present connection, or of the last one; zero before the first.
    pub fn connection(&self) -> u32 {
        self.shared.table().connections
    }

    /// Says everything retained again, as after a reconnect.
    pub fn reannounce(&self) {
        self.shared.table().slots.say_again();
        self.shared.changed.notify_one();
    }

    /// Begins a planned silence: a last word, if that can be had, and no connection until [`MqttLink::wake`].
    pub fn sleep(&self, last_word: Publication) {
        self.shared.table().slots.close(last_word);
        self.shared.changed.notify_one();
    }

    /// Ends a planned silence.
    pub fn wake(&mut self) {
        // Whatever is left of the old connection: the new one takes its place.
        self.task.abort();
        let mut table = self.shared.table();
        table.slots.reopen();
        table.state = MqttState::Connecting;
        drop(table);
        self.task = tokio::spawn(run(Arc::clone(&self.shared), Arc::clone(&self.settings)));
    }

    /// Ends the link with a last word on the status topic, if that can be had in time; true if the broker has it.
    pub async fn stop(mut self, farewell: Publication, within: Duration) -> bool {
        self.shared.table().slots.close(farewell);
        self.shared.changed.notify_one();
        // Elapsed: dropping the handle aborts the task, and the broker says what it was told to.
        let _ = tokio::time::timeout(within, &mut self.task).await;
        let mut table = self.shared.table();
        table.state = MqttState::Off;
        table.slots.closed()
    }
}

/// One connection after the other until the end is asked for.
async fn run(shared: Arc<Shared>, settings: Arc<MqttSettings>) {
    let mut pause = Pause::new(settings.seed);
    loop {
        let held = match connection::run(&shared, &settings).await {
            Ended::Stopped => break,
            Ended::Failed { state, held } => {
                let mut table = shared.table();
                table.state = state;
                table.slots.lost();
                held
            }
        };
        let until = Instant::now() + pause.after(held);
        if wait_or_stop(&shared, until).await {
            break;
        }
    }
    shared.table().state = MqttState::Sleeping;
}

/// Sits out a pause; true if the end was asked for.
async fn wait_or_stop(shared: &Shared, until: Instant) -> bool {
    loop {
        if shared.table().slots.closing() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until) => return false,
            () = shared.changed.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_reached_over_tls_only() {
        let parsed = |url| Broker::parse(url).map(|broker| format!("{} {}", broker.host, broker.port));
        assert_eq!(
            parsed("mqtts://broker.example.org").as_deref(),
            Ok("broker.example.org 8883")
        );
        assert_eq!(parsed("mqtts://10.0.0.7:8884/").as_deref(), Ok("10.0.0.7 8884"));
        assert_eq!(parsed("mqtt://localhost:1883"), Err(BrokerError::NotMqtts));
        assert_eq!(parsed("https://broker.example.org"), Err(BrokerError::NotMqtts));
        assert_eq!(
            parsed("mqtts://user:secret@broker.example.org"),
            Err(BrokerError::Credentials)
        );
        for url in [
            "broker.example.org",
            "mqtts://",
            "mqtts://host:port",
            "mqtts://host/path",
            "mqtts://a:1:2",
        ] {
            assert_eq!(parsed(url), Err(BrokerError::Malformed), "{url}");
        }
    }
}
