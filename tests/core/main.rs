//! The inner ring, through its public face: table tests, no clock, no disk.

mod alert;
mod command;
mod fleet;
mod intake;
mod mapping;
mod outbox;
