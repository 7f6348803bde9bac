//! A client that says and hears bytes, and the bytes it says.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

use crate::broker::Broker;
use crate::wire::TestCa;
use crate::wire::client::Client;

/// Let in, no session present.
pub(super) const CONNECTED: (u8, &[u8]) = (0x20, &[0, 0]);

/// A client that speaks bytes.
pub(super) struct Raw {
    tls: StreamOwned<ClientConnection, TcpStream>,
}

impl Raw {
    pub(super) fn dial(ca: &TestCa, broker: &Broker) -> Raw {
        let tls = Client::new(ca).connect(broker.address()).unwrap().into_tls();
        Raw { tls }
    }

    /// Connected under this name with a retained QoS 1 will "lost" on `NAME/status`.
    pub(super) fn join(ca: &TestCa, broker: &Broker, name: &str, keep_alive: u8) -> Raw {
        let mut raw = Raw::dial(ca, broker);
        let fields = [&text(name), &text(&format!("{name}/status")), &text("lost")];
        raw.say(&connect(0x2e, keep_alive, &fields.map(Vec::as_slice).concat()));
        raw.hears(CONNECTED);
        raw
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).unwrap();
        self.tls.flush().unwrap();
    }

    /// The next packet: its first byte and, length left out, the rest.
    pub(super) fn next(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.tls.read_exact(&mut head).unwrap();
        let mut length = usize::from(head[1] & 0x7f);
        if head[1] & 0x80 != 0 {
            let mut more = [0];
            self.tls.read_exact(&mut more).unwrap();
            length |= usize::from(more[0]) << 7;
        }
        let mut body = vec![0; length];
        self.tls.read_exact(&mut body).unwrap();
        (head[0], body)
    }

    #[track_caller]
    pub(super) fn hears(&mut self, (head, body): (u8, &[u8])) {
        assert_eq!(self.next(), (head, body.to_vec()));
    }

    /// Nothing more comes but the end.
    #[track_caller]
    pub(super) fn is_closed(&mut self) {
        // A reset is an end too, a time-out is not.
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        let outcome = self.tls.read(&mut [0; 64]);
        assert!(!outcome.as_ref().is_err_and(timed_out), "still open");
        assert_eq!(outcome.unwrap_or(0), 0);
    }

    /// As when the power fails: not even TLS says goodbye.
    pub(super) fn vanish(self) {
        drop(self);
    }
}

pub(super) fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[head, body.len() as u8], body].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

pub(super) fn connect(flags: u8, keep_alive: u8, fields: &[u8]) -> Vec<u8> {
    packet(
        0x10,
        &[&text("MQTT"), &[4, flags, 0, keep_alive][..], fields].concat(),
    )
}

pub(super) fn publish(head: u8, topic: &str, id: Option<u8>, payload: &str) -> Vec<u8> {
    let id = id.map(|id| vec![0, id]).unwrap_or_default();
    packet(head, &[text(topic), id, payload.into()].concat())
}

pub(super) fn subscribe(id: u8, filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, id][..], &text(filter), &[qos]].concat())
}

/// The body of a PUBLISH.
pub(super) fn said(topic: &str, id: &[u8], payload: &str) -> Vec<u8> {
    [&text(topic), id, payload.as_bytes()].concat()
}
