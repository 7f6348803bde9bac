//! The outer ring: sockets, files, clocks and threads. Only `main` imports it.

pub mod http;
pub mod tls;
