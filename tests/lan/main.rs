//! The LAN listener of the real binary, over real TLS: what a station, a stranger and a browser can do and what they
//! cannot.

mod bad_input;
mod bad_lines;
mod browser;
mod certificate;
mod client;
mod doors;
#[path = "../end_to_end/office.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests, which use more of it")]
mod office;
mod openapi;
mod page;
mod privacy;
mod schema;
