//! The real binary behind a bad line, in network namespaces: real packets lost, late, too large or gone astray.

mod lines;
mod names;
mod net;
mod site;

#[path = "../end_to_end/office.rs"]
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
mod office;
