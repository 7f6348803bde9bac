//! The outer ring: sockets, files, clocks and threads. Only `main` imports it.

pub mod count;
pub mod http;
pub mod identity;
pub mod mqtt;
pub mod office;
pub mod session;
pub mod strict_json;
pub mod tls;
