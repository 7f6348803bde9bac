//! The second ring: how the two systems are spoken to over HTTP. Pure translation; policy is in `core`.

pub mod organizations;
pub mod oscar;
pub mod primero;
pub mod rows;
pub mod stand_in;
