//! The second ring: how the two systems are spoken to over HTTP. Pure translation; policy is in `core`.

pub mod listing;
pub mod oscar;
pub mod primero;
mod rows;
