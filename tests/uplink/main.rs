//! The real binary behind a bad line, in network namespaces: real packets lost, late, too large or gone astray.

mod lines;
mod names;
#[allow(
    dead_code,
    reason = "shared with the bench of the uplink, which uses more of it"
)]
mod net;
#[allow(
    dead_code,
    reason = "shared with the bench of the uplink, which uses more of it"
)]
mod site;

#[path = "../end_to_end/office.rs"]
#[allow(dead_code, reason = "the end-to-end tests use more of it")]
mod office;
