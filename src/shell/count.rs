//! What went over the wire, counted where it is written and read.

use std::sync::atomic::AtomicU64;

/// Totals of one connection target since the program started; shared with whoever reports them.
#[derive(Debug, Default)]
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
}
