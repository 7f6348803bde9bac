//! A small MQTT 3.1.1 broker over TLS, for demos and for tests where no Mosquitto runs.
//!
//! It speaks CONNECT with will and login, PUBLISH at QoS 0 and 1 both ways, retained messages, SUBSCRIBE with
//! `+` and `#`, PINGREQ and DISCONNECT, and ends a client that is silent for one and a half keep-alives. It
//! remembers what was published, so that a test can look or wait.
//!
//! Not here: QoS 2 (publishing at it ends the connection, subscribing is granted 1), kept sessions (asked for
//! one, it answers "no session present" and starts a clean one), MQTT 5 (refused with code 1), plain TCP,
//! access lists, and resending: a message is sent once, and its PUBACK only frees the packet id.
//! The framing is written out here, and not taken from the gateway's own MQTT client: a broker built of the
//! client's parts would share its mistakes. A real Mosquitto remains the proof; this is the convenience.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

mod conn;
mod hub;
mod packet;
#[cfg(test)]
mod tests;
mod topic;

use crate::wire::listener::{Gate, Listener};
use crate::wire::{Identity, TestCa};
use conn::Door;
use hub::Hub;

/// One publication, as the client that made it (or left it as its will) sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Sent with the retain flag; with an empty payload that clears the topic.
    pub retained: bool,
    /// 0 or 1.
    pub qos: u8,
}

/// What a broker asks of its clients.
#[derive(Clone, Debug)]
pub struct Options {
    /// User name and password that every client must give; `None` lets all in. Who gives others is answered
    /// code 5, as Mosquitto does.
    pub login: Option<(String, String)>,
    /// A larger packet ends the connection before its body is read.
    pub packet_bytes_max: usize,
}

impl Default for Options {
    /// Nobody has to log in; 64 KiB, many times the 1 KiB the gateway allows itself.
    fn default() -> Self {
        Options {
            login: None,
            packet_bytes_max: 64 << 10,
        }
    }
}

/// A running broker; dropping it stops it and closes every connection, publishing no wills.
pub struct Broker {
    hub: Arc<Hub>,
    gate: Arc<Gate>,
    listener: Listener,
}

impl Broker {
    /// Serve `localhost` and `127.0.0.1` with a certificate of this authority, open to every client that
    /// trusts it. Port 0 picks a free port.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start(ca: &TestCa, listen: &str) -> Broker {
        Broker::start_with(&ca.localhost(), listen, Options::default())
    }

    /// As [`Broker::start`], with a certificate of your choice (expired, wrong name, ...) and options.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start_with(identity: &Identity, listen: &str, options: Options) -> Broker {
        let hub = Arc::new(Hub::default());
        let gate = Arc::new(Gate::default());
        let door = Door {
            tls: identity.server_config(false),
            options,
            hub: hub.clone(),
            gate: gate.clone(),
        };
        let listener = Listener::start(listen, gate.clone(), move |socket| door.serve(&socket));
        Broker { hub, gate, listener }
    }

    /// `mqtts://localhost:PORT`
    pub fn url(&self) -> String {
        format!("mqtts://localhost:{}", self.listener.address().port())
    }

    /// Where the broker listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Link down: open connections are cut and new ones are closed at accept, until set up again. The broker
    /// itself lives on, so the wills of those it lost are published; with real clients a moment later.
    pub fn set_down(&self, down: bool) {
        self.gate.set_down(down);
    }

    /// What is retained now, by topic.
    pub fn retained(&self) -> BTreeMap<String, Vec<u8>> {
        self.hub.retained()
    }

    /// Everything published so far, wills included, in order; the oldest go first beyond some 20,000.
    pub fn log(&self) -> Vec<Message> {
        self.hub.log()
    }

    /// Forget the log, not what is retained: what [`Broker::wait_for`] finds afterwards is new.
    pub fn clear_log(&self) {
        self.hub.clear_log();
    }

    /// The first message in the log on a topic with this ending which satisfies the predicate; waits for it to
    /// be published if it has not been yet. `None` when the time is up.
    pub fn wait_for(
        &self,
        topic_suffix: &str,
        predicate: impl Fn(&Message) -> bool,
        timeout: Duration,
    ) -> Option<Message> {
        let wanted = |message: &Message| message.topic.ends_with(topic_suffix) && predicate(message);
        self.hub.wait_for(&wanted, timeout)
    }

    /// Publish as if a client had: a command for a gateway, for instance.
    ///
    /// # Panics
    /// If the topic is no topic name or the QoS neither 0 nor 1.
    pub fn publish(&self, message: Message) {
        assert!(topic::is_name(&message.topic), "this is a topic name");
        assert!(message.qos <= 1, "the broker knows QoS 0 and 1");
        self.hub.publish(message);
    }
}
