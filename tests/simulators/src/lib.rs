//! Primero and OSCaR, simulated: what `shared/contracts/` says the two systems do, traps included; and a small
//! MQTT broker for where no Mosquitto runs.
#![forbid(unsafe_code)]

pub mod broker;
pub mod oscar;
pub mod primero;
pub mod wire;
