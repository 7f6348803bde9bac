//! The referral gateway: takes in referral events at a field office, keeps them safe, and carries them to Primero
//! and OSCaR whenever the uplink is there. `core` decides, `peers` translates, `store` keeps, `shell` does.
#![forbid(unsafe_code)]

pub mod config;
pub mod core;
pub mod peers;
pub mod shell;
pub mod store;
