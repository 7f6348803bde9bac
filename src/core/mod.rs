//! The inner ring: what the gateway decides. No I/O, no clock, no randomness of its own.

pub mod event;
pub mod exchange;
pub mod link;
pub mod queue;
pub mod reason;
pub mod record;
pub mod time;
