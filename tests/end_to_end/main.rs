//! The real binary, real TLS with a private CA, a real store on disk, both peers simulated: what a person at the
//! office sees.

mod check_config;
mod cli;
mod control;
mod faults;
mod journey;
mod office;
mod outages;
mod service;
