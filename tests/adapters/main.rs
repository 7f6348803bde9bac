//! The HTTPS client, and in one case the MQTT link, against a loopback server that misbehaves as the field does.
//!
//! What is guarded: a failure before the first request byte is told apart from one after it, a request is never
//! sent a second time behind the caller's back, and nothing a server does can hold the client beyond its time.

mod answers;
mod deaf_broker;
mod failures;
mod keep_alive;
mod large;
#[path = "../support/pki.rs"]
mod pki;
mod server;
mod trust;

use pki::{Authority, Validity};
use referral_gateway::core::exchange::{Method, Request};
use referral_gateway::shell::http::{HttpsClient, Timeouts, WireCount};
use server::{Caller, Server};
use std::sync::Arc;
use std::time::Duration;

/// Short enough for a test, long enough for a busy machine.
pub const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    read: Duration::from_secs(5),
    exchange: Duration::from_secs(10),
    stream: Duration::from_secs(20),
};

/// A server with a script and a client that trusts it.
pub struct Pair {
    pub server: Server,
    pub client: HttpsClient,
    pub count: Arc<WireCount>,
    _authority: Authority,
}

pub fn pair(script: impl Fn(&mut Caller) + Send + Sync + 'static) -> Pair {
    pair_with(TIMEOUTS, script)
}

pub fn pair_with(timeouts: Timeouts, script: impl Fn(&mut Caller) + Send + Sync + 'static) -> Pair {
    let authority = Authority::new();
    let server = Server::start(&authority.leaf("localhost", Validity::Now), script);
    pair_of(authority, server, timeouts)
}

pub fn pair_of(authority: Authority, server: Server, timeouts: Timeouts) -> Pair {
    let count = Arc::new(WireCount::default());
    let address = format!("https://localhost:{}", server.port);
    let client = HttpsClient::new(&address, authority.trusting(), timeouts, Arc::clone(&count)).unwrap();
    Pair {
        server,
        client,
        count,
        _authority: authority,
    }
}

pub fn get(target: &str) -> Request {
    Request {
        method: Method::Get,
        target: target.to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

pub fn post(target: &str, body: &str) -> Request {
    let body = Some(body.as_bytes().to_vec());
    Request {
        method: Method::Post,
        target: target.to_owned(),
        headers: Vec::new(),
        body,
    }
}
