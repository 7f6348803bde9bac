//! The outer ring: sockets, files, clocks and threads. Only `main` imports it.

pub mod cli;
pub mod clock;
pub mod control;
pub mod count;
pub mod desk;
pub mod driver;
pub mod drop_folder;
pub mod figures;
pub mod fleet;
pub mod http;
pub mod identity;
pub mod lan;
pub mod log;
pub mod mqtt;
pub mod office;
pub mod parts;
pub mod program;
pub mod session;
pub mod stations;
pub mod strict_json;
pub mod surface;
pub mod telemetry;
pub mod tls;
pub mod uplink;
pub mod watchdog;
