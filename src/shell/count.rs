//! What went over the wire, counted where it is written and read.

use super::clock::NEVER;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// Totals of one connection target since the program started; shared with whoever reports them.
#[derive(Debug)]
pub struct WireCount {
    /// Bytes given to TCP, TLS included, IP headers not.
    pub sent_bytes: AtomicU64,
    pub received_bytes: AtomicU64,
    /// Requests of which at least the first byte was handed to a connection, or tried to be.
    pub requests: AtomicU64,
    /// TLS handshakes completed, resumed ones included.
    pub handshakes: AtomicU64,
    /// Handshakes that resumed an earlier session.
    pub resumed: AtomicU64,
    /// The time the server last told over verified TLS, as [`at_start`](super::clock::at_start).
    pub told: AtomicI64,
}

impl Default for WireCount {
    fn default() -> WireCount {
        WireCount {
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            told: AtomicI64::new(NEVER),
        }
    }
}
