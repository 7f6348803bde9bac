//! The real binary, real TLS with a private CA, a real store on disk, both peers simulated: what a person at the
//! office sees.

mod journey;
mod office;
