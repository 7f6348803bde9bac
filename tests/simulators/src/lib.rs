//! Primero and OSCaR, simulated: what `shared/contracts/` says the two systems do, traps included.
#![forbid(unsafe_code)]

pub mod oscar;
pub mod primero;
pub mod wire;
