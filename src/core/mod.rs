//! The inner ring: what the gateway decides. No I/O, no clock, no randomness of its own.

pub mod ask;
pub mod backoff;
pub mod event;
pub mod exchange;
pub mod fields;
pub mod flows;
pub mod follow_up;
pub mod form;
pub mod hex;
pub mod intake;
pub mod link;
pub mod mapping;
pub mod outbox;
pub mod outcome;
pub mod push_talk;
pub mod queue;
pub mod reason;
pub mod record;
pub mod referral_talk;
pub mod schedule;
pub mod sighting;
pub mod status;
pub mod time;
pub mod watch;
pub mod work;
pub mod write_back;
